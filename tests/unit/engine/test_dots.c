/*
 * test_dots - centred products: to the bit against the definition for every table of kernels and
 * any number of threads, and in value against long double, also where all candidates have a huge
 * part in common.
 */
#include "run.h"

#include <math.h>
#include <string.h>

#include "engine/dots.h"
#include "support/alloc.h"

enum { K = 7, M = 5 };

struct fixture {
    struct run run;
    struct engine engine;
    struct resident *resident;
    float *gradients[M];
    double alpha[M * K];
};

static void fill_alpha(double *alpha)
{
    uint64_t state = 5;

    for (size_t j = 0; j < M; j++) {
        double sum = 0;
        for (size_t i = 0; i < K; i++)
            sum += alpha[j * K + i] = j == 1 && i % 2 ? 0 : fabs(random_number(&state));
        for (size_t i = 0; i < K; i++)
            alpha[j * K + i] /= sum;
    }
}

static void fixture_init(struct fixture *f, const struct spec *specs, size_t count)
{
    uint64_t state = 17;

    run_init(&f->run, specs, count, K, 23);
    f->engine = engine_with(2, 0);
    f->resident = resident_of(&f->engine, &f->run);
    int64_t bytes = resident_model(f->resident)->gradient_bank_bytes;
    for (size_t j = 0; j < M; j++) {
        f->gradients[j] = aligned_alloc(64, (size_t)bytes);
        assert_non_null(f->gradients[j]);
        for (int64_t e = 0; e < bytes / 4; e++)
            f->gradients[j][e] = (float)random_number(&state);
    }
    fill_alpha(f->alpha);
}

static void fixture_clear(struct fixture *f)
{
    for (size_t j = 0; j < M; j++)
        free(f->gradients[j]);
    resident_close(f->resident);
    engine_clear(&f->engine);
    run_clear(&f->run);
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    assert_non_null(*state);
    fixture_init(*state, mixed_model, MIXED_COUNT);
    return 0;
}

static int teardown(void **state)
{
    fixture_clear(*state);
    free(*state);
    return 0;
}

static struct dots_request request_of(const struct fixture *f)
{
    return (struct dots_request){ .count = M,
                                  .alpha = f->alpha,
                                  .gradients = (const void *const *)f->gradients };
}

/* ---- the definition, to the bit ---- */

static double define_chunk(const struct fixture *f, const struct model_tensor *t, size_t i,
                           size_t j, int64_t begin, int64_t end)
{
    size_t spec = spec_of(&f->run, t->name), lanes = t->dtype == DTYPE_F64 ? 8 : 16;
    const void *x = run_values(&f->run, i, spec), *r = run_values(&f->run, K / 2, spec);
    const float *g = f->gradients[j] + t->gradient_offset / 4;
    double lane[16] = { 0 };

    for (int64_t e = begin; e < end; e++) {
        double a = number_at(t->dtype, x, (size_t)e), b = number_at(t->dtype, r, (size_t)e);
        double *l = &lane[(size_t)(e - begin) % lanes];
        if (t->dtype == DTYPE_F64)
            *l = fma((double)g[e], a - b, *l);
        else
            *l = (double)fmaf(g[e], (float)a - (float)b, (float)*l);
    }
    for (; lanes > 1; lanes /= 2)
        for (size_t l = 0; l < lanes / 2; l++)
            lane[l] += lane[l + lanes / 2];
    return lane[0];
}

/* Chunks in order of names, in partitions n * chunks / partitions. */
static double define_product(const struct fixture *f, const bool *wanted, size_t i, size_t j)
{
    const struct model *m = resident_model(f->resident);
    int64_t partitions = m->chunks < 256 ? m->chunks : 256, chunk = 0, partition = 0;
    double sum = 0, all = 0;

    for (size_t n = 0; n < m->count; n++) {
        const struct model_tensor *t = &m->tensors[n];
        for (int64_t begin = 0; begin < t->elements; begin += 4096, chunk++) {
            int64_t end = begin + 4096 < t->elements ? begin + 4096 : t->elements;
            if (chunk == (partition + 1) * m->chunks / partitions) {
                all += sum;
                sum = 0;
                partition++;
            }
            if (t->is_float && (!wanted || wanted[n]))
                sum += define_chunk(f, t, i, j, begin, end);
        }
    }
    return all + sum;
}

static void define_dots(const struct fixture *f, const bool *wanted, double *ret)
{
    for (size_t j = 0; j < M; j++) {
        double p[K], common = 0;
        for (size_t i = 0; i < K; i++)
            p[i] = define_product(f, wanted, i, j);
        for (size_t i = 0; i < K; i++) {
            volatile double product = f->alpha[j * K + i] * p[i];
            if (f->alpha[j * K + i] != 0)
                common += product;
        }
        for (size_t i = 0; i < K; i++)
            ret[j * K + i] = p[i] - common;
    }
}

static void check_all_teams(struct fixture *f, const bool *wanted)
{
    static const unsigned team_sizes[] = { 1, 2, 3, 7 };
    struct dots_request r = request_of(f);
    double want[M * K], got[M * K];

    r.differentiated = wanted;
    define_dots(f, wanted, want);
    for (size_t table = 0; kernels_at(table); table++) {
        for (size_t i = 0; i < COUNT_OF(team_sizes); i++) {
            AUTO(engine_clear) struct engine e = engine_with(team_sizes[i], table);
            struct sewa_error err = { 0 };
            memset(got, 0xff, sizeof got);
            assert_ok(dots(&e, resident_source(f->resident), &r, got, &err), err);
            assert_memory_equal(got, want, sizeof want);
        }
    }
}

static void test_the_definition(void **state)
{
    check_all_teams(*state, NULL);
}

static void test_only_what_is_differentiated(void **state)
{
    struct fixture *f = *state;
    const struct model *m = resident_model(f->resident);
    bool wanted[MIXED_COUNT] = { false };

    wanted[model_find(m, "layers.9.weight")] = true;
    wanted[model_find(m, "double")] = true;
    wanted[model_find(m, "counts")] = true; /* an integer has no gradient, whatever is asked */
    check_all_teams(f, wanted);
}

static void test_many_partitions(void **state)
{
    static const struct spec large[] = { { "w", DTYPE_F32, 1, { 300 * 4096 + 17 } } };
    struct fixture f;

    (void)state;
    fixture_init(&f, large, 1);
    assert_int_equal(model_partitions(resident_model(f.resident)), 256);
    check_all_teams(&f, NULL);
    fixture_clear(&f);
}

/* ---- the value ---- */

/* <g_j, x_i - w_j> for all i in long double, from the numbers in the files, and how large it gets.
 */
static void true_values(const struct fixture *f, size_t j, long double sum[K], long double scale[K])
{
    const struct model *m = resident_model(f->resident);

    memset(sum, 0, K * sizeof *sum);
    memset(scale, 0, K * sizeof *scale);
    for (size_t n = 0; n < m->count; n++) {
        const struct model_tensor *t = &m->tensors[n];
        size_t spec = spec_of(&f->run, t->name);
        for (int64_t e = 0; t->is_float && e < t->elements; e++) {
            long double x[K], w = 0, g = (long double)f->gradients[j][t->gradient_offset / 4 + e];
            for (size_t i = 0; i < K; i++) {
                x[i] = (long double)number_at(t->dtype, run_values(&f->run, i, spec), (size_t)e);
                w += (long double)f->alpha[j * K + i] * x[i];
            }
            for (size_t i = 0; i < K; i++) {
                sum[i] += g * (x[i] - w);
                scale[i] += fabsl(g * (x[i] - w));
            }
        }
    }
}

static void check_values(struct fixture *f, long double tolerance)
{
    struct dots_request r = request_of(f);
    double got[M * K];
    struct sewa_error err = { 0 };

    assert_ok(dots(&f->engine, resident_source(f->resident), &r, got, &err), err);
    for (size_t j = 0; j < M; j++) {
        long double want[K], scale[K];
        true_values(f, j, want, scale);
        for (size_t i = 0; i < K; i++) {
            long double off = fabsl((long double)got[j * K + i] - want[i]) / scale[i];
            if (!(off <= tolerance))
                fail_msg("candidate %zu, average %zu: off by %Lg of %Lg", i, j, off, scale[i]);
        }
    }
}

static void test_values(void **state)
{
    check_values(*state, 1e-7L);
}

/*
 * All candidates have 1,000 in common and differ by a few units in the last place of a float: the
 * products of the values themselves would lose everything.
 */
static void test_a_common_offset_cancels(void **state)
{
    static const struct spec specs[] = { { "w", DTYPE_F32, 1, { 50000 } } };
    struct fixture f;
    uint64_t random = 3;

    (void)state;
    fixture_init(&f, specs, 1);
    for (size_t i = 0; i < K; i++) {
        float *x = run_values(&f.run, i, 0);
        for (size_t e = 0; e < 50000; e++)
            x[e] = 1000 + (float)(random_bits(&random) % 64) * 0x1p-14f;
        run_save(&f.run, i);
    }
    resident_close(f.resident);
    f.resident = resident_of(&f.engine, &f.run);
    check_values(&f, 1e-7L);
    fixture_clear(&f);
}

/* sum_i alpha_i c_i = 0, because the average of the differences to the average is nothing. */
static void test_products_are_centred(void **state)
{
    struct fixture *f = *state;
    struct dots_request r = request_of(f);
    double got[M * K];
    struct sewa_error err = { 0 };

    assert_ok(dots(&f->engine, resident_source(f->resident), &r, got, &err), err);
    for (size_t j = 0; j < M; j++) {
        double sum = 0, scale = 0;
        for (size_t i = 0; i < K; i++) {
            sum += f->alpha[j * K + i] * got[j * K + i];
            scale += fabs(f->alpha[j * K + i] * got[j * K + i]);
        }
        assert_true(fabs(sum) <= 1e-14 * scale);
    }
}

static void test_gradients_that_are_not_finite(void **state)
{
    struct fixture *f = *state;
    struct dots_request r = request_of(f);
    double got[M * K];
    struct sewa_error err = { 0 };
    const struct model *m = resident_model(f->resident);

    f->gradients[2][m->tensors[model_find(m, "scalar")].gradient_offset / 4] = NAN;
    assert_ok(dots(&f->engine, resident_source(f->resident), &r, got, &err), err);
    for (size_t i = 0; i < M * K; i++)
        assert_int_equal(isnan(got[i]) != 0, i / K == 2);
}

static void test_a_model_without_elements(void **state)
{
    static const struct spec none[] = { { "e", DTYPE_F32, 1, { 0 } } };
    struct fixture f;
    double got[M * K];
    struct sewa_error err = { 0 };

    (void)state;
    fixture_init(&f, none, 1);
    struct dots_request r = request_of(&f);
    assert_ok(dots(&f.engine, resident_source(f.resident), &r, got, &err), err);
    for (size_t i = 0; i < M * K; i++)
        assert_true(got[i] == 0);
    fixture_clear(&f);
}

static void test_failures(void **state)
{
    struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct dots_request r = request_of(f);
    double got[M * K];
    struct sewa_error err = { 0 };
    atomic_bool cancel = true;

    r.cancel = &cancel;
    assert_failed(dots(&e, resident_source(f->resident), &r, got, &err), err, SEWA_E_CANCELLED, "");
    r.cancel = NULL;
    int64_t held = alloc_held();
    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = dots(&e, resident_source(f->resident), &r, got, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_int_equal(n, 7);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(alloc_held(), held);
    }
    f->alpha[K] += 0.5;
    assert_failed(dots(&e, resident_source(f->resident), &r, got, &err), err, SEWA_E_INVALID,
                  "average 1");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_definition, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_what_is_differentiated, setup, teardown),
        cmocka_unit_test(test_many_partitions),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test(test_a_common_offset_cancels),
        cmocka_unit_test_setup_teardown(test_products_are_centred, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gradients_that_are_not_finite, setup, teardown),
        cmocka_unit_test(test_a_model_without_elements),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
