/*
 * test_pages - whole huge pages at their alignment, and nothing lost where they are given back.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/pages.h"

static const struct {
    int64_t n, bytes;
} rows[] = {
    { 1, 1 },
    { 4097, 4097 },
    { PAGES_HUGE / 2 - 1, PAGES_HUGE / 2 - 1 },
    { PAGES_HUGE / 2, PAGES_HUGE },
    { PAGES_HUGE - 1, PAGES_HUGE },
    { PAGES_HUGE, PAGES_HUGE },
    { PAGES_HUGE + 1, 2 * PAGES_HUGE },
    { 5 * (int64_t)PAGES_HUGE, 5 * (int64_t)PAGES_HUGE },
    { INT64_MAX, INT64_MAX },
    { INT64_MAX - PAGES_HUGE + 1, INT64_MAX },
};

static void test_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(pages_bytes(rows[i].n), rows[i].bytes);
}

/* Pages of virtual memory that this process has. Nothing is allocated to find out. */
static long mapped(void)
{
    char text[256] = "";
    AUTOCLOSE int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    return strtol(text, NULL, 10);
}

static void test_maps(void **state)
{
    (void)state;
    for (size_t i = 0; rows[i].n < INT64_MAX / 2; i++) {
        long before = mapped();
        char *p = pages_map(rows[i].n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (rows[i].bytes % PAGES_HUGE ? 4096 : PAGES_HUGE), 0);
        assert_int_equal(mapped() - before, (rows[i].bytes + 4095) / 4096);
        assert_int_equal(p[0] | p[rows[i].bytes - 1], 0);
        memset(p, 1, (size_t)rows[i].bytes);
        pages_unmap(p, rows[i].n);
        assert_int_equal(mapped(), before);
    }
    pages_unmap(NULL, 12345);
}

static void test_too_much(void **state)
{
    (void)state;
    errno = 0;
    assert_null(pages_map(INT64_MAX / 2));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(pages_map(INT64_MAX));
    assert_int_equal(errno, ENOMEM);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
