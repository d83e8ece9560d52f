/*
 * ingest - turn files into rows: what the scan threads find becomes checkpoints in the index.
 *
 * The scan threads (watch/) look and read headers; this room decides what it means for the rows
 * (store/checkpoints.h: incomplete, complete, changed, gone) and writes each batch of reports in
 * one transaction. Loop thread only, but for the inspection, which runs on the scan thread.
 */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "base/list.h"
#include "store/runs.h"
#include "store/store.h"

#include <uv.h>

struct ingest;

struct ingest_options {
    struct store *store;
    uv_loop_t *loop;
    int64_t scan_interval_ms;
    const char *artifact_directory; /* what lies below is our own output, never a checkpoint */
};

/* One run or root of the configuration. */
struct ingest_source {
    const char *name;
    const char *path;
    const char *pattern, *state_key, *marker;
    int64_t settle_ms;
    bool is_root; /* every directory below is a run named <name>.<directory> */
};

int ingest_open(const struct ingest_options *o, struct ingest **ret, struct sewa_error *err);

/*
 * The configuration's runs and roots, at start and after a reload: rows are made or brought up to
 * date, runs that left the configuration are no longer watched (their index is kept), and runs that
 * were made over HTTP are watched again, where they lie below one of @allowed_roots
 * (NULL-terminated).
 */
int ingest_configure(struct ingest *in, const struct ingest_source *sources, size_t count,
                     const char *const *allowed_roots, struct sewa_error *err);

/* How often directories are scanned, from now on. */
void ingest_set_interval(struct ingest *in, int64_t interval_ms);

/*
 * A run was made or changed and committed: watch it, and log it where checkpoints are read again.
 * One that was made over HTTP must lie below one of the allowed roots, and from there down no link
 * is followed, now or after a restart.
 */
void ingest_watch_run(struct ingest *in, const struct run_row *run);

/* The run is deleted: stop watching. */
void ingest_forget_run(struct ingest *in, int64_t run_id);

/* Look now instead of at the next interval. */
void ingest_look(struct ingest *in, int64_t run_id);

struct ingest_status {
    bool is_watched;
    int64_t scans;
    int64_t last_scan_ms; /* 0: none yet */
    double last_scan_seconds;
    int64_t files;
    int64_t errors; /* in the last scan */
    /* Why the directory cannot be scanned, else the first failure in it; "" when there is none. */
    char error[SEWA_ERROR_TEXT_MAX];
};

void ingest_status(const struct ingest *in, int64_t run_id, struct ingest_status *ret);

/* True once every configured directory was scanned or has said why it cannot be. */
bool ingest_is_ready(const struct ingest *in);

/* Told about every committed change of a checkpoint. Embed it. */
struct ingest_watcher {
    struct list link;
    void (*changed)(struct ingest_watcher *w, int64_t run_id, const char *checkpoint_uid);
};

void ingest_subscribe(struct ingest *in, struct ingest_watcher *w);
void ingest_unsubscribe(struct ingest_watcher *w);

/* Stop the scan threads (one that hangs on a dead mount is left behind); on_closed comes on the
 * loop. */
void ingest_close(struct ingest *in, void (*on_closed)(void *arg), void *arg);

#endif
