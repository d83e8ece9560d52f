/*
 * api_wait - show a job, at once or when it has changed.
 *
 * `wait=N` holds the request until the job is finished or N seconds are over; with If-None-Match it
 * is answered as soon as the job differs from that version, or with 304. Rendered jobs are kept
 * until they change: clients ask for the same one again and again.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "http/api_body.h"
#include "http/fields.h"
#include "jobs/state.h"

struct waiter {
    struct list link;
    struct api *api;
    struct request *rq;
    char uid[ID_TEXT_SIZE];
    char etag[JOB_ETAG_SIZE]; /* the version that the client has; "" when it waits for the end */
    int64_t deadline_ms;
};

/* ---- rendered jobs ---- */

static struct cached_job *cache_slot(struct api *a, const char *uid)
{
    /* the last characters of a ULID are random */
    size_t n = strlen(uid), h = 0;

    for (size_t i = n > 8 ? n - 8 : 0; i < n; i++)
        h = h * 33 + (unsigned char)uid[i];
    return &a->cache[h % JOB_CACHE_SIZE];
}

void job_cache_drop(struct api *a, const char *uid)
{
    struct cached_job *c = cache_slot(a, uid);

    if (c->response && strcmp(c->uid, uid) == 0) {
        MHD_destroy_response(c->response);
        c->response = NULL;
    }
}

void job_etag(const struct job_row *row, char ret[JOB_ETAG_SIZE])
{
    snprintf(ret, JOB_ETAG_SIZE, "\"v%lld\"", (long long)row->version);
}

static struct MHD_Response *render(struct api *a, const struct job_row *row, struct sewa_error *err)
{
    json_t *artifacts = view_artifacts(store_reader(a->o.store), row, err);
    AUTOJSON json_t *o = artifacts ? view_job(row, artifacts, clock_now_ms()) : NULL;
    char *text = o ? json_text_short(o) : NULL;
    struct MHD_Response *r =
        text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;
    char etag[JOB_ETAG_SIZE];

    if (!r) {
        free(text);
        sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the job");
        return NULL;
    }
    job_etag(row, etag);
    MHD_add_response_header(r, "Content-Type", "application/json");
    MHD_add_response_header(r, "ETag", etag);
    MHD_add_response_header(r, "Cache-Control", "no-cache");
    return r;
}

static void reply_job(struct api *a, struct request *rq, const struct job_row *row)
{
    struct cached_job *c = cache_slot(a, row->uid);
    struct sewa_error err;
    struct MHD_Response *r = render(a, row, &err);

    if (!r) {
        reply_error(rq, &err);
        return;
    }
    if (rq->suspended) { /* it is sent a little later: the cache may have dropped it by then */
        reply_response(rq, 200, r);
        return;
    }
    if (c->response)
        MHD_destroy_response(c->response);
    memcpy(c->uid, row->uid, sizeof c->uid);
    c->response = r;
    reply_shared(rq, 200, r);
}

/* ---- waiting ---- */

static void waiter_end(struct waiter *w)
{
    list_remove(&w->link);
    w->rq->on_cancel = NULL;
    w->rq->user = NULL;
    free(w);
}

/* True when the job is as the client wants to see it. */
static bool is_due(const struct waiter *w, const struct job_row *row)
{
    char etag[JOB_ETAG_SIZE];

    job_etag(row, etag);
    if (*w->etag)
        return strcmp(w->etag, etag) != 0;
    return job_state_is_final((enum job_state)job_state_from_name(row->state));
}

/* Answer a waiter, if it is due or its time is over. */
static void consider(struct waiter *w, bool over)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    struct api *a = w->api;
    struct request *rq = w->rq;
    struct sewa_error err;
    int rc = job_find(store_reader(a->o.store), w->uid, &row, &err);
    bool due = rc > 0 && is_due(w, &row);

    if (rc > 0 && !due && !over)
        return;
    char etag[JOB_ETAG_SIZE];
    memcpy(etag, w->etag, sizeof etag);
    waiter_end(w);
    if (rc == 0)
        sewa_fail(&err, SEWA_E_NOT_FOUND, "the job was deleted");
    if (rc <= 0)
        reply_error(rq, &err);
    else if (!due && *etag)
        reply_not_modified(rq, etag);
    else
        reply_job(a, rq, &row);
}

void waiters_changed(struct api *a, const char *uid)
{
    list_for_each_safe(node, &a->waiters) {
        struct waiter *w = list_entry(node, struct waiter, link);
        if (strcmp(w->uid, uid) == 0)
            consider(w, false);
    }
}

void waiters_tick(struct api *a, int64_t now_ms)
{
    list_for_each_safe(node, &a->waiters) {
        struct waiter *w = list_entry(node, struct waiter, link);
        if (now_ms >= w->deadline_ms)
            consider(w, true);
    }
}

static void on_cancel(struct request *rq)
{
    consider(rq->user, true);
}

static void wait_for(struct api *a, struct request *rq, const char *uid, const char *etag,
                     int64_t seconds)
{
    struct waiter *w = calloc(1, sizeof *w);

    if (!w) {
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory to wait");
        return;
    }
    w->api = a;
    w->rq = rq;
    w->deadline_ms = clock_monotonic_ms() + seconds * 1000;
    snprintf(w->uid, sizeof w->uid, "%s", uid);
    snprintf(w->etag, sizeof w->etag, "%s", etag);
    list_append(&a->waiters, &w->link);
    rq->user = w;
    rq->on_cancel = on_cancel;
    rq->waited = true;
    request_hold(rq);
}

/* ---- GET /jobs/{id} ---- */

static bool reply_cached(struct api *a, struct request *rq)
{
    struct cached_job *c = cache_slot(a, rq->parameters[0]);

    if (!c->response || strcmp(c->uid, rq->parameters[0]) != 0)
        return false;
    reply_shared(rq, 200, c->response);
    return true;
}

void api_jobs_show(struct api *a, struct request *rq)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    const char *none_match = request_header(rq, "if-none-match");
    struct sewa_error err;
    int64_t seconds = 0;
    char etag[JOB_ETAG_SIZE];

    if (rq->target.query_count == 0 && !none_match && reply_cached(a, rq))
        return;
    int rc = request_query_int(rq, "wait", 0, 60, 0, &seconds, &err);
    if (rc == 0)
        rc = find_job(a, rq, &row, &err);
    if (rc < 0) {
        reply_error(rq, &err);
        return;
    }
    job_etag(&row, etag);
    bool same = none_match && fields_name_etag(none_match, etag);
    bool final = job_state_is_final((enum job_state)job_state_from_name(row.state));
    bool wait = seconds > 0 && !a->draining && (none_match ? same : !final);
    if (wait && !(same && final))
        wait_for(a, rq, row.uid, none_match ? etag : "", seconds);
    else if (same)
        reply_not_modified(rq, etag);
    else
        reply_job(a, rq, &row);
}
