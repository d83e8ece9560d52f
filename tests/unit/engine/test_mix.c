/*
 * test_mix - averages in banks against the definitions in plain loops, to the bit, for every table
 * of kernels and 1, 2, 3 and 7 threads. Edge cases "integers are never averaged", "one ingredient",
 * "caches are not mutated", "empty tensors and rank 0".
 */
#include "run.h"

#include <math.h>
#include <string.h>

#include "engine/mix.h"
#include "support/alloc.h"

enum { K = 12, M = 5 };

static const unsigned team_sizes[] = { 1, 2, 3, 7 };

struct fixture {
    struct run run;
    void *banks[M];
    void *wanted[M];
    double alpha[M * K];
};

/* Row 0 all equal, 1 a hard subset, 2 dense and uneven, 3 one checkpoint, 4 with a negative one. */
static void fill_alpha(double *alpha)
{
    uint64_t state = 99;
    double sum = 0;

    memset(alpha, 0, M * K * sizeof *alpha);
    for (size_t i = 0; i < K; i++) {
        alpha[0 * K + i] = 1.0 / K;
        alpha[1 * K + i] = i == 2 || i == 3 || i == 9 ? 1.0 / 3 : 0;
        alpha[2 * K + i] = fabs(random_number(&state));
        sum += alpha[2 * K + i];
    }
    for (size_t i = 0; i < K; i++)
        alpha[2 * K + i] /= sum;
    alpha[3 * K + 7] = 1;
    alpha[4 * K + 1] = 1.5;
    alpha[4 * K + 10] = -0.5;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    run_init(&f->run, mixed_model, MIXED_COUNT, K, 11);
    fill_alpha(f->alpha);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (size_t j = 0; j < M; j++) {
        free(f->banks[j]);
        free(f->wanted[j]);
    }
    run_clear(&f->run);
    free(f);
    return 0;
}

/* Filled with a pattern, so that what is never written shows. */
static void fresh_banks(void *banks[M], const struct model *m)
{
    for (size_t j = 0; j < M; j++) {
        free(banks[j]);
        banks[j] = aligned_alloc(64, (size_t)m->bank_bytes);
        assert_non_null(banks[j]);
        memset(banks[j], 0x5a, (size_t)m->bank_bytes);
    }
}

static struct mix_request request_of(const struct fixture *f)
{
    return (struct mix_request){ .count = M, .alpha = f->alpha, .banks = f->banks };
}

/* ---- the definitions ---- */

static double define_mix(const struct fixture *f, size_t row, size_t t, size_t e)
{
    const struct spec *s = &f->run.specs[t];
    double wide = -0.0;
    float narrow = -0.0f;

    for (size_t i = 0; i < K; i++) {
        double a = f->alpha[row * K + i], x = number_at(s->dtype, run_values(&f->run, i, t), e);
        if (a == 0)
            continue;
        wide = fma(a, x, wide);
        narrow = fmaf((float)a, (float)x, narrow);
    }
    return s->dtype == DTYPE_F64 ? wide : (double)narrow;
}

/* The sum before it is converted. volatile: no compiler may fuse product and sum. */
static double define_exact(const struct fixture *f, size_t row, size_t t, size_t e)
{
    const struct spec *s = &f->run.specs[t];
    double sum = -0.0, weighted = -0.0, first = 0;
    size_t count = 0;
    bool is_equal = true;

    for (size_t i = 0; i < K; i++) {
        double a = f->alpha[row * K + i], x = number_at(s->dtype, run_values(&f->run, i, t), e);
        volatile double product = a * x;
        if (a == 0)
            continue;
        if (count++ == 0)
            first = a;
        is_equal = is_equal && a == first;
        sum += x;
        weighted += product;
    }
    return is_equal ? sum / (double)count : weighted;
}

/* The average as published in this type, and then as a number again. */
static double define_published(const struct fixture *f, enum dtype published, size_t row, size_t t,
                               size_t e)
{
    double stored;

    store_number(published, &stored, 0, define_exact(f, row, t, e));
    return number_at(published, &stored, 0);
}

static size_t newest_of(const struct fixture *f, size_t row)
{
    size_t i = K - 1;

    while (f->alpha[row * K + i] == 0)
        i--;
    return i;
}

/* What the banks must hold: QUICK as mix(), otherwise as mix_exact() with this output. */
enum { QUICK = -1 };

static void define_banks(struct fixture *f, const struct model *m, int output)
{
    static const enum dtype types[] = { 0, DTYPE_F32, DTYPE_BF16, DTYPE_F16 };

    fresh_banks(f->wanted, m);
    for (size_t n = 0; n < m->count * M; n++) {
        const struct model_tensor *t = &m->tensors[n / M];
        size_t row = n % M, spec = spec_of(&f->run, t->name), count = (size_t)t->elements;
        enum dtype published = output > 0 ? types[output] : t->dtype;
        char *at = (char *)f->wanted[row] + t->bank_offset;
        if (!t->is_float) {
            memcpy(at, run_values(&f->run, newest_of(f, row), spec),
                   count * model_element_bytes(t));
            continue;
        }
        for (size_t e = 0; e < count; e++)
            store_number(t->bank_dtype, at, e,
                         output == QUICK ? define_mix(f, row, spec, e)
                                         : define_published(f, published, row, spec, e));
    }
}

/* ---- comparing: whole banks, with the padding that belongs to nobody ---- */

static void check_banks(const struct fixture *f, const struct model *m)
{
    for (size_t n = 0; n < m->count * M; n++) {
        const struct model_tensor *t = &m->tensors[n / M];
        size_t bytes = (size_t)t->elements * model_bank_element_bytes(t);
        if (memcmp((char *)f->banks[n % M] + t->bank_offset,
                   (char *)f->wanted[n % M] + t->bank_offset, bytes) != 0)
            fail_msg("'%s' differs in average %zu", t->name, n % M);
    }
    for (size_t j = 0; j < M; j++)
        assert_memory_equal(f->banks[j], f->wanted[j], (size_t)m->bank_bytes);
}

static void test_mix(void **state)
{
    struct fixture *f = *state;

    for (size_t n = 0; kernels_at(n / COUNT_OF(team_sizes)); n++) {
        AUTO(engine_clear)
        struct engine e =
            engine_with(team_sizes[n % COUNT_OF(team_sizes)], n / COUNT_OF(team_sizes));
        AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &f->run);
        struct mix_request r = request_of(f);
        struct sewa_error err = { 0 };

        if (n == 0)
            define_banks(f, resident_model(resident), QUICK);
        for (int again = 0; again < 2; again++) { /* the candidates are as they were */
            fresh_banks(f->banks, resident_model(resident));
            assert_ok(mix(&e, resident_source(resident), &r, &err), err);
            check_banks(f, resident_model(resident));
        }
    }
}

static void test_mix_exact(void **state)
{
    struct fixture *f = *state;

    for (int output = 0; output_dtype_names[output]; output++) {
        for (size_t n = 0; kernels_at(n / COUNT_OF(team_sizes)); n++) {
            AUTO(engine_clear)
            struct engine e =
                engine_with(team_sizes[n % COUNT_OF(team_sizes)], n / COUNT_OF(team_sizes));
            AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &f->run);
            struct mix_request r = request_of(f);
            struct exact_options o = { .output = (enum output_dtype)output };
            struct sewa_error err = { 0 };

            if (n == 0)
                define_banks(f, resident_model(resident), output);
            fresh_banks(f->banks, resident_model(resident));
            assert_ok(mix_exact(&e, resident_source(resident), &r, &o, &err), err);
            check_banks(f, resident_model(resident));
        }
    }
}

/* Sum divided by K, not sum of x / K: they differ, and the test must see it. */
static void test_the_definition_matters(void **state)
{
    struct fixture *f = *state;
    size_t t = spec_of(&f->run, "z.embedding"), differ = 0;

    for (size_t e = 0; e < (size_t)spec_elements(&f->run.specs[t]); e++) {
        double by_weights = -0.0;
        for (size_t i = 0; i < K; i++) {
            volatile double product = 1.0 / K * number_at(DTYPE_F32, run_values(&f->run, i, t), e);
            by_weights += product;
        }
        differ += by_weights != define_exact(f, 0, t, e);
    }
    assert_true(differ > 100);
}

/* More ingredients than kernels take at once. */
static void test_two_hundred_ingredients(void **state)
{
    enum { MANY = 200, N = 3001 };
    static const struct spec specs[] = { { "w", DTYPE_F32, 1, { N } } };
    static double alpha[2 * MANY]; /* equal, and rising */
    AUTO(run_clear) struct run r;
    float *banks[2] = { aligned_alloc(64, 16384), aligned_alloc(64, 16384) };
    struct mix_request request = { .count = 2, .alpha = alpha, .banks = (void *const *)banks };
    struct exact_options o = { 0 };

    (void)state;
    assert_true(banks[0] && banks[1]);
    run_init(&r, specs, 1, MANY, 77);
    for (size_t i = 0; i < MANY; i++) {
        alpha[i] = 1.0 / MANY;
        alpha[MANY + i] = 2.0 * (double)(i + 1) / (MANY * (MANY + 1.0));
    }
    for (size_t table = 0; kernels_at(table); table++) {
        AUTO(engine_clear) struct engine e = engine_with(2, table);
        AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &r);
        struct sewa_error err = { 0 };
        assert_true(resident_model(resident)->bank_bytes <= 16384);
        assert_ok(mix_exact(&e, resident_source(resident), &request, &o, &err), err);
        for (size_t n = 0; n < N; n++) {
            double sum = 0, weighted = 0;
            for (size_t i = 0; i < MANY; i++) {
                double x = number_at(DTYPE_F32, run_values(&r, i, 0), n);
                volatile double product = alpha[MANY + i] * x;
                sum += x;
                weighted += product;
            }
            assert_true(banks[0][n] == (float)(sum / MANY));
            assert_true(banks[1][n] == (float)weighted);
        }
        assert_ok(mix(&e, resident_source(resident), &request, &err), err);
        for (size_t n = 0; n < N; n++) {
            float sum = -0.0f;
            for (size_t i = 0; i < MANY; i++)
                sum = fmaf((float)alpha[MANY + i], ((float *)run_values(&r, i, 0))[n], sum);
            assert_true(banks[1][n] == sum);
        }
    }
    free(banks[0]);
    free(banks[1]);
}

/* ---- zeros, infinities, one ingredient ---- */

static const struct spec few[] = { { "x", DTYPE_F32, 1, { 4 } }, { "h", DTYPE_F16, 1, { 2 } } };

static void test_one_ingredient_gives_itself(void **state)
{
    static const float special[] = { -0.0f, 0x1p-149f, -0x1.fffffep127f, 0.1f };
    static const double alpha[] = { 0, 1 };
    AUTO(run_clear) struct run r;
    float bank[256] __attribute__((aligned(64)));
    void *banks[] = { bank };
    struct mix_request request = { .count = 1, .alpha = alpha, .banks = banks };
    struct exact_options o = { 0 };

    (void)state;
    run_init(&r, few, 2, 2, 1);
    memcpy(run_values(&r, 1, 0), special, sizeof special);
    run_save(&r, 1);
    for (size_t table = 0; kernels_at(table); table++) {
        AUTO(engine_clear) struct engine e = engine_with(1, table);
        AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &r);
        const struct model *m = resident_model(resident);
        int64_t at = m->tensors[model_find(m, "x")].bank_offset / 4;
        struct sewa_error err = { 0 };
        assert_ok(mix(&e, resident_source(resident), &request, &err), err);
        assert_memory_equal(bank + at, special, sizeof special);
        memset(bank, 0, sizeof bank);
        assert_ok(mix_exact(&e, resident_source(resident), &request, &o, &err), err);
        assert_memory_equal(bank + at, special, sizeof special);
    }
}

/* A coefficient of zero means that the checkpoint takes no part, whatever it contains. */
static void test_without_a_coefficient_an_infinity_is_nothing(void **state)
{
    static const double alpha[] = { 0.5, 0, 0.5, 0, 1, 0 };
    AUTO(run_clear) struct run r;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct resident_options options = { .count = 3, .allow_nonfinite = true };
    AUTOPTR(resident_close) struct resident *resident = NULL;
    float bank[2][256] __attribute__((aligned(64)));
    void *banks[] = { bank[0], bank[1] };
    struct mix_request request = { .count = 2, .alpha = alpha, .banks = banks };
    struct sewa_error err = { 0 };

    (void)state;
    run_init(&r, few, 2, 3, 1);
    ((float *)run_values(&r, 1, 0))[2] = INFINITY;
    run_save(&r, 1);
    options.candidates = r.candidates;
    for (size_t table = 0; kernels_at(table); table++) {
        e.kernels = kernels_at(table);
        resident_close(TAKE(resident));
        assert_ok(resident_open(&e, &options, &resident, &err), err);
        const struct model *m = resident_model(resident);
        int64_t at = m->tensors[model_find(m, "x")].bank_offset / 4 + 2;
        assert_ok(mix(&e, resident_source(resident), &request, &err), err);
        assert_true(isfinite(bank[0][at]) && isinf(bank[1][at]));
    }
}

static void test_replaced_tensors(void **state)
{
    static const float recalibrated[] = { 1.5f, -2, 65504, 1e-3f };
    struct run r;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    float bank[256] __attribute__((aligned(64)));
    void *banks[] = { bank };
    static const double alpha[] = { 0.5, 0.5 };
    struct mix_request request = { .count = 1, .alpha = alpha, .banks = banks };
    const float *replaced[] = { NULL, recalibrated }; /* by name: h, x */
    struct exact_options o = { .output = OUTPUT_F16, .replaced = replaced };
    struct sewa_error err = { 0 };

    (void)state;
    run_init(&r, few, 2, 2, 1);
    AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &r);
    const struct model *m = resident_model(resident);
    assert_ok(mix_exact(&e, resident_source(resident), &request, &o, &err), err);
    for (size_t i = 0; i < 4; i++) {
        uint16_t stored;
        store_number(DTYPE_F16, &stored, 0, (double)recalibrated[i]);
        assert_true((double)bank[m->tensors[1].bank_offset / 4 + (int64_t)i] ==
                    number_at(DTYPE_F16, &stored, 0));
    }
    resident_close(TAKE(resident));
    run_clear(&r);
}

/* ---- integers ---- */

static const struct spec integers[] = {
    { "bool", DTYPE_BOOL, 1, { 3 } }, { "i16", DTYPE_I16, 1, { 2 } },
    { "i32", DTYPE_I32, 0, { 0 } },   { "i64", DTYPE_I64, 1, { 2 } },
    { "i8", DTYPE_I8, 1, { 2 } },     { "u16", DTYPE_U16, 0, { 0 } },
    { "u32", DTYPE_U32, 0, { 0 } },   { "u64", DTYPE_U64, 1, { 1 } },
    { "u8", DTYPE_U8, 1, { 2 } },
};

/* Two checkpoints; the values that the greater of both must show. */
static const struct {
    const char *values[2];
    const char *max;
    size_t bytes;
} integer_rows[] = {
    { { "\0\1\1", "\1\0\1" }, "\1\1\1", 3 },
    { { "\xff\xff\1\0", "\1\0\xff\x7f" }, "\1\0\xff\x7f", 4 }, /* -1 < 1 */
    { { "\0\0\0\x80", "\1\0\0\0" }, "\1\0\0\0", 4 },
    { { "\0\0\0\0\0\0\0\x80\2\0\0\0\0\0\0\0", "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0" },
      "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0",
      16 },
    { { "\x80\5", "\x7f\4" }, "\x7f\5", 2 },
    { { "\xff\xff", "\1\0" }, "\xff\xff", 2 },
    { { "\0\0\0\x80", "\1\0\0\0" }, "\0\0\0\x80", 4 },
    { { "\0\0\0\0\0\0\0\x80", "\1\0\0\0\0\0\0\0" }, "\0\0\0\0\0\0\0\x80", 8 },
    { { "\x80\5", "\x7f\4" }, "\x80\5", 2 },
};

static void test_policies(void **state)
{
    static const double alpha[] = { 0.5, 0.5, 0 }; /* the third, newest, has no part */
    AUTO(run_clear) struct run r;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    char bank[4096] __attribute__((aligned(64)));
    void *banks[] = { bank };
    struct mix_request request = { .count = 1, .alpha = alpha, .banks = banks };
    struct exact_options o = { 0 };

    (void)state;
    run_init(&r, integers, COUNT_OF(integers), 3, 1);
    for (size_t t = 0; t < COUNT_OF(integers); t++)
        for (size_t i = 0; i < 2; i++)
            memcpy(run_values(&r, i, t), integer_rows[t].values[i], integer_rows[t].bytes);
    run_save(&r, 0);
    run_save(&r, 1);
    AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &r);
    const struct model *m = resident_model(resident);
    for (int n = 0; n < 6; n++) {
        enum integer_policy policy = (enum integer_policy)(n % 3);
        struct sewa_error err = { 0 };
        request.integers = policy;
        if (n < 3)
            assert_ok(mix(&e, resident_source(resident), &request, &err), err);
        else
            assert_ok(mix_exact(&e, resident_source(resident), &request, &o, &err), err);
        for (size_t t = 0; t < COUNT_OF(integers); t++) { /* the specs are in order of names */
            const char *want = policy == INTEGER_MAX
                                   ? integer_rows[t].max
                                   : integer_rows[t].values[policy == INTEGER_NEWEST];
            assert_memory_equal(bank + m->tensors[t].bank_offset, want, integer_rows[t].bytes);
        }
    }
}

static void test_integers_that_must_be_equal(void **state)
{
    static const double alpha[] = { 0.5, 0, 0.5 };
    AUTO(run_clear) struct run r;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    char bank[4096] __attribute__((aligned(64)));
    void *banks[] = { bank };
    struct mix_request request = {
        .count = 1, .alpha = alpha, .banks = banks, .integers = INTEGER_EQUAL
    };
    struct exact_options o = { 0 };
    struct resident *resident;
    struct sewa_error err = { 0 };

    (void)state;
    run_init(&r, integers, COUNT_OF(integers), 3, 1);
    for (size_t t = 0; t < COUNT_OF(integers); t++) /* only the one without a part differs */
        memcpy(run_values(&r, 2, t), run_values(&r, 0, t), integer_rows[t].bytes);
    run_save(&r, 2);
    resident = resident_of(&e, &r);
    assert_ok(mix(&e, resident_source(resident), &request, &err), err);
    resident_close(resident);
    ((char *)run_values(&r, 2, 3))[15] ^= 1;
    run_save(&r, 2);
    resident = resident_of(&e, &r);
    assert_failed(mix(&e, resident_source(resident), &request, &err), err, SEWA_E_MISMATCH,
                  "tensor 'i64'");
    assert_non_null(strstr(err.text, "'ckpt_0'"));
    assert_non_null(strstr(err.text, "'ckpt_2'"));
    assert_failed(mix_exact(&e, resident_source(resident), &request, &o, &err), err,
                  SEWA_E_MISMATCH, "tensor 'i64'");
    resident_close(resident);
}

/* ---- failing ---- */

static int fail_to_fetch(struct source *s, const struct piece *piece, const uint32_t *which,
                         size_t count, unsigned thread, const void **x, struct sewa_error *err)
{
    (void)s;
    (void)which;
    (void)count;
    (void)thread;
    (void)x;
    return sewa_fail(err, SEWA_E_IO, "tensor %zu cannot be read", piece->tensor);
}

static void test_failures(void **state)
{
    struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(3, 0);
    AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &f->run);
    struct source failing = { .roster = resident_source(resident)->roster, .fetch = fail_to_fetch };
    struct exact_options o = { 0 };
    struct mix_request r = request_of(f);
    struct sewa_error err = { 0 };
    atomic_bool cancel = true;

    fresh_banks(f->banks, resident_model(resident));
    assert_failed(mix(&e, &failing, &r, &err), err, SEWA_E_IO, "cannot be read");
    assert_failed(mix_exact(&e, &failing, &r, &o, &err), err, SEWA_E_IO, "cannot be read");
    r.cancel = &cancel;
    assert_failed(mix(&e, resident_source(resident), &r, &err), err, SEWA_E_CANCELLED, "");
    r.cancel = NULL;
    f->alpha[4] = NAN;
    assert_failed(mix(&e, resident_source(resident), &r, &err), err, SEWA_E_INVALID,
                  "coefficient 4 of average 0");
    assert_failed(mix_exact(&e, resident_source(resident), &r, &o, &err), err, SEWA_E_INVALID,
                  "coefficient 4 of average 0");
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &f->run);
    struct mix_request r = request_of(f);
    struct sewa_error err = { 0 };

    fresh_banks(f->banks, resident_model(resident));
    int64_t held = alloc_held();
    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = mix(&e, resident_source(resident), &r, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_int_equal(n, 3);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(alloc_held(), held);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mix_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_definition_matters, setup, teardown),
        cmocka_unit_test(test_two_hundred_ingredients),
        cmocka_unit_test(test_one_ingredient_gives_itself),
        cmocka_unit_test(test_without_a_coefficient_an_infinity_is_nothing),
        cmocka_unit_test(test_replaced_tensors),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_integers_that_must_be_equal),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
