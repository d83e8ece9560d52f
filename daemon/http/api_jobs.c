/*
 * api_jobs - submit, list, cancel, retry and delete jobs. Showing one (and waiting for it) is
 * api_wait.c's.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "http/api_body.h"
#include "jobs/state.h"
#include "store/service.h"

/* ---- submit ---- */

struct submission {
    struct job_request *request;
    struct job_plan *plan;
    char retry_of[ID_TEXT_SIZE];
    unsigned status;
    struct job_row row;
};

static void submission_free(void *arg)
{
    struct submission *s = arg;

    job_request_free(s->request);
    job_plan_free(s->plan);
    job_row_clear(&s->row);
    free(s);
}

static int apply_insert(struct api_write *w, struct db *db, struct sewa_error *err)
{
    struct submission *s = w->arg;

    memcpy(s->row.retry_of, s->retry_of, sizeof s->row.retry_of);
    int rc = jobs_insert(db, s->request, s->plan, w->now_ms, &s->row, err);
    if (rc < 0)
        return rc;
    if (asprintf(&w->location, "/api/v1/jobs/%s", s->row.uid) < 0) {
        w->location = NULL;
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the answer");
    }
    return api_write_body(w, s->status, view_job(&s->row, NULL, w->now_ms), err);
}

static void queue_inserted(struct api_write *w)
{
    struct submission *s = w->arg;

    jobs_take(w->api->o.jobs, &s->row);
}

/* Begin with the key: a replayed request is answered although its plan may not be possible any
 * more. */
static struct api_write *begin(struct api *a, struct request *rq, struct submission **ret)
{
    struct submission *s = calloc(1, sizeof *s);

    *ret = s;
    if (!s) {
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the request");
        return NULL;
    }
    struct api_write *w = api_write_new(a, rq, s, submission_free);
    if (w) {
        w->apply = apply_insert;
        w->committed = queue_inserted;
    }
    return w;
}

void api_job_insert(struct api *a, struct request *rq, struct job_request *request,
                    struct job_plan *plan, const char *retry_of, unsigned status)
{
    struct submission *s;
    struct api_write *w = begin(a, rq, &s);

    if (!w) {
        job_request_free(request);
        job_plan_free(plan);
        return;
    }
    s->request = request;
    s->plan = plan;
    s->status = status;
    snprintf(s->retry_of, sizeof s->retry_of, "%s", retry_of ? retry_of : "");
    api_write_submit(w);
}

/* 1: there are enough new checkpoints, or nobody asked; 0: not, and the request was answered. */
static int enough_new(struct api *a, struct request *rq, const struct submission *s,
                      struct sewa_error *err)
{
    struct db *db = store_reader(a->o.store);
    const struct job_request *q = s->request;
    int64_t last, newer = 0;

    if (q->if_new_checkpoints == 0)
        return 1;
    int rc = job_last_success(db, s->plan->run_id, q->method, &last, err);
    if (rc == 0)
        rc = checkpoint_count_newer(db, s->plan->run_id, last, &newer, err);
    if (rc < 0)
        return rc;
    if (newer >= q->if_new_checkpoints)
        return 1;
    char reason[200];
    snprintf(
        reason, sizeof reason,
        "run '%s' has %lld new complete checkpoints since the last successful %s job, %lld are "
        "asked for",
        s->plan->run_name, (long long)newer, q->method, (long long)q->if_new_checkpoints);
    reply_json(rq, 200, json_pack("{s:b, s:s}", "submitted", 0, "reason", reason));
    return 0;
}

static void reply_dry_run(struct request *rq, const struct submission *s)
{
    reply_json(rq, 200,
               json_pack("{s:b, s:o, s:o}", "dry_run", 1, "request", job_request_json(s->request),
                         "plan", job_plan_show(s->plan)));
}

void api_jobs_create(struct api *a, struct request *rq)
{
    static const char *const known[] = { "dry_run", NULL };
    struct submission *s;
    struct api_write *w = begin(a, rq, &s);
    AUTOJSON json_t *body = NULL;
    struct plan_limits limits;
    struct sewa_error err;
    bool dry_run = false;

    if (!w)
        return;
    s->status = 201;
    jobs_limits(a->o.jobs, &limits);
    int rc = request_query_known(rq, known, &err);
    if (rc == 0)
        rc = request_query_bool(rq, "dry_run", false, &dry_run, &err);
    if (rc == 0)
        rc = request_json(rq, false, &body, &err);
    if (rc == 0)
        rc = job_request_parse(body, &s->request, &err);
    if (rc == 0)
        rc = job_plan_make(store_reader(a->o.store), s->request, &limits, &s->plan, &err);
    if (rc < 0) {
        api_write_refuse(w, &err);
        return;
    }
    if (dry_run) {
        reply_dry_run(rq, s);
        api_write_drop(w);
        return;
    }
    rc = enough_new(a, rq, s, &err);
    if (rc < 0)
        api_write_refuse(w, &err);
    else if (rc == 0)
        api_write_drop(w);
    else
        api_write_submit(w);
}

/* ---- one job by its id ---- */

static int find_job(struct api *a, struct request *rq, struct job_row *ret)
{
    struct sewa_error err;
    int rc = job_find(store_reader(a->o.store), rq->parameters[0], ret, &err);

    if (rc > 0)
        return 0;
    if (rc == 0)
        sewa_fail(&err, SEWA_E_NOT_FOUND, "there is no job '%s'", rq->parameters[0]);
    reply_error(rq, &err);
    return -1;
}

void api_jobs_retry(struct api *a, struct request *rq)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    AUTOPTR(job_request_free) struct job_request *q = NULL;
    AUTOPTR(job_plan_free) struct job_plan *plan = NULL;
    struct plan_limits limits;
    struct sewa_error err;

    if (find_job(a, rq, &row) < 0)
        return;
    if (!job_state_is_final((enum job_state)job_state_from_name(row.state))) {
        reply_fail(rq, SEWA_E_CONFLICT, "job '%s' is %s: it can be retried when it is finished",
                   row.uid, row.state);
        return;
    }
    jobs_limits(a->o.jobs, &limits);
    AUTOJSON json_t *stored = view_parsed(row.request);
    int rc = job_request_parse_stored(stored, &q, &err);
    if (rc == 0)
        rc = job_plan_make(store_reader(a->o.store), q, &limits, &plan, &err);
    if (rc < 0) {
        reply_error(rq, &err);
        return;
    }
    api_job_insert(a, rq, TAKE(q), TAKE(plan), row.uid, 201);
}

/* ---- cancel and delete ---- */

struct target {
    char uid[ID_TEXT_SIZE];
};

static int find_target(struct api_write *w, struct db *db, struct job_row *ret, bool *ret_is_final,
                       struct sewa_error *err)
{
    struct target *t = w->arg;
    int rc = job_find(db, t->uid, ret, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no job '%s'", t->uid);
    *ret_is_final = job_state_is_final((enum job_state)job_state_from_name(ret->state));
    return rc < 0 ? rc : 0;
}

/*
 * Cancelling an unfinished job is accepted (202); the end comes when its workers have ended.
 * Cancelling twice is fine, cancelling a finished job is a conflict.
 */
static int apply_cancel(struct api_write *w, struct db *db, struct sewa_error *err)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    bool is_final;
    int rc = find_target(w, db, &row, &is_final, err);

    if (rc < 0)
        return rc;
    if (is_final)
        return sewa_fail(err, SEWA_E_CONFLICT, "job '%s' is %s", row.uid, row.state);
    if (asprintf(&w->location, "/api/v1/jobs/%s", row.uid) < 0) {
        w->location = NULL;
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the answer");
    }
    return api_write_body(w, 202, json_pack("{s:s, s:s}", "id", row.uid, "state", "cancelling"),
                          err);
}

static void cancel(struct api_write *w)
{
    struct target *t = w->arg;
    struct sewa_error err;

    /* it may have ended by itself since: then that end stands */
    jobs_cancel(w->api->o.jobs, t->uid, &err);
}

static struct api_write *begin_on_target(struct api *a, struct request *rq)
{
    struct target *t = calloc(1, sizeof *t);

    if (!t) {
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the request");
        return NULL;
    }
    snprintf(t->uid, sizeof t->uid, "%s", rq->parameters[0]);
    return api_write_new(a, rq, t, free);
}

void api_jobs_cancel(struct api *a, struct request *rq)
{
    struct api_write *w = begin_on_target(a, rq);

    if (!w)
        return;
    w->apply = apply_cancel;
    w->committed = cancel;
    api_write_submit(w);
}

static int apply_delete(struct api_write *w, struct db *db, struct sewa_error *err)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    bool is_final;
    int rc = find_target(w, db, &row, &is_final, err);

    if (rc < 0)
        return rc;
    if (!is_final)
        return sewa_fail(err, SEWA_E_CONFLICT, "job '%s' is %s: cancel it first", row.uid,
                         row.state);
    rc = job_delete(db, row.id, err);
    if (rc == 0)
        rc = event_put(db, w->now_ms, "job.deleted", row.uid, NULL, err);
    w->status = 204;
    return rc;
}

static void remove_files(struct api_write *w)
{
    struct target *t = w->arg;

    jobs_remove_files(w->api->o.jobs, t->uid);
    jobs_notify(w->api->o.jobs, t->uid);
}

void api_jobs_delete(struct api *a, struct request *rq)
{
    struct api_write *w = begin_on_target(a, rq);

    if (!w)
        return;
    w->apply = apply_delete;
    w->committed = remove_files;
    api_write_submit(w);
}

/* ---- list ---- */

struct listing {
    struct api *api;
    struct list_reply list;
    int64_t now_ms;
};

static int add_job(const struct job_row *row, void *arg, struct sewa_error *err)
{
    struct listing *l = arg;

    if ((int64_t)json_array_size(l->list.items) == l->list.limit) {
        l->list.more = true;
        return 0;
    }
    json_t *artifacts = view_artifacts(store_reader(l->api->o.store), row, err);
    if (!artifacts)
        return err->code;
    json_t *o = view_job(row, artifacts, l->now_ms);
    if (!o || json_array_append_new(l->list.items, o) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list");
    l->list.last.id = row->id;
    return 0;
}

static int read_filter(struct api *a, struct request *rq, struct job_filter *f, char **label,
                       struct sewa_error *err)
{
    const char *run = request_query(rq, "run"), *after = request_query(rq, "created_after");
    AUTO(run_row_clear) struct run_row row = { 0 };

    f->state = request_query(rq, "state");
    if (f->state && job_state_from_name(f->state) < 0)
        return sewa_fail(err, SEWA_E_INVALID, "'state' is '%.40s', which is no state of a job",
                         f->state);
    if (after && clock_parse(after, &f->created_after_ms) < 0)
        return sewa_fail(err, SEWA_E_INVALID,
                         "'created_after' is '%.40s', which is no RFC 3339 time", after);
    if (run) {
        int rc = run_find(store_reader(a->o.store), run, &row, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return sewa_fail(err, SEWA_E_INVALID, "there is no run '%.80s'", run);
        f->run_id = row.id;
    }
    int rc = query_label(rq, label, &f->label_value, err);
    f->label_key = *label;
    return rc;
}

void api_jobs_list(struct api *a, struct request *rq)
{
    static const char *const known[] = { "limit", "page_token",    "state", "run",
                                         "label", "created_after", NULL };
    struct listing l = { .api = a, .now_ms = clock_now_ms() };
    struct job_filter filter = { 0 };
    struct page_key after = { 0 };
    struct sewa_error err;
    AUTOFREE char *label = NULL;
    bool has_after;

    int rc = request_query_known(rq, known, &err);
    if (rc == 0)
        rc = read_filter(a, rq, &filter, &label, &err);
    if (rc == 0)
        rc = list_begin(&l.list, rq, "jobs", &after, &has_after, &err);
    filter.before_id = after.id;
    filter.limit = l.list.limit + 1;
    if (rc == 0)
        rc = job_list(store_reader(a->o.store), &filter, add_job, &l, &err);
    if (rc < 0) {
        json_decref(l.list.items);
        reply_error(rq, &err);
        return;
    }
    list_finish(&l.list);
}
