/*
 * api_service - is it alive, is it ready, which version, what does it count, how is it called.
 */
#include <string.h>

#include "http/api_body.h"
#include "metrics/metrics.h"
#include "sewa/protocol.h"
#include "sewa/version.h"

extern const unsigned char openapi_json[];
extern const size_t openapi_json_size;

void api_healthz(struct api *a, struct request *rq)
{
    (void)a;
    reply_json(rq, 200, json_pack("{s:s}", "status", "ok"));
}

/* Ready: the database answers, and every configured directory was looked at once. */
void api_readyz(struct api *a, struct request *rq)
{
    const char *reason = NULL;

    if (a->draining)
        reason = "the service is stopping";
    else if (!ingest_is_ready(a->o.ingest))
        reason = "the first scan is not done yet";
    if (reason)
        reply_fail(rq, SEWA_E_UNAVAILABLE, "%s", reason);
    else
        reply_json(rq, 200, json_pack("{s:s}", "status", "ready"));
}

void api_version(struct api *a, struct request *rq)
{
    (void)a;
    reply_json(rq, 200,
               json_pack("{s:s, s:s, s:s, s:i, s:i}", "name", "sewad", "version", SEWA_VERSION,
                         "api", "v1", "worker_protocol", WORKER_PROTOCOL, "evaluator_protocol",
                         EVALUATOR_PROTOCOL));
}

static const struct {
    const char *state;
    int label;
} job_labels[] = {
    { "queued", METRIC_JOB_STATE_QUEUED },         { "starting", METRIC_JOB_STATE_STARTING },
    { "running", METRIC_JOB_STATE_RUNNING },       { "publishing", METRIC_JOB_STATE_PUBLISHING },
    { "cancelling", METRIC_JOB_STATE_CANCELLING },
};

static int set_job_gauge(const char *state, int64_t count, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(job_labels); i++)
        if (strcmp(job_labels[i].state, state) == 0)
            metric_set_at(METRIC_JOBS, job_labels[i].label, 0, count);
    return 0;
}

static int measure_index(struct api *a, struct sewa_error *err)
{
    struct db *db = store_reader(a->o.store);
    int64_t counts[CHECKPOINT_STATE_COUNT];

    for (size_t i = 0; i < COUNT_OF(job_labels); i++)
        metric_set_at(METRIC_JOBS, job_labels[i].label, 0, 0);
    int rc = job_count(db, set_job_gauge, NULL, err);
    if (rc >= 0)
        rc = checkpoint_count_all(db, counts, err);
    if (rc < 0)
        return rc;
    metric_set_at(METRIC_CHECKPOINTS, METRIC_CHECKPOINT_STATE_INCOMPLETE, 0,
                  counts[CHECKPOINT_INCOMPLETE]);
    metric_set_at(METRIC_CHECKPOINTS, METRIC_CHECKPOINT_STATE_COMPLETE, 0,
                  counts[CHECKPOINT_COMPLETE]);
    metric_set_at(METRIC_CHECKPOINTS, METRIC_CHECKPOINT_STATE_CHANGED, 0,
                  counts[CHECKPOINT_CHANGED]);
    metric_set_at(METRIC_CHECKPOINTS, METRIC_CHECKPOINT_STATE_GONE, 0, counts[CHECKPOINT_GONE]);
    metric_set(METRIC_WORKERS, jobs_worker_count(a->o.jobs));
    return 0;
}

void api_metrics(struct api *a, struct request *rq)
{
    struct buf b = { 0 };
    struct sewa_error err;

    if (measure_index(a, &err) < 0) {
        reply_error(rq, &err);
        return;
    }
    metrics_render(&b);
    size_t n = b.len;
    char *text = buf_take(&b);
    if (text)
        reply_bytes(rq, 200, METRICS_CONTENT_TYPE, text, n);
    else
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the metrics");
}

void api_openapi(struct api *a, struct request *rq)
{
    (void)a;
    reply_header(rq, "Content-Type", "application/json");
    reply_response(rq, 200,
                   MHD_create_response_from_buffer(openapi_json_size, (void *)openapi_json,
                                                   MHD_RESPMEM_PERSISTENT));
}
