/*
 * ingest - the loop's side: which directories are watched, and one write per batch of reports.
 *
 * Ids of targets: a run is its row's id; a root is ROOT_ID plus its place in the configuration.
 */
#include "ingest/ingest.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/list.h"
#include "base/log.h"
#include "base/path.h"
#include "ingest/inspect.h"
#include "ingest/name.h"
#include "ingest/rows.h"
#include "watch/hint.h"
#include "watch/scan.h"

#define ROOT_ID ((uint64_t)1 << 62)

enum { BATCH_MAX = 256 };

/* One watched directory. */
struct watched {
    struct list link;
    uint64_t id;
    bool is_root;
    char *name; /* of the run or the root */
    char *path, *pattern, *state_key, *marker;
    int64_t settle_ms;
    bool settled_down; /* it was scanned once, or has said why it cannot be */
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
    bool closing;
    bool configuring; /* the runs of the configuration are being written */
    unsigned pending; /* writes under way */
    bool scan_stopped, hint_closed;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* ---- watched directories ---- */

static struct watched *find(const struct ingest *in, uint64_t id)
{
    list_for_each(node, &in->watched) {
        struct watched *w = list_entry(node, struct watched, link);
        if (w->id == id)
            return w;
    }
    return NULL;
}

static void watched_free(struct watched *w)
{
    list_remove(&w->link);
    free(w->name);
    free(w->path);
    free(w->pattern);
    free(w->state_key);
    free(w->marker);
    free(w);
}

static struct watched *watched_new(struct ingest *in, uint64_t id, const char *name,
                                   const char *path, const char *pattern, const char *state_key,
                                   const char *marker, int64_t settle_ms)
{
    struct watched *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    list_append(&in->watched, &w->link);
    w->id = id;
    w->is_root = id >= ROOT_ID;
    w->name = strdup(name);
    w->path = strdup(path);
    w->pattern = strdup(pattern ? pattern : "");
    w->state_key = strdup(state_key ? state_key : "");
    w->marker = strdup(marker ? marker : "");
    w->settle_ms = settle_ms;
    w->status.is_watched = true;
    if (!w->name || !w->path || !w->pattern || !w->state_key || !w->marker) {
        watched_free(w);
        return NULL;
    }
    return w;
}

static bool is_same_watch(const struct watched *w, const char *path, const char *pattern,
                          const char *marker, int64_t settle_ms)
{
    return strcmp(w->path, path) == 0 && strcmp(w->pattern, pattern ? pattern : "") == 0 &&
           strcmp(w->marker, marker ? marker : "") == 0 && w->settle_ms == settle_ms;
}

static void unwatch(struct ingest *in, struct watched *w)
{
    struct sewa_error err;

    hint_forget(in->hint, w->id);
    if (scan_remove(in->scan, w->id, &err) < 0)
        log_warn("ingest: run '%s' is still scanned: %s", w->name, err.text);
    watched_free(w);
}

/* ---- what the index knows already ---- */

struct known_list {
    struct target_known *items;
    size_t count, room;
};

static void known_clear(struct known_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free((char *)l->items[i].name);
        free((uint8_t *)l->items[i].header_digest);
    }
    free(l->items);
}

static int add_known(const struct checkpoint_row *row, void *arg, struct sewa_error *err)
{
    struct known_list *l = arg;

    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        struct target_known *items = realloc(l->items, room * sizeof *items);
        if (!items)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the known files of a run");
        l->items = items;
        l->room = room;
    }
    uint8_t *digest = row->has_header_digest ? malloc(32) : NULL;
    char *name = strdup(row->file);
    if (!name || (row->has_header_digest && !digest)) {
        free(name);
        free(digest);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the known files of a run");
    }
    if (digest)
        memcpy(digest, row->header_digest, 32);
    l->items[l->count++] =
        (struct target_known){ .name = name,
                               .size = row->size,
                               .mtime_ns = row->mtime_ns,
                               .header_digest = digest,
                               .is_complete = row->state == CHECKPOINT_COMPLETE };
    return 0;
}

static int start_watching(struct ingest *in, struct watched *w, const char *beneath,
                          struct sewa_error *err)
{
    AUTO(known_clear) struct known_list known = { 0 };
    struct target_spec spec = { .id = w->id,
                                .kind = w->is_root ? TARGET_ROOT : TARGET_RUN,
                                .path = w->path,
                                .beneath = beneath,
                                .pattern = w->pattern,
                                .marker = w->marker,
                                .settle_ms = w->settle_ms };
    int rc = 0;

    if (!w->is_root)
        rc = checkpoint_known(store_reader(in->o.store), (int64_t)w->id, add_known, &known, err);
    return rc < 0 ? rc : scan_add(in->scan, &spec, known.items, known.count, err);
}

/* Our own output is no training run, wherever the configuration points. */
static bool is_own_output(const struct ingest *in, const char *path)
{
    return path_is_under(path, in->o.artifact_directory);
}

static void say_error(struct watched *w, const char *text)
{
    snprintf(w->status.error, sizeof w->status.error, "%s", text);
    w->settled_down = true;
}

static void watch(struct ingest *in, uint64_t id, const char *name, const char *path,
                  const char *pattern, const char *state_key, const char *marker, int64_t settle_ms,
                  const char *beneath)
{
    struct watched *w = find(in, id);
    struct sewa_error err;

    if (w && is_same_watch(w, path, pattern, marker, settle_ms))
        return;
    if (w)
        unwatch(in, w);
    w = watched_new(in, id, name, path, pattern, state_key, marker, settle_ms);
    if (!w) {
        log_error("ingest: no memory to watch run '%s'", name);
        return;
    }
    if (is_own_output(in, path)) {
        say_error(w, "this is the directory of sewad's own averages, which are no checkpoints");
        log_error("ingest: run '%s': '%s' is the directory of our own averages", name, path);
    } else if (start_watching(in, w, beneath, &err) < 0) {
        say_error(w, err.text);
        log_error("ingest: cannot watch run '%s': %s", name, err.text);
    }
}

void ingest_watch_run(struct ingest *in, const struct run_row *run, const char *within)
{
    if (!in->closing)
        watch(in, (uint64_t)run->id, run->name, run->path, run->pattern, run->state_key,
              run->marker, run->settle_ms, within);
}

void ingest_forget_run(struct ingest *in, int64_t run_id)
{
    struct watched *w = find(in, (uint64_t)run_id);

    if (w && !in->closing)
        unwatch(in, w);
}

void ingest_look(struct ingest *in, int64_t run_id)
{
    struct sewa_error err;

    if (!in->closing && scan_now(in->scan, (uint64_t)run_id, &err) < 0)
        log_warn("ingest: %s", err.text);
}

void ingest_status(const struct ingest *in, int64_t run_id, struct ingest_status *ret)
{
    const struct watched *w = find(in, (uint64_t)run_id);

    memset(ret, 0, sizeof *ret);
    if (w)
        *ret = w->status;
}

void ingest_set_interval(struct ingest *in, int64_t interval_ms)
{
    in->o.scan_interval_ms = interval_ms;
    if (!in->closing)
        scan_set_interval(in->scan, interval_ms);
}

bool ingest_is_ready(const struct ingest *in)
{
    if (in->configuring)
        return false;
    list_for_each(node, &in->watched) {
        if (!list_entry(node, struct watched, link)->settled_down)
            return false;
    }
    return true;
}

/* ---- subscribers ---- */

void ingest_subscribe(struct ingest *in, struct ingest_watcher *w)
{
    list_append(&in->watchers, &w->link);
}

void ingest_unsubscribe(struct ingest_watcher *w)
{
    list_remove(&w->link);
}

static void tell_watchers(struct ingest *in, int64_t run_id, const char *uid)
{
    list_for_each_safe(node, &in->watchers) {
        struct ingest_watcher *w = list_entry(node, struct ingest_watcher, link);
        w->changed(w, run_id, uid);
    }
}

/* ---- one write per batch ---- */

struct batch {
    struct store_op op;
    struct ingest *in;
    int64_t now_ms;
    size_t count;
    struct row_change changes[BATCH_MAX];
};

static void finish_close(struct ingest *in);

static int apply_batch(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct batch *b = container_of(op, struct batch, op);

    for (size_t i = 0; i < b->count; i++) {
        struct row_change *c = &b->changes[i];
        int rc = rows_apply(db, (int64_t)c->report.target, c, b->now_ms, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void free_batch(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        report_clear(&b->changes[i].report);
    free(b);
}

/*
 * A batch that could not be written is not lost: the scan thread believes that it was told, so the
 * directory is watched anew, from what the index really knows.
 */
static void start_over(struct ingest *in, const struct batch *b)
{
    struct sewa_error err;

    for (size_t i = 0; i < b->count; i++) {
        struct watched *w = find(in, b->changes[i].report.target);
        if (!w || in->closing || !w->settled_down)
            continue;
        w->settled_down = false;
        if (scan_remove(in->scan, w->id, &err) < 0 || start_watching(in, w, NULL, &err) < 0)
            say_error(w, err.text);
    }
}

static void batch_done(struct store_op *op)
{
    struct batch *b = container_of(op, struct batch, op);
    struct ingest *in = b->in;

    in->pending--;
    if (op->rc < 0) {
        log_error("ingest: %zu changes of checkpoints were not written: %s", b->count,
                  op->err.text);
        start_over(in, b);
    }
    for (size_t i = 0; op->rc == 0 && i < b->count; i++)
        if (b->changes[i].uid[0])
            tell_watchers(in, (int64_t)b->changes[i].report.target, b->changes[i].uid);
    free_batch(b);
    finish_close(in);
}

static struct batch *batch_new(struct ingest *in)
{
    struct batch *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->in = in;
    b->now_ms = clock_now_ms();
    b->op.run = apply_batch;
    b->op.done = batch_done;
    return b;
}

static void submit(struct ingest *in, struct batch **b)
{
    if (!*b)
        return;
    if ((*b)->count == 0) {
        free(*b);
    } else {
        in->pending++;
        store_submit(in->o.store, &(*b)->op);
    }
    *b = NULL;
}

/* The report moves into the batch, with the step that its name says. */
static void add_change(struct ingest *in, struct batch **b, const struct watched *w,
                       struct report *r)
{
    if (!*b && !(*b = batch_new(in))) {
        log_error("ingest: no memory for changes of run '%s'", w->name);
        return;
    }
    struct row_change *c = &(*b)->changes[(*b)->count++];
    struct sewa_error err;
    int rc = name_step(w->pattern, r->name, &c->step, c->step_reason, &err);
    c->has_step = rc > 0;
    if (rc < 0)
        snprintf(c->step_reason, sizeof c->step_reason, "%.159s", err.text);
    c->report = *r;
    memset(r, 0, sizeof *r);
    if ((*b)->count == BATCH_MAX)
        submit(in, b);
}

/* ---- runs below a root ---- */

struct root_run {
    struct store_op op;
    struct ingest *in;
    struct run_row run;
    bool gone; /* the directory has vanished */
};

static int apply_root_run(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct root_run *r = container_of(op, struct root_run, op);
    AUTO(run_row_clear) struct run_row there = { 0 };
    int rc = run_find(db, r->run.name, &there, err);

    if (rc < 0)
        return rc;
    if (rc > 0 && there.origin != RUN_FROM_ROOT)
        return sewa_fail(err, SEWA_E_CONFLICT, "a run of that name stands in the configuration");
    if (rc > 0 && strcmp(there.path, r->run.path) != 0)
        return sewa_fail(err, SEWA_E_CONFLICT, "run '%s' is '%s' already", r->run.name, there.path);
    if (!r->gone)
        return run_put(db, &r->run, false, err);
    r->run.id = there.id;
    return rc == 0 ? 0 : run_set_watched(db, there.id, false, r->run.updated_ms, err);
}

static void root_run_done(struct store_op *op)
{
    struct root_run *r = container_of(op, struct root_run, op);
    struct ingest *in = r->in;

    in->pending--;
    if (op->rc < 0)
        log_warn("ingest: directory '%s' is not watched: %s", r->run.path, op->err.text);
    else if (r->gone)
        ingest_forget_run(in, r->run.id);
    else
        ingest_watch_run(in, &r->run, NULL);
    run_row_clear(&r->run);
    free(r);
    finish_close(in);
}

static void on_directory(struct ingest *in, const struct watched *w, const struct report *r)
{
    char name[NAME_RUN_SIZE], reason[NAME_REASON_SIZE];

    if (!w->is_root)
        return;
    if (name_run(w->name, r->name, name, reason) == 0) {
        log_warn("ingest: a directory below root '%s' is not watched: %s", w->name, reason);
        return;
    }
    struct root_run *c = calloc(1, sizeof *c);
    if (!c)
        return;
    c->op.run = apply_root_run;
    c->op.done = root_run_done;
    c->in = in;
    c->gone = r->kind == REPORT_DIRECTORY_GONE;
    c->run = (struct run_row){ .origin = RUN_FROM_ROOT,
                               .watched = true,
                               .settle_ms = w->settle_ms,
                               .updated_ms = clock_now_ms() };
    c->run.name = strdup(name);
    c->run.path = path_join(w->path, r->name);
    c->run.pattern = strdup(w->pattern);
    c->run.state_key = strdup(w->state_key);
    c->run.marker = strdup(w->marker);
    if (!c->run.name || !c->run.path || !c->run.pattern || !c->run.state_key || !c->run.marker) {
        run_row_clear(&c->run);
        free(c);
        return;
    }
    in->pending++;
    store_submit(in->o.store, &c->op);
}

/* ---- reports ---- */

static void on_target_ok(struct ingest *in, struct watched *w, const struct report *r)
{
    struct sewa_error err;

    if (*w->status.error)
        log_info("ingest: run '%s': '%s' can be read again", w->name, w->path);
    w->status.error[0] = '\0';
    if (r->path && !r->is_network && hint_watch(in->hint, w->id, r->path, &err) < 0)
        log_warn("ingest: run '%s': %s", w->name, err.text);
}

static void on_target_error(struct watched *w, const struct report *r)
{
    if (strcmp(w->status.error, r->text) != 0)
        log_warn("ingest: run '%s': %s; it is tried again", w->name, r->text);
    say_error(w, r->text);
}

static void on_scan_done(struct watched *w, const struct report *r)
{
    w->status.scans++;
    w->status.last_scan_ms = clock_now_ms();
    w->status.last_scan_seconds = r->counts.seconds;
    w->status.files = (int64_t)r->counts.files;
    w->settled_down = true;
}

static void on_report(struct ingest *in, struct batch **b, struct report *r)
{
    struct watched *w = find(in, r->target);

    if (!w)
        return;
    switch (r->kind) {
    case REPORT_DIRECTORY:
    case REPORT_DIRECTORY_GONE: on_directory(in, w, r); break;
    case REPORT_TARGET_OK: on_target_ok(in, w, r); break;
    case REPORT_TARGET_ERROR: on_target_error(w, r); break;
    case REPORT_SCAN_DONE: on_scan_done(w, r); break;
    default: add_change(in, b, w, r); break;
    }
}

static void on_reports(struct scan_listener *l, struct report *reports, size_t count)
{
    struct ingest *in = container_of(l, struct ingest, scan_listener);
    struct batch *b = NULL;

    if (in->closing)
        return;
    for (size_t i = 0; i < count; i++)
        on_report(in, &b, &reports[i]);
    submit(in, &b);
}

/* ---- hints ---- */

static void on_hint(struct hint_listener *l, uint64_t id, const char *name)
{
    struct ingest *in = container_of(l, struct ingest, hint_listener);
    struct sewa_error err;

    if (!in->closing)
        scan_hint(in->scan, id, name, &err); /* without memory the next scan finds it */
}

static void on_hint_unavailable(struct hint_listener *l, const struct sewa_error *why)
{
    struct ingest *in = container_of(l, struct ingest, hint_listener);

    log_warn(
        "ingest: no hints from the file system: %s; changes are found by the scan every %lld s",
        why->text, (long long)in->o.scan_interval_ms / 1000);
}

/* ---- configuration ---- */

/* Rows of the configuration, written before the service is ready: at start and after a reload. */
struct configure {
    struct store_op op;
    struct ingest *in;
    struct run_row *runs;
    size_t count;
};

static bool is_listed(const struct configure *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->runs[i].name, name) == 0)
            return true;
    return false;
}

struct leaver {
    struct db *db;
    const struct configure *c;
    int64_t ids[4096];
    size_t count;
};

static int note_leaver(const struct run_row *row, void *arg, struct sewa_error *err)
{
    struct leaver *l = arg;

    (void)err;
    if (row->origin == RUN_FROM_CONFIGURATION && row->watched && !is_listed(l->c, row->name) &&
        l->count < COUNT_OF(l->ids))
        l->ids[l->count++] = row->id;
    return 0;
}

static int apply_configure(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct configure *c = container_of(op, struct configure, op);
    AUTOFREE struct leaver *l = calloc(1, sizeof *l);
    int rc = l ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the runs");

    for (size_t i = 0; rc == 0 && i < c->count; i++)
        rc = run_put(db, &c->runs[i], false, err);
    if (rc < 0)
        return rc;
    l->c = c;
    rc = run_list(db, NULL, INT64_MAX, note_leaver, l, err);
    for (size_t i = 0; rc == 0 && i < l->count; i++)
        rc = run_set_watched(db, l->ids[i], false, clock_now_ms(), err);
    return rc;
}

static int watch_api_run(const struct run_row *row, void *arg, struct sewa_error *err)
{
    (void)err;
    if (row->origin == RUN_FROM_API && row->watched)
        ingest_watch_run(arg, row, row->path);
    return 0;
}

static void configure_free(struct configure *c)
{
    for (size_t i = 0; i < c->count; i++)
        run_row_clear(&c->runs[i]);
    free(c->runs);
    free(c);
}

static void drop_leavers(struct ingest *in, const struct configure *c)
{
    list_for_each_safe(node, &in->watched) {
        struct watched *w = list_entry(node, struct watched, link);
        AUTO(run_row_clear) struct run_row row = { 0 };
        struct sewa_error err;
        if (w->is_root || is_listed(c, w->name))
            continue;
        if (run_by_id(store_reader(in->o.store), (int64_t)w->id, &row, &err) > 0 && !row.watched)
            unwatch(in, w);
    }
}

static void configure_done(struct store_op *op)
{
    struct configure *c = container_of(op, struct configure, op);
    struct ingest *in = c->in;
    struct sewa_error err;

    in->pending--;
    if (op->rc < 0)
        log_error("ingest: the runs of the configuration were not written: %s", op->err.text);
    if (op->rc == 0 && !in->closing) {
        for (size_t i = 0; i < c->count; i++)
            ingest_watch_run(in, &c->runs[i], NULL);
        drop_leavers(in, c);
        if (run_list(store_reader(in->o.store), NULL, INT64_MAX, watch_api_run, in, &err) < 0)
            log_error("ingest: %s", err.text);
    }
    in->configuring = false;
    configure_free(c);
    finish_close(in);
}

static int fill_run(const struct ingest_source *s, struct run_row *r, struct sewa_error *err)
{
    struct run_row like = { .name = (char *)s->name,
                            .path = (char *)s->path,
                            .pattern = (char *)s->pattern,
                            .state_key = (char *)s->state_key,
                            .marker = (char *)s->marker,
                            .origin = RUN_FROM_CONFIGURATION,
                            .watched = true,
                            .settle_ms = s->settle_ms,
                            .updated_ms = clock_now_ms() };
    return run_row_copy(&like, r, err);
}

static void configure_roots(struct ingest *in, const struct ingest_source *sources, size_t count)
{
    uint64_t id = ROOT_ID;

    for (size_t i = 0; i < count; i++) {
        const struct ingest_source *s = &sources[i];
        if (s->is_root)
            watch(in, id++, s->name, s->path, s->pattern, s->state_key, s->marker, s->settle_ms,
                  NULL);
    }
    for (struct watched *w; (w = find(in, id)) != NULL; id++)
        unwatch(in, w);
}

int ingest_configure(struct ingest *in, const struct ingest_source *sources, size_t count,
                     struct sewa_error *err)
{
    struct configure *c = calloc(1, sizeof *c);
    int rc = 0;

    if (!c || !(c->runs = calloc(count ? count : 1, sizeof *c->runs))) {
        free(c);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu runs", count);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!sources[i].is_root)
            rc = fill_run(&sources[i], &c->runs[c->count++], err);
    if (rc < 0) {
        configure_free(c);
        return rc;
    }
    configure_roots(in, sources, count);
    c->in = in;
    c->op.run = apply_configure;
    c->op.done = configure_done;
    in->configuring = true;
    in->pending++;
    store_submit(in->o.store, &c->op);
    return 0;
}

/* ---- open and close ---- */

static void on_scan_stopped(struct scan_listener *l, unsigned abandoned)
{
    struct ingest *in = container_of(l, struct ingest, scan_listener);

    if (abandoned)
        log_warn(
            "ingest: %u threads hang in a file system that does not answer; they are left behind",
            abandoned);
    in->scan = NULL;
    in->scan_stopped = true;
    finish_close(in);
}

static void on_hint_closed(struct hint_listener *l)
{
    struct ingest *in = container_of(l, struct ingest, hint_listener);

    in->hint = NULL;
    in->hint_closed = true;
    finish_close(in);
}

static void finish_close(struct ingest *in)
{
    if (!in->closing || in->pending || !in->scan_stopped || !in->hint_closed)
        return;
    void (*on_closed)(void *) = in->on_closed;
    void *arg = in->on_closed_arg;
    list_for_each_safe(node, &in->watched) {
        watched_free(list_entry(node, struct watched, link));
    }
    free(in);
    if (on_closed)
        on_closed(arg);
}

int ingest_open(const struct ingest_options *o, struct ingest **ret, struct sewa_error *err)
{
    struct ingest *in = calloc(1, sizeof *in);

    if (!in)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to watch");
    in->o = *o;
    list_init(&in->watched);
    list_init(&in->watchers);
    in->scan_listener = (struct scan_listener){ .reports = on_reports, .stopped = on_scan_stopped };
    in->hint_listener = (struct hint_listener){ .changed = on_hint,
                                                .unavailable = on_hint_unavailable,
                                                .closed = on_hint_closed };
    struct scan_options so = { .loop = o->loop,
                               .rules = &inspect_rules,
                               .listener = &in->scan_listener,
                               .interval_ms = o->scan_interval_ms };
    int rc = hint_open(o->loop, &in->hint_listener, 0, &in->hint, err);
    if (rc < 0) {
        free(in);
        return rc;
    }
    rc = scan_start(&so, &in->scan, err);
    if (rc < 0) {
        in->closing = true;
        in->scan_stopped = true;
        hint_close(in->hint);
        return rc;
    }
    *ret = in;
    return 0;
}

void ingest_close(struct ingest *in, void (*on_closed)(void *arg), void *arg)
{
    in->closing = true;
    in->on_closed = on_closed;
    in->on_closed_arg = arg;
    scan_stop(in->scan);
    hint_close(in->hint);
}
