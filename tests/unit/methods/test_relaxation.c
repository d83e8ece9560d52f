/*
 * test_relaxation - Gumbel-Softmax masks and their gradients against the golden vectors.
 */
#include "toy.h"

#include <math.h>

#include "methods/relaxation.h"

enum { K = 6, P = 4, SAMPLES = 2 };

typedef void draw_fn(const double *s, const double *u, double tau, size_t k, double *alpha,
                     double *slope);

/* What autograd says about one s, and what our draw makes of the same noise. */
struct gradient_case {
    const char *key;
    draw_fn *draw;
    bool has_soft_masks; /* "m" of the samples is the soft mask */
};

static const struct gradient_case cases[] = {
    { "grad_soft_sum", relaxation_soft, true },
    { "grad_hard_st_sum", relaxation_hard, false },
    { "grad_soft_sum_nonuniform", relaxation_soft, true },
};

static void noise_at(size_t step, size_t j, double *u)
{
    const json_t *uniform = golden("setup", "uniform", NULL);

    golden_numbers(json_array_get(json_array_get(uniform, step), j), u, K);
}

static void check_sample(const json_t *sample, struct toy *toy, const double *alpha, double loss,
                         const double *gradient)
{
    double w[P] = { 0 };

    for (size_t p = 0; p < P; p++)
        for (size_t i = 0; i < K; i++)
            w[p] += alpha[i] * toy->w[i][p];
    assert_numbers(json_object_get(sample, "alpha"), alpha, K);
    assert_numbers(json_object_get(sample, "wbar"), w, P);
    assert_numbers(json_object_get(sample, "grad_w"), gradient, P);
    assert_close(loss, json_number_value(json_object_get(sample, "loss")));
}

static void test_gradient(void **state)
{
    const struct gradient_case *row = *state;
    const json_t *wanted = golden(row->key, NULL);
    const json_t *given_s = json_object_get(wanted, "s");
    size_t step = (size_t)json_integer_value(json_object_get(wanted, "noise_step"));
    double s[K], u[K], m[K], alpha[K], slope[K], c[K], gradient[P];
    double dl_ds[K] = { 0 }, dl_dtheta[K], loss = 0;
    struct toy toy;

    toy_golden(&toy);
    golden_numbers(given_s ? given_s : golden("setup", "s0", NULL), s, K);
    for (size_t j = 0; j < SAMPLES; j++) {
        const json_t *sample = json_array_get(json_object_get(wanted, "samples"), j);
        noise_at(step, j, u);
        row->draw(s, u, 0.5, K, alpha, slope);
        double one = toy_loss(&toy, alpha, c, gradient);
        check_sample(sample, &toy, alpha, one, gradient);
        relaxation_masks(s, u, 0.5, K, m);
        if (row->has_soft_masks)
            assert_numbers(json_object_get(sample, "m"), m, K);
        for (size_t i = 0; i < K; i++)
            dl_ds[i] += c[i] * slope[i] / SAMPLES;
        loss += one / SAMPLES;
    }
    for (size_t i = 0; i < K; i++)
        dl_dtheta[i] = dl_ds[i] * s[i] * (1 - s[i]);
    assert_close(loss, json_number_value(json_object_get(wanted, "loss")));
    assert_numbers(json_object_get(wanted, "dL_ds"), dl_ds, K);
    if (json_object_get(wanted, "dL_dtheta"))
        assert_numbers(json_object_get(wanted, "dL_dtheta"), dl_dtheta, K);
}

/* The paper's other normalisation is not ours; its vectors still check the masks. */
static void test_masks_divided_by_k(void **state)
{
    (void)state;
    const json_t *wanted = golden("grad_soft_K", NULL);
    double select = json_number_value(golden("setup", "K", NULL));
    double s[K], u[K], m[K], alpha[K], gradient[P], dl_ds[K] = { 0 };
    struct toy toy;

    toy_golden(&toy);
    golden_numbers(golden("setup", "s0", NULL), s, K);
    for (size_t j = 0; j < SAMPLES; j++) {
        noise_at(0, j, u);
        relaxation_masks(s, u, 0.5, K, m);
        for (size_t i = 0; i < K; i++)
            alpha[i] = m[i] / select;
        double loss = toy_loss(&toy, alpha, NULL, gradient);
        check_sample(json_array_get(json_object_get(wanted, "samples"), j), &toy, alpha, loss,
                     gradient);
        for (size_t i = 0; i < K; i++)
            for (size_t p = 0; p < P; p++)
                dl_ds[i] += gradient[p] * toy.w[i][p] / select * m[i] * (1 - m[i]) /
                            (0.5 * s[i] * (1 - s[i])) / SAMPLES;
    }
    assert_numbers(json_object_get(wanted, "dL_ds"), dl_ds, K);
}

/* One uniform number stands for two Gumbel variables: their difference is its logit. */
static void test_logistic_noise(void **state)
{
    (void)state;
    double u[K], x[K], g1[K], g0[K], half[K], m[K];

    for (size_t step = 0; step < 3; step++)
        for (size_t j = 0; j < SAMPLES; j++) {
            const json_t *logistic = golden("setup", "logistic", NULL);
            noise_at(step, j, u);
            golden_numbers(json_array_get(json_array_get(logistic, step), j), x, K);
            golden_numbers(
                json_array_get(json_array_get(golden("setup", "gumbel1", NULL), step), j), g1, K);
            golden_numbers(
                json_array_get(json_array_get(golden("setup", "gumbel0", NULL), step), j), g0, K);
            for (size_t i = 0; i < K; i++)
                half[i] = 0.5;
            relaxation_masks(half, u, 1, K, m); /* logit 1/2 = 0: the noise alone */
            for (size_t i = 0; i < K; i++) {
                assert_close(log(m[i] / (1 - m[i])), x[i]);
                assert_close(g1[i] - g0[i], x[i]);
            }
        }
}

/* Cold and unlikely: every mask is below the smallest double, the average is still one. */
static void test_underflow(void **state)
{
    (void)state;
    double s[] = { 1e-9, 1e-9, 1e-9 }, u[] = { 1e-6, 2e-6, 1e-6 };
    double alpha[3], slope[3];

    relaxation_soft(s, u, 0.01, 3, alpha, slope);
    assert_close(alpha[0] + alpha[1] + alpha[2], 1);
    assert_true(alpha[1] > 0.999);
    for (size_t i = 0; i < 3; i++)
        assert_true(isfinite(slope[i]));
    s[1] = 1e-9 * (1 + 1e-3); /* a difference in x / tau of about 0.1, far below exp(-745) */
    u[1] = 1e-6;
    relaxation_soft(s, u, 0.01, 3, alpha, slope);
    assert_close(alpha[0], alpha[2]);
    assert_true(alpha[1] > alpha[0] && alpha[1] < 0.5);
}

/* Just above and just below the switch to the safe form the same formula holds. */
static void test_both_forms_agree(void **state)
{
    (void)state;
    double s[] = { 0.5, 0.5 };
    double alpha[2], slope[2];

    for (double tau = 0.0186; tau < 0.0228; tau += 0.0001) { /* sums from 1e-323 to 1e-263 */
        double u[] = { 1e-6, 1.001e-6 };
        double ratio = exp((log(u[1]) - log1p(-u[1]) - log(u[0]) + log1p(-u[0])) / tau);
        relaxation_soft(s, u, tau, 2, alpha, slope);
        assert_close(alpha[1] / alpha[0], ratio);
        assert_close(alpha[0] + alpha[1], 1);
    }
}

/* (2^53 - 1 + 0.5) * 2^-53 rounds to 1: the source of noise may give it once in 2^53 numbers. */
static void test_noise_of_exactly_one(void **state)
{
    (void)state;
    double s[] = { 0.2, 0.3 }, u[] = { 1.0, 0.4 }, alpha[2], slope[2];

    relaxation_soft(s, u, 0.5, 2, alpha, slope);
    assert_true(isfinite(alpha[0]) && isfinite(alpha[1]));
    assert_true(isfinite(slope[0]) && isfinite(slope[1]));
    assert_close(alpha[0] + alpha[1], 1);
    relaxation_hard(s, u, 0.5, 2, alpha, slope);
    assert_true(alpha[0] == 1 && alpha[1] == 0);
    assert_true(isfinite(slope[0]) && isfinite(slope[1]));
}

static void test_empty_hard_mask(void **state)
{
    (void)state;
    double s[] = { 0.1, 0.1, 0.1 }, u[] = { 0.3, 0.8, 0.8 }, alpha[3], slope[3];

    relaxation_hard(s, u, 0.5, 3, alpha, slope);
    assert_true(alpha[0] == 0 && alpha[1] == 0 && alpha[2] == 1); /* closest; ties to the later */
    assert_true(isfinite(slope[2]) && slope[2] > 0);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(cases) + 6];
    size_t n = 0;

    for (; n < COUNT_OF(cases); n++)
        tests[n] =
            (struct CMUnitTest){ cases[n].key, test_gradient, NULL, NULL, (void *)&cases[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_masks_divided_by_k);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_logistic_noise);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_underflow);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_both_forms_agree);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_noise_of_exactly_one);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_empty_hard_mask);
    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
