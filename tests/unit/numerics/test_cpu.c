/*
 * test_cpu - choosing a table of kernels by name, by processor and by environment.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/offered.h"
#include "numerics/kernels.h"

static void test_tables_are_complete_and_named(void **state)
{
    const struct kernels *k;
    size_t i;

    (void)state;
    for (i = 0; (k = kernels_at(i)) != NULL; i++) {
        const struct kernels *found = NULL;
        struct sewa_error err = { 0 };

        assert_ok(kernels_select(k->name, &found, &err), err);
        assert_ptr_equal(found, k);
        assert_non_null(k->divide);
        for (int t = 0; t < DTYPE_COUNT; t++) {
            const struct float_kernels *row = kernels_for(k, (enum dtype)t);
            assert_int_equal(row != NULL, dtype_kind((enum dtype)t) == DTYPE_FLOAT);
            if (row)
                assert_true(row->widen && row->from_f64 && row->count_nonfinite && row->sum &&
                            row->weighted_sum && row->mix && row->dots);
        }
    }
    assert_string_equal(kernels_at(0)->name, "reference");
    assert_null(kernels_at(i + 1));
}

static void test_what_the_processor_has_is_offered(void **state)
{
    (void)state;
    offered_check();
}

static void test_the_fastest_is_the_default(void **state)
{
    const struct kernels *chosen = NULL, *last = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    for (size_t i = 0; kernels_at(i); i++)
        last = kernels_at(i);
    assert_ok(kernels_select(NULL, &chosen, &err), err);
    assert_ptr_equal(chosen, last);
    chosen = NULL;
    assert_ok(kernels_select("", &chosen, &err), err);
    assert_ptr_equal(chosen, last);
}

static void test_an_unknown_name_shows_the_choices(void **state)
{
    const struct kernels *chosen = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    assert_failed(kernels_select("sse9", &chosen, &err), err, SEWA_E_CONFIG, "'sse9'");
    for (size_t i = 0; kernels_at(i); i++)
        assert_non_null(strstr(err.text, kernels_at(i)->name));
    assert_null(chosen);
}

static void test_the_environment_decides(void **state)
{
    const struct kernels *chosen = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    setenv("SEWA_KERNELS", "reference", 1);
    assert_ok(kernels_from_environment(&chosen, &err), err);
    assert_string_equal(chosen->name, "reference");
    setenv("SEWA_KERNELS", "fastest", 1);
    assert_failed(kernels_from_environment(&chosen, &err), err, SEWA_E_CONFIG, "SEWA_KERNELS");
    unsetenv("SEWA_KERNELS");
    assert_ok(kernels_from_environment(&chosen, &err), err);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_complete_and_named),
        cmocka_unit_test(test_what_the_processor_has_is_offered),
        cmocka_unit_test(test_the_fastest_is_the_default),
        cmocka_unit_test(test_an_unknown_name_shows_the_choices),
        cmocka_unit_test(test_the_environment_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
