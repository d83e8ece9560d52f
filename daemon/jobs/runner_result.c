/*
 * runner_result - what a job says when it is done: "result" in the API, manifest.json, and the
 * short facts in the header of the average.
 */
#include "jobs/runner_body.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/path.h"
#include "jobs/verdict.h"
#include "sewa/version.h"

enum { EXAMPLES_LEAST = 200 }; /* measured: with fewer, selecting is a lottery */

static const struct method_outcome *outcome_of(const struct runner *r)
{
    return r->method ? method_outcome(r->method) : NULL;
}

/* ---- pieces ---- */

static json_t *loss_json(const struct verdict_point *p)
{
    return json_pack("{s:o, s:o}", "selection",
                     p->selection.there ? json_number_or_null(p->selection.loss) : json_null(),
                     "report", p->report.there ? json_number_or_null(p->report.loss) : json_null());
}

static json_t *split_metrics(const struct split_numbers *s)
{
    return s->there ? json_deep_copy(s->metrics) : json_object();
}

static json_t *metrics_json(const struct verdict_point *p)
{
    return json_pack("{s:o, s:o}", "selection", split_metrics(&p->selection), "report",
                     split_metrics(&p->report));
}

static const char *buffers_name(const struct runner *r)
{
    return runner_publishes_recalibrated(r) ? "recalibrated" : "averaged";
}

/* Ours with the averaged buffers, beside those that were recalibrated; null when nobody could. */
static json_t *averaged_json(const struct runner *r)
{
    const struct verdict_point *p = &r->verdict[0];

    if (!r->recalibrated.selection.there)
        return json_null();
    return json_pack("{s:o, s:o}", "loss", loss_json(p), "metrics", metrics_json(p));
}

static json_t *recalibrated_json(const struct runner *r)
{
    const struct verdict_point *p = &r->recalibrated;

    if (!p->selection.there)
        return json_null();
    return json_pack("{s:o, s:o, s:I}", "loss", loss_json(p), "metrics", metrics_json(p), "tensors",
                     (json_int_t)r->recalibrated_tensors);
}

/* The numbers of ours, as it is published and otherwise. */
static int put_numbers(json_t *o, const struct runner *r)
{
    const struct verdict_point *p = runner_published(r);
    int rc = json_put(o, "loss", loss_json(p));

    rc |= json_put(o, "metrics", metrics_json(p));
    rc |= json_put(o, "buffers", json_string(buffers_name(r)));
    rc |= json_put(o, "averaged", averaged_json(r));
    rc |= json_put(o, "recalibrated", recalibrated_json(r));
    return rc;
}

static json_t *baselines_json(const struct runner *r)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 1; list && i < r->verdict_count; i++) {
        const struct verdict_point *p = &r->verdict[i];
        json_t *one = json_pack("{s:s, s:o, s:o, s:I}", "method", p->name, "loss", loss_json(p),
                                "metrics", metrics_json(p), "checkpoints", (json_int_t)p->count);
        if (!one || json_array_append_new(list, one) < 0)
            return NULL;
    }
    return TAKE(list);
}

static json_t *selected_json(const struct runner *r, const struct method_outcome *o)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < o->count; i++) {
        size_t j = o->selected[i];
        const struct job_candidate *c = &r->plan->candidates[j];
        json_t *one = json_pack("{s:s, s:o, s:f, s:o}", "checkpoint", c->uid, "step",
                                c->has_step ? json_integer(c->step) : json_null(), "weight",
                                o->alpha[j], "probability",
                                o->probability ? json_real(o->probability[j]) : json_null());
        if (!one || json_array_append_new(list, one) < 0)
            return NULL;
    }
    return TAKE(list);
}

static json_t *cost_json(const struct runner *r, double seconds)
{
    return json_pack("{s:I, s:I, s:f, s:f, s:I}", "evaluations", (json_int_t)r->cost.evaluations,
                     "gradients", (json_int_t)r->cost.gradients, "seconds", seconds,
                     "evaluator_seconds", r->cost.evaluator_seconds, "bytes_read",
                     (json_int_t)r->cost.bytes_read);
}

static enum verdict judge(const struct runner *r, char *detail, size_t size)
{
    struct verdict_loss losses[RUNNER_POINTS_MAX];

    if (!r->request->evaluator) {
        snprintf(detail, size, "the job has no evaluator");
        return VERDICT_NOT_EVALUATED;
    }
    for (size_t i = 1; i < r->verdict_count; i++)
        losses[i - 1] =
            (struct verdict_loss){ .name = r->verdict[i].name,
                                   .loss = r->verdict[i].report.loss,
                                   .has_paired = r->verdict[i].report.has_paired,
                                   .standard_error = r->verdict[i].report.standard_error };
    return verdict_judge(r->has_report, runner_published(r)->report.loss, losses,
                         r->verdict_count - 1, detail, size);
}

/* Two splits with different data give one loss by chance at most once, not for every average. */
static bool has_one_loss_for_both(const struct runner *r)
{
    for (size_t i = 0; i < r->verdict_count; i++) {
        const struct verdict_point *p = &r->verdict[i];
        if (!p->selection.there || !p->report.there || p->selection.loss != p->report.loss)
            return false;
    }
    return r->verdict_count > 0;
}

static json_t *notes_json(const struct runner *r, const struct method_outcome *o)
{
    AUTOJSON json_t *notes = json_deep_copy(r->plan->warnings);
    char text[160];

    for (size_t i = 0; notes && o && i < o->note_count; i++)
        if (json_array_append_new(notes, json_string(o->notes[i])) < 0)
            return NULL;
    if (notes && runner_publishes_recalibrated(r) && r->verdict_count > 1 &&
        json_array_append_new(
            notes, json_string("the buffers of the average were recalibrated, those of the "
                               "baselines were not")) < 0)
        return NULL;
    const struct method_info *info = method_find(r->request->method);
    bool selects = info && info->needs != METHOD_NEEDS_NOTHING;
    if (notes && selects && r->selection_examples > 0 && r->selection_examples < EXAMPLES_LEAST) {
        snprintf(text, sizeof text,
                 "the selection split has %lld examples; with fewer than %d, which checkpoints are "
                 "chosen is largely chance",
                 (long long)r->selection_examples, EXAMPLES_LEAST);
        if (json_array_append_new(notes, json_string(text)) < 0)
            return NULL;
    }
    if (notes && r->has_report && has_one_loss_for_both(r) &&
        json_array_append_new(
            notes, json_string("the report split gave exactly the losses of the selection split: "
                               "if both hold the same data, the verdict was made on what the "
                               "choice was made on")) < 0)
        return NULL;
    return TAKE(notes);
}

/* ---- result ---- */

static json_t *check_json(const struct runner *r, double seconds)
{
    AUTOJSON json_t *o = json_deep_copy(r->check_result);
    int rc = o ? 0 : -1;

    rc |= json_put(o, "evaluator", json_string(r->request->evaluator));
    rc |= json_put(o, "traits", json_deep_copy(r->traits));
    if (rc < 0)
        return NULL;
    return json_pack("{s:O, s:I, s:o?}", "check", o, "candidates", (json_int_t)r->plan->k, "cost",
                     cost_json(r, seconds));
}

json_t *runner_result(const struct runner *r, double seconds)
{
    const struct method_outcome *o = outcome_of(r);
    char detail[256];

    if (r->check_result)
        return check_json(r, seconds);
    if (!o)
        return NULL;
    enum verdict v = judge(r, detail, sizeof detail);
    AUTOJSON json_t *result = json_object();
    int rc = result ? 0 : -1;
    rc |= json_put(result, "selected", selected_json(r, o));
    rc |= json_put(result, "candidates", json_integer((json_int_t)r->plan->k));
    rc |= json_put(result, "state", job_plan_state(r->plan));
    rc |= put_numbers(result, r);
    rc |= json_put(result, "baselines", baselines_json(r));
    rc |= json_put(result, "verdict", json_string(verdict_name(v)));
    rc |= json_put(result, "verdict_detail", json_string(detail));
    rc |= json_put(result, "notes", notes_json(r, o));
    rc |= json_put(result, "cost", cost_json(r, seconds));
    return rc < 0 ? NULL : TAKE(result);
}

/* ---- manifest ---- */

static json_t *path_json(const struct job_candidate *c)
{
    AUTOFREE char *path = path_join(c->root, c->file);
    AUTOFREE char *text = path ? path_to_text(path) : NULL;

    return text ? json_string(text) : NULL;
}

/* Of the bytes that this job has read. What the index remembers is of an earlier reading, and the
 * same size, time and header do not prove that the bytes are the same. */
static json_t *sha256_json(const struct runner *r, const struct job_candidate *c)
{
    const json_t *fresh = json_object_get(json_object_get(r->written, "digests"), c->uid);

    return json_is_string(fresh) ? json_deep_copy(fresh) : json_null();
}

static json_t *ingredient_json(const struct runner *r, const struct method_outcome *o, size_t j)
{
    const struct job_candidate *c = &r->plan->candidates[j];
    char hex[SHA256_HEX_SIZE];
    AUTOJSON json_t *one = json_object();
    int rc = one ? 0 : -1;

    rc |= json_put(one, "run", json_string(c->run));
    rc |= json_put(one, "checkpoint", json_string(c->uid));
    rc |= json_put(one, "step", c->has_step ? json_integer(c->step) : json_null());
    rc |= json_put(one, "path", path_json(c));
    rc |= json_put(one, "size", json_integer(c->size));
    rc |= json_put(one, "mtime_ns", json_integer(c->mtime_ns));
    rc |= json_put(one, "header_digest", json_string(hex_encode(c->header_digest, 32, hex)));
    rc |= json_put(one, "sha256", sha256_json(r, c));
    rc |= json_put(one, "weight", json_real(o->alpha[j]));
    rc |= json_put(one, "probability", o->probability ? json_real(o->probability[j]) : json_null());
    return rc < 0 ? NULL : TAKE(one);
}

static json_t *ingredients_json(const struct runner *r, const struct method_outcome *o)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < o->count; i++)
        if (json_array_append_new(list, ingredient_json(r, o, o->selected[i])) < 0)
            return NULL;
    return TAKE(list);
}

static json_t *recalibrated_names(const struct runner *r)
{
    json_t *names = json_object_get(r->written, "recalibrated_tensors");

    return runner_publishes_recalibrated(r) ? json_deep_copy(names) : json_array();
}

static json_t *evaluator_json(const struct runner *r, const char *digest)
{
    if (!r->request->evaluator)
        return json_null();
    return json_pack("{s:s, s:s}", "name", r->request->evaluator, "command_sha256", digest);
}

json_t *runner_manifest(const struct runner *r, const char *job_uid, const char *evaluator_digest,
                        const char *created_at)
{
    const struct method_outcome *o = outcome_of(r);
    char detail[256];
    AUTOJSON json_t *m = json_object();
    int rc = m && o ? 0 : -1;

    if (rc < 0)
        return NULL;
    enum verdict v = judge(r, detail, sizeof detail);
    rc |= json_put(m, "tool", json_pack("{s:s, s:s}", "name", "sewad", "version", SEWA_VERSION));
    rc |= json_put(m, "job", json_string(job_uid));
    rc |= json_put(m, "created_at", json_string(created_at));
    rc |= json_put(m, "run", json_string(r->plan->run_name));
    rc |= json_put(m, "method", json_string(r->request->method));
    rc |= json_put(m, "params", method_params(r->method));
    rc |= json_put(m, "request", job_request_json(r->request));
    rc |= json_put(m, "seed", json_integer((json_int_t)r->request->seed));
    rc |= json_put(m, "candidates", json_integer((json_int_t)r->plan->k));
    rc |= json_put(m, "state", job_plan_state(r->plan));
    rc |= json_put(m, "ingredients", ingredients_json(r, o));
    rc |= put_numbers(m, r);
    rc |= json_put(m, "recalibrated_tensors", recalibrated_names(r));
    rc |= json_put(m, "baselines", baselines_json(r));
    rc |= json_put(m, "verdict", json_string(verdict_name(v)));
    rc |= json_put(m, "verdict_detail", json_string(detail));
    rc |= json_put(m, "evaluator", evaluator_json(r, evaluator_digest));
    rc |= json_put(m, "artifacts", json_deep_copy(json_object_get(r->written, "files")));
    return rc < 0 ? NULL : TAKE(m);
}

/* ---- header of the average ---- */

static json_t *short_ingredients(const struct runner *r, const struct method_outcome *o)
{
    AUTOJSON json_t *list = json_array();
    char hex[SHA256_HEX_SIZE];

    for (size_t i = 0; list && i < o->count; i++) {
        const struct job_candidate *c = &r->plan->candidates[o->selected[i]];
        AUTOFREE char *file = path_to_text(c->file);
        json_t *one = json_pack("{s:o, s:s*, s:s, s:f}", "step",
                                c->has_step ? json_integer(c->step) : json_null(), "file", file,
                                "header_digest", hex_encode(c->header_digest, 32, hex), "weight",
                                o->alpha[o->selected[i]]);
        if (!one || json_array_append_new(list, one) < 0)
            return NULL;
    }
    return TAKE(list);
}

/* A member whose value is the text of a JSON value: the header holds strings only. */
static int put_text(json_t *o, const char *key, json_t *value)
{
    AUTOJSON json_t *owned = value;
    AUTOFREE char *text = owned ? json_canonical(owned) : NULL;

    return text ? json_put(o, key, json_string(text)) : -1;
}

json_t *runner_metadata(const struct runner *r)
{
    const struct method_outcome *o = outcome_of(r);
    char detail[256];
    AUTOJSON json_t *m = json_object();
    int rc = m && o ? 0 : -1;

    if (rc < 0)
        return NULL;
    enum verdict v = judge(r, detail, sizeof detail);
    rc |= json_put(m, "sewa.version", json_string(SEWA_VERSION));
    rc |= json_put(m, "sewa.run", json_string(r->plan->run_name));
    rc |= json_put(m, "sewa.method", json_string(r->request->method));
    rc |= put_text(m, "sewa.params", method_params(r->method));
    rc |= put_text(m, "sewa.seed", json_integer((json_int_t)r->request->seed));
    rc |= put_text(m, "sewa.candidates", json_integer((json_int_t)r->plan->k));
    rc |= put_text(m, "sewa.ingredients", short_ingredients(r, o));
    rc |= put_text(m, "sewa.loss", loss_json(runner_published(r)));
    if (runner_publishes_recalibrated(r))
        rc |= json_put(m, "sewa.buffers", json_string(buffers_name(r)));
    rc |= json_put(m, "sewa.verdict", json_string(verdict_name(v)));
    if (r->request->evaluator)
        rc |= json_put(m, "sewa.evaluator", json_string(r->request->evaluator));
    return rc < 0 ? NULL : TAKE(m);
}
