/*
 * test_check - the points of an evaluator's check, and what its answers say about the gradient.
 */
#include "support/support.h"

#include <math.h>

#include "base/json.h"
#include "jobs/check.h"
#include "support/alloc.h"

static void test_points(void **state)
{
    (void)state;
    double alphas[CHECK_EVALUATIONS * 5] = { 0 };

    assert_int_equal(check_points(1, alphas), 1);
    assert_true(alphas[0] == 1);
    for (size_t k = 2; k <= 5; k++) {
        assert_int_equal(check_points(k, alphas), CHECK_EVALUATIONS);
        for (size_t i = 0; i < CHECK_EVALUATIONS; i++) {
            double sum = 0;
            for (size_t j = 0; j < k; j++) {
                sum += alphas[i * k + j];
                assert_true(alphas[i * k + j] >= 0);
                assert_true(j + 2 >= k || alphas[i * k + j] == 0); /* the newest two */
            }
            assert_true(sum == 1);
        }
        /* the middle, then a step to either side */
        assert_true(alphas[k - 1] == 0.5);
        assert_true(alphas[k + k - 1] > 0.5);
        assert_true(alphas[k + k - 1] - 0.5 == 0.5 - alphas[2 * k + k - 1]);
    }
}

/* f(alpha) on the line between two checkpoints: a parabola whose slope in the middle is known. */
static void ask_parabola(double slope, double curve, double claim, struct check_answers *a,
                         double c[2])
{
    double alphas[CHECK_EVALUATIONS * 2];

    check_points(2, alphas);
    for (size_t i = 0; i < CHECK_EVALUATIONS; i++) {
        double x = alphas[2 * i + 1] - 0.5;
        a->loss[i] = 1 + slope * x + curve * x * x;
        a->seconds[i] = 0.25 * (double)(i + 1);
    }
    /* c_b - c_a is the claimed slope, and the centred products of two sum to zero in the middle */
    c[0] = -claim / 2;
    c[1] = claim / 2;
    a->c = c;
}

static void test_gradient(void **state)
{
    (void)state;
    static const struct {
        double slope, curve, claim;
        bool ok;
    } rows[] = {
        { 2, 0, 2, true },     { 2, 30, 2, true },   { -0.7, 5, -0.7, true },
        { 2, 0, 2.09, true },  { 2, 0, 2.2, false }, { 2, 0, 1.8, false },
        { 2, 0, -2, false },   { 2, 0, 0, false },   { 0, 0, 0, true },
        { 0, 1, 1e-6, true },  { 0, 1, 0.5, false }, { 1e-9, 0, -1e-9, true },
        { 1e6, 0, 1e6, true }, { 2, 0, NAN, false }, { 2, 0, INFINITY, false },
        { NAN, 0, 2, false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct check_answers a;
        double c[2];
        ask_parabola(rows[i].slope, rows[i].curve, rows[i].claim, &a, c);
        AUTOJSON json_t *report = check_report(2, &a);
        assert_non_null(report);
        const json_t *g = json_object_get(report, "gradient_check");
        if (json_is_true(json_object_get(g, "ok")) != rows[i].ok)
            fail_msg("row %zu: a slope of %g, said to be %g", i, rows[i].slope, rows[i].claim);
        if (isfinite(rows[i].slope) && isfinite(rows[i].claim)) {
            double numeric = json_number_value(json_object_get(g, "numeric"));
            assert_true(fabs(numeric - rows[i].slope) <= 1e-9 * (1 + fabs(rows[i].slope)));
            assert_true(json_number_value(json_object_get(g, "analytic")) == rows[i].claim);
        }
    }
}

static void test_without_gradient(void **state)
{
    (void)state;
    struct check_answers a = { .loss = { 1, 2, 3 }, .seconds = { 0.5, 0.25, 0.125 } };

    for (size_t k = 1; k <= 2; k++) {
        AUTOJSON json_t *report = check_report(k, &a);
        assert_true(json_is_null(json_object_get(report, "gradient_check")));
        assert_true(json_number_value(json_object_get(report, "loss")) == 1);
        assert_true(json_number_value(json_object_get(report, "seconds_first")) == 0.5);
        const json_t *later = json_object_get(report, "seconds_loss_only");
        assert_true(k == 1 ? later == NULL : json_number_value(later) == 0.125);
    }
    a.loss[0] = NAN;
    AUTOJSON json_t *report = check_report(1, &a);
    assert_true(json_is_null(json_object_get(report, "loss")));
}

static void test_no_memory(void **state)
{
    (void)state;
    struct check_answers a;
    double c[2];

    ask_parabola(1, 1, 1, &a, c);
    json_set_alloc_funcs(malloc, free);
    for (int64_t n = 0;; n++) {
        int64_t held = alloc_held();
        alloc_fail_at(n);
        json_t *report = check_report(2, &a);
        bool fired = alloc_fired();
        assert_true((report == NULL) == fired);
        json_decref(report);
        assert_int_equal(alloc_held(), held);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_without_gradient),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
