/*
 * ingest_body - the inside of the ingest room, for the files that are one: ingest.c (what is
 * watched, reports become rows) and configure.c (runs of the configuration, runs below roots).
 */
#ifndef INGEST_INGEST_BODY_H
#define INGEST_INGEST_BODY_H

#include "ingest/ingest.h"
#include "watch/hint.h"
#include "watch/report.h"
#include "watch/scan.h"

/* Ids of targets: a run is its row's id; a root is ROOT_ID plus its place in the configuration. */
#define ROOT_ID ((uint64_t)1 << 62)

/* What is to be watched. Texts may be NULL for "". */
struct watching {
    uint64_t id;
    const char *name; /* of the run or the root */
    const char *path, *pattern, *state_key, *marker;
    int64_t settle_ms;
    const char *beneath;   /* watch/target.h: from here down no link is followed; NULL: links are */
    const char *objection; /* why it must not be watched after all, or NULL */
};

/* What has been told of files since the last line in the log. */
struct tally {
    unsigned found, complete, changed, gone, back;
};

/* One watched directory. */
struct watched {
    struct list link;
    uint64_t id;
    bool is_root;
    char *name;
    char *path, *pattern, *state_key, *marker, *beneath;
    int64_t settle_ms;
    bool is_refused;   /* it is not scanned: the status says why */
    bool settled_down; /* it was scanned once, or has said why it cannot be */
    bool is_stale;     /* something that was seen in it could not be written */
    bool is_readable;  /* the directory itself: status.error is about something in it */
    struct tally tally;
    struct ingest_status status;
};

struct ingest {
    struct ingest_options o;
    struct scan *scan;
    struct hint *hint;
    struct scan_listener scan_listener;
    struct hint_listener hint_listener;
    struct list watched;
    struct list watchers;
    char **allowed_roots; /* NULL-terminated: what runs that were made over HTTP may watch */
    bool closing;
    bool configured;          /* the rows of the configuration have been written once */
    bool configuring;         /* they are being written */
    struct configure *latest; /* configuration that is not written yet */
    bool latest_waits;        /* for the clock: it could not be written */
    uv_timer_t again;         /* runs when something could not be written */
    unsigned pending;         /* writes under way */
    unsigned batches;         /* of them: of what the scan threads have told */
    bool scan_stopped, hint_closed, again_closed;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* ---- ingest.c ---- */

struct watched *ingest_find(const struct ingest *in, uint64_t id);

/* Watch it, or watch it in another way; nothing happens when it is watched like this already. */
void ingest_watch(struct ingest *in, const struct watching *what);
void ingest_unwatch(struct ingest *in, struct watched *w);

/* Something could not be written, perhaps for want of room: try what waits and is stale again. */
void ingest_try_again(struct ingest *in);

/* One of the things that closing waits for has ended. */
void ingest_finish_close(struct ingest *in);

/* ---- configure.c ---- */

/* A directory below a root has come or gone. */
void ingest_on_directory(struct ingest *in, const struct watched *root, const struct report *r);

/* The latest configuration, if it waits: write it, or forget it. */
void ingest_write_latest(struct ingest *in);
void ingest_drop_latest(struct ingest *in);

void ingest_free_roots(struct ingest *in);

#endif
