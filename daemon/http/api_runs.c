/*
 * api_runs - /api/v1/runs: list, create under an allowed root, show, change, delete.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/beneath.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/path.h"
#include "base/pattern.h"
#include "http/api_body.h"
#include "store/service.h"

/* ---- list and show ---- */

static int put_scan(struct api *a, json_t *o, int64_t run_id)
{
    struct ingest_status s;

    ingest_status(a->o.ingest, run_id, &s);
    return json_put(o, "scan",
                    json_pack("{s:b, s:I, s:o, s:f, s:I, s:I, s:o}", "active", s.is_watched,
                              "scans", (json_int_t)s.scans, "last_at", view_time(s.last_scan_ms),
                              "last_seconds", s.last_scan_seconds, "files", (json_int_t)s.files,
                              "errors", (json_int_t)s.errors, "error",
                              *s.error ? json_string(s.error) : json_null()));
}

static json_t *show(struct api *a, const struct run_row *run, struct sewa_error *err)
{
    struct checkpoint_counts counts;

    if (checkpoint_count(store_reader(a->o.store), run->id, &counts, err) < 0)
        return NULL;
    json_t *o = view_run(run, &counts);
    if (!o || put_scan(a, o, run->id) < 0) {
        json_decref(o);
        sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a run");
        return NULL;
    }
    return o;
}

struct listing {
    struct api *api;
    struct list_reply list;
};

static int add_run(const struct run_row *run, void *arg, struct sewa_error *err)
{
    struct listing *l = arg;

    if (list_is_full(&l->list))
        return 0;
    json_t *o = show(l->api, run, err);
    if (!o || json_array_append_new(l->list.items, o) < 0)
        return o ? sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list") : err->code;
    snprintf(l->list.last.text, sizeof l->list.last.text, "%s", run->name);
    return 0;
}

void api_runs_list(struct api *a, struct request *rq)
{
    struct listing l = { .api = a };
    struct page_key after;
    struct sewa_error err;
    bool has_after;
    int rc = list_begin(&l.list, rq, "runs", &after, &has_after, &err);

    if (rc == 0)
        rc = run_list(store_reader(a->o.store), has_after ? after.text : NULL, l.list.limit + 1,
                      add_run, &l, &err);
    if (rc < 0) {
        json_decref(l.list.items);
        reply_error(rq, &err);
        return;
    }
    list_finish(&l.list);
}

void api_runs_show(struct api *a, struct request *rq)
{
    AUTO(run_row_clear) struct run_row run = { 0 };
    struct sewa_error err;

    json_t *o = find_run(a, rq, &run, &err) == 0 ? show(a, &run, &err) : NULL;
    if (o)
        reply_json(rq, 200, o);
    else
        reply_error(rq, &err);
}

/* ---- create and change ---- */

struct change {
    struct api_read looking; /* POST: is there such a directory? */
    struct api *api;
    struct api_write *write;
    bool is_submitted;
    size_t root;        /* POST: bytes of the path that are its allowed root */
    struct run_row run; /* what is to be written; strings owned */
    char *name;         /* of the run in the path (PATCH, DELETE) */
    json_t *patch;      /* body of a PATCH */
};

static void change_free(void *arg)
{
    struct change *c = arg;

    run_row_clear(&c->run);
    free(c->name);
    json_decref(c->patch);
    free(c);
}

/* The allowed root that it lies below, or NULL. */
static const char *allowed_root(const struct api *a, const char *path)
{
    for (int i = 0; a->o.allowed_roots && a->o.allowed_roots[i]; i++)
        if (path_is_under(path, a->o.allowed_roots[i]))
            return a->o.allowed_roots[i];
    return NULL;
}

/* In a merge patch null takes a member away: it becomes what it is without having been set. */
static const char *get_or_default(struct json_reader *r, const char *name)
{
    return json_get_string(r, name, json_is_given(r, name) ? "" : NULL);
}

/* The fields that say what is watched; shared by POST and PATCH. */
static void read_watching(struct api *a, struct json_reader *r, struct change *c, bool is_new)
{
    bool needs_path = is_new || json_is_given(r, "path");
    const char *path = needs_path ? json_need_string(r, "path") : NULL;
    const char *pattern = get_or_default(r, "pattern");
    const char *state_key = get_or_default(r, "state_key");
    const char *marker = get_or_default(r, "marker");
    int64_t settle_default = json_is_given(r, "settle_seconds") ? a->o.settle_ms / 1000 : -1;
    struct sewa_error why;

    if (r->rc == 0 && path && !path_is_clean(path))
        json_reader_fail(r, SEWA_E_INVALID, "path",
                         "'%.200s' is not an absolute path without '.', '..' and double slashes",
                         path);
    const char *root = path ? allowed_root(a, path) : NULL;
    if (r->rc == 0 && path && !root)
        json_reader_fail(r, SEWA_E_FORBIDDEN, "path",
                         "'%.200s' is not below one of allowed_roots in the configuration", path);
    if (r->rc == 0 && pattern && *pattern && pattern_check(pattern, &why) < 0)
        json_reader_fail(r, SEWA_E_INVALID, "pattern", "%s", why.text);
    c->root = root ? strlen(root) : 0;
    c->run.path = path ? strdup(path) : NULL;
    c->run.pattern = pattern ? strdup(pattern) : NULL;
    c->run.state_key = state_key ? strdup(state_key) : NULL;
    c->run.marker = marker ? strdup(marker) : NULL;
    c->run.settle_ms = json_get_int(r, "settle_seconds", 0, 3600, settle_default) * 1000;
}

static int read_new(struct api *a, const json_t *body, struct change *c, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init(&r, body, "", err);
    const char *name = json_need_string(&r, "name");
    if (r.rc == 0 && !path_is_run_name(name))
        json_reader_fail(&r, SEWA_E_INVALID, "name",
                         "'%.80s' is no name of a run: letters, digits and ._- , at most 63, "
                         "beginning with a letter or a digit",
                         name);
    if (r.rc == 0 && id_is(name, "run"))
        json_reader_fail(&r, SEWA_E_INVALID, "name", "'%s' looks like an id", name);
    c->run.name = strdup(name);
    read_watching(a, &r, c, true);
    const json_t *labels = json_get_labels(&r, "labels", false);
    c->run.labels = labels ? json_canonical(labels) : strdup("{}");
    c->run.origin = RUN_FROM_API;
    c->run.watched = true;
    if (c->run.settle_ms < 0)
        c->run.settle_ms = a->o.settle_ms;
    int rc = json_reader_end(&r);
    if (rc == 0 && (!c->run.name || !c->run.path || !c->run.labels))
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a run");
    return rc;
}

static int location(struct api_write *w, const char *uid, struct sewa_error *err)
{
    if (asprintf(&w->location, "/api/v1/runs/%s", uid) < 0) {
        w->location = NULL;
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the answer");
    }
    return 0;
}

static int answer_run(struct api_write *w, struct db *db, unsigned status,
                      const struct run_row *run, struct sewa_error *err)
{
    struct checkpoint_counts counts;
    int rc = checkpoint_count(db, run->id, &counts, err);

    return rc < 0 ? rc : api_write_body(w, status, view_run(run, &counts), err);
}

static int apply_create(struct api_write *w, struct db *db, struct sewa_error *err)
{
    struct change *c = w->arg;

    c->run.updated_ms = w->now_ms;
    int rc = run_put(db, &c->run, true, err);
    if (rc == 0)
        rc = event_put(db, w->now_ms, "run.created", c->run.uid, NULL, err);
    if (rc == 0)
        rc = location(w, c->run.name, err);
    if (rc < 0)
        return rc;
    AUTO(run_row_clear) struct run_row run = { 0 };
    rc = run_by_id(db, c->run.id, &run, err);
    return rc < 0 ? rc : answer_run(w, db, 201, &run, err);
}

static void watch_changed(struct api_write *w)
{
    struct change *c = w->arg;
    AUTO(run_row_clear) struct run_row run = { 0 };
    struct sewa_error err;

    if (run_by_id(store_reader(w->api->o.store), c->run.id, &run, &err) <= 0)
        return;
    run.read_again = c->run.read_again;
    ingest_watch_run(w->api->o.ingest, &run);
}

/* ---- the directory of a new run ---- */

enum { LOOKS_MAX = 2 }; /* at a time: on a mount that hangs, each keeps a thread of the pool */

/* From the allowed root down no link is followed: it would tell of what lies elsewhere. */
static int look_at_path(struct api_read *r, struct db *db, struct sewa_error *err)
{
    const struct change *c = container_of(r, struct change, looking);
    AUTOFREE char *root = strndup(c->run.path, c->root ? c->root : 1);
    AUTOCLOSE int top = root ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const char *below = c->run.path + c->root;

    (void)db;
    failpoint("run_look");
    below += strspn(below, "/");
    if (top < 0 || !*below)
        return 0; /* what an administrator has written is judged by the scan */
    AUTOCLOSE int fd = open_beneath(top, below, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR))
        return 0; /* and so is what may be readable later */
    return sewa_fail_at(err, SEWA_E_INVALID, "/path", "there is no directory '%.400s'",
                        c->run.path);
}

static int begin_look(struct api *a, struct request *rq, struct api_read *r, struct sewa_error *err)
{
    (void)rq;
    (void)err;
    log_debug("http: looks for the directory of run '%s'",
              container_of(r, struct change, looking)->run.name);
    a->looks++;
    return 0;
}

static void looked(struct api_read *r)
{
    struct change *c = container_of(r, struct change, looking);

    c->is_submitted = true;
    api_write_submit(c->write);
}

/* The write owns the change; it lives on where it was submitted. */
static void end_look(struct api_read *r)
{
    struct change *c = container_of(r, struct change, looking);

    c->api->looks--;
    if (!c->is_submitted)
        api_write_drop(c->write);
}

void api_runs_create(struct api *a, struct request *rq)
{
    struct change *c = calloc(1, sizeof *c);
    struct api_write *w = api_write_new(a, rq, c, change_free);
    AUTOJSON json_t *body = NULL;
    struct sewa_error err;

    if (!w)
        return;
    int rc = request_json(rq, false, &body, &err);
    if (rc == 0)
        rc = read_new(a, body, c, &err);
    if (rc < 0) {
        api_write_refuse(w, &err);
        return;
    }
    w->apply = apply_create;
    w->committed = watch_changed;
    if (a->looks >= LOOKS_MAX) { /* the scan will say what is wrong with it */
        api_write_submit(w);
        return;
    }
    c->write = w;
    c->api = a;
    c->looking.begin = begin_look;
    c->looking.read = look_at_path;
    c->looking.answer = looked;
    c->looking.release = end_look;
    api_read_submit(a, rq, &c->looking);
}

/* What the patch names replaces what the row has. */
static void take_over(char **row, char **patch)
{
    if (!*patch)
        return;
    free(*row);
    *row = TAKE(*patch);
}

static int apply_patch(struct api_write *w, struct db *db, struct sewa_error *err)
{
    struct change *c = w->arg;
    AUTO(run_row_clear) struct run_row run = { 0 };
    AUTOFREE char *labels = NULL;
    int rc = run_find(db, c->name, &run, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no run '%s'", c->name);
    if (rc > 0 && api_write_match(w, NULL, err) < 0)
        return err->code;
    const json_t *patch = json_object_get(c->patch, "labels");
    bool watching = c->run.path || c->run.pattern || c->run.state_key || c->run.marker ||
                    c->run.settle_ms >= 0;
    if (rc > 0 && watching && run.origin != RUN_FROM_API)
        return sewa_fail(err, SEWA_E_CONFLICT,
                         "run '%s' comes from the configuration: what it watches is changed there",
                         run.name);
    if (rc > 0 && patch)
        rc = merge_members(json_is_null(patch) ? "{}" : run.labels, patch, &labels, err);
    if (rc >= 0 && labels)
        rc = run_set_labels(db, run.id, labels, w->now_ms, err);
    if (rc < 0)
        return rc;
    take_over(&run.path, &c->run.path);
    take_over(&run.pattern, &c->run.pattern);
    take_over(&run.state_key, &c->run.state_key);
    take_over(&run.marker, &c->run.marker);
    if (c->run.settle_ms >= 0)
        run.settle_ms = c->run.settle_ms;
    run.updated_ms = w->now_ms;
    rc = watching ? run_put(db, &run, false, err) : 0;
    c->run.id = watching ? run.id : 0;
    c->run.read_again = run.read_again;
    run_row_clear(&run);
    if (rc == 0)
        rc = run_find(db, c->name, &run, err);
    return rc < 0 ? rc : answer_run(w, db, 200, &run, err);
}

static void watch_patched(struct api_write *w)
{
    if (((struct change *)w->arg)->run.id)
        watch_changed(w);
}

static int read_patch(struct api *a, struct change *c, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init(&r, c->patch, "", err);
    json_get_labels(&r, "labels", true);
    read_watching(a, &r, c, false);
    return json_reader_end(&r);
}

void api_runs_patch(struct api *a, struct request *rq)
{
    struct change *c = calloc(1, sizeof *c);
    struct api_write *w = api_write_new(a, rq, c, change_free);
    struct sewa_error err;

    if (!w)
        return;
    int rc = request_json(rq, false, &c->patch, &err);
    if (rc == 0)
        rc = read_patch(a, c, &err);
    if (rc == 0 && !(c->name = strdup(rq->parameters[0])))
        rc = sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the request");
    if (rc < 0) {
        api_write_refuse(w, &err);
        return;
    }
    w->apply = apply_patch;
    w->committed = watch_patched;
    api_write_submit(w);
}

/* ---- delete ---- */

static int apply_delete(struct api_write *w, struct db *db, struct sewa_error *err)
{
    struct change *c = w->arg;
    AUTO(run_row_clear) struct run_row run = { 0 };
    int rc = run_find(db, c->name, &run, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no run '%s'", c->name);
    if (rc > 0 && run.origin != RUN_FROM_API && run.watched)
        return sewa_fail(
            err, SEWA_E_CONFLICT,
            "run '%s' stands in the configuration and would come back: remove it there "
            "first",
            run.name);
    if (rc > 0)
        rc = api_write_match(w, NULL, err);
    if (rc == 0)
        rc = run_delete(db, run.id, err);
    if (rc == 0)
        rc = event_put(db, w->now_ms, "run.deleted", run.uid, NULL, err);
    c->run.id = run.id;
    w->status = 204;
    return rc;
}

static void forget(struct api_write *w)
{
    ingest_forget_run(w->api->o.ingest, ((struct change *)w->arg)->run.id);
}

void api_runs_delete(struct api *a, struct request *rq)
{
    struct change *c = calloc(1, sizeof *c);
    struct api_write *w = api_write_new(a, rq, c, change_free);
    struct sewa_error err;

    if (!w)
        return;
    if (!(c->name = strdup(rq->parameters[0]))) {
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the request");
        api_write_refuse(w, &err);
        return;
    }
    w->apply = apply_delete;
    w->committed = forget;
    api_write_submit(w);
}
