/*
 * views - rows as the API shows them. Pure: a row in, a JSON value out.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/path.h"
#include "http/api_body.h"
#include "jobs/left_out.h"

json_t *view_time(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    return ms ? json_string(clock_format(ms, text)) : json_null();
}

json_t *view_path(const char *bytes)
{
    AUTOFREE char *text = path_to_text(bytes);

    return text ? json_string(text) : NULL;
}

json_t *view_parsed(const char *text)
{
    return text ? json_parse(text, strlen(text), NULL) : json_null();
}

json_t *view_reason(const char *code, const char *detail)
{
    if (!code || !*code)
        return json_null();
    return json_pack("{s:s, s:s}", "code", code, "detail", detail);
}

static json_t *view_digest(bool there, const uint8_t digest[32])
{
    char hex[SHA256_HEX_SIZE];

    return there ? json_string(hex_encode(digest, 32, hex)) : json_null();
}

static json_t *view_full_path(const struct run_row *run, const char *file)
{
    AUTOFREE char *path = path_join(run->path, file);

    return path ? view_path(path) : NULL;
}

/* An object, or null when it is empty. */
static json_t *view_object_or_null(const char *text)
{
    json_t *value = view_parsed(text);

    if (!value || json_object_size(value) > 0)
        return value;
    json_decref(value);
    return json_null();
}

/* Why no average is made of it, before anybody asks for a job. */
static json_t *view_unfit(const struct layout_row *layout)
{
    char text[200];

    if (!layout || (!layout->unfit[0] && !layout->carried[0]))
        return json_null();
    if (layout->unfit[0])
        return view_reason("unsupported", layout->unfit);
    snprintf(text, sizeof text, "%s cannot be averaged by this version", layout->carried);
    return view_reason("unsupported", text);
}

json_t *view_checkpoint(const struct checkpoint_row *c, const struct run_row *run,
                        const struct layout_row *layout)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "id", json_string(c->uid));
    rc |= json_put(o, "run", json_string(run->name));
    rc |= json_put(o, "file", view_path(c->file));
    rc |= json_put(o, "path", view_full_path(run, c->file));
    rc |= json_put(o, "step", c->has_step ? json_integer(c->step) : json_null());
    rc |= json_put(o, "step_unit",
                   c->has_step ? json_string(step_unit_name(c->step_unit)) : json_null());
    rc |= json_put(o, "step_reason", *c->step_reason ? json_string(c->step_reason) : json_null());
    rc |= json_put(o, "state", json_string(checkpoint_state_name(c->state)));
    rc |= json_put(o, "reason", view_reason(c->reason_code, c->reason));
    rc |= json_put(o, "evidence", view_object_or_null(c->evidence));
    rc |= json_put(o, "format", *c->format ? json_string(c->format) : json_null());
    rc |= json_put(o, "size", json_integer(c->size));
    rc |= json_put(o, "mtime", view_time(c->mtime_ns / 1000000));
    rc |= json_put(o, "mtime_ns", json_integer(c->mtime_ns));
    rc |= json_put(o, "header_digest", view_digest(c->has_header_digest, c->header_digest));
    rc |= json_put(o, "sha256", view_digest(c->has_sha256, c->sha256));
    rc |= json_put(o, "tensors", layout ? json_integer(layout->tensor_count) : json_null());
    rc |= json_put(o, "parameters", layout ? json_integer(layout->float_elements) : json_null());
    rc |= json_put(o, "averaging_refused", view_unfit(layout));
    rc |= json_put(o, "labels", view_parsed(c->labels));
    rc |= json_put(o, "metrics", view_parsed(c->metrics));
    rc |= json_put(o, "pinned", json_boolean(c->pinned));
    rc |= json_put(o, "discovered_at", view_time(c->discovered_ms));
    rc |= json_put(o, "completed_at", view_time(c->completed_ms));
    rc |= json_put(o, "updated_at", view_time(c->updated_ms));
    return rc < 0 ? NULL : TAKE(o);
}

static json_t *view_counts(const int64_t counts[CHECKPOINT_STATE_COUNT])
{
    AUTOJSON json_t *o = json_object();

    for (int s = 0; o && s < CHECKPOINT_STATE_COUNT; s++)
        if (json_put(o, checkpoint_state_name((enum checkpoint_state)s), json_integer(counts[s])) <
            0)
            return NULL;
    return TAKE(o);
}

/* Complete checkpoints by what their steps count. */
static json_t *view_steps(const struct checkpoint_counts *counts)
{
    AUTOJSON json_t *o = json_object();
    AUTO(buf_clear) struct buf advice = { 0 };
    int rc = o ? 0 : -1;

    for (int u = 0; u < STEP_UNIT_COUNT; u++)
        rc |= json_put(o, step_unit_name((enum step_unit)u), json_integer(counts->units[u]));
    rc |= json_put(o, "none", json_integer(counts->without_step));
    left_out_axes(counts, &advice);
    rc |= json_put(o, "advice", advice.len > 0 ? json_string(buf_cstr(&advice)) : json_null());
    return rc < 0 || buf_failed(&advice) ? NULL : TAKE(o);
}

json_t *view_run(const struct run_row *run, const struct checkpoint_counts *counts)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "id", json_string(run->uid));
    rc |= json_put(o, "name", json_string(run->name));
    rc |= json_put(o, "origin", json_string(run_origin_name(run->origin)));
    rc |= json_put(o, "watched", json_boolean(run->watched));
    rc |= json_put(o, "path", view_path(run->path));
    rc |= json_put(o, "pattern", *run->pattern ? json_string(run->pattern) : json_null());
    rc |= json_put(o, "state_key", *run->state_key ? json_string(run->state_key) : json_null());
    rc |= json_put(o, "marker", *run->marker ? json_string(run->marker) : json_null());
    rc |= json_put(o, "settle_seconds", json_integer(run->settle_ms / 1000));
    rc |= json_put(o, "labels", view_parsed(run->labels));
    rc |= json_put(o, "checkpoints", view_counts(counts->states));
    rc |= json_put(o, "steps", view_steps(counts));
    rc |= json_put(o, "created_at", view_time(run->created_ms));
    rc |= json_put(o, "updated_at", view_time(run->updated_ms));
    return rc < 0 ? NULL : TAKE(o);
}

static json_t *view_progress(const struct job_row *job, int64_t now_ms)
{
    /* a clock that was set back gives no estimate */
    bool running = job->started_ms && !job->finished_ms && now_ms >= job->started_ms;
    double eta = NAN;

    if (job->finished_ms)
        eta = 0;
    else if (running && job->evaluations > 0)
        eta = (double)(now_ms - job->started_ms) / 1000 / (double)job->evaluations *
              (double)(job->evaluations_total - job->evaluations);
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "iteration", (json_int_t)job->iteration,
                     "iterations", (json_int_t)job->iterations, "evaluations",
                     (json_int_t)job->evaluations, "evaluations_total",
                     (json_int_t)job->evaluations_total, "eta_seconds", json_number_or_null(eta));
}

/* The job with everything that was asked for, defaults filled in. */
json_t *view_job(const struct job_row *job, json_t *artifacts, int64_t now_ms)
{
    AUTOJSON json_t *files = artifacts;
    AUTOJSON json_t *o = json_object();
    AUTOJSON json_t *request = view_parsed(job->request);
    int rc = o && request ? 0 : -1;

    rc |= json_put(o, "id", json_string(job->uid));
    rc |= json_put(o, "state", json_string(job->state));
    rc |= json_put(o, "reason", view_reason(job->reason_code, job->reason));
    if (rc == 0)
        rc = json_object_update(o, request);
    rc |= json_put(o, "run", json_string(job->run_name));
    rc |= json_put(o, "labels", view_parsed(job->labels));
    rc |= json_put(o, "retry_of", *job->retry_of ? json_string(job->retry_of) : json_null());
    rc |= json_put(o, "progress", view_progress(job, now_ms));
    rc |= json_put(o, "result", view_parsed(job->result));
    rc |= json_put(o, "artifacts", files ? json_incref(files) : json_array());
    rc |= json_put(o, "created_at", view_time(job->created_ms));
    rc |= json_put(o, "started_at", view_time(job->started_ms));
    rc |= json_put(o, "finished_at", view_time(job->finished_ms));
    return rc < 0 ? NULL : TAKE(o);
}

struct artifacts_of {
    const struct job_row *job;
    json_t *list;
};

static int add_artifact(const struct artifact_row *row, void *arg, struct sewa_error *err)
{
    struct artifacts_of *a = arg;
    char hex[SHA256_HEX_SIZE];
    AUTO(buf_clear) struct buf href = { 0 };

    buf_printf(&href, "/api/v1/jobs/%s/artifacts/%s", a->job->uid, row->name);
    json_t *one = json_pack("{s:s, s:I, s:s, s:s, s:s}", "name", row->name, "size",
                            (json_int_t)row->size, "sha256", hex_encode(row->sha256, 32, hex),
                            "media_type", row->media_type, "href", buf_cstr(&href));
    if (!one || json_array_append_new(a->list, one) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the artifacts");
    return 0;
}

json_t *view_artifacts(struct db *db, const struct job_row *job, struct sewa_error *err)
{
    struct artifacts_of a = { job, json_array() };

    if (!a.list) {
        sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the artifacts");
        return NULL;
    }
    if (artifact_list(db, job->id, add_artifact, &a, err) < 0) {
        json_decref(a.list);
        return NULL;
    }
    return a.list;
}
