/*
 * test_alloc - the fuse and the counter of tests/support/alloc.h, on buf.
 */
#include "support/support.h"
#include "support/alloc.h"

#include "base/buf.h"

static int fill(size_t bytes)
{
    AUTO(buf_clear) struct buf b = { 0 };

    for (size_t i = 0; i < bytes; i++)
        buf_char(&b, 'x');
    return buf_failed(&b) ? -1 : 0;
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    int64_t n = 0;

    for (;; n++) {
        alloc_fail_at(n);
        int rc = fill(1000);
        if (!alloc_fired())
            break;
        assert_int_equal(rc, -1);
    }
    assert_int_equal(n, 8); /* 64 bytes, and half as many more each time, up to 1,093 */
    assert_int_equal(fill(1000), 0);
}

static void test_bytes_are_counted(void **state)
{
    (void)state;
    int64_t before = alloc_held();

    alloc_peak_reset();
    assert_int_equal(fill(100000), 0);
    assert_int_equal(alloc_held(), before);
    assert_true(alloc_peak() - before >= 100000);
    assert_true(alloc_peak() - before < 200000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_bytes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
