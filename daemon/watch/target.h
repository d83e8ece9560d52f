/*
 * target - one watched directory: what is known of it, one scan of it, and what waits in it.
 *
 * Synchronous, without a thread and with a clock that the caller gives: scan.c runs it on the
 * thread of the directory's mount, a test runs it by itself. Every call may block as long as the
 * file system does. Thread: one at a time.
 *
 *     (new) --> waiting --(settled or marker, and the structure is whole)--> complete
 *                  ^                                                        |      |
 *                  +------------(other size, time or header)----------------+      |
 *                                              back <--> gone <--(missing in two scans)
 */
#ifndef WATCH_TARGET_H
#define WATCH_TARGET_H

#include "base/cleanup.h"
#include "sewa/error.h"
#include "watch/report.h"

#include <stdatomic.h>

enum target_kind {
    TARGET_RUN,  /* files are candidates, and directories that the rules want; others are told of */
    TARGET_ROOT, /* directories are told of, files do not matter */
};

/* What to watch. Texts are copied; NULL and "" are the same. */
struct target_spec {
    uint64_t id; /* the caller's; it stands in every report */
    enum target_kind kind;
    const char *path; /* absolute and clean */
    /*
     * NULL: path is the word of an administrator and may go through symbolic links; where it leads
     * is asked once. Else a directory at or above path: from there down nothing may be a link.
     */
    const char *beneath;
    const char *pattern; /* not read here; wants() and inspect() see both */
    const char *state_key;
    const char *marker; /* watch/candidate.h */
    int64_t settle_ms;
};

/* A file that the index knows from before. */
struct target_known {
    const char *name;
    int64_t size;
    int64_t mtime_ns;
    const uint8_t *header_digest; /* 32 bytes, NULL when it is not known */
    bool is_complete;
};

struct moment {
    int64_t monotonic_ms;
    int64_t utc_ms;
};

/*
 * What the room above adds. The functions see their arguments only and must be safe to call on any
 * thread at any time: one that hangs inside inspect() is left behind when the service ends.
 */
struct target_rules {
    /*
     * Whether a file of this name is a candidate at all; one that is not counts as not there.
     * NULL: every one is.
     */
    bool (*wants)(const struct target_spec *spec, const char *name);
    /*
     * Whether a directory of this name in a TARGET_RUN may be one checkpoint, and whether a file in
     * such a directory is part of it; a directory without any such file is only told of. Both or
     * none; NULL: no directory is a checkpoint.
     */
    bool (*wants_directory)(const struct target_spec *spec, const char *name);
    bool (*is_member)(const struct target_spec *spec, const char *name);
    /*
     * Whether the file is complete by its structure: 0, and *ret (or NULL) for the report; or
     * SEWA_E_INCOMPLETE, SEWA_E_CORRUPT, SEWA_E_UNSUPPORTED, SEWA_E_IO... with the reason. It is
     * called again when the file changes, and now and then while it does not. For a directory
     * (look->is_directory) fd is the directory, and an inspection with a last_file lets it be
     * complete without waiting.
     */
    int (*inspect)(const struct target_spec *spec, const char *name, int fd,
                   const struct look *look, struct inspection **ret, struct sewa_error *err);
    struct moment (*clock)(void); /* NULL: that of the system */
    /* Before inspect() is called again: doubled each time, up to the second. 0: 10 s, 10 minutes.
     */
    int64_t retry_first_ms, retry_max_ms;
};

/* Where reports go. */
struct report_sink {
    /* Takes what the report holds over, or returns -1 (no memory) and leaves it. */
    int (*put)(struct report_sink *sink, struct report *r);
    const atomic_bool *stop; /* leave at the next file when this is set; may be NULL */
};

struct target;

/* @rules is borrowed. SEWA_E_NO_MEMORY only: nothing is touched yet. */
int target_new(const struct target_spec *spec, const struct target_known *known, size_t known_count,
               const struct target_rules *rules, struct target **ret, struct sewa_error *err);
void target_free(struct target *t);
AUTOPTR_DEFINE(target_free, struct target);

/* The caller's own copy of what target_new() got. */
const struct target_spec *target_spec_of(const struct target *t);

/*
 * When target_run() has something to do: monotonic, INT64_MIN for now. @interval_ms is between two
 * scans; after a failed scan the next one comes earlier, after 1, 2, 4... seconds.
 */
int64_t target_due_ms(const struct target *t, int64_t interval_ms);

/* Do what is due at the time of the clock: a scan, or looks at files that wait. */
void target_run(struct target *t, int64_t interval_ms, struct report_sink *sink);

/* Have a scan done at the next target_run(). */
void target_ask(struct target *t);

/*
 * The file system told of a change of this name (NULL: of something). A name is looked at; where
 * that does not do, a scan is asked for, but not so soon that hints keep the thread busy: scans
 * that hints ask for get at most a tenth of its time.
 */
void target_hint(struct target *t, const char *name, struct report_sink *sink);

#endif
