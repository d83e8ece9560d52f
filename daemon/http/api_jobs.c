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

/*
 * 1: there are enough new checkpoints, or nobody asked; 0: not, and reason says so. Asked before
 * the plan is made: too few checkpoints for a plan are a reason to wait then, not a mistake.
 */
static int enough_new(struct api *a, const struct job_request *q, char *reason, size_t size,
                      struct sewa_error *err)
{
    AUTO(run_row_clear) struct run_row run = { 0 };
    struct db *db = store_reader(a->o.store);
    int64_t last, newer = 0;

    if (q->if_new_checkpoints == 0)
        return 1;
    int rc = run_find(db, q->run, &run, err);
    if (rc == 0)
        return 1; /* the plan says that there is no such run */
    if (rc > 0)
        rc = job_last_success(db, run.id, q->method, &last, err);
    if (rc == 0)
        rc = checkpoint_count_newer(db, run.id, last, &newer, err);
    if (rc < 0)
        return rc;
    snprintf(reason, size,
             "run '%s' has %lld new complete checkpoints since the last successful %s job, %lld "
             "are asked for",
             run.name, (long long)newer, q->method, (long long)q->if_new_checkpoints);
    return newer >= q->if_new_checkpoints;
}

/* 1: it can be planned; 0: reason says why nothing is to be done. */
static int read_submission(struct api *a, struct request *rq, struct submission *s, char *reason,
                           size_t size, struct sewa_error *err)
{
    AUTOJSON json_t *body = NULL;
    int rc = request_query_bool(rq, "dry_run", false, &s->dry_run, err);

    if (rc == 0)
        rc = request_json(rq, false, &body, err);
    if (rc == 0)
        rc = job_request_parse(body, &s->request, err);
    if (rc < 0)
        return rc;
    return s->dry_run ? 1 : enough_new(a, s->request, reason, size, err);
}

void api_jobs_create(struct api *a, struct request *rq)
{
    struct submission *s = submission_begin(a, rq, 201);
    struct sewa_error err;
    char reason[200];

    if (!s)
        return;
    int rc = read_submission(a, rq, s, reason, sizeof reason, &err);
    if (rc < 0) {
        api_write_refuse(s->write, &err);
    } else if (rc > 0) {
        submission_submit(s);
    } else {
        reply_json(rq, 200, json_pack("{s:b, s:s}", "submitted", 0, "reason", reason));
        api_write_drop(s->write); /* nothing was changed: there is nothing to remember */
    }
}

static int read_retry(struct api *a, struct request *rq, struct submission *s,
                      struct sewa_error *err)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    int rc = request_no_fields(rq, err);

    if (rc == 0)
        rc = find_job(a, rq, &row, err);
    if (rc < 0)
        return rc;
    if (!job_state_is_final((enum job_state)job_state_from_name(row.state)))
        return sewa_fail(err, SEWA_E_CONFLICT,
                         "job '%s' is %s: it can be retried when it is finished", row.uid,
                         row.state);
    memcpy(s->retry_of, row.uid, sizeof s->retry_of);
    AUTOJSON json_t *stored = json_parse(row.request, strlen(row.request), err);
    if (!stored)
        return err->code;
    return job_request_parse_stored(stored, &s->request, err);
}

void api_jobs_retry(struct api *a, struct request *rq)
{
    struct submission *s = submission_begin(a, rq, 201);
    struct sewa_error err;

    if (!s)
        return;
    if (read_retry(a, rq, s, &err) < 0)
        api_write_refuse(s->write, &err);
    else
        submission_submit(s);
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
    rc = jobs_write_cancel(db, &row, w->now_ms, err);
    return rc < 0 ? rc
                  : api_write_body(
                        w, 202, json_pack("{s:s, s:s}", "id", row.uid, "state", "cancelling"), err);
}

static void cancel(struct api_write *w)
{
    struct target *t = w->arg;

    jobs_cancel(w->api->o.jobs, t->uid);
}

static struct api_write *begin_on_target(struct api *a, struct request *rq)
{
    struct target *t = calloc(1, sizeof *t);
    struct api_write *w = api_write_new(a, rq, t, free);

    if (w)
        snprintf(t->uid, sizeof t->uid, "%s", rq->parameters[0]);
    return w;
}

void api_jobs_cancel(struct api *a, struct request *rq)
{
    struct api_write *w = begin_on_target(a, rq);
    struct sewa_error err;

    if (!w)
        return;
    if (request_no_fields(rq, &err) < 0) {
        api_write_refuse(w, &err);
        return;
    }
    w->apply = apply_cancel;
    w->committed = cancel;
    api_write_submit(w);
}

static int apply_delete(struct api_write *w, struct db *db, struct sewa_error *err)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    char etag[JOB_ETAG_SIZE];
    bool is_final;
    int rc = find_target(w, db, &row, &is_final, err);

    if (rc < 0)
        return rc;
    if (!is_final)
        return sewa_fail(err, SEWA_E_CONFLICT, "job '%s' is %s: cancel it first", row.uid,
                         row.state);
    job_etag(&row, etag);
    rc = api_write_match(w, etag, err);
    if (rc == 0)
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

    if (list_is_full(&l->list))
        return 0;
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
            return run_unknown(store_reader(a->o.store), run, SEWA_E_UNKNOWN_NAME, "", err);
        f->run_id = row.id;
    }
    int rc = query_label(rq, label, &f->label_value, err);
    f->label_key = *label;
    return rc;
}

void api_jobs_list(struct api *a, struct request *rq)
{
    struct listing l = { .api = a, .now_ms = clock_now_ms() };
    struct job_filter filter = { 0 };
    struct page_key after = { 0 };
    struct sewa_error err;
    AUTOFREE char *label = NULL;
    bool has_after;

    int rc = read_filter(a, rq, &filter, &label, &err);
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
