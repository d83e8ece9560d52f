/*
 * configure - the runs of the configuration, at start and after a reload, and those that appear
 * below its roots.
 */
#include "ingest/ingest_body.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "ingest/name.h"
#include "store/checkpoints.h"

/* ---- runs below a root ---- */

struct root_run {
    struct store_op op;
    struct ingest *in;
    uint64_t root;
    struct run_row run;
    bool gone; /* the directory has vanished */
};

/* Two directories of one root can want the same name; one of a root that was elsewhere cannot. */
static bool is_rival(const struct run_row *there, const struct run_row *run)
{
    size_t root = (size_t)(path_base(run->path) - run->path);

    return strcmp(there->path, run->path) != 0 && strncmp(there->path, run->path, root) == 0;
}

static int apply_root_run(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct root_run *r = container_of(op, struct root_run, op);
    AUTO(run_row_clear) struct run_row there = { 0 };
    int rc = run_find(db, r->run.name, &there, err);

    if (rc < 0)
        return rc;
    if (rc > 0 && there.origin != RUN_FROM_ROOT)
        return sewa_fail(err, SEWA_E_CONFLICT, "a run '%s' that is no directory of a root exists",
                         there.name);
    if (rc > 0 && is_rival(&there, &r->run))
        return sewa_fail(err, SEWA_E_CONFLICT, "run '%s' is '%s' already", r->run.name, there.path);
    if (!r->gone)
        return run_put(db, &r->run, false, err);
    r->run.id = there.id;
    return rc == 0 ? 0 : run_set_watched(db, there.id, false, r->run.updated_ms, err);
}

/* A conflict stays one; what a full disk has prevented is seen again when the root is. */
static void root_run_failed(const struct root_run *r)
{
    struct watched *root = ingest_find(r->in, r->root);

    log_warn("ingest: directory '%s' is not watched: %s", r->run.path, r->op.err.text);
    if (r->op.rc == SEWA_E_CONFLICT || !root)
        return;
    root->is_stale = true;
    ingest_try_again(r->in);
}

static void root_run_done(struct store_op *op)
{
    struct root_run *r = container_of(op, struct root_run, op);
    struct ingest *in = r->in;

    in->pending--;
    if (op->rc < 0)
        root_run_failed(r);
    else if (r->gone)
        ingest_forget_run(in, r->run.id);
    else
        ingest_watch_run(in, &r->run);
    run_row_clear(&r->run);
    free(r);
    ingest_finish_close(in);
}

void ingest_on_directory(struct ingest *in, const struct watched *w, const struct report *r)
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
    c->root = w->id;
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

/* ---- configuration ---- */

/* Rows of the configuration, written before the service is ready: at start and after a reload. */
struct configure {
    struct store_op op;
    struct ingest *in;
    bool is_first; /* since the start */
    struct run_row *runs;
    size_t run_count;
    struct run_row *roots; /* name and path matter */
    size_t root_count;
};

static bool is_listed(const struct configure *c, const char *name)
{
    for (size_t i = 0; i < c->run_count; i++)
        if (strcmp(c->runs[i].name, name) == 0)
            return true;
    return false;
}

/* Whether a run of a root is a directory of one that is still configured. */
static bool has_root(const struct configure *c, const struct run_row *row)
{
    const char *directory = path_base(row->path);
    char name[NAME_RUN_SIZE], reason[NAME_REASON_SIZE];

    for (size_t i = 0; i < c->root_count; i++) {
        AUTOFREE char *path = path_join(c->roots[i].path, directory);
        if (path && strcmp(path, row->path) == 0 &&
            name_run(c->roots[i].name, directory, name, reason) && strcmp(name, row->name) == 0)
            return true;
    }
    return false;
}

/* Runs that are watched by no section of the configuration any more. */
struct leavers {
    const struct configure *c;
    int64_t *ids;
    size_t count, room;
};

static void leavers_clear(struct leavers *l)
{
    free(l->ids);
}

/* At the start no run of a root is watched yet: its directory may be gone. The first scan tells. */
static bool leaves(const struct configure *c, const struct run_row *row)
{
    switch (row->origin) {
    case RUN_FROM_CONFIGURATION: return !is_listed(c, row->name);
    case RUN_FROM_ROOT: return c->is_first || !has_root(c, row);
    default: return false;
    }
}

static int note_leaver(const struct run_row *row, void *arg, struct sewa_error *err)
{
    struct leavers *l = arg;

    if (!row->watched || !leaves(l->c, row))
        return 0;
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 16;
        int64_t *ids = realloc(l->ids, room * sizeof *ids);
        if (!ids)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the runs");
        l->ids = ids;
        l->room = room;
    }
    l->ids[l->count++] = row->id;
    return 0;
}

struct keys {
    struct db *db;
    int64_t now_ms;
};

/* What an older version has indexed, without a word on the key; otherwise there is nothing to do.
 */
static int read_again_api_run(const struct run_row *row, void *arg, struct sewa_error *err)
{
    const struct keys *k = arg;
    int64_t count;

    if (row->origin != RUN_FROM_API || !row->watched)
        return 0;
    return checkpoint_read_again(k->db, row->id, row->state_key, k->now_ms, &count, err);
}

static int apply_configure(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct configure *c = container_of(op, struct configure, op);
    AUTO(leavers_clear) struct leavers l = { .c = c };
    struct keys keys = { .db = db, .now_ms = clock_now_ms() };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->run_count; i++)
        rc = run_put(db, &c->runs[i], false, err);
    if (rc == 0)
        rc = run_list(db, NULL, INT64_MAX, note_leaver, &l, err);
    for (size_t i = 0; rc == 0 && i < l.count; i++)
        rc = run_set_watched(db, l.ids[i], false, keys.now_ms, err);
    return rc < 0 ? rc : run_list(db, NULL, INT64_MAX, read_again_api_run, &keys, err);
}

static int watch_api_run(const struct run_row *row, void *arg, struct sewa_error *err)
{
    (void)err;
    if (row->origin == RUN_FROM_API && row->watched)
        ingest_watch_run(arg, row);
    return 0;
}

static void configure_free(struct configure *c)
{
    for (size_t i = 0; c->runs && i < c->run_count; i++)
        run_row_clear(&c->runs[i]);
    for (size_t i = 0; c->roots && i < c->root_count; i++)
        run_row_clear(&c->roots[i]);
    free(c->runs);
    free(c->roots);
    free(c);
}
AUTOPTR_DEFINE(configure_free, struct configure);

static void drop_leavers(struct ingest *in, const struct configure *c)
{
    list_for_each_safe(node, &in->watched) {
        struct watched *w = list_entry(node, struct watched, link);
        AUTO(run_row_clear) struct run_row row = { 0 };
        struct sewa_error err;
        if (w->is_root || is_listed(c, w->name))
            continue;
        if (run_by_id(store_reader(in->o.store), (int64_t)w->id, &row, &err) > 0 && !row.watched)
            ingest_unwatch(in, w);
    }
}

/* A full disk: nothing is watched before the runs are rows, so it is tried until they are. */
static bool is_kept(struct configure *c)
{
    struct ingest *in = c->in;

    log_error("ingest: the runs of the configuration were not written: %s; it is tried again",
              c->op.err.text);
    if (in->closing || in->latest != c)
        return false;        /* a newer configuration is on its way */
    in->configuring = false; /* whoever waits is not kept waiting for a disk */
    in->latest_waits = true;
    ingest_try_again(in);
    return true;
}

static void configure_done(struct store_op *op)
{
    struct configure *c = container_of(op, struct configure, op);
    struct ingest *in = c->in;
    struct sewa_error err;

    in->pending--;
    if (op->rc < 0 && is_kept(c))
        return;
    if (op->rc == 0 && !in->closing) {
        in->configured = true;
        for (size_t i = 0; i < c->run_count; i++)
            ingest_watch_run(in, &c->runs[i]);
        drop_leavers(in, c);
        if (run_list(store_reader(in->o.store), NULL, INT64_MAX, watch_api_run, in, &err) < 0)
            log_error("ingest: %s", err.text);
    }
    if (in->latest == c) {
        in->latest = NULL;
        in->configuring = false;
    }
    configure_free(c);
    ingest_finish_close(in);
}

void ingest_write_latest(struct ingest *in)
{
    if (!in->latest_waits)
        return;
    in->latest_waits = false;
    in->pending++;
    store_submit(in->o.store, &in->latest->op);
}

void ingest_drop_latest(struct ingest *in)
{
    if (in->latest_waits)
        configure_free(in->latest);
    in->latest_waits = false;
    in->latest = NULL;
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

/* The sources as rows, with texts of their own. */
static int fill(struct configure *c, const struct ingest_source *sources, size_t count,
                struct sewa_error *err)
{
    size_t room = count ? count : 1;
    int rc = 0;

    c->runs = calloc(room, sizeof *c->runs);
    c->roots = calloc(room, sizeof *c->roots);
    if (!c->runs || !c->roots)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu runs", count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = fill_run(&sources[i],
                      sources[i].is_root ? &c->roots[c->root_count++] : &c->runs[c->run_count++],
                      err);
    return rc;
}

static void watch_roots(struct ingest *in, const struct configure *c)
{
    uint64_t id = ROOT_ID;

    for (size_t i = 0; i < c->root_count; i++) {
        const struct run_row *root = &c->roots[i];
        struct watching what = { .id = id++,
                                 .name = root->name,
                                 .path = root->path,
                                 .pattern = root->pattern,
                                 .state_key = root->state_key,
                                 .marker = root->marker,
                                 .settle_ms = root->settle_ms };
        ingest_watch(in, &what);
    }
    for (struct watched *w; (w = ingest_find(in, id)) != NULL; id++)
        ingest_unwatch(in, w);
}

void ingest_free_roots(struct ingest *in)
{
    for (char **root = in->allowed_roots; root && *root; root++)
        free(*root);
    free(in->allowed_roots);
    in->allowed_roots = NULL;
}

static int set_allowed_roots(struct ingest *in, const char *const *roots, struct sewa_error *err)
{
    size_t n = 0;

    while (roots && roots[n])
        n++;
    char **copies = calloc(n + 1, sizeof *copies);
    for (size_t i = 0; copies && i < n; i++)
        if (!(copies[i] = strdup(roots[i]))) {
            while (i-- > 0)
                free(copies[i]);
            free(copies);
            copies = NULL;
        }
    if (!copies)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu allowed roots", n);
    ingest_free_roots(in);
    in->allowed_roots = copies;
    return 0;
}

int ingest_configure(struct ingest *in, const struct ingest_source *sources, size_t count,
                     const char *const *allowed_roots, struct sewa_error *err)
{
    AUTOPTR(configure_free) struct configure *c = calloc(1, sizeof *c);
    int rc = c ? fill(c, sources, count, err)
               : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu runs", count);

    if (rc == 0)
        rc = set_allowed_roots(in, allowed_roots, err);
    if (rc < 0)
        return rc;
    watch_roots(in, c);
    c->in = in;
    c->is_first = !in->configured;
    c->op.run = apply_configure;
    c->op.done = configure_done;
    in->configuring = true;
    ingest_drop_latest(in);
    in->latest = TAKE(c);
    in->latest_waits = true;
    ingest_write_latest(in);
    return 0;
}
