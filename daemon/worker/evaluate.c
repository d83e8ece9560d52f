/*
 * evaluate - the points of one lease: averages in one pass, a loss for each, products in one pass.
 *
 * Points are done in groups of as many as there are banks. The results do not depend on the size of
 * a group: each average and each product is its own sum in its own order.
 */
#include "worker/workshop_body.h"

#include <math.h>
#include <string.h>

#include "base/activity.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "engine/dots.h"
#include "engine/mix.h"
#include "worker/paired.h"
#include "worker/recalibrate.h"

enum { SPLITS_MAX = 8, POINTS_MAX = 1024 };

/* A point that is recalibrated is evaluated twice. */
enum buffers { BUFFERS_AVERAGED, BUFFERS_RECALIBRATED, BUFFERS_COUNT };

/* What the differences to each are called in an answer. */
static const char *const paired_names[BUFFERS_COUNT] = { "paired", "paired_recalibrated" };

struct point {
    const json_t *splits; /* array of names */
    bool gradient, recalibrate;
    int64_t batch;        /* -1: the whole split */
    json_t *results;      /* object: split -> numbers; owned */
    double loss;          /* of the first split */
    double *c;            /* k products, or NULL; owned */
    json_t *recalibrated; /* the same numbers with recalibrated buffers, or NULL; owned */
};

/* Per-example losses of the first point, to pair the others with. */
struct reference {
    const char *split;
    enum buffers buffers;
    float *losses;
    int64_t n;
};

struct evaluation {
    struct workshop *w;
    size_t k, count;
    double *alpha; /* count x k */
    struct point *points;
    bool exact, paired;
    struct reference references[SPLITS_MAX * BUFFERS_COUNT];
    size_t reference_count;
};

static void evaluation_clear(struct evaluation *e)
{
    for (size_t i = 0; e->points && i < e->count; i++) {
        json_decref(e->points[i].results);
        json_decref(e->points[i].recalibrated);
        free(e->points[i].c);
    }
    for (size_t i = 0; i < e->reference_count; i++)
        free(e->references[i].losses);
    free(e->points);
    free(e->alpha);
}

/* ---- reading the task ---- */

static int read_point(struct evaluation *e, size_t i, const json_t *o, struct sewa_error *err)
{
    struct point *p = &e->points[i];
    struct json_reader r;

    json_reader_init(&r, o, "/points", err);
    p->splits = json_get_strings(&r, "splits", SPLITS_MAX);
    p->gradient = json_get_bool(&r, "gradient", false);
    p->recalibrate = json_get_bool(&r, "recalibrate", false);
    p->batch = json_get_int(&r, "batch", 0, INT64_MAX, -1);
    const json_t *alpha = json_get_array(&r, "alpha");
    int rc = json_reader_end_lenient(&r);
    if (rc == 0 && json_array_size(p->splits) == 0)
        rc = sewa_fail(err, SEWA_E_PROTOCOL, "a point names no split");
    if (rc == 0 && p->recalibrate && (p->gradient || !e->exact))
        rc = sewa_fail(err, SEWA_E_PROTOCOL,
                       "a point that is recalibrated must be exact and has no gradient");
    if (rc == 0)
        rc = workshop_alpha(e->w, alpha, e->alpha + i * e->k, err);
    if (rc == 0 && !(p->results = json_object()))
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a point");
    return rc;
}

static int read_task(struct evaluation *e, const json_t *task, struct sewa_error *err)
{
    const json_t *points = json_object_get(task, "points");

    e->count = json_array_size(points);
    e->exact = json_is_true(json_object_get(task, "exact"));
    e->paired = json_is_true(json_object_get(task, "paired"));
    if (e->count == 0 || e->count > POINTS_MAX)
        return sewa_fail(err, SEWA_E_PROTOCOL, "the task has %zu points", e->count);
    e->points = calloc(e->count, sizeof *e->points);
    e->alpha = calloc(e->count * e->k, sizeof *e->alpha);
    if (!e->points || !e->alpha)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu points", e->count);
    for (size_t i = 0; i < e->count; i++) {
        int rc = read_point(e, i, json_array_get(points, i), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- averages ---- */

static int mix_group(struct evaluation *e, size_t first, size_t n, struct sewa_error *err)
{
    struct workshop *w = e->w;
    void *banks[SPEC_BANKS_MAX];
    struct mix_request r = { .count = n,
                             .alpha = e->alpha + first * e->k,
                             .banks = banks,
                             .integers = w->spec->integers,
                             .cancel = w->cancel };
    struct exact_options exact = { .output = w->spec->output };

    activity_begin(ACTIVITY_MIX);
    for (size_t i = 0; i < n; i++)
        banks[i] = evaluator_bank(w->evaluator, (unsigned)i);
    return e->exact ? mix_exact(&w->engine, weights_source(w->weights), &r, &exact, err)
                    : mix(&w->engine, weights_source(w->weights), &r, err);
}

/* ---- losses ---- */

static json_t *metrics_json(const struct evaluator_traits *t, const struct evaluator_result *result)
{
    AUTOJSON json_t *o = json_object();

    for (size_t i = 0; o && i < t->metric_count; i++)
        if (isfinite(result->metrics[i]) &&
            json_put(o, t->metrics[i].name, json_real(result->metrics[i])) < 0)
            return NULL;
    return TAKE(o);
}

static struct reference *reference_of(struct evaluation *e, const char *split, enum buffers buffers)
{
    for (size_t i = 0; i < e->reference_count; i++)
        if (strcmp(e->references[i].split, split) == 0 && e->references[i].buffers == buffers)
            return &e->references[i];
    return NULL;
}

static int keep_reference(struct evaluation *e, const char *split, enum buffers buffers,
                          const struct evaluator_result *result, struct sewa_error *err)
{
    struct reference *r = &e->references[e->reference_count];
    size_t bytes = (size_t)result->examples * sizeof(float);

    if (!result->example_losses || e->reference_count == COUNT_OF(e->references))
        return 0;
    r->losses = malloc(bytes ? bytes : 1);
    if (!r->losses)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the losses of %lld examples",
                         (long long)result->examples);
    memcpy(r->losses, result->example_losses, bytes);
    r->split = split;
    r->buffers = buffers;
    r->n = result->examples;
    e->reference_count++;
    return 0;
}

/* How this point's losses differ from the first one's, example by example; null when they cannot be
 * paired. */
static json_t *paired_json(struct evaluation *e, const char *split, enum buffers buffers,
                           const struct evaluator_result *result)
{
    struct reference *r = reference_of(e, split, buffers);
    double mean, error;

    if (!r || !result->example_losses || result->examples != r->n)
        return json_null();
    paired_difference(r->losses, result->example_losses, r->n, &mean, &error);
    return json_pack("{s:o, s:o, s:I}", "difference", json_number_or_null(mean), "standard_error",
                     json_number_or_null(error), "examples", (json_int_t)r->n);
}

static json_t *numbers_json(struct evaluation *e, const char *split,
                            const struct evaluator_result *result)
{
    AUTOJSON json_t *o =
        json_pack("{s:o, s:o, s:I, s:f}", "loss", json_number_or_null(result->loss), "metrics",
                  metrics_json(evaluator_traits(e->w->evaluator), result), "examples",
                  (json_int_t)result->examples, "seconds", result->seconds);

    for (int b = 0; o && e->paired && b < BUFFERS_COUNT; b++) {
        bool asked = b == BUFFERS_AVERAGED || e->points[0].recalibrate;
        if (asked &&
            json_put(o, paired_names[b], paired_json(e, split, (enum buffers)b, result)) < 0)
            return NULL;
    }
    return TAKE(o);
}

/* Into the object of the point's results with these buffers. */
static int evaluate_split(struct evaluation *e, size_t i, unsigned bank, const char *split,
                          bool first, enum buffers buffers, struct sewa_error *err)
{
    struct point *p = &e->points[i];
    struct workshop *w = e->w;
    struct evaluator_request request = {
        .bank = bank, .split = split, .gradient = p->gradient && first, .batch = p->batch
    };
    struct evaluator_result result;

    activity_begin(ACTIVITY_EVALUATE);
    failpoint("worker_evaluate");
    int rc = evaluator_evaluate(w->evaluator, &request, &result, err);
    if (rc == 0 && e->paired && i == 0)
        rc = keep_reference(e, split, buffers, &result, err);
    if (rc < 0)
        return rc;
    if (first && buffers == BUFFERS_AVERAGED)
        p->loss = result.loss;
    json_t *into = buffers == BUFFERS_AVERAGED ? p->results
                                               : json_object_get(p->recalibrated, "splits");
    if (json_put(into, split, numbers_json(e, split, &result)) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a result");
    return 0;
}

static int evaluate_point(struct evaluation *e, size_t i, unsigned bank, enum buffers buffers,
                          struct sewa_error *err)
{
    const json_t *splits = e->points[i].splits;
    int rc = 0;

    for (size_t s = 0; rc == 0 && s < json_array_size(splits); s++)
        rc = evaluate_split(e, i, bank, json_string_value(json_array_get(splits, s)), s == 0,
                            buffers, err);
    return rc;
}

/* The evaluator sees its own new values as the file would hold them: rounded to its type. */
static int recalibrate_point(struct evaluation *e, size_t i, unsigned bank, struct sewa_error *err)
{
    struct point *p = &e->points[i];
    AUTO(recalibrated_clear) struct recalibrated fresh = { 0 };

    int rc = workshop_recalibrate(e->w, bank, &fresh, err);
    if (rc == 0)
        rc = workshop_mix_published(e->w, e->alpha + i * e->k, bank, fresh.values, err);
    if (rc < 0)
        return rc;
    p->recalibrated = json_pack("{s:I, s:f, s:{}}", "tensors", (json_int_t)fresh.count, "seconds",
                                fresh.seconds, "splits");
    if (!p->recalibrated)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a result");
    return evaluate_point(e, i, bank, BUFFERS_RECALIBRATED, err);
}

static int evaluate_group(struct evaluation *e, size_t first, size_t n, struct sewa_error *err)
{
    int rc = 0;

    for (size_t i = first; rc == 0 && i < first + n; i++) {
        unsigned bank = (unsigned)(i - first);
        rc = evaluate_point(e, i, bank, BUFFERS_AVERAGED, err);
        if (rc == 0 && e->points[i].recalibrate)
            rc = recalibrate_point(e, i, bank, err);
    }
    return rc;
}

/* ---- products ---- */

/* Those of the group that have a gradient worth multiplying: a loss that is not finite has none. */
static size_t with_gradient(const struct evaluation *e, size_t first, size_t n, size_t *which)
{
    size_t count = 0;

    for (size_t i = first; i < first + n; i++)
        if (e->points[i].gradient && isfinite(e->points[i].loss))
            which[count++] = i;
    return count;
}

static int dots_group(struct evaluation *e, size_t first, size_t n, struct sewa_error *err)
{
    struct workshop *w = e->w;
    size_t which[SPEC_BANKS_MAX];
    const void *gradients[SPEC_BANKS_MAX];
    size_t count = with_gradient(e, first, n, which);

    if (count == 0)
        return 0;
    AUTOFREE double *alpha = calloc(count * e->k, sizeof *alpha);
    AUTOFREE double *c = calloc(count * e->k, sizeof *c);
    if (!alpha || !c)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the products of %zu gradients",
                         count);
    for (size_t i = 0; i < count; i++) {
        memcpy(alpha + i * e->k, e->alpha + which[i] * e->k, e->k * sizeof *alpha);
        gradients[i] = evaluator_gradient(w->evaluator, (unsigned)(which[i] - first));
    }
    struct dots_request r = { .count = count,
                              .alpha = alpha,
                              .gradients = gradients,
                              .differentiated = evaluator_traits(w->evaluator)->is_parameter,
                              .cancel = w->cancel };
    activity_begin(ACTIVITY_MULTIPLY);
    int rc = dots(&w->engine, weights_source(w->weights), &r, c, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct point *p = &e->points[which[i]];
        p->c = malloc(e->k * sizeof *p->c);
        if (!p->c)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the products of a gradient");
        memcpy(p->c, c + i * e->k, e->k * sizeof *p->c);
    }
    return rc;
}

/* ---- the answer ---- */

static json_t *products_json(const struct evaluation *e, const struct point *p)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < e->k; i++)
        if (json_array_append_new(list, json_number_or_null(p->c[i])) < 0)
            return NULL;
    return TAKE(list);
}

static json_t *answer(const struct evaluation *e)
{
    AUTOJSON json_t *points = json_array();

    for (size_t i = 0; points && i < e->count; i++) {
        const struct point *p = &e->points[i];
        AUTOJSON json_t *one = json_pack("{s:O, s:o}", "splits", p->results, "c",
                                         p->c ? products_json(e, p) : json_null());
        if (one && p->recalibrated &&
            json_put(one, "recalibrated", json_incref(p->recalibrated)) < 0)
            return NULL;
        if (!one || json_array_append(points, one) < 0)
            return NULL;
    }
    return json_pack("{s:O?}", "points", points);
}

static int do_groups(struct evaluation *e, struct sewa_error *err)
{
    size_t step = e->w->spec->banks;

    for (size_t first = 0; first < e->count; first += step) {
        size_t n = e->count - first < step ? e->count - first : step;
        int rc = mix_group(e, first, n, err);
        if (rc == 0)
            rc = evaluate_group(e, first, n, err);
        if (rc == 0)
            rc = dots_group(e, first, n, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int workshop_evaluate(struct workshop *w, const json_t *task, json_t **ret, struct sewa_error *err)
{
    AUTO(evaluation_clear) struct evaluation e = { .w = w, .k = w->spec->k };

    if (!w->weights)
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "the worker was told to evaluate before it prepared");
    int rc = read_task(&e, task, err);
    if (rc == 0)
        rc = workshop_need_evaluator(w, err);
    if (rc == 0)
        rc = do_groups(&e, err);
    if (rc < 0)
        return rc;
    *ret = answer(&e);
    return *ret ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a result");
}
