/*
 * job_read - a job's JSON as struct sewa_job.
 */
#include "job_read.h"

#include <string.h>

#include "cleanup.h"

static const struct {
    const char *name;
    bool is_final;
} states[] = {
    [SEWA_JOB_UNKNOWN] = { "", false },
    [SEWA_JOB_QUEUED] = { "queued", false },
    [SEWA_JOB_STARTING] = { "starting", false },
    [SEWA_JOB_RUNNING] = { "running", false },
    [SEWA_JOB_PUBLISHING] = { "publishing", false },
    [SEWA_JOB_CANCELLING] = { "cancelling", false },
    [SEWA_JOB_SUCCEEDED] = { "succeeded", true },
    [SEWA_JOB_FAILED] = { "failed", true },
    [SEWA_JOB_CANCELLED] = { "cancelled", true },
};

bool sewa_job_state_is_final(enum sewa_job_state s)
{
    return (size_t)s < COUNT_OF(states) && states[s].is_final;
}

enum sewa_job_state sewa_job_state_from_name(const char *name)
{
    for (size_t i = 1; i < COUNT_OF(states); i++)
        if (strcmp(states[i].name, name) == 0)
            return (enum sewa_job_state)i;
    return SEWA_JOB_UNKNOWN;
}

/* ---- pieces ---- */

static struct sewa_split read_split(const json_t *o)
{
    return (struct sewa_split){ sewa_get_number(o, "selection"), sewa_get_number(o, "report") };
}

/* {"selection": {"accuracy": ...}, "report": {...}}: the names of both, each once. */
static int read_metrics(struct sewa_document *d, const json_t *o,
                        const struct sewa_split_metric **ret, size_t *ret_count,
                        struct sewa_error *err)
{
    json_t *selection = json_object_get(o, "selection"), *report = json_object_get(o, "report");
    size_t n = 0, most = json_object_size(selection) + json_object_size(report);
    struct sewa_split_metric *metrics = sewa_document_alloc(d, most, sizeof *metrics);
    const char *name;
    json_t *value;

    if (!metrics)
        return sewa_no_memory(err);
    json_object_foreach(selection, name, value)
    {
        metrics[n++] = (struct sewa_split_metric){
            name, { sewa_get_number(selection, name), sewa_get_number(report, name) }
        };
    }
    json_object_foreach(report, name, value)
    {
        if (!json_object_get(selection, name))
            metrics[n++] = (struct sewa_split_metric){
                name, { sewa_get_number(selection, name), sewa_get_number(report, name) }
            };
    }
    *ret = metrics;
    *ret_count = n;
    return 0;
}

static int read_selected(struct sewa_document *d, const json_t *array, struct sewa_job *job,
                         struct sewa_error *err)
{
    size_t n = json_array_size(array);
    struct sewa_selected *list = sewa_document_alloc(d, n, sizeof *list);

    if (!list)
        return sewa_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(array, i);
        list[i] = (struct sewa_selected){ sewa_get_text(o, "checkpoint"),
                                          sewa_get_integer(o, "step", -1),
                                          sewa_get_number(o, "weight"),
                                          sewa_get_number(o, "probability") };
    }
    job->selected = list;
    job->selected_count = n;
    return 0;
}

static int read_baselines(struct sewa_document *d, const json_t *array, struct sewa_job *job,
                          struct sewa_error *err)
{
    size_t n = json_array_size(array);
    struct sewa_baseline *list = sewa_document_alloc(d, n, sizeof *list);
    int rc = list ? 0 : sewa_no_memory(err);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const json_t *o = json_array_get(array, i);
        struct sewa_baseline *b = &list[i];
        b->checkpoints = sewa_get_integer(o, "checkpoints", 0);
        b->loss = read_split(json_object_get(o, "loss"));
        rc = sewa_need_text(o, "method", &b->method, err);
        if (rc == 0)
            rc = read_metrics(d, json_object_get(o, "metrics"), &b->metrics, &b->metric_count, err);
    }
    job->baselines = list;
    job->baseline_count = n;
    return rc;
}

static struct sewa_cost read_cost(const json_t *o)
{
    return (struct sewa_cost){ sewa_get_integer(o, "evaluations", 0),
                               sewa_get_integer(o, "gradients", 0), sewa_get_number(o, "seconds"),
                               sewa_get_number(o, "evaluator_seconds"),
                               sewa_get_integer(o, "bytes_read", 0) };
}

static struct sewa_progress read_progress(const json_t *o)
{
    return (struct sewa_progress){ sewa_get_integer(o, "iteration", 0),
                                   sewa_get_integer(o, "iterations", 0),
                                   sewa_get_integer(o, "evaluations", 0),
                                   sewa_get_integer(o, "evaluations_total", 0),
                                   sewa_get_number(o, "eta_seconds") };
}

/* ---- the check of an evaluator ---- */

static int read_traits(struct sewa_document *d, const json_t *o, struct sewa_check *k,
                       struct sewa_error *err)
{
    const json_t *splits = json_object_get(o, "splits"), *metrics = json_object_get(o, "metrics");
    struct sewa_check_split *s = sewa_document_alloc(d, json_array_size(splits), sizeof *s);
    struct sewa_check_metric *m = sewa_document_alloc(d, json_array_size(metrics), sizeof *m);

    if (!s || !m)
        return sewa_no_memory(err);
    for (size_t i = 0; i < json_array_size(splits); i++) {
        const json_t *one = json_array_get(splits, i);
        s[k->split_count++] = (struct sewa_check_split){ sewa_get_text(one, "name"),
                                                         sewa_get_integer(one, "examples", 0) };
    }
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *one = json_array_get(metrics, i);
        m[k->metric_count++] = (struct sewa_check_metric){ sewa_get_text(one, "name"),
                                                           sewa_get_text(one, "direction") };
    }
    k->splits = s;
    k->metrics = m;
    k->parameters = sewa_get_integer(o, "parameters", 0);
    k->buffers = sewa_get_integer(o, "buffers", 0);
    return 0;
}

static int read_check(struct sewa_document *d, const json_t *o, const struct sewa_check **ret,
                      struct sewa_error *err)
{
    struct sewa_check *k = sewa_document_alloc(d, 1, sizeof *k);
    const json_t *gradient = json_object_get(o, "gradient_check");

    if (!k)
        return sewa_no_memory(err);
    k->loss = sewa_get_number(o, "loss");
    k->seconds_first = sewa_get_number(o, "seconds_first");
    k->seconds_loss_only = sewa_get_number(o, "seconds_loss_only");
    k->has_gradient = json_is_object(gradient);
    k->analytic = sewa_get_number(gradient, "analytic");
    k->numeric = sewa_get_number(gradient, "numeric");
    k->relative_error = sewa_get_number(gradient, "relative_error");
    k->tolerance = sewa_get_number(gradient, "tolerance");
    k->is_gradient_right = sewa_get_bool(gradient, "ok");
    *ret = k;
    return read_traits(d, json_object_get(o, "traits"), k, err);
}

/* ---- the job ---- */

int sewa_artifacts_read(struct sewa_document *d, const json_t *array,
                        const struct sewa_artifact **ret, size_t *ret_count, struct sewa_error *err)
{
    size_t n = json_array_size(array);
    struct sewa_artifact *list = sewa_document_alloc(d, n, sizeof *list);
    int rc = list ? 0 : sewa_no_memory(err);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const json_t *o = json_array_get(array, i);
        list[i].size = sewa_get_integer(o, "size", -1);
        list[i].media_type = sewa_get_text(o, "media_type");
        rc = sewa_need_text(o, "name", &list[i].name, err);
        if (rc == 0)
            rc = sewa_need_text(o, "sha256", &list[i].sha256, err);
    }
    *ret = list;
    *ret_count = n;
    return rc;
}

static int read_result(struct sewa_document *d, const json_t *o, struct sewa_job *job,
                       struct sewa_error *err)
{
    const json_t *check = json_object_get(o, "check");

    job->has_result = json_is_object(o);
    job->candidates = sewa_get_integer(o, "candidates", 0);
    job->loss = read_split(json_object_get(o, "loss"));
    job->verdict = sewa_get_text(o, "verdict");
    job->verdict_detail = sewa_get_text(o, "verdict_detail");
    job->cost = read_cost(json_object_get(o, "cost"));
    int rc = read_selected(d, json_object_get(o, "selected"), job, err);
    if (rc == 0)
        rc = read_metrics(d, json_object_get(o, "metrics"), &job->metrics, &job->metric_count, err);
    if (rc == 0)
        rc = read_baselines(d, json_object_get(o, "baselines"), job, err);
    if (rc == 0)
        rc = sewa_get_texts(d, o, "notes", &job->notes, &job->note_count, err);
    if (rc == 0 && json_is_object(check))
        rc = read_check(d, check, &job->check, err);
    return rc;
}

int sewa_job_read(struct sewa_document *d, const json_t *o, const char *json, struct sewa_job *ret,
                  struct sewa_error *err)
{
    const json_t *reason = json_object_get(o, "reason");
    struct sewa_job job = {
        .json = json,
        .etag = d->etag,
        .reason_code = sewa_get_text(reason, "code"),
        .reason = sewa_get_text(reason, "detail"),
        .run = sewa_get_text(o, "run"),
        .method = sewa_get_text(o, "method"),
        .evaluator = sewa_get_text(o, "evaluator"),
        .retry_of = sewa_get_text(o, "retry_of"),
        .progress = read_progress(json_object_get(o, "progress")),
        .created_ms = sewa_get_time(o, "created_at"),
        .started_ms = sewa_get_time(o, "started_at"),
        .finished_ms = sewa_get_time(o, "finished_at"),
    };
    int rc = sewa_need_text(o, "id", &job.id, err);

    if (rc == 0)
        rc = sewa_need_text(o, "state", &job.state_name, err);
    if (rc == 0)
        rc = sewa_get_labels(d, o, "labels", &job.labels, &job.label_count, err);
    if (rc == 0)
        rc = read_result(d, json_object_get(o, "result"), &job, err);
    if (rc == 0)
        rc = sewa_artifacts_read(d, json_object_get(o, "artifacts"), &job.artifacts,
                                 &job.artifact_count, err);
    if (rc < 0)
        return rc;
    job.state = sewa_job_state_from_name(job.state_name);
    *ret = job;
    return 0;
}
