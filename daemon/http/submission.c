/*
 * submission - a new job from its request to its row: planned on the pool (the tables of its
 * candidates may say a million tensors each, and no other request waits for that), then inserted
 * and queued.
 */
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "http/api_body.h"

static void submission_free(void *arg)
{
    struct submission *s = arg;

    if (s->reserved)
        jobs_unreserve(s->reserved);
    job_request_free(s->request);
    job_plan_free(s->plan);
    job_row_clear(&s->row);
    json_decref(s->evaluator);
    free(s->artifact_directory);
    free(s);
}

/* ---- insert ---- */

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

struct submission *submission_begin(struct api *a, struct request *rq, unsigned status)
{
    struct submission *s = calloc(1, sizeof *s);
    struct api_write *w = api_write_new(a, rq, s, submission_free);

    if (!w)
        return NULL;
    s->status = status;
    s->write = w;
    w->apply = apply_insert;
    w->committed = queue_inserted;
    return s;
}

/* ---- plan ---- */

/* The configuration may change while the plan is made: what was asked for is held by us. */
static json_t *held_evaluator(const char *name, void *arg)
{
    const struct submission *s = arg;

    (void)name;
    return json_incref(s->evaluator);
}

static int hold_limits(struct api *a, struct submission *s, struct sewa_error *err)
{
    struct plan_limits *l = &s->limits;
    const char *name = s->request->evaluator;
    AUTOJSON json_t *evaluator = name ? l->evaluator(name, l->arg) : NULL;

    if (name && !evaluator)
        return evaluator_unknown(a, name, SEWA_E_UNKNOWN_NAME, "/evaluator", err);
    s->evaluator = evaluator ? json_deep_copy(evaluator) : NULL;
    s->artifact_directory = strdup(l->artifact_directory);
    if (!s->artifact_directory || (evaluator && !s->evaluator))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the plan of a job");
    l->artifact_directory = s->artifact_directory;
    l->evaluator = held_evaluator;
    l->arg = s;
    return 0;
}

static int begin(struct api *a, struct request *rq, struct api_read *r, struct sewa_error *err)
{
    struct submission *s = container_of(r, struct submission, planning);
    int rc = s->dry_run ? 0 : jobs_reserve(a->o.jobs, err);

    (void)rq;
    if (rc == 0 && !s->dry_run)
        s->reserved = a->o.jobs;
    jobs_limits(a->o.jobs, &s->limits);
    return rc < 0 ? rc : hold_limits(a, s, err);
}

static int make_plan(struct api_read *r, struct db *db, struct sewa_error *err)
{
    struct submission *s = container_of(r, struct submission, planning);

    failpoint("submission_plan");
    return job_plan_make(db, s->request, &s->limits, &s->plan, err);
}

static void reply_dry_run(const struct submission *s)
{
    reply_json(s->write->rq, 200,
               json_pack("{s:b, s:o, s:o}", "dry_run", 1, "request", job_request_json(s->request),
                         "plan", job_plan_show(s->plan)));
}

static void planned(struct api_read *r)
{
    struct submission *s = container_of(r, struct submission, planning);

    if (s->dry_run) {
        reply_dry_run(s);
        return; /* nothing was changed: there is nothing to remember */
    }
    s->is_submitted = true;
    api_write_submit(s->write);
}

/* The write owns the submission; it lives on where it was submitted. */
static void release(struct api_read *r)
{
    struct submission *s = container_of(r, struct submission, planning);

    if (!s->is_submitted)
        api_write_drop(s->write);
}

void submission_submit(struct submission *s)
{
    s->planning.begin = begin;
    s->planning.read = make_plan;
    s->planning.answer = planned;
    s->planning.release = release;
    api_read_submit(s->write->api, s->write->rq, &s->planning);
}
