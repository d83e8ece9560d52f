/*
 * test_weights - which candidates take part, and which matrices of coefficients are refused.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "engine/weights.h"
#include "support/alloc.h"

static void test_compact_form(void **state)
{
    static const double alpha[] = {
        0,   0.5,  0, 0.5, 0, 0,                      /* two equal ones */
        0,   0.25, 0, 0,   0, 0.75, 0, 0, 0, 1, 0, 0, /* one */
        0.5, 1,    0, 0,   0, -0.5,
    };
    static const uint32_t used[] = { 0, 1, 3, 5 };
    AUTO(weights_clear) struct weights w = { 0 };
    struct sewa_error err = { 0 };

    (void)state;
    assert_ok(weights_init(&w, alpha, 4, 6, &err), err);
    assert_int_equal(w.rows, 4);
    assert_int_equal(w.used_count, 4);
    assert_memory_equal(w.used, used, sizeof used);
    for (size_t j = 0; j < 4; j++)
        for (size_t u = 0; u < 4; u++)
            assert_true(w.alpha[j * 4 + u] == alpha[j * 6 + used[u]]);
    assert_int_equal(w.row[0].count, 2);
    assert_int_equal(w.row[0].at[0], 1);
    assert_int_equal(w.row[0].at[1], 2);
    assert_true(w.row[0].is_equal && w.row[2].is_equal);
    assert_false(w.row[1].is_equal || w.row[3].is_equal);
    assert_int_equal(w.row[3].count, 3);
    assert_true(w.row[3].weights[2] == -0.5);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *what;
        double alpha[4]; /* two averages of two candidates */
        const char *word;
    } rows[] = {
        { "not a number", { 1, 0, NAN, 1 }, "coefficient 0 of average 1 is nan" },
        { "infinite", { INFINITY, 0, 0, 1 }, "coefficient 0 of average 0 is inf" },
        { "sum too small", { 0.5, 0.5, 0.5, 0.499 }, "average 1 sum to 0.999 instead of 1" },
        { "sum too large", { 1, 0.1, 0, 1 }, "average 0 sum to 1.1" },
        { "nothing at all", { 0, 0, 0, 1 }, "average 0 sum to 0" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(weights_clear) struct weights w = { 0 };
        struct sewa_error err = { 0 };
        assert_failed(weights_init(&w, rows[i].alpha, 2, 2, &err), err, SEWA_E_INVALID,
                      rows[i].word);
        assert_failed(weights_check(rows[i].alpha, 2, 2, &err), err, SEWA_E_INVALID, rows[i].word);
    }
}

/* What float64 leaves of a hundred additions is not a reason to refuse. */
static void test_rounding_is_forgiven(void **state)
{
    double alpha[200];
    struct sewa_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < 200; i++)
        alpha[i] = 1.0 / 200 + (i % 2 ? 1e-9 : -1e-9);
    assert_ok(weights_check(alpha, 1, 200, &err), err);
}

static void test_no_memory(void **state)
{
    static const double alpha[] = { 1 };
    struct weights w = { 0 };
    struct sewa_error err = { 0 };

    (void)state;
    alloc_fail_at(0);
    assert_failed(weights_init(&w, alpha, 1, 1, &err), err, SEWA_E_NO_MEMORY, "1 x 1");
    assert_true(alloc_fired());
    weights_clear(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compact_form),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_rounding_is_forgiven),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
