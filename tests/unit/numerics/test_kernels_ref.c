/*
 * test_kernels_ref - the definition itself, on numbers whose answers are known by hand: where one
 * rounding and two differ, what zeros and infinities do, which lane an element goes to.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "numerics/convert.h"
#include "numerics/kernels.h"

static const struct kernels *reference(void)
{
    return kernels_at(0);
}

static float mix_one(const float *values, const double *alpha, size_t k)
{
    const void *x[8];
    float out = NAN;
    void *outs[] = { &out };

    for (size_t i = 0; i < k; i++)
        x[i] = &values[i];
    reference()->f32.mix(outs, 1, x, k, alpha, 1);
    return out;
}

static void test_mix(void **state)
{
    static const struct {
        const char *what;
        float values[4];
        double alpha[4];
        float want;
    } rows[] = {
        { "weight 1 keeps a negative zero", { -0.0f }, { 1 }, -0.0f },
        { "weight 1 keeps a subnormal", { 0x1p-149f }, { 1 }, 0x1p-149f },
        { "zeros of both signs add to +0", { -0.0f, 0.0f }, { 0.5, 0.5 }, 0.0f },
        { "a weight of 0 skips an infinity", { INFINITY, 3 }, { 0, 1 }, 3.0f },
        { "a weight that rounds to 0 skips", { INFINITY, 3 }, { 1e-60, 1 }, 3.0f },
        { "no weight at all", { 5, 7 }, { 0, 0 }, -0.0f },
        { "negative weights", { 4, 1 }, { 2, -1 }, 7.0f },
        /* (1 + 2^-23)^2 = 1 + 2^-22 + 2^-46: the last term survives only inside a fused operation
         */
        { "the product is not rounded",
          { 1, 1 + 0x1p-23f },
          { -1 - 0x1p-22, 1 + 0x1p-23 },
          0x1p-46f },
        { "in order: small before large", { 1, 0x1p25f, -0x1p25f }, { 1, 1, 1 }, 0.0f },
        { "in order: large before small", { 0x1p25f, -0x1p25f, 1 }, { 1, 1, 1 }, 1.0f },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        float got = mix_one(rows[i].values, rows[i].alpha, 4);
        if (memcmp(&got, &rows[i].want, sizeof got) != 0)
            fail_msg("%s: %a instead of %a", rows[i].what, (double)got, (double)rows[i].want);
    }
}

static void test_sums(void **state)
{
    float x[] = { -0.0f, 1 + 0x1p-23f, 3 }, y[] = { -0.0f, 0, 0.5f };
    const void *both[] = { x, y };
    double alpha[] = { 1 + 0x1p-30, 1 };
    double acc[] = { -0.0, -(1 + 0x1p-23 + 0x1p-30), -0.0 };

    (void)state;
    reference()->f32.sum(acc, both, 2, 1);
    assert_true(acc[0] == 0 && signbit(acc[0]));
    /* the product is 1 + 2^-23 + 2^-30 + 2^-53, which rounds the last term away before the sum */
    reference()->f32.weighted_sum(acc + 1, (const void *[]){ x + 1, y + 1 }, alpha, 2, 1);
    assert_true(acc[1] == 0);
    reference()->f32.sum(acc + 2, (const void *[]){ x + 2, y + 2 }, 2, 1);
    reference()->divide(acc + 2, 3, 1);
    assert_true(acc[2] == 3.5 / 3);
}

/* Only the wanted element is not zero, so the lanes show through the order of addition. */
static void test_dots_lanes(void **state)
{
    enum { N = 40 };
    float g[N], x[N], r[N] = { 0 };
    const float *gs[] = { g };
    const void *xs[] = { x };
    char scratch[DOTS_LANES_BYTES] __attribute__((aligned(DOTS_LANES_BYTES)));
    double sum = 10;

    (void)state;
    for (int e = 0; e < N; e++) {
        g[e] = 1;
        x[e] = 0;
    }
    /* 2^30 and -2^30 in one lane leave the 1 between them only if they meet before it */
    x[0] = 0x1p30f;
    x[16] = 1;
    x[32] = -0x1p30f;
    reference()->f32.dots(&sum, gs, 1, xs, r, 1, N, scratch);
    assert_true(sum == 10); /* the same lane: 2^30 + 1 rounds to 2^30 in float */
    x[16] = 0;
    x[17] = 1;
    reference()->f32.dots(&sum, gs, 1, xs, r, 1, N, scratch);
    assert_true(sum == 11); /* another lane: joined in double */
}

/* The difference is rounded to float once, whatever the values have in common. */
static void test_dots_centre(void **state)
{
    float g = 3, x = 1000.25f, r = 1000;
    const float *gs[] = { &g };
    const void *xs[] = { &x, &r };
    char scratch[2 * DOTS_LANES_BYTES] __attribute__((aligned(DOTS_LANES_BYTES)));
    double sums[2] = { 0, 0 };

    (void)state;
    reference()->f32.dots(sums, gs, 1, xs, &r, 2, 1, scratch);
    assert_true(sums[0] == 0.75);
    assert_true(sums[1] == 0);
}

static void test_nonfinite(void **state)
{
    static const float f32[] = { 1, INFINITY, NAN, -INFINITY, 0x1.fffffep127f, 0 };
    static const double f64[] = { 1, INFINITY, NAN, -INFINITY, 0x1.fffffffffffffp1023, 0 };
    static const uint16_t f16[] = { 0x3c00, 0x7c00, 0x7c01, 0xfc00, 0x7bff, 0 };
    static const uint16_t bf16[] = { 0x3f80, 0x7f80, 0x7f81, 0xff80, 0x7f7f, 0 };

    (void)state;
    assert_int_equal(reference()->f32.count_nonfinite(f32, 6), 3);
    assert_int_equal(reference()->f64.count_nonfinite(f64, 6), 3);
    assert_int_equal(reference()->f16.count_nonfinite(f16, 6), 3);
    assert_int_equal(reference()->bf16.count_nonfinite(bf16, 6), 3);
    assert_int_equal(reference()->f32.count_nonfinite(NULL, 0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix),        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_dots_lanes), cmocka_unit_test(test_dots_centre),
        cmocka_unit_test(test_nonfinite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
