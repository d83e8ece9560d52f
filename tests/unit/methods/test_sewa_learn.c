/*
 * test_sewa_learn - the learning loop: golden trajectories, noise, minibatches, dropped samples.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "methods/class.h"
#include "methods/logistic.h"
#include "methods/relaxation.h"
#include "methods/sewa_learn.h"
#include "methods/simplex.h"

enum { K = 6 };

/* A learner and the part of a method that it needs. */
struct bench {
    struct method base;
    struct sewa_learn learn;
    struct toy toy;
};

static void bench_open(struct bench *b, const char *params, size_t total, uint64_t seed)
{
    struct sewa_error err = { 0 };
    struct sewa_params p;
    struct method_evaluator evaluator = { .gradient = true };
    AUTOJSON json_t *object = json_parse(params, strlen(params), &err);

    memset(b, 0, sizeof *b);
    toy_golden(&b->toy);
    b->base.k = K;
    assert_ok(sewa_params_read(object, &evaluator, &p, &err), err);
    assert_ok(sewa_learn_init(&b->learn, &p, K, total, seed, &err), err);
}

static void bench_close(struct bench *b)
{
    sewa_learn_clear(&b->learn);
    free(b->base.points);
    free(b->base.alphas);
}

/* One iteration, in which the answers whose bit is set in `broken` have no finite loss. */
static int bench_step(struct bench *b, unsigned broken, struct sewa_error *err)
{
    struct method_answer answers[32];
    double c[32][K];

    assert_int_equal(sewa_learn_ask(&b->learn, &b->base, err), 1);
    assert_true(b->base.point_count <= COUNT_OF(answers));
    for (size_t j = 0; j < b->base.point_count; j++) {
        toy_answer(&b->toy, &b->base.points[j], &answers[j], c[j]);
        if (broken >> j & 1) {
            answers[j].loss = NAN;
            answers[j].c = NULL;
        }
    }
    return sewa_learn_tell(&b->learn, &b->base, answers, err);
}

static double golden_noise(void *arg, size_t i, size_t j, int64_t t)
{
    const json_t *uniform = golden("setup", "uniform", NULL);

    (void)arg;
    return json_number_value(
        json_array_get(json_array_get(json_array_get(uniform, (size_t)t), j), i));
}

static void test_golden_trajectory(void **state)
{
    (void)state;
    const json_t *rows = golden("trajectory_cap_adam", NULL);
    struct sewa_error err = { 0 };
    struct bench b;

    bench_open(&b, "{\"iterations\": 3, \"samples\": 2, \"learning_rate\": 0.05}", 2, 0);
    b.learn.uniform = golden_noise;
    for (size_t t = 0; t < 3; t++) {
        const json_t *row = json_array_get(rows, t);
        assert_ok(bench_step(&b, 0, &err), err);
        assert_numbers(json_object_get(row, "grad_used"), b.learn.gradient, K);
        assert_numbers(json_object_get(row, "s"), b.learn.s, K);
        assert_close(b.base.trace.loss, json_number_value(json_object_get(row, "loss")));
        assert_close(b.base.trace.learning_rate, json_number_value(json_object_get(row, "lr")));
        assert_close(b.base.trace.mean * K, json_number_value(json_object_get(row, "sum_s")));
    }
    assert_true(sewa_learn_is_done(&b.learn));
    bench_close(&b);
}

/* Soft masks on shifted logits: no method does this, but every part of it is one of ours. */
static void test_golden_logit_trajectory(void **state)
{
    (void)state;
    const json_t *rows = golden("trajectory_logit_shift_adam_lr0.2", NULL);
    struct sewa_error err = { 0 };
    struct adam adam;
    struct toy toy;
    double s[K], theta[K], u[K], alpha[K], slope[K], c[K];

    toy_golden(&toy);
    assert_ok(adam_init(&adam, K, &err), err);
    golden_numbers(golden("setup", "s0", NULL), s, K);
    for (size_t i = 0; i < K; i++)
        theta[i] = logistic_logit(s[i]);
    for (size_t t = 0; t < 3; t++) {
        const json_t *row = json_array_get(rows, t);
        double gradient[K] = { 0 }, loss = 0;
        for (size_t j = 0; j < 2; j++) {
            for (size_t i = 0; i < K; i++)
                u[i] = golden_noise(NULL, i, j, (int64_t)t);
            relaxation_soft(s, u, 0.5, K, alpha, slope);
            loss += toy_loss(&toy, alpha, c, NULL) / 2;
            for (size_t i = 0; i < K; i++)
                gradient[i] += c[i] * slope[i] * s[i] * (1 - s[i]) / 2;
        }
        simplex_center(gradient, K);
        adam_step(&adam, gradient, json_number_value(json_object_get(row, "lr")), theta);
        simplex_shift_logits(theta, s, K, 2, 0.001, 0.999);
        assert_close(loss, json_number_value(json_object_get(row, "loss")));
        assert_numbers(json_object_get(row, "grad_used"), gradient, K);
        assert_numbers(json_object_get(row, "s"), s, K);
    }
    adam_clear(&adam);
}

/* Without a hook the noise is Philox with the counter (candidate, sample, iteration, 0). */
static void test_noise_is_philox(void **state)
{
    (void)state;
    static const uint64_t seed = UINT64_C(0x123456789abcdef0);
    struct sewa_error err = { 0 };
    struct bench b;
    double u[K], alpha[K], slope[K];

    bench_open(&b, "{\"iterations\": 4, \"samples\": 3}", 2, seed);
    for (int64_t t = 0; t < 4; t++) {
        assert_int_equal(sewa_learn_ask(&b.learn, &b.base, &err), 1);
        for (size_t j = 0; j < 3; j++) {
            for (size_t i = 0; i < K; i++)
                u[i] = rng_uniform(seed, (uint32_t)i, (uint32_t)j, (uint32_t)t, 0);
            relaxation_soft(b.learn.s, u, 0.5, K, alpha, slope);
            assert_memory_equal(b.base.points[j].alpha, alpha, sizeof alpha);
        }
        assert_ok(bench_step(&b, 0, &err), err);
    }
    bench_close(&b);
}

static void test_minibatches(void **state)
{
    (void)state;
    static const struct {
        const char *params;
        bool shared;
    } rows[] = {
        { "{\"samples\": 4, \"batch\": 7}", false },
        { "{\"samples\": 4, \"batch\": 7, \"estimator\": \"straight_through\"}", false },
        { "{\"samples\": 4, \"batch\": 7, \"estimator\": \"score_function\"}", true },
    };

    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        struct sewa_error err = { 0 };
        struct bench b;
        unsigned seen = 0;
        bench_open(&b, rows[r].params, 2, 11);
        for (uint32_t t = 0; t < 60; t++) {
            assert_int_equal(sewa_learn_ask(&b.learn, &b.base, &err), 1);
            for (uint32_t j = 0; j < 4; j++) {
                double u = rng_uniform(11, 0, rows[r].shared ? 0 : j, t, 1);
                assert_int_equal(b.base.points[j].batch, (int64_t)(u * 7));
                seen |= 1u << b.base.points[j].batch;
            }
            assert_ok(bench_step(&b, 0, &err), err);
        }
        assert_int_equal(seen, 0x7f); /* all seven, and no eighth */
        bench_close(&b);
    }
}

static void test_no_minibatches(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench b;

    bench_open(&b, "{}", 2, 0);
    assert_int_equal(sewa_learn_ask(&b.learn, &b.base, &err), 1);
    assert_int_equal(b.base.point_count, 5);
    for (size_t j = 0; j < b.base.point_count; j++)
        assert_int_equal(b.base.points[j].batch, -1);
    bench_close(&b);
}

/* A dropped sample is left out of the mean: the step is that of the others alone. */
static void test_dropped_sample(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench two, one;

    bench_open(&two, "{\"samples\": 2}", 2, 5);
    bench_open(&one, "{\"samples\": 1}", 2, 5);
    assert_ok(bench_step(&two, 2, &err), err); /* the second of two is broken */
    assert_ok(bench_step(&one, 0, &err), err); /* the first alone */
    assert_memory_equal(two.learn.s, one.learn.s, K * sizeof(double));
    assert_true(two.base.trace.loss == one.base.trace.loss);
    assert_int_equal(two.base.trace.dropped, 1);
    assert_int_equal(two.base.progress.dropped, 1);
    assert_int_equal(two.learn.useless_count, 1);
    bench_close(&two);
    bench_close(&one);
}

/* Nothing usable: no step, but time goes on. */
static void test_all_dropped(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench b;

    bench_open(&b, "{\"samples\": 3}", 2, 5);
    assert_ok(bench_step(&b, 7, &err), err);
    assert_int_equal(b.learn.t, 1);
    assert_true(isnan(b.base.trace.loss));
    assert_int_equal(b.base.trace.dropped, 3);
    for (size_t i = 0; i < K; i++)
        assert_true(b.learn.s[i] == 2.0 / 6);
    assert_true(b.learn.adam.b1_power == 1);
    bench_close(&b);
}

/* A baseline needs another sample. */
static void test_score_with_one_left(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench b;

    bench_open(&b, "{\"estimator\": \"score_function\", \"samples\": 4}", 2, 5);
    assert_ok(bench_step(&b, 7, &err), err);
    for (size_t i = 0; i < K; i++)
        assert_true(b.learn.s[i] == 2.0 / 6);
    assert_true(isfinite(b.base.trace.loss));
    assert_ok(bench_step(&b, 3, &err), err);
    assert_true(b.learn.s[0] != 2.0 / 6);
    assert_true(isnan(b.base.trace.temperature));
    bench_close(&b);
}

static void test_ten_in_a_row(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench b;

    bench_open(&b, "{\"samples\": 4}", 2, 5);
    assert_ok(bench_step(&b, 0xf, &err), err);
    assert_ok(bench_step(&b, 0xf, &err), err);
    assert_int_equal(b.learn.useless_count, 8);
    assert_ok(bench_step(&b, 0x9, &err), err); /* the ninth, then good ones, then the first */
    assert_int_equal(b.learn.useless_count, 1);
    assert_ok(bench_step(&b, 0xf, &err), err);
    assert_ok(bench_step(&b, 0xf, &err), err);
    assert_int_equal(b.learn.useless_count, 9);
    assert_failed(bench_step(&b, 0x1, &err), err, SEWA_E_EVALUATOR_NONFINITE, "10 evaluations");
    assert_non_null(strstr(err.text, "iteration 6 of 60"));
    assert_int_equal(b.learn.t, 5); /* nothing has changed */
    assert_int_equal(b.learn.useless_count, 9);
    assert_ok(bench_step(&b, 0, &err), err);
    bench_close(&b);
}

struct useless_row {
    const char *name;
    double loss;
    double c;
    bool usable;
};

static const struct useless_row useless[] = {
    { "a finite answer counts", 1, 1, true },
    { "a NaN loss does not", NAN, 1, false },
    { "an infinite loss does not", INFINITY, 1, false },
    { "minus infinity does not", -INFINITY, 1, false },
    { "a NaN gradient does not", 1, NAN, false },
    { "an infinite gradient does not", 1, -INFINITY, false },
    { "a gradient whose square overflows does not", 1, 1e200, false },
    { "a loss whose square overflows does not", 1e200, 1, false },
    { "a large gradient counts", 1, 1e100, true },
};

static void test_useless(void **state)
{
    const struct useless_row *row = *state;
    struct sewa_error err = { 0 };
    double c[K] = { 0.5, -0.25, 0.125, 1, 2, row->c };
    struct method_answer answer = { row->loss, NAN, c };
    struct bench b;

    bench_open(&b, "{\"samples\": 1}", 2, 5);
    assert_int_equal(sewa_learn_ask(&b.learn, &b.base, &err), 1);
    assert_ok(sewa_learn_tell(&b.learn, &b.base, &answer, &err), err);
    assert_int_equal(b.base.trace.dropped, !row->usable);
    for (size_t i = 0; i < K; i++)
        assert_true(isfinite(b.learn.s[i]));
    bench_close(&b);
}

static void test_trace(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench b;
    double min = 1, max = 0, sum = 0, entropy = 0, spread = 0;

    bench_open(&b, "{\"iterations\": 5, \"temperature\": {\"start\": 2, \"end\": 0.2}}", 2, 5);
    for (int t = 0; t < 3; t++)
        assert_ok(bench_step(&b, 0, &err), err);
    const struct method_trace *trace = &b.base.trace;
    for (size_t i = 0; i < K; i++) {
        double s = b.learn.s[i];
        min = fmin(min, s);
        max = fmax(max, s);
        sum += s;
        entropy -= s * log(s) + (1 - s) * log(1 - s);
        spread += s * (1 - s);
        assert_true(trace->s[i] == (float)s);
    }
    assert_true(b.base.has_trace);
    assert_int_equal(trace->iteration, 2);
    assert_int_equal(trace->k, K);
    assert_close(trace->temperature, 1.1);
    assert_close(trace->learning_rate, 0.1 * (0.05 + 0.95 * 0.5));
    assert_close(trace->min, min);
    assert_close(trace->max, max);
    assert_close(trace->mean, sum / K);
    assert_close(trace->entropy, entropy);
    assert_close(trace->spread, spread);
    bench_close(&b);
}

/* One iteration: the rate is the rate, not the end of the cosine. */
static void test_single_iteration(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench b;

    bench_open(&b, "{\"iterations\": 1, \"learning_rate\": 0.25}", 2, 5);
    assert_ok(bench_step(&b, 0, &err), err);
    assert_true(b.base.trace.learning_rate == 0.25);
    assert_true(sewa_learn_is_done(&b.learn));
    assert_int_equal(sewa_learn_remaining(&b.learn), 0);
    bench_close(&b);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_golden_trajectory), cmocka_unit_test(test_golden_logit_trajectory),
        cmocka_unit_test(test_noise_is_philox),   cmocka_unit_test(test_minibatches),
        cmocka_unit_test(test_no_minibatches),    cmocka_unit_test(test_dropped_sample),
        cmocka_unit_test(test_all_dropped),       cmocka_unit_test(test_score_with_one_left),
        cmocka_unit_test(test_ten_in_a_row),      cmocka_unit_test(test_trace),
        cmocka_unit_test(test_single_iteration),
    };
    struct CMUnitTest tests[COUNT_OF(others) + COUNT_OF(useless)];

    memcpy(tests, others, sizeof others);
    for (size_t n = 0; n < COUNT_OF(useless); n++)
        tests[COUNT_OF(others) + n] =
            (struct CMUnitTest){ useless[n].name, test_useless, NULL, NULL, (void *)&useless[n] };
    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
