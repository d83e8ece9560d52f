/*
 * test_evaluate - what the worker says of the points of a lease, against what they are by
 * definition: which bank, which gradient, which centre, which losses are paired with which.
 */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/activity.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "judge.h"
#include "shop.h"

/* Each a point; sums are exact. The fourth is the newest alone: its loss is NaN. */
static const double points[][SHOP_K] = {
    { 0.5, 0.25, 0.25, 0 }, { 0.25, 0.25, 0.5, 0 }, { 0, 1, 0, 0 },         { 0, 0, 0, 1 },
    { 0, 0.5, 0.5, 0 },     { 1, 0, 0, 0 },         { 0.125, 0, 0.875, 0 },
};

static double loss_at(const double *alpha)
{
    double sum = 0;

    for (size_t t = 0; t < SHOP_TENSORS; t++)
        for (int64_t e = 0; shop_tensors[t].is_parameter && e < shop_elements(t); e++) {
            double d = shop_average(alpha, t, e) - judge_target(e);
            sum += d * d / 2;
        }
    return sum / JUDGE_SCALE;
}

/* <g at w, x_i - w>, and the sum of magnitudes, which says how exact float32 can be. */
static double product_at(const double *alpha, size_t i, double *ret_size)
{
    double sum = 0;

    *ret_size = 0;
    for (size_t t = 0; t < SHOP_TENSORS; t++)
        for (int64_t e = 0; shop_tensors[t].is_parameter && e < shop_elements(t); e++) {
            double w = shop_average(alpha, t, e);
            double x = (w - judge_target(e)) / JUDGE_SCALE * (shop_value(i, t, e) - w);
            sum += x;
            *ret_size += fabs(x);
        }
    return sum;
}

static double number(const json_t *o, const char *a, const char *b, const char *c)
{
    const json_t *at = json_object_get(o, a);

    at = b ? json_object_get(at, b) : at;
    at = c ? json_object_get(at, c) : at;
    if (!json_is_number(at))
        fail_msg("no number at %s/%s/%s", a, b ? b : "", c ? c : "");
    return json_number_value(at);
}

static void assert_near(double is, double wanted, double tolerance)
{
    if (!(fabs(is - wanted) <= tolerance))
        fail_msg("%.17g is not %.17g within %g", is, wanted, tolerance);
}

static json_t *task_of(const char *kind, json_t *list, bool exact, bool paired)
{
    return json_pack("{s:s, s:o, s:b, s:b}", "kind", kind, "points", list, "exact", exact, "paired",
                     paired);
}

static json_t *wanted_gradient(void)
{
    return json_pack("{s:[s,s], s:b, s:n}", "splits", "selection", "report", "gradient", 1,
                     "batch");
}

static void check_products(const double *alpha, const json_t *c)
{
    assert_int_equal(json_array_size(c), SHOP_K);
    for (size_t i = 0; i < SHOP_K; i++) {
        double size, wanted = product_at(alpha, i, &size);
        assert_near(json_number_value(json_array_get(c, i)), wanted, 1e-6 * size);
    }
}

/* Leaves their new values where a gradient of the buffers would stand. */
static void recalibrate_all_banks(struct shop *s)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < s->spec.banks; i++)
        json_array_append_new(
            list, shop_point(points[0],
                             json_pack("{s:[s], s:b}", "splits", "selection", "recalibrate", 1)));
    json_decref(shop_do(s, task_of("evaluate", list, true, false)));
}

/* More points than banks, one of them without a loss within a group: each has the loss and the
 * products of its own average, in which no buffer counts. */
static void test_products(void **state)
{
    struct shop s;
    json_t *list = json_array();

    shop_open(&s, (unsigned)(uintptr_t)*state, "{}", INTEGER_NEWEST);
    shop_prepare(&s);
    recalibrate_all_banks(&s);
    for (size_t i = 0; i < COUNT_OF(points); i++)
        json_array_append_new(list, shop_point(points[i], wanted_gradient()));
    AUTOJSON json_t *result = shop_do(&s, task_of("evaluate", list, false, false));
    const json_t *all = json_object_get(result, "points");
    assert_int_equal(json_array_size(all), COUNT_OF(points));
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        const json_t *one = json_array_get(all, i), *c = json_object_get(one, "c");
        const json_t *splits = json_object_get(one, "splits");
        if (points[i][SHOP_K - 1] == 1) {
            assert_true(
                json_is_null(json_object_get(json_object_get(splits, "selection"), "loss")));
            assert_true(json_is_null(c));
            continue;
        }
        double loss = loss_at(points[i]);
        assert_near(number(splits, "selection", "loss", NULL), loss, 1e-9 * loss);
        assert_near(number(splits, "report", "loss", NULL), 3 * loss, 1e-9 * loss);
        check_products(points[i], c);
    }
    shop_close(&s);
}

/* Minibatches by their number, and the whole split: the evaluator hears which. */
static void test_batches(void **state)
{
    static const int64_t batches[] = { 0, 7, -1, 123456789012 };
    struct shop s;
    json_t *list = json_array();

    (void)state;
    shop_open(&s, 2, "{}", INTEGER_NEWEST);
    shop_prepare(&s);
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        json_t *batch = batches[i] < 0 ? json_null() : json_integer(batches[i]);
        json_array_append_new(
            list, shop_point(points[0], json_pack("{s:[s], s:b, s:o}", "splits", "selection",
                                                  "gradient", i % 2, "batch", batch)));
    }
    AUTOJSON json_t *result = shop_do(&s, task_of("evaluate", list, false, false));
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        const json_t *one = json_array_get(json_object_get(result, "points"), i);
        assert_near(number(json_object_get(one, "splits"), "selection", "metrics", "batch"),
                    (double)batches[i], 0);
        assert_int_equal(json_is_null(json_object_get(one, "c")), i % 2 == 0);
    }
    shop_close(&s);
}

/* ---- recalibration and pairs ---- */

enum values { AVERAGED, RECALIBRATED };

static double checksum(const double *alpha, enum values values)
{
    double sum = 0, first = shop_average(alpha, 0, 0);

    for (size_t t = 0; t < SHOP_TENSORS; t++)
        for (int64_t e = 0; shop_tensors[t].is_recalibrated && e < shop_elements(t); e++)
            sum += judge_term(
                t, e, values == AVERAGED ? shop_average(alpha, t, e) : judge_fresh(t, e, first));
    return sum;
}

static double other_buffers(const double *alpha)
{
    double sum = 0;

    for (int64_t e = 0; e < shop_elements(6); e++)
        sum += judge_term(6, e, shop_average(alpha, 6, e));
    return sum;
}

/* mean and error of (b - a) * 1, ... (b - a) * JUDGE_EXAMPLES, as float32 holds the losses */
static void check_pair(const json_t *numbers, const char *name, double a, double b)
{
    double d[JUDGE_EXAMPLES], mean = 0, squares = 0, n = JUDGE_EXAMPLES;

    for (int i = 0; i < JUDGE_EXAMPLES; i++) {
        d[i] = (double)(float)(b * (i + 1)) - (double)(float)(a * (i + 1));
        mean += d[i] / n;
    }
    for (int i = 0; i < JUDGE_EXAMPLES; i++)
        squares += (d[i] - mean) * (d[i] - mean);
    double error = sqrt(squares / (n - 1) / n);
    assert_near(number(numbers, name, "difference", NULL), mean, 1e-9 * (fabs(a) + fabs(b)));
    assert_near(number(numbers, name, "standard_error", NULL), error, 1e-9 * (fabs(a) + fabs(b)));
    assert_near(number(numbers, name, "examples", NULL), JUDGE_EXAMPLES, 0);
}

/* What stands in the bank is what is published, and each is compared with its like. */
static void check_variant(const double *alpha, const json_t *splits, enum values values)
{
    bool is_first = alpha == points[0] && values == AVERAGED; /* before there is the other one */
    static const char *const names[] = { "selection", "report" };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const json_t *numbers = json_object_get(splits, names[i]);
        double sum = checksum(alpha, values), factor = i == 0 ? 1 : 3;
        assert_near(number(numbers, "metrics", "recalibrated", NULL), sum, 1e-9 * fabs(sum));
        assert_near(number(numbers, "metrics", "buffers", NULL), other_buffers(alpha), 1e-9);
        check_pair(numbers, "paired", factor * checksum(points[0], AVERAGED), factor * sum);
        if (is_first)
            assert_true(json_is_null(json_object_get(numbers, "paired_recalibrated")));
        else
            check_pair(numbers, "paired_recalibrated", factor * checksum(points[0], RECALIBRATED),
                       factor * sum);
    }
}

static void test_recalibrated_and_paired(void **state)
{
    static const size_t which[] = { 0, 1, 4, 2 };
    struct shop s;
    json_t *list = json_array();

    shop_open(&s, (unsigned)(uintptr_t)*state, "{}", INTEGER_NEWEST);
    shop_prepare(&s);
    for (size_t i = 0; i < COUNT_OF(which); i++)
        json_array_append_new(
            list, shop_point(points[which[i]], json_pack("{s:[s,s], s:b}", "splits", "selection",
                                                         "report", "recalibrate", i != 2)));
    AUTOJSON json_t *result = shop_do(&s, task_of("evaluate", list, true, true));
    for (size_t i = 0; i < COUNT_OF(which); i++) {
        const json_t *one = json_array_get(json_object_get(result, "points"), i);
        const json_t *again = json_object_get(one, "recalibrated");
        check_variant(points[which[i]], json_object_get(one, "splits"), AVERAGED);
        assert_int_equal(again == NULL, i == 2); /* one that is only compared */
        if (!again)
            continue;
        assert_near(number(again, "tensors", NULL, NULL), 3, 0);
        check_variant(points[which[i]], json_object_get(again, "splits"), RECALIBRATED);
    }
    shop_close(&s);
}

/* No losses of examples, nothing to compare: null, and no number that looks like one. */
static void test_without_losses_of_examples(void **state)
{
    struct shop s;
    json_t *list = json_array();

    (void)state;
    shop_open(&s, 2, "{\"paired\": false}", INTEGER_NEWEST);
    shop_prepare(&s);
    for (int i = 0; i < 2; i++)
        json_array_append_new(list,
                              shop_point(points[i], json_pack("{s:[s]}", "splits", "selection")));
    AUTOJSON json_t *result = shop_do(&s, task_of("evaluate", list, true, true));
    for (size_t i = 0; i < 2; i++) {
        const json_t *numbers = json_object_get(
            json_object_get(json_array_get(json_object_get(result, "points"), i), "splits"),
            "selection");
        assert_true(json_is_null(json_object_get(numbers, "paired")));
        assert_null(json_object_get(numbers, "paired_recalibrated"));
    }
    shop_close(&s);
}

/* ---- integers ---- */

static double integers(enum integer_policy policy, const double *alpha)
{
    double sum = 0;

    for (size_t t = 0; t < SHOP_TENSORS; t++)
        for (int64_t e = 0;
             dtype_kind(shop_tensors[t].dtype) == DTYPE_INTEGER && e < shop_elements(t); e++)
            sum += judge_term(t, e, shop_integer(policy, alpha, t, e));
    return sum;
}

/* What is measured has the integers of the job's policy, however it is mixed. */
static void test_integers(void **state)
{
    enum integer_policy policy = (enum integer_policy)(uintptr_t)*state;
    struct shop s;

    for (int p = INTEGER_NEWEST; p < INTEGER_EQUAL; p++)
        for (int q = INTEGER_NEWEST; q < p; q++) /* or this would test nothing */
            assert_true(integers((enum integer_policy)p, points[0]) !=
                        integers((enum integer_policy)q, points[0]));
    shop_open(&s, 1, "{}", policy);
    shop_prepare(&s);
    for (int exact = 0; exact < 2; exact++) {
        json_t *point = shop_point(
            points[0], json_pack("{s:[s], s:b}", "splits", "selection", "recalibrate", exact));
        AUTOJSON json_t *result =
            shop_do(&s, task_of("evaluate", json_pack("[o]", point), exact, false));
        const json_t *one = json_array_get(json_object_get(result, "points"), 0);
        double wanted = integers(policy, points[0]);
        assert_near(number(json_object_get(one, "splits"), "selection", "metrics", "integers"),
                    wanted, 0);
        if (exact)
            assert_near(number(json_object_get(json_object_get(one, "recalibrated"), "splits"),
                               "selection", "metrics", "integers"),
                        wanted, 0);
    }
    shop_close(&s);
}

/* ---- tasks that cannot be done ---- */

static void refuse(struct shop *s, json_t *task, const char *word)
{
    struct sewa_error err = { 0 };
    json_t *result = NULL;

    assert_failed(workshop_do(s->workshop, task, &result, &err), err, SEWA_E_PROTOCOL, word);
    assert_null(result);
    json_decref(task);
}

static void test_tasks_that_are_wrong(void **state)
{
    static const double few[SHOP_K] = { 1 };
    struct shop s;
    json_t *splits = json_pack("{s:[s], s:b}", "splits", "selection", "recalibrate", 1);

    (void)state;
    shop_open(&s, 1, "{}", INTEGER_NEWEST);
    refuse(&s, task_of("evaluate", json_pack("[o]", shop_point(few, NULL)), false, false),
           "before it prepared");
    shop_prepare(&s);
    refuse(&s, task_of("evaluate", json_array(), false, false), "0 points");
    refuse(&s, task_of("evaluate", json_pack("[o]", shop_point(few, NULL)), false, false),
           "no split");
    refuse(&s, task_of("evaluate", json_pack("[o]", shop_point(few, splits)), false, false),
           "must be exact");
    refuse(&s,
           task_of("evaluate", json_pack("[{s:[s], s:[f]}]", "splits", "selection", "alpha", 1.0),
                   false, false),
           "1 coefficients, there are 4");
    refuse(&s, task_of("dance", json_array(), false, false), "dance");
    shop_close(&s);
}

/* Heartbeats tell of it: every step moves the number. */
static void test_progress(void **state)
{
    struct shop s;
    int64_t before = activity_progress();

    (void)state;
    shop_open(&s, 1, "{}", INTEGER_NEWEST);
    shop_prepare(&s);
    assert_int_equal(activity_current(), ACTIVITY_START);
    int64_t prepared = activity_progress();
    assert_true(prepared > before + SHOP_K); /* each file was read */
    json_t *point = shop_point(points[0], wanted_gradient());
    json_decref(shop_do(&s, task_of("evaluate", json_pack("[o]", point), false, false)));
    assert_int_equal(activity_current(), ACTIVITY_MULTIPLY);
    /* pieces of eight tensors mixed, two answers, pieces of two tensors multiplied */
    assert_true(activity_progress() >= prepared + 8 + 2 + 2);
    shop_close(&s);
}

/* How far the number moves for one point on this many splits. */
static int64_t steps_for(struct shop *s, int splits)
{
    json_t *names = json_array();
    int64_t before = activity_progress();

    for (int i = 0; i < splits; i++)
        json_array_append_new(names, json_string("selection"));
    json_t *point = shop_point(points[0], json_pack("{s:o}", "splits", names));
    json_decref(shop_do(s, task_of("evaluate", json_pack("[o]", point), false, false)));
    return activity_progress() - before;
}

/* Each evaluation begins, and is answered. */
static void test_answers_are_progress(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, 1, "{}", INTEGER_NEWEST);
    shop_prepare(&s);
    int64_t one = steps_for(&s, 1), eight = steps_for(&s, 8);
    assert_true(eight - one > 7 + 7 / 2); /* an answer may come in pieces */
    shop_close(&s);
}

#define WITH(test, name_, value)                            \
    {                                                       \
        name_, test, NULL, NULL, (void *)(uintptr_t)(value) \
    }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH(test_products, "products, one bank", 1),
        WITH(test_products, "products, three banks", 3),
        WITH(test_products, "products, banks for all", 8),
        cmocka_unit_test(test_batches),
        WITH(test_recalibrated_and_paired, "recalibrated and paired, one bank", 1),
        WITH(test_recalibrated_and_paired, "recalibrated and paired, three banks", 3),
        cmocka_unit_test(test_without_losses_of_examples),
        WITH(test_integers, "integers of the newest", INTEGER_NEWEST),
        WITH(test_integers, "integers of the oldest", INTEGER_OLDEST),
        WITH(test_integers, "the greatest integers", INTEGER_MAX),
        cmocka_unit_test(test_tasks_that_are_wrong),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_answers_are_progress),
    };
    int judged = judge_main(argc, argv);

    return judged >= 0 ? judged : cmocka_run_group_tests(tests, NULL, NULL);
}
