/*
 * test_text - bytes that grow, and the parts of a URL.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <string.h>

#include "cleanup.h"
#include "text.h"

static void appends(void **state)
{
    (void)state;
    AUTO(sewa_text_clear) struct text t = { 0 };

    assert_string_equal(sewa_text_get(&t), "");
    sewa_text_put(&t, "a");
    sewa_text_append(&t, "b\0c", 3);
    sewa_text_printf(&t, "%s-%d", "d", 7);
    assert_int_equal(t.length, 7);
    assert_memory_equal(t.data, "ab\0cd-7", 8);
    for (int i = 0; i < 1000; i++)
        sewa_text_printf(&t, "%d,", i);
    assert_false(t.failed);
    assert_int_equal(strlen(t.data + 4), t.length - 4);
    assert_string_equal(t.data + t.length - 4, "999,");
}

static void gives_away(void **state)
{
    (void)state;
    struct text t = { 0 };
    AUTOFREE char *empty = sewa_text_take(&t);
    assert_string_equal(empty, "");

    sewa_text_put(&t, "abc");
    AUTOFREE char *taken = sewa_text_take(&t);
    assert_string_equal(taken, "abc");
    assert_null(t.data);
}

static void escapes(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        { "az-AZ_09.~", "az-AZ_09.~" },
        { "a/b?c#d%e f+g", "a%2Fb%3Fc%23d%25e%20f%2Bg" },
        { "\xc3\xa4\n", "%C3%A4%0A" },
        { ".", "%2E" },
        { "..", "%2E%2E" },
        { "...", "..." },
        { ".a", ".a" },
        { "", "" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(sewa_text_clear) struct text t = { 0 };
        sewa_text_escape(&t, rows[i].from);
        assert_string_equal(sewa_text_get(&t), rows[i].to);
    }
}

static void makes_queries(void **state)
{
    (void)state;
    AUTO(sewa_text_clear) struct text t = { 0 };

    sewa_text_put(&t, "/a");
    sewa_text_query(&t, "x", NULL);
    sewa_text_query(&t, "y", "1 2");
    sewa_text_query(&t, "z", "&=");
    assert_string_equal(sewa_text_get(&t), "/a?y=1%202&z=%26%3D");
}

/* What failed once stays failed, and gives nothing. */
static void remembers_a_failure(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        AUTO(sewa_text_clear) struct text t = { 0 };
        alloc_fail_at(n);
        for (int i = 0; i < 100; i++)
            sewa_text_put(&t, "0123456789");
        bool fired = alloc_fired();
        assert_int_equal(t.failed, fired);
        if (!fired) {
            assert_int_equal(t.length, 1000);
            assert_true(n > 2);
            return;
        }
        sewa_text_put(&t, "x");
        assert_string_equal(sewa_text_get(&t), "");
        assert_null(sewa_text_take(&t));
        assert_false(t.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(gives_away),
        cmocka_unit_test(escapes),
        cmocka_unit_test(makes_queries),
        cmocka_unit_test(remembers_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
