/*
 * test_paired - mean and standard error of paired differences, against numbers made by hand.
 */
#include "support/support.h"

#include <math.h>

#include "base/cleanup.h"
#include "worker/paired.h"

static void check(const float *a, const float *b, int64_t n, double mean, double error)
{
    double got_mean, got_error;

    paired_difference(a, b, n, &got_mean, &got_error);
    assert_true(fabs(got_mean - mean) <= 1e-15 * fmax(1, fabs(mean)));
    assert_true(isnan(error) ? isnan(got_error) : fabs(got_error - error) <= 1e-15);
}

static void test_by_hand(void **state)
{
    (void)state;
    static const float a[] = { 1, 2, 3, 4 }, same[] = { 2, 3, 4, 5 }, b[] = { 1, 3, 3, 5 };

    check(a, a, 4, 0, 0);
    check(a, same, 4, 1, 0); /* every example by as much: no doubt */
    check(same, a, 4, -1, 0);
    check(a, b, 4, 0.5, sqrt(1.0 / 3 / 4)); /* differences 0 1 0 1 */
    check(a, b, 2, 0.5, sqrt(0.5 / 2));
}

static void test_few(void **state)
{
    (void)state;
    static const float a[] = { 1 }, b[] = { 3 };
    double mean, error;

    check(a, b, 1, 2, (double)NAN);
    paired_difference(a, b, 0, &mean, &error);
    assert_true(isnan(mean) && isnan(error));
}

/* Two passes: what both have in common does not eat the digits. */
static void test_large_and_close(void **state)
{
    (void)state;
    float a[1000], b[1000];
    double mean, error;

    for (int i = 0; i < 1000; i++) {
        a[i] = 1e6f;
        b[i] = 1e6f + (i % 2 ? 0.125f : 0.0625f);
    }
    paired_difference(a, b, 1000, &mean, &error);
    assert_true(mean == 0.09375);
    assert_true(fabs(error - 0.03125 * sqrt(1.0 / 999)) < 1e-15);
}

static void test_not_finite(void **state)
{
    (void)state;
    static const float values[] = { NAN, INFINITY, -INFINITY };
    double mean, error;

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        const float a[] = { 1, 2, 3 }, b[] = { 1, values[i], 3 };
        paired_difference(a, b, 3, &mean, &error);
        assert_false(isfinite(mean));
        assert_true(isnan(error));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_large_and_close),
        cmocka_unit_test(test_not_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
