/*
 * test_dtype - the table of element types: every name is found again, sizes and their limits.
 */
#include "support/support.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/dtype.h"

static void test_names_are_found_again(void **state)
{
    (void)state;
    static const char *const unknown[] = { "", "f32", "F3", "F320", "F128", "F8_E4M3FN" };

    for (int t = 0; t < DTYPE_COUNT; t++) {
        const char *name = dtype_name((enum dtype)t);
        assert_non_null(name);
        assert_int_equal(dtype_from_name(name, strlen(name)), t);
    }
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        assert_int_equal(dtype_from_name(unknown[i], strlen(unknown[i])), -1);
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        enum dtype type;
        int64_t count, bytes;
    } rows[] = {
        { DTYPE_F32, 0, 0 },
        { DTYPE_F32, 3, 12 },
        { DTYPE_F32, (int64_t)1 << 61, -1 },
        { DTYPE_F32, -1, -1 },
        { DTYPE_U8, INT64_MAX, INT64_MAX },
        { DTYPE_F64, ((int64_t)1 << 60) - 1, 8 * (((int64_t)1 << 60) - 1) },
        { DTYPE_F4, 2, 1 },
        { DTYPE_F4, 3, -1 },
        { DTYPE_F6_E2M3, 4, 3 },
        { DTYPE_F6_E3M2, 2, -1 },
        { DTYPE_F8_E4M3FNUZ, 5, 5 },
        { DTYPE_F8_E5M2FNUZ, 5, 5 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(dtype_bytes(rows[i].type, rows[i].count), rows[i].bytes);
}

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(dtype_kind(DTYPE_BF16), DTYPE_FLOAT);
    assert_int_equal(dtype_kind(DTYPE_BOOL), DTYPE_INTEGER);
    assert_int_equal(dtype_kind(DTYPE_F8_E4M3), DTYPE_FLOAT);
    assert_int_equal(dtype_kind(DTYPE_F8_E8M0), DTYPE_CARRIED);
    assert_int_equal(dtype_kind(DTYPE_F8_E5M2FNUZ), DTYPE_CARRIED);
    assert_int_equal(dtype_kind(DTYPE_C64), DTYPE_CARRIED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_found_again),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
