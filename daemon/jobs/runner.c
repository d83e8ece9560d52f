/*
 * runner - the stages of a job and what moves it from one to the next.
 */
#include "jobs/runner_body.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const stage_names[RUNNER_STAGE_COUNT] = {
    [RUNNER_PREPARE] = "prepare",   [RUNNER_METHOD] = "method",   [RUNNER_CHECK] = "check",
    [RUNNER_BEST] = "best",         [RUNNER_VERDICT] = "verdict", [RUNNER_AVERAGE] = "average",
    [RUNNER_FINISHED] = "finished",
};

const char *runner_stage_name(enum runner_stage s)
{
    return stage_names[s];
}

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the state of a job");
}

int runner_new(const struct job_request *request, const struct job_plan *plan, struct runner **ret,
               struct sewa_error *err)
{
    struct runner *r = calloc(1, sizeof *r);

    if (!r)
        return no_memory(err);
    r->request = request;
    r->plan = plan;
    *ret = r;
    return 0;
}

static void clear_batch(struct runner *r)
{
    free(r->task_done);
    free(r->answers);
    free(r->products);
    r->task_done = NULL;
    r->answers = NULL;
    r->products = NULL;
    r->points = NULL;
    r->point_count = 0;
}

void runner_free(struct runner *r)
{
    if (!r)
        return;
    clear_batch(r);
    method_free(r->method);
    method_free(r->best);
    for (size_t i = 0; i < r->verdict_count; i++) {
        free(r->verdict[i].alpha);
        json_decref(r->verdict[i].selection.metrics);
        json_decref(r->verdict[i].report.metrics);
    }
    json_decref(r->recalibrated.selection.metrics);
    json_decref(r->recalibrated.report.metrics);
    free(r->check_alphas);
    free(r->check_points);
    json_decref(r->check_result);
    json_decref(r->traits);
    json_decref(r->written);
    free(r);
}

enum runner_stage runner_stage(const struct runner *r)
{
    return r->stage;
}

int64_t runner_task_base(const struct runner *r)
{
    return r->task_base;
}

size_t runner_task_count(const struct runner *r)
{
    return r->task_count;
}

struct method *runner_current(const struct runner *r)
{
    return r->stage == RUNNER_METHOD ? r->method : r->stage == RUNNER_BEST ? r->best : NULL;
}

/* ---- the traits of the evaluator and the methods made for them ---- */

static int read_metrics(struct runner *r, const json_t *traits, struct sewa_error *err)
{
    const json_t *list = json_object_get(traits, "metrics");

    for (size_t i = 0; i < json_array_size(list) && r->metric_count < RUNNER_METRICS_MAX; i++) {
        const json_t *m = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(m, "name"));
        const char *direction = json_string_value(json_object_get(m, "direction"));
        if (!name || !direction)
            return sewa_fail(err, SEWA_E_PROTOCOL, "metric %zu of the traits has no name", i);
        r->metrics[r->metric_count++] =
            (struct method_metric){ .name = name,
                                    .larger_is_better = strcmp(direction, "max") == 0 };
    }
    return 0;
}

int runner_read_traits(struct runner *r, const json_t *traits, struct sewa_error *err)
{
    if (!json_is_object(traits))
        return sewa_fail(err, SEWA_E_PROTOCOL, "the worker's result: the traits are missing");
    json_decref(r->traits);
    r->traits = json_deep_copy(traits);
    if (!r->traits)
        return no_memory(err);
    r->has_gradient = json_is_true(json_object_get(r->traits, "gradient"));
    r->recalibrates = json_is_true(json_object_get(r->traits, "recalibrates"));
    const json_t *splits = json_object_get(r->traits, "splits");
    for (size_t i = 0; i < json_array_size(splits); i++) {
        const json_t *s = json_array_get(splits, i);
        const char *name = json_string_value(json_object_get(s, "name"));
        int64_t examples = json_integer_value(json_object_get(s, "examples"));
        if (name && strcmp(name, "selection") == 0)
            r->selection_examples = examples;
        if (name && strcmp(name, "report") == 0) {
            r->has_report = true;
            r->report_examples = examples;
        }
    }
    return read_metrics(r, r->traits, err);
}

static int make_one(struct runner *r, const char *name, size_t select, const json_t *params,
                    struct method **ret, struct sewa_error *err)
{
    struct method_evaluator evaluator = { .gradient = r->has_gradient,
                                          .metrics = r->metrics,
                                          .metric_count = r->metric_count };
    AUTOFREE int64_t *steps = calloc(r->plan->k, sizeof *steps);

    if (!steps)
        return no_memory(err);
    for (size_t i = 0; i < r->plan->k; i++)
        steps[i] = r->plan->candidates[i].step;
    struct method_setup setup = { .k = r->plan->k,
                                  .steps = steps,
                                  .select = select,
                                  .seed = r->request->seed,
                                  .params = params,
                                  .evaluator = r->traits ? &evaluator : NULL };
    return method_new(name, &setup, ret, err);
}

static bool wants_best(const struct runner *r)
{
    for (int i = 0; i < r->request->baseline_count; i++)
        if (strcmp(r->request->baselines[i], "best") == 0)
            return strcmp(r->request->method, "best") != 0;
    return false;
}

static bool is_check(const struct runner *r)
{
    return strcmp(r->request->method, "check") == 0;
}

int runner_make_method(struct runner *r, struct sewa_error *err)
{
    if (is_check(r))
        return 0;
    int rc = make_one(r, r->request->method, r->plan->select, r->request->params, &r->method, err);
    if (rc == 0 && wants_best(r))
        rc = make_one(r, "best", 1, NULL, &r->best, err);
    return rc;
}

int runner_prepared(struct runner *r, const json_t *traits, struct sewa_error *err)
{
    int rc = 0;

    if (r->request->evaluator)
        rc = runner_read_traits(r, traits, err);
    if (rc == 0)
        rc = runner_make_method(r, err);
    if (rc == 0)
        rc = runner_enter(r, is_check(r) ? RUNNER_CHECK : RUNNER_METHOD, err);
    return rc < 0 ? rc : 0;
}

const struct runner_cost *runner_cost(const struct runner *r)
{
    return &r->cost;
}

void runner_count_read(struct runner *r, int64_t bytes)
{
    r->cost.bytes_read += bytes > 0 ? bytes : 0;
}

void runner_spend(struct runner *r, double seconds)
{
    r->cost.seconds += seconds > 0 ? seconds : 0;
}

/* ---- batches ---- */

static int open_tasks(struct runner *r, size_t count, struct sewa_error *err)
{
    free(r->task_done);
    r->task_done = calloc(count ? count : 1, sizeof *r->task_done);
    r->task_count = count;
    return r->task_done ? 0 : no_memory(err);
}

/*
 * One lease is all points of an iteration, or a share of them when there are several workers: a
 * worker mixes all of its points in one pass over the checkpoints.
 */
int runner_open_batch(struct runner *r, const struct method_point *points, size_t count,
                      struct sewa_error *err)
{
    size_t workers = (size_t)r->request->workers;

    clear_batch(r);
    r->points = points;
    r->point_count = count;
    r->chunk = (count + workers - 1) / workers;
    if (r->chunk > RUNNER_CHUNK_MAX)
        r->chunk = RUNNER_CHUNK_MAX;
    r->answers = calloc(count, sizeof *r->answers);
    r->products = calloc(count * r->plan->k, sizeof *r->products);
    if (!r->answers || !r->products)
        return no_memory(err);
    return open_tasks(r, (count + r->chunk - 1) / r->chunk, err);
}

/* 1 when the method has points, 0 when it has chosen. */
static int ask(struct runner *r, struct method *m, struct sewa_error *err)
{
    const struct method_point *points;
    size_t count;
    int rc = method_ask(m, &points, &count, err);

    if (rc <= 0)
        return rc;
    rc = runner_open_batch(r, points, count, err);
    return rc < 0 ? rc : 1;
}

static int enter_check(struct runner *r, struct sewa_error *err)
{
    size_t k = r->plan->k;

    r->check_alphas = calloc(CHECK_EVALUATIONS * k, sizeof *r->check_alphas);
    r->check_points = calloc(CHECK_EVALUATIONS, sizeof *r->check_points);
    if (!r->check_alphas || !r->check_points)
        return no_memory(err);
    size_t n = check_points(k, r->check_alphas);
    for (size_t i = 0; i < n; i++)
        r->check_points[i] = (struct method_point){ .alpha = r->check_alphas + i * k,
                                                    .gradient = i == 0 && r->has_gradient,
                                                    .batch = -1 };
    return runner_open_batch(r, r->check_points, n, err);
}

/* Enter a stage; when it has nothing to do, the next one. 1: a batch is open; 0: finished. */
int runner_enter(struct runner *r, enum runner_stage stage, struct sewa_error *err)
{
    int rc;

    r->stage = stage;
    switch (stage) {
    case RUNNER_METHOD:
        rc = ask(r, r->method, err);
        if (rc != 0)
            return rc;
        return runner_enter(r, r->best ? RUNNER_BEST : RUNNER_VERDICT, err);
    case RUNNER_BEST:
        rc = ask(r, r->best, err);
        return rc != 0 ? rc : runner_enter(r, RUNNER_VERDICT, err);
    case RUNNER_VERDICT:
        rc = runner_make_verdict_points(r, err);
        if (rc < 0)
            return rc;
        if (!r->request->evaluator)
            return runner_enter(r, RUNNER_AVERAGE, err);
        clear_batch(r);
        rc = open_tasks(r, 1, err);
        return rc < 0 ? rc : 1;
    case RUNNER_AVERAGE:
        clear_batch(r);
        rc = open_tasks(r, 1, err);
        return rc < 0 ? rc : 1;
    case RUNNER_CHECK: rc = enter_check(r, err); return rc < 0 ? rc : 1;
    default:
        clear_batch(r);
        r->task_count = 0;
        return 0;
    }
}

/* ---- moving on ---- */

static int finish_check(struct runner *r, struct sewa_error *err)
{
    struct check_answers a = { .c = r->answers[0].c };

    for (size_t i = 0; i < r->point_count; i++) {
        a.loss[i] = r->answers[i].loss;
        a.seconds[i] = r->check_seconds[i];
    }
    r->check_result = check_report(r->plan->k, &a);
    if (!r->check_result)
        return no_memory(err);
    return runner_enter(r, RUNNER_FINISHED, err);
}

int runner_advance(struct runner *r, struct sewa_error *err)
{
    struct method *m = runner_current(r);
    int64_t done = (int64_t)r->task_count;
    struct method_trace trace;
    int rc = 0;

    r->traced = false;
    if (m) {
        rc = method_tell(m, r->answers, r->point_count, err);
        r->traced = rc == 0 && m == r->method && method_trace(m, &trace) == 1;
        if (rc == 0)
            rc = runner_enter(r, r->stage, err);
    } else if (r->stage == RUNNER_CHECK) {
        rc = finish_check(r, err);
    } else if (r->stage == RUNNER_VERDICT) {
        rc = runner_enter(r, RUNNER_AVERAGE, err);
    } else {
        rc = runner_enter(r, RUNNER_FINISHED, err);
    }
    r->task_base += done;
    return rc;
}

bool runner_trace(const struct runner *r, struct trace_row *ret)
{
    struct method_trace t;

    if (!r->traced || method_trace(r->method, &t) != 1)
        return false;
    *ret = (struct trace_row){ .iteration = t.iteration,
                               .loss = t.loss,
                               .temperature = t.temperature,
                               .learning_rate = t.learning_rate,
                               .dropped = (int64_t)t.dropped,
                               .probabilities = t.s,
                               .probability_count = t.k };
    return true;
}

void runner_progress(const struct runner *r, struct job_progress *ret)
{
    struct method_progress p = { 0 };

    if (r->method)
        method_progress(r->method, &p);
    ret->iteration = p.iteration;
    ret->iterations = p.iterations;
    ret->evaluations = r->cost.evaluations;
    ret->evaluations_total = r->plan->evaluations;
    if (r->method) {
        ret->evaluations_total = p.expected;
        if (r->best)
            ret->evaluations_total += (int64_t)r->plan->k;
        if (r->request->evaluator)
            ret->evaluations_total +=
                (1 + r->recalibrates +
                 job_baseline_count(r->request, r->plan->k, r->plan->select)) *
                (r->has_report ? 2 : 1);
    }
    if (r->stage == RUNNER_FINISHED || ret->evaluations_total < ret->evaluations)
        ret->evaluations_total = ret->evaluations;
}

const json_t *runner_written(const struct runner *r)
{
    return r->written;
}

/* ---- the points of the verdict ---- */

static int add_verdict_point(struct runner *r, const char *name, const double *alpha,
                             struct sewa_error *err)
{
    struct verdict_point *p = &r->verdict[r->verdict_count];
    size_t k = r->plan->k;

    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", name);
    p->alpha = malloc(k * sizeof *p->alpha);
    if (!p->alpha)
        return no_memory(err);
    memcpy(p->alpha, alpha, k * sizeof *p->alpha);
    for (size_t i = 0; i < k; i++)
        p->count += alpha[i] != 0;
    r->verdict_count++;
    return 0;
}

/* Baselines that ask for nothing give their outcome at once. */
static int add_baseline(struct runner *r, const char *name, struct sewa_error *err)
{
    AUTOPTR(method_free) struct method *own = NULL;
    struct method *m = strcmp(name, "best") == 0 ? r->best : NULL;
    int rc = 0;

    if (!m) {
        size_t lawa = job_lawa_select(r->plan->k, r->plan->select);
        size_t select = strcmp(name, "lawa") == 0 ? lawa : 0;
        rc = make_one(r, name, select, NULL, &own, err);
        m = own;
    }
    const struct method_point *points;
    size_t count;
    if (rc == 0)
        rc = method_ask(m, &points, &count, err);
    if (rc != 0)
        return rc < 0 ? rc : sewa_fail(err, SEWA_E_INTERNAL, "baseline '%s' is not ready", name);
    return add_verdict_point(r, name, method_outcome(m)->alpha, err);
}

int runner_make_verdict_points(struct runner *r, struct sewa_error *err)
{
    if (r->verdict_count)
        return 0;
    int rc = add_verdict_point(r, r->request->method, method_outcome(r->method)->alpha, err);
    for (int i = 0; rc == 0 && i < r->request->baseline_count; i++)
        if (job_baseline_counts(r->request, r->request->baselines[i], r->plan->k, r->plan->select))
            rc = add_baseline(r, r->request->baselines[i], err);
    return rc;
}

/* ---- batch norm ---- */

bool runner_is_recalibrated(const struct runner *r)
{
    return r->recalibrates && r->verdict_count > 0 && r->verdict[0].count > 1;
}

bool runner_publishes_recalibrated(const struct runner *r)
{
    const struct split_numbers *fresh = &r->recalibrated.selection;

    /* not <: an averaged loss that is no number is infinitely bad */
    return fresh->there && isfinite(fresh->loss) && !(r->verdict[0].selection.loss <= fresh->loss);
}

const struct verdict_point *runner_published(const struct runner *r)
{
    return runner_publishes_recalibrated(r) ? &r->recalibrated : &r->verdict[0];
}
