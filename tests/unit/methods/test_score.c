/*
 * test_score - the score function with a leave-one-out baseline against the golden vectors.
 */
#include "toy.h"

#include <math.h>

#include "methods/score.h"

enum { K = 6, SAMPLES = 4 };

static void test_golden(void **state)
{
    (void)state;
    const json_t *wanted = golden("reinforce_loo", NULL);
    double s[K], u[K], alpha[K], slope[SAMPLES][K], masks[K], loss[SAMPLES];
    double dl_dtheta[K] = { 0 }, dl_ds[K];
    struct toy toy;

    toy_golden(&toy);
    golden_numbers(json_object_get(wanted, "s"), s, K);
    for (size_t j = 0; j < SAMPLES; j++) {
        golden_numbers(json_array_get(json_object_get(wanted, "uniform"), j), u, K);
        score_draw(s, u, K, alpha, slope[j]);
        for (size_t i = 0; i < K; i++)
            masks[i] = slope[j][i] + s[i];
        assert_numbers(json_array_get(json_object_get(wanted, "masks"), j), masks, K);
        loss[j] = toy_loss(&toy, alpha, NULL, NULL);
    }
    assert_numbers(json_object_get(wanted, "losses"), loss, SAMPLES);
    assert_int_equal(score_advantages(loss, SAMPLES), SAMPLES);
    assert_numbers(json_object_get(wanted, "advantage"), loss, SAMPLES);
    for (size_t i = 0; i < K; i++) {
        for (size_t j = 0; j < SAMPLES; j++)
            dl_dtheta[i] += loss[j] * slope[j][i] / SAMPLES;
        dl_ds[i] = dl_dtheta[i] / (s[i] * (1 - s[i]));
    }
    assert_numbers(json_object_get(wanted, "dL_dtheta"), dl_dtheta, K);
    assert_numbers(json_object_get(wanted, "dL_ds"), dl_ds, K);
}

static void test_empty_mask(void **state)
{
    (void)state;
    double s[] = { 0.1, 0.2, 0.3, 0.4 }, u[] = { 0.5, 0.5, 0.5, 0.5 }, alpha[4], slope[4];

    score_draw(s, u, 4, alpha, slope);
    for (size_t i = 0; i < 4; i++) {
        assert_true(alpha[i] == 0.25);
        assert_true(slope[i] == -s[i]);
    }
}

static void test_dropped_samples(void **state)
{
    (void)state;
    double three[] = { NAN, 1, NAN, 2, 6 }, one[] = { NAN, 3 }, none[] = { NAN };

    assert_int_equal(score_advantages(three, 5), 3);
    assert_true(isnan(three[0]) && isnan(three[2]));
    assert_close(three[1], 1 - 4);
    assert_close(three[3], 2 - 3.5);
    assert_close(three[4], 6 - 1.5);
    assert_int_equal(score_advantages(one, 2), 1);
    assert_true(one[1] == 3);
    assert_int_equal(score_advantages(none, 1), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_empty_mask),
        cmocka_unit_test(test_dropped_samples),
    };

    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
