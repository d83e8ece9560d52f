/*
 * hint - what the file system tells by itself (inotify), so that a change need not wait for the
 * next scan.
 *
 * A hint proves nothing and its absence means nothing: network file systems send none for what
 * other hosts write, queues overflow, and there is a limit on watches. Scans are the truth
 * (scan.h); a hint only says where to look sooner. Changes are collected for a moment, because a
 * writer makes thousands. Thread: loop.
 *
 * Watching asks the file system for the directory once. Only a directory that a scan has just read
 * and that lies on no network file system (REPORT_TARGET_OK says both) may be given: the loop must
 * not hang.
 */
#ifndef WATCH_HINT_H
#define WATCH_HINT_H

#include <stdint.h>
#include <uv.h>

#include "sewa/error.h"

struct hint;

/* Embedded in a struct of the room above. */
struct hint_listener {
    /*
     * Something has happened to this name (bytes), or, when it is NULL, to any. For scan_hint();
     * the functions below must not be called from here.
     */
    void (*changed)(struct hint_listener *l, uint64_t id, const char *name);
    /* There will be no hints for some directories: no inotify, or too many watches. Told once. */
    void (*unavailable)(struct hint_listener *l, const struct sewa_error *why);
    /* The end, after hint_close(). */
    void (*closed)(struct hint_listener *l);
};

/* @delay_ms is how long changes are collected; 0: 100 ms. */
int hint_open(uv_loop_t *loop, struct hint_listener *listener, int64_t delay_ms, struct hint **ret,
              struct sewa_error *err);

/*
 * Begin to watch a directory; for an id that is watched already, begin again (the directory may be
 * another one by now). 1, or 0 when there can be no hints, or SEWA_E_NO_MEMORY.
 */
int hint_watch(struct hint *h, uint64_t id, const char *path, struct sewa_error *err);

/* An unknown id is fine. */
void hint_forget(struct hint *h, uint64_t id);

/* listener->closed() comes on the loop, and h is freed before it. */
void hint_close(struct hint *h);

#endif
