/*
 * runner_tasks - what a worker is told to do, and what it answers (proto/worker.md).
 *
 * An answer comes from a process that runs next to user code: it is read as if a stranger had sent
 * it.
 */
#include "jobs/runner_body.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "sewa/protocol.h"

static json_t *numbers(const double *values, size_t n)
{
    AUTOJSON json_t *a = json_array();

    for (size_t i = 0; a && i < n; i++)
        if (json_array_append_new(a, json_real(values[i])) < 0)
            return NULL;
    return TAKE(a);
}

/* A point of the verdict is evaluated on all splits. */
static json_t *point_json(const struct runner *r, const struct method_point *p, bool all_splits,
                          bool recalibrate)
{
    AUTOJSON json_t *splits = json_array();

    if (!splits || json_array_append_new(splits, json_string("selection")) < 0)
        return NULL;
    if (all_splits && r->has_report && json_array_append_new(splits, json_string("report")) < 0)
        return NULL;
    return json_pack("{s:o?, s:b, s:b, s:O, s:o}", "alpha", numbers(p->alpha, r->plan->k),
                     "gradient", p->gradient, "recalibrate", recalibrate, "splits", splits, "batch",
                     p->batch < 0 ? json_null() : json_integer(p->batch));
}

static json_t *evaluate_json(const struct runner *r, size_t i)
{
    AUTOJSON json_t *points = json_array();
    size_t first = i * r->chunk, end = first + r->chunk;

    if (end > r->point_count)
        end = r->point_count;
    for (size_t j = first; points && j < end; j++)
        if (json_array_append_new(points, point_json(r, &r->points[j], false, false)) < 0)
            return NULL;
    return json_pack("{s:s, s:b, s:b, s:O?}", "kind", "evaluate", "exact", 0, "paired", 0, "points",
                     points);
}

/* One worker evaluates all of them: only it can pair the examples. */
static json_t *verdict_json(const struct runner *r)
{
    AUTOJSON json_t *points = json_array();

    for (size_t j = 0; points && j < r->verdict_count; j++) {
        struct method_point p = { .alpha = r->verdict[j].alpha, .batch = -1 };
        bool recalibrate = j == 0 && runner_is_recalibrated(r);
        if (json_array_append_new(points, point_json(r, &p, true, recalibrate)) < 0)
            return NULL;
    }
    return json_pack("{s:s, s:b, s:b, s:O?}", "kind", "evaluate", "exact", 1, "paired", 1, "points",
                     points);
}

/* null: as the newest ingredient. */
static json_t *shard_bytes_json(const struct runner *r)
{
    int64_t bytes = r->request->max_shard_bytes;

    return bytes < 0 ? json_null() : json_integer(bytes);
}

json_t *runner_task(const struct runner *r, size_t i)
{
    switch (r->stage) {
    case RUNNER_METHOD:
    case RUNNER_BEST:
    case RUNNER_CHECK: return evaluate_json(r, i);
    case RUNNER_VERDICT: return verdict_json(r);
    case RUNNER_AVERAGE:
        return json_pack("{s:s, s:o, s:b, s:o, s:b, s:o}", "kind", "average", "alpha",
                         numbers(r->verdict[0].alpha, r->plan->k), "recalibrate",
                         runner_publishes_recalibrated(r), "metadata", runner_metadata(r),
                         "digests", r->request->digests, "max_shard_bytes", shard_bytes_json(r));
    default: return NULL;
    }
}

/* ---- answers ---- */

static int protocol(struct sewa_error *err, const char *what)
{
    return sewa_fail(err, SEWA_E_PROTOCOL, "the worker's result: %s", what);
}

/* null and missing mean "not finite": JSON has no other way. */
static double number_or_nan(const json_t *o, const char *name)
{
    const json_t *value = json_object_get(o, name);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void add_seconds(struct runner *r, const json_t *numbers)
{
    double seconds = number_or_nan(numbers, "seconds");

    if (isfinite(seconds) && seconds >= 0)
        r->cost.evaluator_seconds += seconds;
}

static void add_cost(struct runner *r, const json_t *split, bool gradient)
{
    r->cost.evaluations++;
    r->cost.gradients += gradient;
    add_seconds(r, split);
}

static const json_t *split_of(const json_t *point, const char *name)
{
    return json_object_get(json_object_get(point, "splits"), name);
}

/* k finite products into row; false when there are none (a loss that is not finite has none). */
static int read_products(const struct runner *r, const json_t *point, double *row, bool *ret_there,
                         struct sewa_error *err)
{
    const json_t *c = json_object_get(point, "c");

    *ret_there = false;
    if (!c || json_is_null(c))
        return 0;
    if (json_array_size(c) != r->plan->k)
        return protocol(err, "the number of products is not that of the candidates");
    for (size_t i = 0; i < r->plan->k; i++) {
        const json_t *value = json_array_get(c, i);
        row[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    *ret_there = true;
    return 0;
}

static int read_point(struct runner *r, size_t j, const json_t *point, struct sewa_error *err)
{
    struct method_answer *a = &r->answers[j];
    const json_t *split = split_of(point, "selection");
    double *row = r->products + j * r->plan->k;
    struct method *m = runner_current(r);
    bool there;

    if (!json_is_object(split))
        return protocol(err, "a point has no selection split");
    a->loss = number_or_nan(split, "loss");
    a->metric = NAN;
    if (m && method_metric(m))
        a->metric = number_or_nan(json_object_get(split, "metrics"), method_metric(m));
    int rc = read_products(r, point, row, &there, err);
    if (rc < 0)
        return rc;
    if (r->points[j].gradient && !there && isfinite(a->loss))
        return protocol(err, "a point has no products although its loss is finite");
    a->c = there ? row : NULL;
    if (r->stage == RUNNER_CHECK)
        r->check_seconds[j] = number_or_nan(split, "seconds");
    add_cost(r, split, r->points[j].gradient);
    return 0;
}

static int accept_points(struct runner *r, size_t i, const json_t *points, struct sewa_error *err)
{
    size_t first = i * r->chunk, end = first + r->chunk;

    if (end > r->point_count)
        end = r->point_count;
    if (json_array_size(points) != end - first)
        return protocol(err, "the number of points is not that of the task");
    /* judge all before anything counts */
    struct runner_cost cost = r->cost;
    for (size_t j = first; j < end; j++) {
        int rc = read_point(r, j, json_array_get(points, j - first), err);
        if (rc < 0) {
            r->cost = cost;
            return rc;
        }
    }
    return 0;
}

/* Which member has the differences to ours as it is published. */
static int read_split(struct split_numbers *s, const json_t *split, const char *member,
                      struct sewa_error *err)
{
    const json_t *paired = json_object_get(split, member);
    const json_t *metrics = json_object_get(split, "metrics");

    if (!json_is_object(split))
        return protocol(err, "a split of the verdict is missing");
    json_decref(s->metrics);
    s->metrics = json_is_object(metrics) ? json_deep_copy(metrics) : json_object();
    if (!s->metrics)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a result");
    s->there = true;
    s->loss = number_or_nan(split, "loss");
    s->examples = json_integer_value(json_object_get(split, "examples"));
    s->difference = number_or_nan(paired, "difference");
    s->standard_error = number_or_nan(paired, "standard_error");
    s->has_paired = isfinite(s->difference) && isfinite(s->standard_error);
    return 0;
}

static int read_verdict_point(struct runner *r, struct verdict_point *p, const json_t *point,
                              const char *member, struct sewa_error *err)
{
    int rc = read_split(&p->selection, split_of(point, "selection"), member, err);

    add_cost(r, split_of(point, "selection"), false);
    if (rc == 0 && r->has_report) {
        rc = read_split(&p->report, split_of(point, "report"), member, err);
        add_cost(r, split_of(point, "report"), false);
    }
    return rc;
}

static int read_recalibrated(struct runner *r, const json_t *point, struct sewa_error *err)
{
    const json_t *o = json_object_get(point, "recalibrated");
    const json_t *tensors = json_object_get(o, "tensors");

    if (!json_is_integer(tensors) || json_integer_value(tensors) < 0)
        return protocol(err, "the number of recalibrated tensors is missing");
    r->recalibrated_tensors = json_integer_value(tensors);
    add_seconds(r, o);
    return read_verdict_point(r, &r->recalibrated, o, "paired", err);
}

static int read_verdict(struct runner *r, const json_t *points, struct sewa_error *err)
{
    int rc = read_verdict_point(r, &r->verdict[0], json_array_get(points, 0), "paired", err);

    if (rc == 0 && runner_is_recalibrated(r))
        rc = read_recalibrated(r, json_array_get(points, 0), err);
    const char *member = runner_publishes_recalibrated(r) ? "paired_recalibrated" : "paired";
    for (size_t j = 1; rc == 0 && j < r->verdict_count; j++)
        rc = read_verdict_point(r, &r->verdict[j], json_array_get(points, j), member, err);
    return rc;
}

static int accept_verdict(struct runner *r, const json_t *points, struct sewa_error *err)
{
    struct runner_cost cost = r->cost;

    if (json_array_size(points) != r->verdict_count)
        return protocol(err, "the number of points is not that of the task");
    int rc = read_verdict(r, points, err);
    if (rc < 0)
        r->cost = cost;
    return rc;
}

/* As many as were measured: otherwise what is published is not what was judged. */
static int check_recalibrated(const struct runner *r, const json_t *names, struct sewa_error *err)
{
    size_t n = json_array_size(names);

    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(names, i)))
            return protocol(err, "the recalibrated tensors of the average are no names");
    if ((int64_t)n == r->recalibrated_tensors)
        return 0;
    return sewa_fail(err, SEWA_E_PROTOCOL,
                     "the worker's result: the average has %zu recalibrated tensors, %lld were "
                     "measured for the verdict",
                     n, (long long)r->recalibrated_tensors);
}

/* The worker does not choose what its files are called: file i of n has one name. */
static void name_of_file(size_t i, size_t n, char *ret, size_t size)
{
    if (n == 1)
        snprintf(ret, size, "%s", WORKER_ARTIFACT);
    else if (i == n - 1)
        snprintf(ret, size, "%s", WORKER_INDEX);
    else
        snprintf(ret, size, WORKER_SHARD, i + 1, n - 1);
}

static int check_files(const json_t *files, struct sewa_error *err)
{
    size_t n = json_array_size(files);
    uint8_t digest[32];
    char wanted[64];

    if (n == 0)
        return protocol(err, "the average has no files");
    for (size_t i = 0; i < n; i++) {
        const json_t *file = json_array_get(files, i), *size = json_object_get(file, "size");
        const char *name = json_string_value(json_object_get(file, "name"));
        const char *sha256 = json_string_value(json_object_get(file, "sha256"));
        name_of_file(i, n, wanted, sizeof wanted);
        if (!name || strcmp(name, wanted) != 0)
            return sewa_fail(err, SEWA_E_PROTOCOL,
                             "the worker's result: file %zu of %zu of the average is not '%s'",
                             i + 1, n, wanted);
        if (!json_is_integer(size) || json_integer_value(size) < 0 || !sha256 ||
            hex_decode(sha256, digest, 32) < 0)
            return protocol(err, "size or sha256 of a file of the average is missing");
    }
    return 0;
}

static int accept_average(struct runner *r, const json_t *result, struct sewa_error *err)
{
    int rc = check_files(json_object_get(result, "files"), err);

    if (rc < 0)
        return rc;
    if (runner_publishes_recalibrated(r)) {
        rc = check_recalibrated(r, json_object_get(result, "recalibrated_tensors"), err);
        if (rc < 0)
            return rc;
    }
    json_decref(r->written);
    r->written = json_deep_copy(result);
    return r->written ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a result");
}

int runner_accept(struct runner *r, size_t i, const json_t *result, struct sewa_error *err)
{
    const json_t *points = json_object_get(result, "points");
    int rc;

    if (i >= r->task_count || r->task_done[i])
        return sewa_fail(err, SEWA_E_LEASE_LOST, "task %zu of the batch is done", i);
    switch (r->stage) {
    case RUNNER_METHOD:
    case RUNNER_BEST:
    case RUNNER_CHECK: rc = accept_points(r, i, points, err); break;
    case RUNNER_VERDICT: rc = accept_verdict(r, points, err); break;
    default: rc = accept_average(r, result, err); break;
    }
    if (rc < 0)
        return rc;
    r->task_done[i] = true;
    runner_count_read(r, json_integer_value(json_object_get(result, "bytes_read")));
    return 0;
}
