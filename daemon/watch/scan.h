/*
 * scan - the threads that watch: one for each mount, so that a file system that hangs takes its own
 * directories along and nothing else, not even the end of the service.
 *
 * A directory goes to the thread of the mount that /proc/self/mountinfo names for its path, by
 * text; it moves to another thread when that changes. The threads own the directories (target.h)
 * and everything that is known of them; they tell the loop in batches, and wait when the loop, or
 * who holds them, does not keep up. Thread: every function here is for the loop.
 */
#ifndef WATCH_SCAN_H
#define WATCH_SCAN_H

#include <uv.h>

#include "watch/target.h"

struct scan;

/* Embedded in a struct of the room above. Called on the loop. */
struct scan_listener {
    /*
     * What has been told, in the order in which one directory told it. The reports are cleared
     * afterwards: what is to be kept is taken out and set to NULL. Reports of a target that has
     * been removed may still come.
     */
    void (*reports)(struct scan_listener *l, struct report *reports, size_t count);
    /*
     * The end, after scan_stop(). @abandoned threads are still inside a file system that hangs:
     * they touch nothing of ours any more but the functions of struct target_rules, and the process
     * must end without waiting for them.
     */
    void (*stopped)(struct scan_listener *l, unsigned abandoned);
};

struct scan_options {
    uv_loop_t *loop;
    const struct target_rules *rules; /* static: threads that are left behind may still use it */
    struct scan_listener *listener;
    int64_t interval_ms;   /* between two scans of a directory */
    int64_t grace_ms;      /* how long scan_stop() waits for threads; 0: 2 s */
    int64_t mounts_ms;     /* how long the list of mounts is believed; 0: 5 s */
    const char *mountinfo; /* NULL: /proc/self/mountinfo */
};

int scan_start(const struct scan_options *options, struct scan **ret, struct sewa_error *err);

/*
 * Watch a directory, from now on. The path is not touched here. An id that is watched already must
 * be removed first. SEWA_E_NO_MEMORY, or SEWA_E_UNAVAILABLE when there can be no more threads.
 */
int scan_add(struct scan *s, const struct target_spec *spec, const struct target_known *known,
             size_t known_count, struct sewa_error *err);

/* These return SEWA_E_NO_MEMORY, and then nothing has happened. Unknown ids are ignored. */
int scan_remove(struct scan *s, uint64_t id, struct sewa_error *err);
int scan_now(struct scan *s, uint64_t id, struct sewa_error *err); /* a scan, as soon as possible */
int scan_hint(struct scan *s, uint64_t id, const char *name, struct sewa_error *err); /* target.h */

void scan_set_interval(struct scan *s, int64_t interval_ms);

/*
 * While it is held, the threads tell nothing more but what is on its way, and wait: a million files
 * that vanish at once must not wait in memory for the disk.
 */
void scan_hold(struct scan *s, bool held);

/* End the threads; listener->stopped() comes on the loop, and s is freed before it. */
void scan_stop(struct scan *s);

#endif
