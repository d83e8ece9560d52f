/*
 * test_simplex - the capped simplex: golden projections, and what must hold for any input.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

#include "methods/logistic.h"
#include "methods/simplex.h"

static void test_golden(void **state)
{
    (void)state;
    const json_t *rows = golden("projection", NULL);
    double v[TOY_K_MAX];

    assert_int_equal(json_array_size(rows), 6);
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        double total = json_number_value(json_object_get(row, "sum"));
        size_t k = golden_numbers(json_object_get(row, "v"), v, TOY_K_MAX);
        simplex_project(v, k, total, 0.001, 0.999);
        assert_numbers(json_object_get(row, "lo_hi_eps"), v, k);
        golden_numbers(json_object_get(row, "v"), v, TOY_K_MAX);
        simplex_project(v, k, total, 0, 1);
        assert_numbers(json_object_get(row, "lo0_hi1"), v, k);
    }
}

static void test_epsilon(void **state)
{
    (void)state;
    static const struct {
        size_t k, total;
        double epsilon, wanted;
    } rows[] = {
        { 100, 10, 1e-3, 1e-3 },         /* room on both sides */
        { 1000, 1, 1e-3, 1.0 / 2000 },   /* few of many: half of s itself */
        { 1000, 999, 1e-3, 1.0 / 2000 }, /* nearly all of many */
        { 2, 1, 0.25, 0.25 },
        { 4, 1, 0.25, 0.125 },
        { 5, 5, 1e-3, 0 },
    };

    for (size_t r = 0; r < COUNT_OF(rows); r++)
        assert_close(simplex_epsilon(rows[r].k, rows[r].total, rows[r].epsilon), rows[r].wanted);
}

static double random_value(uint64_t seed, uint64_t n)
{
    double u = splitmix_uniform(seed, 2 * n), v = splitmix_uniform(seed, 2 * n + 1);

    return u < 0.2 ? 0.5 : u < 0.4 ? floor(4 * v) : 20 * v - 10; /* ties and wide values */
}

/* In the box, with the right sum, in the same order, and exactly like the input less one shift. */
static void check_projection(const double *v, const double *s, size_t k, double total, double eps)
{
    double sum = 0, shift = NAN;

    for (size_t i = 0; i < k; i++) {
        assert_true(s[i] >= eps && s[i] <= 1 - eps);
        sum += s[i];
        for (size_t j = 0; j < k; j++)
            assert_true(v[i] < v[j] ? s[i] <= s[j] : v[i] > v[j] || s[i] == s[j]);
        if (s[i] > eps && s[i] < 1 - eps) {
            if (!isnan(shift))
                assert_close(v[i] - s[i], shift);
            shift = v[i] - s[i];
        }
    }
    assert_close(sum, total);
}

static void test_random_projections(void **state)
{
    (void)state;
    double v[TOY_K_MAX], s[TOY_K_MAX];

    for (uint64_t seed = 0; seed < 400; seed++) {
        size_t k = 2 + seed % (TOY_K_MAX - 1);
        size_t total = 1 + (size_t)(splitmix_uniform(seed, 1000) * (double)(k - 1));
        double eps = simplex_epsilon(k, total, 1e-3);
        for (size_t i = 0; i < k; i++)
            v[i] = s[i] = random_value(seed, i);
        simplex_project(s, k, (double)total, eps, 1 - eps);
        check_projection(v, s, k, (double)total, eps);
        memcpy(v, s, sizeof v);
        simplex_project(s, k, (double)total, eps, 1 - eps); /* a point of it stays where it is */
        for (size_t i = 0; i < k; i++)
            assert_close(s[i], v[i]);
    }
}

static void test_random_shifts(void **state)
{
    (void)state;
    double theta[TOY_K_MAX], s[TOY_K_MAX], before[TOY_K_MAX];

    for (uint64_t seed = 0; seed < 200; seed++) {
        size_t k = 2 + seed % (TOY_K_MAX - 1);
        size_t total = 1 + (size_t)(splitmix_uniform(seed, 1000) * (double)(k - 1));
        double eps = simplex_epsilon(k, total, 1e-3);
        double sum = 0;
        for (size_t i = 0; i < k; i++)
            before[i] = theta[i] = random_value(seed, i);
        simplex_shift_logits(theta, s, k, (double)total, eps, 1 - eps);
        for (size_t i = 0; i < k; i++) {
            assert_true(s[i] >= eps && s[i] <= 1 - eps);
            assert_close(logistic_sigmoid(theta[i]), s[i]);
            sum += s[i];
            for (size_t j = 0; j < k; j++)
                assert_true(before[i] < before[j] ? s[i] <= s[j]
                                                  : before[i] > before[j] || s[i] == s[j]);
        }
        assert_close(sum, (double)total);
    }
}

/* Logits beyond the bounds are brought back, so that the next step can move them. */
static void test_shift_clips_logits(void **state)
{
    (void)state;
    double theta[] = { 500, -500, 0, 0 }, s[4];

    simplex_shift_logits(theta, s, 4, 2, 0.001, 0.999);
    assert_close(s[0], 0.999);
    assert_close(s[1], 0.001);
    assert_close(theta[0], logistic_logit(0.999));
    assert_close(theta[1], logistic_logit(0.001));
    assert_close(s[2], 0.5);
    assert_close(theta[2], 0);
}

static void test_center(void **state)
{
    (void)state;
    double v[] = { 1, 2, 6 };

    simplex_center(v, 3);
    assert_close(v[0], -2);
    assert_close(v[1], -1);
    assert_close(v[2], 3);
}

static void test_logistic_is_stable(void **state)
{
    (void)state;
    assert_true(logistic_sigmoid(-800) == 0);
    assert_true(logistic_sigmoid(800) == 1);
    assert_true(logistic_sigmoid(INFINITY) == 1);
    assert_true(logistic_sigmoid(-INFINITY) == 0);
    assert_true(logistic_sigmoid(-700) > 0);
    assert_true(logistic_sigmoid(0) == 0.5);
    for (double x = -30; x < 30; x += 0.37)
        assert_close(logistic_sigmoid(x) + logistic_sigmoid(-x), 1);
    for (double p = 1e-9; p < 1; p *= 1.7)
        assert_close(logistic_sigmoid(logistic_logit(p)) / p, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_epsilon),
        cmocka_unit_test(test_random_projections),
        cmocka_unit_test(test_random_shifts),
        cmocka_unit_test(test_shift_clips_logits),
        cmocka_unit_test(test_center),
        cmocka_unit_test(test_logistic_is_stable),
    };

    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
