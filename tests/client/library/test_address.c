/*
 * test_address - which addresses are taken, what they become, and which are on this machine.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <string.h>

#include "address.h"
#include "cleanup.h"

struct row {
    const char *url;
    const char *base; /* NULL: refused */
    bool is_local;
    const char *word; /* of the refusal */
};

static const struct row rows[] = {
    { "http://127.0.0.1:8787", "http://127.0.0.1:8787", true, NULL },
    { "127.0.0.1:8787", "http://127.0.0.1:8787", true, NULL },
    { "http://127.1:80", "http://127.0.0.1:80", true, NULL },
    { "http://2130706433:1", "http://127.0.0.1:1", true, NULL },
    { "http://127.255.3.4", "http://127.255.3.4", true, NULL },
    { "http://128.0.0.1", "http://128.0.0.1", false, NULL },
    { "localhost:1", "http://localhost:1", true, NULL },
    { "http://LocalHost.:1/", "http://LocalHost.:1", true, NULL },
    { "http://localhost.example:1", "http://localhost.example:1", false, NULL },
    { "http://127.0.0.1.example", "http://127.0.0.1.example", false, NULL },
    { "http://[::1]:8787/", "http://[::1]:8787", true, NULL },
    { "http://[::2]:8787", "http://[::2]:8787", false, NULL },
    { "https://head.example/sewa/", "https://head.example/sewa", false, NULL },
    { "https://head.example/sewa//", "https://head.example/sewa", false, NULL },
    { "http://u:p@127.0.0.1", NULL, false, "a user or a password" },
    { "http://u@127.0.0.1", NULL, false, "a user or a password" },
    { "http://127.0.0.1/?a=b", NULL, false, "query" },
    { "http://127.0.0.1/#a", NULL, false, "fragment" },
    { "ftp://127.0.0.1", NULL, false, "'ftp'" },
    { "file:///etc/passwd", NULL, false, "'file'" },
    { "http://127.0.0.1:99999", NULL, false, "'http://127.0.0.1:99999'" },
    { "http://", NULL, false, "'http://'" },
    { "", NULL, false, "''" },
    { "http://a b", NULL, false, "'http://a b'" },
    { "http://a\nHost: b", NULL, false, "no address" },
};

static void check_row(void **state)
{
    const struct row *r = *state;
    AUTO(sewa_address_clear) struct address a = { 0 };
    struct sewa_error err;
    int rc = sewa_address_parse(r->url, &a, &err);

    if (!r->base) {
        assert_failed(rc, err, SEWA_E_INVALID, r->word);
        assert_null(strstr(err.text, "u:p"));
        return;
    }
    assert_ok(rc, err);
    assert_string_equal(a.base, r->base);
    assert_int_equal(a.is_local, r->is_local);
}

static void memory_runs_out(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        AUTO(sewa_address_clear) struct address a = { 0 };
        struct sewa_error err;
        alloc_fail_at(n);
        int rc = sewa_address_parse("127.0.0.1:8787/a/long/prefix", &a, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 0);
            return;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_null(a.base);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 1] = { cmocka_unit_test(memory_runs_out) };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i + 1] = (struct CMUnitTest){ rows[i].url, check_row, NULL, NULL, (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
