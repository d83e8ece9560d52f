/*
 * ingest - the loop's side: which directories are watched, and one write per batch of reports.
 */
#include "ingest/ingest_body.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/path.h"
#include "ingest/inspect.h"
#include "ingest/name.h"
#include "ingest/rows.h"
#include "ingest/steps.h"

/*
 * Few batches wait for the disk at a time: they share one commit, and what others write waits for
 * no more than that.
 */
enum { BATCH_MAX = 64, BATCHES_MOST = 16, BATCHES_LEAST = 8, AGAIN_MS = 2000 };

/* ---- watched directories ---- */

struct watched *ingest_find(const struct ingest *in, uint64_t id)
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
    free(w->beneath);
    free(w);
}

static char *copy(const char *text)
{
    return strdup(text ? text : "");
}

static struct watched *watched_new(struct ingest *in, const struct watching *what)
{
    struct watched *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    list_append(&in->watched, &w->link);
    w->id = what->id;
    w->is_root = what->id >= ROOT_ID;
    w->name = copy(what->name);
    w->path = copy(what->path);
    w->pattern = copy(what->pattern);
    w->state_key = copy(what->state_key);
    w->marker = copy(what->marker);
    w->beneath = copy(what->beneath);
    w->settle_ms = what->settle_ms;
    w->is_refused = what->objection != NULL;
    w->status.is_watched = true;
    if (!w->name || !w->path || !w->pattern || !w->state_key || !w->marker || !w->beneath) {
        watched_free(w);
        return NULL;
    }
    return w;
}

static bool is_text(const char *have, const char *wanted)
{
    return strcmp(have, wanted ? wanted : "") == 0;
}

static bool is_watched_like(const struct watched *w, const struct watching *what)
{
    return is_text(w->path, what->path) && is_text(w->pattern, what->pattern) &&
           is_text(w->state_key, what->state_key) && is_text(w->marker, what->marker) &&
           is_text(w->beneath, what->beneath) && w->settle_ms == what->settle_ms &&
           w->is_refused == (what->objection != NULL);
}

void ingest_unwatch(struct ingest *in, struct watched *w)
{
    struct sewa_error err;

    hint_forget(in->hint, w->id);
    if (scan_remove(in->scan, w->id, &err) < 0)
        log_warn("ingest: run '%s' is still scanned: %s", w->name, err.text);
    watched_free(w);
}

/* ---- what the index knows already ---- */

struct known_list {
    const char *pattern; /* of the run */
    bool steps_differ;   /* from what the pattern says */
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

    l->steps_differ = l->steps_differ || steps_differ(row, l->pattern);
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

/* ---- steps of another pattern ---- */

struct correction {
    struct store_op op;
    struct ingest *in;
    int64_t run_id;
    int64_t count;
};

static int apply_correction(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct correction *c = container_of(op, struct correction, op);

    return steps_apply(db, c->run_id, clock_now_ms(), &c->count, err);
}

static void correction_done(struct store_op *op)
{
    struct correction *c = container_of(op, struct correction, op);
    struct ingest *in = c->in;
    struct watched *w = ingest_find(in, (uint64_t)c->run_id);

    in->pending--;
    if (op->rc < 0) {
        log_error("ingest: steps of checkpoints were not written: %s", op->err.text);
        if (w)
            w->is_stale = true;
        ingest_try_again(in);
    } else if (w && c->count) {
        log_info("ingest: run '%s': its pattern gives %lld checkpoints another step", w->name,
                 (long long)c->count);
    }
    free(c);
    ingest_finish_close(in);
}

static int correct_steps(struct ingest *in, const struct watched *w, struct sewa_error *err)
{
    struct correction *c = calloc(1, sizeof *c);

    if (!c)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the steps of run '%s'", w->name);
    c->op.run = apply_correction;
    c->op.done = correction_done;
    c->in = in;
    c->run_id = (int64_t)w->id;
    in->pending++;
    store_submit(in->o.store, &c->op);
    return 0;
}

static int start_watching(struct ingest *in, struct watched *w, struct sewa_error *err)
{
    AUTO(known_clear) struct known_list known = { .pattern = w->pattern };
    struct target_spec spec = { .id = w->id,
                                .kind = w->is_root ? TARGET_ROOT : TARGET_RUN,
                                .path = w->path,
                                .beneath = *w->beneath ? w->beneath : NULL,
                                .pattern = w->pattern,
                                .state_key = w->state_key,
                                .marker = w->marker,
                                .settle_ms = w->settle_ms };
    int rc = 0;

    if (!w->is_root)
        rc = checkpoint_known(store_reader(in->o.store), (int64_t)w->id, add_known, &known, err);
    if (rc == 0 && known.steps_differ)
        rc = correct_steps(in, w, err);
    return rc < 0 ? rc : scan_add(in->scan, &spec, known.items, known.count, err);
}

static void say_error(struct watched *w, const char *text)
{
    snprintf(w->status.error, sizeof w->status.error, "%s", text);
    w->settled_down = true;
}

/* Our own output is no training run, wherever the configuration points. */
static const char *own_output(const struct ingest *in, const char *path)
{
    return path_is_under(path, in->o.artifact_directory)
               ? "this is the directory of sewad's own averages, which are no checkpoints"
               : NULL;
}

void ingest_watch(struct ingest *in, const struct watching *asked)
{
    struct watching what = *asked;
    struct watched *w = ingest_find(in, what.id);
    struct sewa_error err;

    if (!what.objection)
        what.objection = own_output(in, what.path);
    if (w && is_watched_like(w, &what))
        return;
    if (w)
        ingest_unwatch(in, w);
    w = watched_new(in, &what);
    if (!w) {
        log_error("ingest: no memory to watch run '%s'", what.name);
        return;
    }
    if (w->is_refused) {
        say_error(w, what.objection);
        log_error("ingest: run '%s' is not watched: '%s': %s", w->name, w->path, what.objection);
    } else if (start_watching(in, w, &err) < 0) {
        say_error(w, err.text);
        log_error("ingest: cannot watch run '%s': %s", w->name, err.text);
    }
}

static const char *allowed_root(const struct ingest *in, const char *path)
{
    for (char **root = in->allowed_roots; root && *root; root++)
        if (path_is_under(path, *root))
            return *root;
    return NULL;
}

/* Whoever makes runs over HTTP gets no further than the allowed roots, whatever links are there. */
void ingest_watch_run(struct ingest *in, const struct run_row *run)
{
    struct watching what = { .id = (uint64_t)run->id,
                             .name = run->name,
                             .path = run->path,
                             .pattern = run->pattern,
                             .state_key = run->state_key,
                             .marker = run->marker,
                             .settle_ms = run->settle_ms };

    if (run->read_again)
        log_info("ingest: run '%s': %lld checkpoints were read with another state_key than '%s' "
                 "or by an older version, and are read again",
                 run->name, (long long)run->read_again, run->state_key);
    if (run->origin == RUN_FROM_API && !(what.beneath = allowed_root(in, run->path)))
        what.objection = "it is not below one of allowed_roots in the configuration";
    if (!in->closing)
        ingest_watch(in, &what);
}

void ingest_forget_run(struct ingest *in, int64_t run_id)
{
    struct watched *w = ingest_find(in, (uint64_t)run_id);

    if (w && !in->closing)
        ingest_unwatch(in, w);
}

void ingest_look(struct ingest *in, int64_t run_id)
{
    struct sewa_error err;

    if (!in->closing && scan_now(in->scan, (uint64_t)run_id, &err) < 0)
        log_warn("ingest: %s", err.text);
}

void ingest_status(const struct ingest *in, int64_t run_id, struct ingest_status *ret)
{
    const struct watched *w = ingest_find(in, (uint64_t)run_id);

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
 * What could not be written is not lost: the scan thread believes that it was told, so the
 * directory is watched anew, from what the index really knows. Not at once: a full disk stays full
 * for a while.
 */
static void start_over(struct ingest *in, struct watched *w)
{
    struct sewa_error err;

    w->is_stale = false;
    w->settled_down = false;
    if (scan_remove(in->scan, w->id, &err) < 0 || start_watching(in, w, &err) < 0)
        say_error(w, err.text);
}

static void on_again(uv_timer_t *t)
{
    struct ingest *in = container_of(t, struct ingest, again);

    ingest_write_latest(in);
    list_for_each(node, &in->watched) {
        struct watched *w = list_entry(node, struct watched, link);
        if (w->is_stale && !w->is_refused)
            start_over(in, w);
    }
}

void ingest_try_again(struct ingest *in)
{
    if (!in->closing && !uv_is_active((uv_handle_t *)&in->again))
        uv_timer_start(&in->again, on_again, AGAIN_MS, 0);
}

static void on_again_closed(uv_handle_t *h)
{
    struct ingest *in = container_of((uv_timer_t *)h, struct ingest, again);

    in->again_closed = true;
    ingest_finish_close(in);
}

static void close_again(struct ingest *in)
{
    ingest_drop_latest(in);
    uv_close((uv_handle_t *)&in->again, on_again_closed);
}

static void batch_failed(struct batch *b)
{
    log_error("ingest: %zu changes of checkpoints were not written: %s", b->count, b->op.err.text);
    for (size_t i = 0; i < b->count; i++) {
        struct watched *w = ingest_find(b->in, b->changes[i].report.target);
        if (w)
            w->is_stale = true;
    }
    ingest_try_again(b->in);
}

static void log_admitted(const struct ingest *in, const struct row_change *c)
{
    const struct watched *w = ingest_find(in, c->report.target);
    bool is_admitted = c->report.kind == REPORT_PROVEN || c->report.kind == REPORT_BACK;
    AUTOFREE char *shown = w && is_admitted ? path_to_text(c->report.name) : NULL;

    if (shown && c->step.has_step)
        log_debug("ingest: run '%s': '%s' is complete: %s, %s %lld", w->name, shown, c->uid,
                  step_unit_name(c->step.unit), (long long)c->step.step);
    else if (shown)
        log_debug("ingest: run '%s': '%s' is complete: %s, without a step: %s", w->name, shown,
                  c->uid, c->step.reason);
}

static void batch_done(struct store_op *op)
{
    struct batch *b = container_of(op, struct batch, op);
    struct ingest *in = b->in;

    in->pending--;
    if (--in->batches == BATCHES_LEAST && !in->closing)
        scan_hold(in->scan, false);
    if (op->rc < 0)
        batch_failed(b);
    for (size_t i = 0; op->rc == 0 && i < b->count; i++) {
        if (!b->changes[i].uid[0])
            continue;
        log_admitted(in, &b->changes[i]);
        tell_watchers(in, (int64_t)b->changes[i].report.target, b->changes[i].uid);
    }
    free_batch(b);
    ingest_finish_close(in);
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
        if (++in->batches == BATCHES_MOST)
            scan_hold(in->scan, true);
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
    if (name_step(w->pattern, r->name, &c->step, &err) < 0)
        snprintf(c->step.reason, sizeof c->step.reason, "%.159s", err.text);
    c->report = *r;
    memset(r, 0, sizeof *r);
    if ((*b)->count == BATCH_MAX)
        submit(in, b);
}

/* ---- reports ---- */

static void on_target_ok(struct ingest *in, struct watched *w, const struct report *r)
{
    struct sewa_error err;

    if (*w->status.error && !w->is_readable)
        log_info("ingest: run '%s': '%s' can be read again", w->name, w->path);
    w->is_readable = true;
    w->status.error[0] = '\0';
    if (r->path && !r->is_network && hint_watch(in->hint, w->id, r->path, &err) < 0)
        log_warn("ingest: run '%s': %s", w->name, err.text);
}

static void on_target_error(struct watched *w, const struct report *r)
{
    if (strcmp(w->status.error, r->text) != 0)
        log_warn("ingest: run '%s': %s; it is tried again", w->name, r->text);
    w->is_readable = false;
    say_error(w, r->text);
}

/* The first of several failures on something in the directory, once for each text. */
static void on_inner_error(struct watched *w, const struct report *r)
{
    const char *text = r->code ? r->text : "";

    if (!w->is_readable)
        return; /* why has been said */
    if (*text && strcmp(w->status.error, text) != 0)
        log_warn("ingest: run '%s': %s; it is tried again", w->name, text);
    snprintf(w->status.error, sizeof w->status.error, "%s", text);
}

static void count_report(struct watched *w, enum report_kind kind)
{
    w->tally.found += kind == REPORT_FOUND;
    w->tally.complete += kind == REPORT_PROVEN;
    w->tally.changed += kind == REPORT_CHANGED;
    w->tally.gone += kind == REPORT_GONE;
    w->tally.back += kind == REPORT_BACK;
}

/* One line for each scan since which something has happened. */
static void log_tally(struct watched *w, const struct scan_counts *counts)
{
    const struct tally *t = &w->tally;

    if (t->found || t->complete || t->changed || t->gone || t->back)
        log_info("ingest: run '%s': %u new, %u complete, %u changed, %u gone, %u back; %zu of %zu "
                 "files are not complete",
                 w->name, t->found, t->complete, t->changed, t->gone, t->back, counts->waiting,
                 counts->files);
    w->tally = (struct tally){ 0 };
}

static void on_scan_done(struct watched *w, const struct report *r)
{
    w->status.scans++;
    w->status.last_scan_ms = clock_now_ms();
    w->status.last_scan_seconds = r->counts.seconds;
    w->status.files = (int64_t)r->counts.files;
    w->status.errors = (int64_t)r->counts.errors;
    w->settled_down = true;
    on_inner_error(w, r);
    log_tally(w, &r->counts);
}

static void on_report(struct ingest *in, struct batch **b, struct report *r)
{
    struct watched *w = ingest_find(in, r->target);

    if (!w)
        return;
    switch (r->kind) {
    case REPORT_DIRECTORY:
    case REPORT_DIRECTORY_GONE: ingest_on_directory(in, w, r); break;
    case REPORT_TARGET_OK: on_target_ok(in, w, r); break;
    case REPORT_TARGET_ERROR: on_target_error(w, r); break;
    case REPORT_SCAN_DONE: on_scan_done(w, r); break;
    default:
        count_report(w, r->kind);
        add_change(in, b, w, r);
        break;
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
    ingest_finish_close(in);
}

static void on_hint_closed(struct hint_listener *l)
{
    struct ingest *in = container_of(l, struct ingest, hint_listener);

    in->hint = NULL;
    in->hint_closed = true;
    ingest_finish_close(in);
}

void ingest_finish_close(struct ingest *in)
{
    if (!in->closing || in->pending || !in->scan_stopped || !in->hint_closed || !in->again_closed)
        return;
    void (*on_closed)(void *) = in->on_closed;
    void *arg = in->on_closed_arg;
    list_for_each_safe(node, &in->watched) {
        watched_free(list_entry(node, struct watched, link));
    }
    ingest_free_roots(in);
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
    uv_timer_init(o->loop, &in->again);
    rc = scan_start(&so, &in->scan, err);
    if (rc < 0) {
        in->closing = true;
        in->scan_stopped = true;
        close_again(in);
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
    close_again(in);
}
