/*
 * runner_state - save and load: a job that is killed at iteration 40 goes on at iteration 40.
 *
 * Answers of a batch that is not complete are not in it: their tasks are done again, with the same
 * numbers and the same work in them.
 */
#include "jobs/runner_body.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

static json_t *split_json(const struct split_numbers *s)
{
    if (!s->there)
        return json_null();
    return json_pack("{s:o, s:O, s:o, s:o, s:I}", "loss", json_number_or_null(s->loss), "metrics",
                     s->metrics, "difference",
                     s->has_paired ? json_real(s->difference) : json_null(), "standard_error",
                     s->has_paired ? json_real(s->standard_error) : json_null(), "examples",
                     (json_int_t)s->examples);
}

static json_t *verdict_json(const struct runner *r)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < r->verdict_count; i++) {
        const struct verdict_point *p = &r->verdict[i];
        json_t *one = json_pack("{s:s, s:o?, s:o?}", "name", p->name, "selection",
                                split_json(&p->selection), "report", split_json(&p->report));
        if (!one || json_array_append_new(list, one) < 0)
            return NULL;
    }
    return TAKE(list);
}

static json_t *recalibrated_json(const struct runner *r)
{
    if (!r->recalibrated.selection.there)
        return json_null();
    return json_pack("{s:I, s:o?, s:o?}", "tensors", (json_int_t)r->recalibrated_tensors,
                     "selection", split_json(&r->recalibrated.selection), "report",
                     split_json(&r->recalibrated.report));
}

static json_t *or_null(json_t *value)
{
    return value ? json_incref(value) : json_null();
}

json_t *runner_save(const struct runner *r)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "stage", json_string(runner_stage_name(r->stage)));
    rc |= json_put(o, "task_base", json_integer(r->task_base));
    rc |= json_put(o, "traits", or_null(r->traits));
    rc |= json_put(o, "method", r->method ? method_save(r->method) : json_null());
    rc |= json_put(o, "best", r->best ? method_save(r->best) : json_null());
    rc |= json_put(o, "verdict", verdict_json(r));
    rc |= json_put(o, "recalibrated", recalibrated_json(r));
    rc |= json_put(o, "check", or_null(r->check_result));
    rc |= json_put(o, "written", or_null(r->written));
    rc |= json_put(o, "cost",
                   json_pack("{s:I, s:I, s:f, s:f, s:I}", "evaluations",
                             (json_int_t)r->cost.evaluations, "gradients",
                             (json_int_t)r->cost.gradients, "seconds", r->cost.seconds,
                             "evaluator_seconds", r->cost.evaluator_seconds, "bytes_read",
                             (json_int_t)r->cost.bytes_read));
    return rc < 0 ? NULL : TAKE(o);
}

/* ---- load ---- */

static void load_split(struct json_reader *r, const char *name, struct split_numbers *s)
{
    const json_t *o = json_get_object(r, name);
    struct json_reader in;

    if (!o || r->rc < 0)
        return;
    json_reader_init(&in, o, "", r->err);
    s->there = true;
    s->loss = json_get_number(&in, "loss", -INFINITY, INFINITY, NAN);
    s->has_paired = json_has(&in, "standard_error");
    s->difference = json_get_number(&in, "difference", -INFINITY, INFINITY, NAN);
    s->standard_error = json_get_number(&in, "standard_error", -INFINITY, INFINITY, NAN);
    s->examples = json_get_int(&in, "examples", 0, INT64_MAX, 0);
    s->metrics = json_deep_copy(json_get_object(&in, "metrics"));
    r->rc = json_reader_end(&in);
}

/* The points themselves follow from the methods; only their numbers are stored. */
static int load_verdict(struct runner *r, enum runner_stage stage, const json_t *list,
                        struct sewa_error *err)
{
    struct json_reader in;

    if (json_array_size(list) == 0)
        return 0;
    if (stage <= RUNNER_BEST || !r->method)
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "the stored state has a verdict before its method has chosen");
    int rc = runner_make_verdict_points(r, err);
    if (rc == 0 && json_array_size(list) != r->verdict_count)
        rc = sewa_fail(err, SEWA_E_CORRUPT,
                       "the stored state has %zu points of the verdict, not %zu",
                       json_array_size(list), r->verdict_count);
    for (size_t i = 0; rc == 0 && i < r->verdict_count; i++) {
        json_reader_init(&in, json_array_get(list, i), "/verdict", err);
        json_need_string(&in, "name");
        load_split(&in, "selection", &r->verdict[i].selection);
        load_split(&in, "report", &r->verdict[i].report);
        rc = json_reader_end(&in);
    }
    return rc;
}

static void load_recalibrated(struct json_reader *r, struct runner *ret)
{
    const json_t *o = json_get_object(r, "recalibrated");
    struct json_reader in;

    if (!o || r->rc < 0)
        return;
    json_reader_init(&in, o, "/recalibrated", r->err);
    ret->recalibrated_tensors = json_need_int(&in, "tensors", 0, INT64_MAX);
    load_split(&in, "selection", &ret->recalibrated.selection);
    load_split(&in, "report", &ret->recalibrated.report);
    r->rc = json_reader_end(&in);
}

static void load_cost(struct json_reader *r, struct runner_cost *c)
{
    const json_t *o = json_get_object(r, "cost");
    struct json_reader in;

    if (!o || r->rc < 0)
        return;
    json_reader_init(&in, o, "/cost", r->err);
    c->evaluations = json_need_int(&in, "evaluations", 0, INT64_MAX);
    c->gradients = json_need_int(&in, "gradients", 0, INT64_MAX);
    c->seconds = json_get_number(&in, "seconds", 0, INFINITY, 0);
    c->evaluator_seconds = json_get_number(&in, "evaluator_seconds", 0, INFINITY, 0);
    c->bytes_read = json_need_int(&in, "bytes_read", 0, INT64_MAX);
    r->rc = json_reader_end(&in);
}

static int stage_of(const char *name)
{
    for (int s = 0; s < RUNNER_STAGE_COUNT; s++)
        if (strcmp(runner_stage_name((enum runner_stage)s), name) == 0)
            return s;
    return -1;
}

/*
 * The methods must have finished asking before their outcome can be used; asking them again gives
 * the points of the current batch, or nothing when they have chosen.
 */
static int settle_methods(struct runner *r, enum runner_stage stage, struct sewa_error *err)
{
    const struct method_point *points;
    size_t count;
    int rc = 0;

    if (stage > RUNNER_METHOD && r->method)
        rc = method_ask(r->method, &points, &count, err);
    if (rc == 0 && stage > RUNNER_BEST && r->best)
        rc = method_ask(r->best, &points, &count, err);
    return rc > 0 ? sewa_fail(err, SEWA_E_CORRUPT, "the stored state is ahead of its method") : rc;
}

static int load_methods(struct runner *r, struct json_reader *in, enum runner_stage stage,
                        struct sewa_error *err)
{
    const json_t *method = json_get_any(in, "method"), *best = json_get_any(in, "best");
    int rc = in->rc;

    if (rc == 0)
        rc = runner_make_method(r, err);
    if (rc == 0 && method && r->method)
        rc = method_load(r->method, method, err);
    if (rc == 0 && best && r->best)
        rc = method_load(r->best, best, err);
    return rc < 0 ? rc : settle_methods(r, stage, err);
}

static int misses(struct sewa_error *err, enum runner_stage stage, const char *what)
{
    return sewa_fail(err, SEWA_E_CORRUPT, "a job in stage '%s' has no %s", runner_stage_name(stage),
                     what);
}

/* The numbers that the stage before this one has brought. */
static int judge_verdict(const struct runner *r, enum runner_stage stage, struct sewa_error *err)
{
    bool evaluated = r->request->evaluator != NULL;

    if (r->verdict_count == 0)
        return misses(err, stage, "verdict");
    for (size_t i = 0; evaluated && i < r->verdict_count; i++)
        if (!r->verdict[i].selection.there || (r->has_report && !r->verdict[i].report.there))
            return misses(err, stage, "losses for its verdict");
    if (evaluated && runner_is_recalibrated(r) &&
        (!r->recalibrated.selection.there || (r->has_report && !r->recalibrated.report.there)))
        return misses(err, stage, "losses with recalibrated buffers");
    return 0;
}

/* Every later function relies on what its stage implies, so a state that lacks it is refused. */
static int judge_state(const struct runner *r, enum runner_stage stage, struct sewa_error *err)
{
    bool is_check = !r->method;

    if (r->request->evaluator && !r->traits)
        return misses(err, stage, "traits");
    if (stage == RUNNER_CHECK || (stage == RUNNER_FINISHED && is_check)) {
        if (!is_check)
            return misses(err, stage, "check to do");
        return stage == RUNNER_FINISHED && !r->check_result ? misses(err, stage, "report") : 0;
    }
    if (is_check)
        return misses(err, stage, "method");
    if (stage == RUNNER_BEST && !r->best)
        return misses(err, stage, "baseline 'best'");
    if (stage == RUNNER_FINISHED && !r->written)
        return misses(err, stage, "average");
    return stage >= RUNNER_AVERAGE ? judge_verdict(r, stage, err) : 0;
}

int runner_load(struct runner *r, const json_t *state, struct sewa_error *err)
{
    struct json_reader in;

    if (json_object_size(state) == 0)
        return 0;
    json_reader_init(&in, state, "", err);
    int found = stage_of(json_need_string(&in, "stage"));
    if (in.rc == 0 && found < 0)
        json_reader_fail(&in, SEWA_E_CORRUPT, "stage", "there is no such stage");
    enum runner_stage stage = found < 0 ? RUNNER_PREPARE : (enum runner_stage)found;
    r->task_base = json_need_int(&in, "task_base", 0, INT64_MAX);
    const json_t *traits = json_get_object(&in, "traits");
    load_cost(&in, &r->cost);
    load_recalibrated(&in, r);
    const json_t *written = json_get_object(&in, "written");
    const json_t *check = json_get_object(&in, "check");
    const json_t *verdict = json_get_array(&in, "verdict");
    r->written = written ? json_deep_copy(written) : NULL;
    r->check_result = check ? json_deep_copy(check) : NULL;
    int rc = in.rc;
    if (rc == 0 && traits)
        rc = runner_read_traits(r, traits, err);
    if (rc == 0 && stage != RUNNER_PREPARE)
        rc = load_methods(r, &in, stage, err);
    if (rc == 0)
        rc = load_verdict(r, stage, verdict, err);
    if (rc == 0 && stage != RUNNER_PREPARE)
        rc = judge_state(r, stage, err);
    if (rc == 0 && stage != RUNNER_PREPARE)
        rc = runner_enter(r, stage, err);
    return rc < 0 ? sewa_context(err, rc, "the stored state of a job") : 0;
}
