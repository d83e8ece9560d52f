/*
 * test_variants - every table of kernels that this processor can run against the reference, to the
 * bit (all NaNs are equal): odd lengths, unaligned inputs, NaN, infinities, subnormals, zero
 * weights, and canaries around every result. The reference runs against itself, too, so that a
 * processor that has nothing else still executes it. An argument names the one table to compare.
 */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernels/offered.h"
#include "numerics/convert.h"
#include "numerics/kernels.h"

enum { LENGTH_MAX = 4096, ROWS_MAX = 9, CANDIDATES_MAX = 19, CANARIES = 64 };

static const size_t lengths[] = { 0,    1,    2,    3,    4,    7,    8,    9,   15,
                                  16,   17,   31,   33,   63,   65,   100,  255, 1023,
                                  1024, 1025, 1039, 2047, 2048, 3001, 4095, 4096 };

static const struct {
    enum dtype dtype;
    size_t size; /* of an element */
    size_t real; /* of what it becomes in a mix */
} types[] = {
    { DTYPE_F32, 4, 4 },  { DTYPE_F64, 8, 8 },     { DTYPE_F16, 2, 4 },
    { DTYPE_BF16, 2, 4 }, { DTYPE_F8_E4M3, 1, 4 }, { DTYPE_F8_E5M2, 1, 4 },
};

/* splitmix64: numbers for tests need no better. */
static uint64_t random_state;

static uint64_t random_bits(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* In (-1, 1), about as large as weights are. */
static double random_number(void)
{
    return (double)(int64_t)random_bits() * 0x1p-63;
}

/* Whether one number in sixteen is any pattern of bits at all. A sum soon drowns in their NaNs. */
static bool has_wild;

static void random_element(enum dtype t, void *to)
{
    bool is_wild = has_wild && random_bits() % 16 == 0;
    uint64_t bits = random_bits();
    double x = random_number();
    float f = (float)x;
    uint16_t half = t == DTYPE_F16 ? f16_from_f64(x) : bf16_from_f64(x);
    uint8_t byte = t == DTYPE_F8_E4M3 ? e4m3_from_f64(x) : e5m2_from_f64(x);

    if (t == DTYPE_F64)
        memcpy(to, is_wild ? (const void *)&bits : &x, 8);
    else if (t == DTYPE_F32)
        memcpy(to, is_wild ? (const void *)&bits : &f, 4);
    else if (t == DTYPE_F16 || t == DTYPE_BF16)
        memcpy(to, is_wild ? (const void *)&bits : &half, 2);
    else
        memcpy(to, is_wild ? (const void *)&bits : &byte, 1);
}

static size_t size_of(enum dtype t)
{
    return dtype_bits(t) / 8;
}

/* Heap memory whose address is `shift` bytes past a multiple of 64; base is what to free. */
static void *shifted(size_t bytes, size_t shift, void **base)
{
    *base = aligned_alloc(64, (bytes + shift + 127) / 64 * 64);
    assert_non_null(*base);
    return (char *)*base + shift;
}

/* A fresh vector of exactly n elements, so that a sanitizer sees one element too many. */
static void *random_vector(enum dtype t, size_t n, size_t shift, void **base)
{
    char *x = shifted(n * size_of(t), shift, base);

    for (size_t e = 0; e < n; e++)
        random_element(t, x + e * size_of(t));
    return x;
}

static bool is_nan_at(enum dtype t, const void *x, size_t e)
{
    double d;
    float f;
    uint16_t h;

    switch (t) {
    case DTYPE_F64: memcpy(&d, (const char *)x + 8 * e, 8); return isnan(d);
    case DTYPE_F32: memcpy(&f, (const char *)x + 4 * e, 4); return isnan(f);
    case DTYPE_F16: memcpy(&h, (const char *)x + 2 * e, 2); return isnan(f16_to_f32(h));
    case DTYPE_F8_E4M3: return isnan(e4m3_to_f32(((const uint8_t *)x)[e]));
    case DTYPE_F8_E5M2: return isnan(e5m2_to_f32(((const uint8_t *)x)[e]));
    default: memcpy(&h, (const char *)x + 2 * e, 2); return isnan(bf16_to_f32(h));
    }
}

static void assert_equal_vectors(const char *what, const char *kernels, enum dtype t,
                                 const void *want, const void *got, size_t n)
{
    size_t size = size_of(t);

    for (size_t e = 0; e < n; e++) {
        const char *a = (const char *)want + e * size, *b = (const char *)got + e * size;
        if (memcmp(a, b, size) != 0 && !(is_nan_at(t, want, e) && is_nan_at(t, got, e)))
            fail_msg("%s: %s differs in element %zu of %zu", kernels, what, e, n);
    }
}

/* Room for n elements with canaries on both sides. */
struct guarded {
    unsigned char *base;
    size_t bytes;
};

static void guarded_free(struct guarded *g)
{
    free(g->base);
}

static void *guarded_at(const struct guarded *g)
{
    return g->base + CANARIES;
}

static struct guarded guarded_new(size_t bytes)
{
    struct guarded g = { .bytes = bytes };

    g.base = aligned_alloc(64, (bytes + 2 * CANARIES + 63) / 64 * 64);
    assert_non_null(g.base);
    memset(g.base, 0xa5, bytes + 2 * CANARIES);
    return g;
}

static void guarded_check(const struct guarded *g)
{
    for (size_t i = 0; i < CANARIES; i++) {
        assert_int_equal(g->base[i], 0xa5);
        assert_int_equal(g->base[CANARIES + g->bytes + i], 0xa5);
    }
}

/* Calls the body for every table, type and length. */
static const char *only; /* NULL: every table */

typedef void (*compare_fn)(const struct kernels *k, size_t type, size_t n);

static void for_everything(compare_fn compare)
{
    const struct kernels *k;

    for (size_t v = 0; (k = kernels_at(v)) != NULL; v++) {
        for (size_t t = 0; t < COUNT_OF(types) && (!only || strcmp(only, k->name) == 0); t++) {
            for (size_t l = 0; l < COUNT_OF(lengths); l++) {
                random_state = t * 1000 + l;
                has_wild = true;
                compare(k, t, lengths[l]);
            }
        }
    }
}

static void compare_elementwise(const struct kernels *k, size_t type, size_t n)
{
    enum dtype t = types[type].dtype;
    const struct float_kernels *ref = kernels_for(kernels_at(0), t), *got = kernels_for(k, t);
    enum dtype real = types[type].real == 8 ? DTYPE_F64 : DTYPE_F32;

    for (size_t shift = 0; shift < 64; shift += 21) { /* odd: no alignment at all */
        AUTOFREE void *base = NULL, *sums_base = NULL;
        void *x = random_vector(t, n, shift, &base);
        double *sums = random_vector(DTYPE_F64, n, 8, &sums_base);
        AUTO(guarded_free) struct guarded a = guarded_new(n * 8), b = guarded_new(n * 8);

        ref->widen(guarded_at(&a), x, n);
        got->widen(guarded_at(&b), x, n);
        assert_equal_vectors("widen", k->name, real, guarded_at(&a), guarded_at(&b), n);
        assert_int_equal(got->count_nonfinite(x, n), ref->count_nonfinite(x, n));
        memcpy(guarded_at(&a), sums, n * 8);
        memcpy(guarded_at(&b), sums, n * 8);
        kernels_at(0)->divide(guarded_at(&a), 7, n);
        k->divide(guarded_at(&b), 7, n);
        assert_equal_vectors("divide", k->name, DTYPE_F64, guarded_at(&a), guarded_at(&b), n);
        guarded_check(&b);
    }
}

static void test_elementwise(void **state)
{
    (void)state;
    for_everything(compare_elementwise);
}

/* To the bit, NaNs included: these bytes end in files. */
static void compare_from_f64(const struct kernels *k, size_t type, size_t n)
{
    enum dtype t = types[type].dtype;
    AUTOFREE void *base = NULL;
    double *x = random_vector(DTYPE_F64, n, 8, &base);
    AUTO(guarded_free) struct guarded a = guarded_new(n * types[type].size);
    AUTO(guarded_free) struct guarded b = guarded_new(n * types[type].size);

    for (size_t e = 0; e < n; e += 3) /* scales at which formats begin and end */
        x[e] = ldexp(x[e], (int)(random_bits() % 300) - 160);
    kernels_for(kernels_at(0), t)->from_f64(guarded_at(&a), x, n);
    kernels_for(k, t)->from_f64(guarded_at(&b), x, n);
    assert_memory_equal(guarded_at(&a), guarded_at(&b), n * types[type].size);
    guarded_check(&b);
}

static void test_from_f64(void **state)
{
    (void)state;
    for_everything(compare_from_f64);
}

static float widen_e4m3(uint16_t code)
{
    return e4m3_to_f32((uint8_t)code);
}

static float widen_e5m2(uint16_t code)
{
    return e5m2_to_f32((uint8_t)code);
}

static const struct {
    enum dtype dtype;
    unsigned codes;
    float (*widen)(uint16_t);
} small_types[] = {
    { DTYPE_F16, 65536, f16_to_f32 },
    { DTYPE_BF16, 65536, bf16_to_f32 },
    { DTYPE_F8_E4M3, 256, widen_e4m3 },
    { DTYPE_F8_E5M2, 256, widen_e5m2 },
};

/* All codes, all midpoints and their neighbours, of both signs, and what follows the largest. */
static void compare_every_code(const struct kernels *k, size_t type)
{
    enum dtype t = small_types[type].dtype;
    AUTOFREE double *x = malloc(65536 * 4 * sizeof(double));
    AUTOFREE uint8_t *a = malloc(65536 * 4 * sizeof(uint16_t));
    AUTOFREE uint8_t *b = malloc(65536 * 4 * sizeof(uint16_t));
    size_t n = 0;

    assert_true(x && a && b);
    for (unsigned code = 0; code < small_types[type].codes; code++) {
        double low = (double)small_types[type].widen((uint16_t)code);
        double high = (double)small_types[type].widen((uint16_t)(code + 1));
        if (t == DTYPE_F8_E4M3 && isnan(high))
            high = copysign(480, low);
        double middle = (low + high) / 2;
        x[n++] = low;
        x[n++] = middle;
        x[n++] = nextafter(middle, low);
        x[n++] = nextafter(middle, high);
    }
    kernels_for(kernels_at(0), t)->from_f64(a, x, n);
    kernels_for(k, t)->from_f64(b, x, n);
    assert_memory_equal(a, b, n * size_of(t));
}

static void test_from_f64_every_code(void **state)
{
    (void)state;
    for (size_t v = 0; kernels_at(v); v++)
        for (size_t t = 0; t < COUNT_OF(small_types); t++)
            compare_every_code(kernels_at(v), t);
}

static void test_widen_every_code(void **state)
{
    AUTOFREE uint8_t *x = malloc(65536 * sizeof(uint16_t));
    AUTOFREE float *out = malloc(65536 * sizeof(float));

    (void)state;
    assert_true(x && out);
    for (size_t n = 0; kernels_at(n / COUNT_OF(small_types)); n++) {
        const struct kernels *k = kernels_at(n / COUNT_OF(small_types));
        size_t type = n % COUNT_OF(small_types), codes = small_types[type].codes;
        for (size_t code = 0; code < codes; code++) {
            uint16_t half = (uint16_t)code;
            if (codes == 256)
                x[code] = (uint8_t)code;
            else
                memcpy(x + 2 * code, &half, 2);
        }
        kernels_for(k, small_types[type].dtype)->widen(out, x, codes);
        for (size_t code = 0; code < codes; code++) {
            float want = small_types[type].widen((uint16_t)code);
            if (memcmp(&want, &out[code], 4) != 0 && !(isnan(want) && isnan(out[code])))
                fail_msg("%s: code %zx of %s", k->name, code, dtype_name(small_types[type].dtype));
        }
    }
}

/* One such value, anywhere, also where it stands alone in a long vector. */
static void test_one_value_that_is_not_finite(void **state)
{
    enum { N = 1500 };
    static const float values[] = { INFINITY, -INFINITY, NAN };

    (void)state;
    for (size_t v = 0; kernels_at(v); v++) {
        for (size_t type = 0; type < COUNT_OF(types); type++) {
            enum dtype t = types[type].dtype;
            const struct float_kernels *f = kernels_for(kernels_at(v), t);
            AUTOFREE double *x = malloc(N * sizeof(double));
            AUTOFREE char *narrow = malloc(N * sizeof(double));
            assert_true(x && narrow);
            for (size_t e = 0; e < N; e++)
                x[e] = t == DTYPE_F8_E4M3 ? 448 : 57344; /* the largest exponents */
            kernels_for(kernels_at(0), t)->from_f64(narrow, x, N);
            assert_int_equal(f->count_nonfinite(narrow, N), 0);
            for (size_t e = 0; e < N; e += 7) {
                double one = (double)values[e % 3];
                kernels_for(kernels_at(0), t)->from_f64(narrow + e * size_of(t), &one, 1);
                assert_int_equal(f->count_nonfinite(narrow, N), 1);
                kernels_for(kernels_at(0), t)->from_f64(narrow + e * size_of(t), x, 1);
            }
        }
    }
}

struct inputs {
    void *bases[CANDIDATES_MAX];
    const void *x[CANDIDATES_MAX];
    void *gradient_bases[ROWS_MAX];
    const float *g[ROWS_MAX];
    double alpha[ROWS_MAX * CANDIDATES_MAX];
};

static void inputs_clear(struct inputs *in)
{
    for (size_t i = 0; i < CANDIDATES_MAX; i++)
        free(in->bases[i]);
    for (size_t j = 0; j < ROWS_MAX; j++)
        free(in->gradient_bases[j]);
}

static void inputs_fill(struct inputs *in, enum dtype t, size_t n, bool has_zeros)
{
    for (size_t i = 0; i < CANDIDATES_MAX; i++)
        in->x[i] = random_vector(t, n, i * 7 % 64, &in->bases[i]);
    for (size_t j = 0; j < ROWS_MAX; j++)
        in->g[j] = random_vector(DTYPE_F32, n, j * 5 % 64, &in->gradient_bases[j]);
    for (size_t i = 0; i < COUNT_OF(in->alpha); i++)
        in->alpha[i] = has_zeros && random_bits() % 3 ? 0 : random_number();
}

static void compare_sum_shape(const struct kernels *k, size_t type, const struct inputs *in,
                              size_t candidates, size_t n)
{
    const struct float_kernels *ref = kernels_for(kernels_at(0), types[type].dtype);
    const struct float_kernels *other = kernels_for(k, types[type].dtype);
    AUTO(guarded_free) struct guarded want = guarded_new(n * 8), got = guarded_new(n * 8);

    for (size_t e = 0; e < n; e++)
        ((double *)guarded_at(&want))[e] = ((double *)guarded_at(&got))[e] = e % 3 ? 0.1 : -0.0;
    ref->sum(guarded_at(&want), in->x, candidates, n);
    other->sum(guarded_at(&got), in->x, candidates, n);
    assert_equal_vectors("sum", k->name, DTYPE_F64, guarded_at(&want), guarded_at(&got), n);
    ref->weighted_sum(guarded_at(&want), in->x, in->alpha, candidates, n);
    other->weighted_sum(guarded_at(&got), in->x, in->alpha, candidates, n);
    assert_equal_vectors("weighted_sum", k->name, DTYPE_F64, guarded_at(&want), guarded_at(&got),
                         n);
    guarded_check(&got);
}

static void compare_mix_shape(const struct kernels *k, size_t type, const struct inputs *in,
                              size_t m, size_t candidates, size_t n)
{
    enum dtype t = types[type].dtype, real = types[type].real == 8 ? DTYPE_F64 : DTYPE_F32;
    struct guarded want[ROWS_MAX], got[ROWS_MAX];
    void *want_at[ROWS_MAX], *got_at[ROWS_MAX];

    for (size_t j = 0; j < m; j++) {
        want[j] = guarded_new(n * types[type].real);
        got[j] = guarded_new(n * types[type].real);
        want_at[j] = guarded_at(&want[j]);
        got_at[j] = guarded_at(&got[j]);
    }
    kernels_for(kernels_at(0), t)->mix(want_at, m, in->x, candidates, in->alpha, n);
    kernels_for(k, t)->mix(got_at, m, in->x, candidates, in->alpha, n);
    for (size_t j = 0; j < m; j++) {
        assert_equal_vectors("mix", k->name, real, want_at[j], got_at[j], n);
        guarded_check(&got[j]);
        guarded_free(&want[j]);
        guarded_free(&got[j]);
    }
}

static void compare_dots_shape(const struct kernels *k, size_t type, const struct inputs *in,
                               size_t m, size_t candidates, size_t n)
{
    enum dtype t = types[type].dtype;
    size_t pairs = m * candidates;
    AUTO(guarded_free) struct guarded want = guarded_new(pairs * 8), got = guarded_new(pairs * 8);
    AUTO(guarded_free) struct guarded scratch = guarded_new(pairs * DOTS_LANES_BYTES);

    for (size_t i = 0; i < pairs; i++)
        ((double *)guarded_at(&want))[i] = ((double *)guarded_at(&got))[i] = (double)i;
    kernels_for(kernels_at(0), t)
        ->dots(guarded_at(&want), in->g, m, in->x, in->x[candidates / 2], candidates, n,
               guarded_at(&scratch));
    kernels_for(k, t)->dots(guarded_at(&got), in->g, m, in->x, in->x[candidates / 2], candidates, n,
                            guarded_at(&scratch));
    assert_equal_vectors("dots", k->name, DTYPE_F64, guarded_at(&want), guarded_at(&got), pairs);
    guarded_check(&got);
    guarded_check(&scratch);
}

static const struct {
    size_t m, candidates;
} shapes[] = {
    { 1, 1 }, { 1, 2 },  { 1, 9 },  { 2, 3 },  { 2, 8 },  { 3, 7 },
    { 4, 4 }, { 4, 17 }, { 5, 16 }, { 7, 10 }, { 8, 19 }, { 9, 5 },
};

static void compare_products(const struct kernels *k, size_t type, size_t n)
{
    for (int round = 0; round < 3; round++) {
        AUTO(inputs_clear) struct inputs in = { 0 };
        size_t step = n > 100 ? 3 : 1; /* every shape on short vectors, some on long ones */

        has_wild = round > 0;
        inputs_fill(&in, types[type].dtype, n, round == 1);
        for (size_t s = n % step; s < COUNT_OF(shapes); s += step) {
            compare_mix_shape(k, type, &in, shapes[s].m, shapes[s].candidates, n);
            compare_sum_shape(k, type, &in, shapes[s].candidates, n);
            if (round != 1)
                compare_dots_shape(k, type, &in, shapes[s].m, shapes[s].candidates, n);
        }
    }
}

static void test_mix_and_dots(void **state)
{
    (void)state;
    for_everything(compare_products);
}

/* Subnormal products and differences: nothing may be flushed to zero. */
static void test_subnormals(void **state)
{
    enum { N = 100 };
    AUTO(inputs_clear) struct inputs in = { 0 };

    (void)state;
    has_wild = false;
    inputs_fill(&in, DTYPE_F32, N, false);
    for (size_t i = 0; i < CANDIDATES_MAX; i++)
        for (size_t e = 0; e < N; e++) {
            float f = (float)random_number() * 0x1p-130f;
            memcpy((char *)(uintptr_t)in.x[i] + 4 * e, &f, 4);
        }
    for (size_t v = 0; kernels_at(v); v++) {
        compare_mix_shape(kernels_at(v), 0, &in, ROWS_MAX, CANDIDATES_MAX, N);
        compare_dots_shape(kernels_at(v), 0, &in, ROWS_MAX, CANDIDATES_MAX, N);
    }
}

/* What is not offered would be compared with nothing. */
static void test_all_tables_are_there(void **state)
{
    (void)state;
    offered_check();
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_tables_are_there),
        cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_from_f64),
        cmocka_unit_test(test_from_f64_every_code),
        cmocka_unit_test(test_widen_every_code),
        cmocka_unit_test(test_mix_and_dots),
        cmocka_unit_test(test_subnormals),
        cmocka_unit_test(test_one_value_that_is_not_finite),
    };

    only = argc > 1 ? argv[1] : NULL;
    for (size_t v = 0; kernels_at(v); v++)
        printf("kernels: %s\n", kernels_at(v)->name);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
