/*
 * test_best - the single best candidate: directions, ties, values that are not finite.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

static const struct method_metric metrics[] = {
    { "accuracy", true },
    { "error", false },
};

static const struct method_evaluator evaluator = { false, metrics, COUNT_OF(metrics) };

enum { K = 4 };

struct row {
    const char *name;
    const char *params;
    double loss[K], value[K];
    size_t chosen; /* K: none */
    const char *word;
};

#define NONE               \
    {                      \
        NAN, NAN, NAN, NAN \
    }

static const struct row rows[] = {
    { "least loss", NULL, { 3, 1, 2, 4 }, NONE, 1, "" },
    { "ties go to the later step", NULL, { 1, 2, 1, 4 }, NONE, 2, "" },
    { "all equal", NULL, { 1, 1, 1, 1 }, NONE, 3, "" },
    { "NaN never ranks first", NULL, { NAN, NAN, 5, NAN }, NONE, 2, "" },
    { "minus infinity never ranks first", NULL, { 1, -INFINITY, 5, INFINITY }, NONE, 0, "" },
    { "none is finite", NULL, NONE, NONE, K,
      "none of the 4 candidates (steps 10 to 40) has a finite loss" },
    { "negative losses", NULL, { -3, -1, -2, -4 }, NONE, 3, "" },
    { "metric loss is the loss", "{\"metric\": \"loss\"}", { 3, 1, 2, 4 }, NONE, 1, "" },
    { "metric loss may say min",
      "{\"metric\": \"loss\", \"direction\": \"min\"}",
      { 3, 1, 2, 4 },
      NONE,
      1,
      "" },
    { "largest accuracy",
      "{\"metric\": \"accuracy\"}",
      { 1, 2, 3, 4 },
      { 0.1, 0.2, 0.4, 0.3 },
      2,
      "" },
    { "least error", "{\"metric\": \"error\"}", { 1, 2, 3, 4 }, { 0.2, 0.1, 0.4, 0.3 }, 1, "" },
    { "the caller's direction",
      "{\"metric\": \"accuracy\", \"direction\": \"min\"}",
      { 1, 2, 3, 4 },
      { 0.2, 0.1, 0.4, 0.3 },
      1,
      "" },
    { "the other direction",
      "{\"metric\": \"error\", \"direction\": \"max\"}",
      { 1, 2, 3, 4 },
      { 0.2, 0.1, 0.4, 0.3 },
      2,
      "" },
    { "accuracy ties",
      "{\"metric\": \"accuracy\"}",
      { 1, 2, 3, 4 },
      { 0.5, 0.4, 0.5, 0.3 },
      2,
      "" },
    { "missing metric",
      "{\"metric\": \"accuracy\"}",
      { 1, 2, 3, 4 },
      { NAN, 0.2, NAN, 0.3 },
      3,
      "" },
    { "infinite metric",
      "{\"metric\": \"accuracy\"}",
      { 1, 2, 3, 4 },
      { INFINITY, 0.2, 0.4, 0.3 },
      2,
      "" },
    { "good metric of a broken model",
      "{\"metric\": \"accuracy\"}",
      { 1, 2, NAN, 4 },
      { 0.1, 0.2, 0.9, 0.3 },
      3,
      "" },
    { "no metric at all",
      "{\"metric\": \"accuracy\"}",
      { 1, 2, 3, 4 },
      NONE,
      K,
      "a finite accuracy" },
};

static struct method *make(const char *params, int wanted, const char *pointer, const char *word)
{
    struct sewa_error err = { 0 };
    AUTOJSON json_t *object = params ? json_parse(params, strlen(params), &err) : NULL;
    struct method_setup setup = {
        .k = K, .steps = toy_steps, .select = 1, .params = object, .evaluator = &evaluator
    };
    struct method *m = NULL;

    assert_ok(err.code, err);
    int rc = method_new("best", &setup, &m, &err);
    if (wanted == 0) {
        assert_ok(rc, err);
    } else {
        assert_failed(rc, err, wanted, word);
        assert_string_equal(err.pointer, pointer);
    }
    return m;
}

static void oracle(void *arg, const struct method_point *point, struct method_answer *answer,
                   double *c)
{
    const struct row *row = arg;
    size_t i = 0;

    (void)c;
    while (point->alpha[i] == 0)
        i++;
    assert_true(point->alpha[i] == 1);
    answer->loss = row->loss[i];
    answer->metric = row->value[i];
}

/* With and without a restart between the answers and the outcome. */
static void run(const struct row *row, bool save)
{
    struct sewa_error err = { 0 };
    const struct method_point *points;
    struct method_progress progress;
    size_t count;
    struct method *m = make(row->params, 0, "", "");

    assert_int_equal(method_ask(m, &points, &count, &err), 1);
    assert_int_equal(count, K);
    method_progress(m, &progress);
    assert_int_equal(progress.expected, K);
    assert_int_equal(toy_round(m, K, oracle, (void *)row, &err), 1);
    if (save) {
        AUTOJSON json_t *saved = method_save(m);
        AUTOFREE char *text = json_text(saved);
        AUTOJSON json_t *read = json_parse(text, strlen(text), &err);
        method_free(m);
        m = make(row->params, 0, "", "");
        assert_ok(method_load(m, read, &err), err);
    }
    int rc = method_ask(m, &points, &count, &err);
    if (row->chosen == K) {
        assert_failed(rc, err, SEWA_E_EVALUATOR_NONFINITE, row->word);
        assert_null(method_outcome(m));
    } else {
        assert_ok(rc, err);
        const struct method_outcome *outcome = method_outcome(m);
        assert_int_equal(outcome->count, 1);
        assert_int_equal(outcome->selected[0], row->chosen);
        assert_true(outcome->alpha[row->chosen] == 1);
        assert_true(outcome->loss == row->loss[row->chosen]);
        if (method_metric(m))
            assert_true(outcome->metric == row->value[row->chosen]);
        else
            assert_true(isnan(outcome->metric));
        assert_null(outcome->probability);
        method_progress(m, &progress);
        assert_int_equal(progress.evaluations, K);
        assert_int_equal(progress.expected, K);
    }
    method_free(m);
}

static void test_row(void **state)
{
    run(*state, false);
    run(*state, true);
}

static void test_metric_name(void **state)
{
    (void)state;
    AUTOPTR(method_free) struct method *plain = make(NULL, 0, "", "");
    AUTOPTR(method_free) struct method *loss = make("{\"metric\": \"loss\"}", 0, "", "");
    AUTOPTR(method_free) struct method *error = make("{\"metric\": \"error\"}", 0, "", "");

    assert_null(method_metric(plain));
    assert_null(method_metric(loss));
    assert_string_equal(method_metric(error), "error"); /* the request is gone by now */
}

static void check_params(const char *params, const char *metric, const char *direction)
{
    AUTOPTR(method_free) struct method *m = make(params, 0, "", "");
    AUTOJSON json_t *used = method_params(m);

    assert_int_equal(json_object_size(used), 2);
    assert_string_equal(json_string_value(json_object_get(used, "metric")), metric);
    assert_string_equal(json_string_value(json_object_get(used, "direction")), direction);
}

static void test_params(void **state)
{
    (void)state;
    check_params(NULL, "loss", "min");
    check_params("{\"metric\": \"accuracy\"}", "accuracy", "max");
    check_params("{\"metric\": \"accuracy\", \"direction\": \"min\"}", "accuracy", "min");
}

static void test_unknown_metric(void **state)
{
    (void)state;
    assert_null(make("{\"metric\": \"acuracy\"}", SEWA_E_INVALID, "/params/metric",
                     "no metric 'acuracy', it has: loss, accuracy, error"));
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_metric_name);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_params);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_unknown_metric);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
