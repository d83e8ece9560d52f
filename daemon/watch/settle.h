/*
 * settle - decide when a file has stopped changing.
 *
 * Pure: the caller passes what stat() said and between which times it said so; nothing here touches
 * a disk or a clock. A file is settled when two looks at least settle_ms apart saw the same size
 * and time of modification, because trainers write in bursts. The time of modification is only
 * compared with itself: the clock of a file server may be hours away from ours. The inode of a file
 * is not compared: some file systems make up a new one for every look.
 * Thread: any.
 */
#ifndef WATCH_SETTLE_H
#define WATCH_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

/* What one look saw. Of a directory (watch/members.h): all of its members together. */
struct look {
    int64_t size;
    int64_t mtime_ns; /* since 1970, by the clock of the file server */
    uint64_t inode;   /* 0: not known. Of a directory: made of names, sizes and times, never 0 */
    bool is_directory;
};

static inline bool look_is_same(const struct look *a, const struct look *b)
{
    bool has_members = a->is_directory && b->is_directory && a->inode != 0 && b->inode != 0;

    return a->size == b->size && a->mtime_ns == b->mtime_ns &&
           (!has_members || a->inode == b->inode);
}

/*
 * Seconds and nanoseconds of a time of modification as one number. A damaged inode can hold any
 * time: what lies outside of 1677 to 2262 becomes the nearest end.
 */
int64_t look_time_ns(int64_t seconds, uint32_t nanoseconds);

/* Zero is "no look yet". */
struct settle {
    struct look look;
    int64_t first_ms; /* monotonic; not before the first look that saw it like this */
    bool has_look;
};

enum settle_answer {
    SETTLE_BEGAN, /* the first look, or it has changed since: wait from now on */
    SETTLE_WAITS, /* the same, but it is too early */
    SETTLE_DONE,
};

/*
 * One more look, which was made between the monotonic times before_ms and after_ms: a look can hang
 * for minutes, so the first of two counts from its end and the second from its beginning.
 */
enum settle_answer settle_look(struct settle *s, const struct look *look, int64_t before_ms,
                               int64_t after_ms, int64_t settle_ms);

/* When the look that can settle it is due: monotonic, INT64_MIN (now) before the first look. */
int64_t settle_due_ms(const struct settle *s, int64_t settle_ms);

#endif
