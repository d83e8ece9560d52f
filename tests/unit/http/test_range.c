/*
 * test_range - which bytes a Range field means; what is no single byte range means all of them.
 */
#include "support/support.h"

#include "base/cleanup.h"
#include "http/range.h"

enum { ALL = -1, NOWHERE = -2 }; /* in place of first */

struct row {
    const char *text;
    int64_t size;
    int64_t first, length;
};

static const struct row rows[] = {
    { "bytes=0-9", 100, 0, 10 },
    { "bytes=0-0", 100, 0, 1 },
    { "bytes=99-99", 100, 99, 1 },
    { "bytes=90-", 100, 90, 10 },
    { "bytes=0-", 100, 0, 100 },
    { "bytes=-1", 100, 99, 1 },
    { "bytes=-100", 100, 0, 100 },
    { "bytes=-101", 100, 0, 100 },
    { "bytes=50-100", 100, 50, 50 },
    { "bytes=50-9223372036854775807", 100, 50, 50 },
    { "bytes=50-99999999999999999999999999", 100, 50, 50 },
    { "bytes=-99999999999999999999999999", 100, 0, 100 },
    { "BYTES=0-9", 100, 0, 10 },
    { "bytes=0-9 \t", 100, 0, 10 },
    { "bytes=007-009", 100, 7, 3 },
    { "bytes=0-0", 1, 0, 1 },
    { "bytes=9223372036854775806-", INT64_MAX, INT64_MAX - 1, 1 },

    { "bytes=100-", 100, NOWHERE, 0 },
    { "bytes=100-200", 100, NOWHERE, 0 },
    { "bytes=9223372036854775807-", 100, NOWHERE, 0 },
    { "bytes=99999999999999999999999999-", 100, NOWHERE, 0 },
    { "bytes=-0", 100, NOWHERE, 0 },
    { "bytes=0-", 0, NOWHERE, 0 },
    { "bytes=0-0", 0, NOWHERE, 0 },
    { "bytes=-5", 0, NOWHERE, 0 },
    { "bytes=-0", 0, NOWHERE, 0 },

    { NULL, 100, ALL, 100 },
    { NULL, 0, ALL, 0 },
    { "", 100, ALL, 100 },
    { "bytes", 100, ALL, 100 },
    { "bytes=", 100, ALL, 100 },
    { "bytes=-", 100, ALL, 100 },
    { "bytes=5", 100, ALL, 100 },
    { "bytes=9-5", 100, ALL, 100 },
    { "bytes=0-9,20-29", 100, ALL, 100 },
    { "bytes=0-9,", 100, ALL, 100 },
    { "bytes=0-9-", 100, ALL, 100 },
    { "bytes=--5", 100, ALL, 100 },
    { "bytes=+0-9", 100, ALL, 100 },
    { "bytes= 0-9", 100, ALL, 100 },
    { "bytes=0 -9", 100, ALL, 100 },
    { "bytes=a-b", 100, ALL, 100 },
    { "bytes=0x1-9", 100, ALL, 100 },
    { "bytes:0-9", 100, ALL, 100 },
    { "items=0-9", 100, ALL, 100 },
    { " bytes=0-9", 100, ALL, 100 },
};

static void test_row(void **state)
{
    const struct row *r = *state;
    struct range range;
    struct sewa_error err = { 0 };
    int rc = range_parse(r->text, r->size, &range, &err);

    if (r->first == NOWHERE) {
        assert_failed(rc, err, SEWA_E_RANGE, "lies outside");
        return;
    }
    assert_ok(rc, err);
    assert_int_equal(range.given, r->first != ALL);
    assert_int_equal(range.first, r->first == ALL ? 0 : r->first);
    assert_int_equal(range.length, r->length);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows)];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){ .name = rows[i].text ? rows[i].text : "none",
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
