/*
 * test_format - numbers, sizes, durations and times as people read them.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "cleanup.h"
#include "cli/format.h"

static void bytes(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        const char *text;
    } rows[] = {
        { -1, "-" },
        { 0, "0 B" },
        { 999, "999 B" },
        { 1000, "1.0 kB" },
        { 99949, "99.9 kB" },
        { 99950, "100 kB" },
        { 999499, "999 kB" },
        { 999500, "1.0 MB" },
        { 1234567890, "1.2 GB" },
        { INT64_MAX, "9.2 EB" },
    };
    char text[FORMAT_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(format_bytes(rows[i].n, text), rows[i].text);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *text;
    } rows[] = {
        { 0, "0.0000" },
        { 0.70691, "0.7069" },
        { -1.5, "-1.5000" },
        { 1e-3, "0.0010" },
        { 1e-5, "1.000e-05" },
        { 9999.5, "9999.5000" },
        { 12345, "1.234e+04" },
        { (double)NAN, "-" },
        { (double)INFINITY, "inf" },
        { -(double)INFINITY, "-inf" },
    };
    char text[FORMAT_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(format_number(rows[i].x, text), rows[i].text);
    assert_string_equal(format_count(-1, text), "-");
    assert_string_equal(format_count(12, text), "12");
}

static void percents(void **state)
{
    (void)state;
    static const struct {
        double share;
        const char *text;
    } rows[] = { { 0.0154, "1.5 %" },     { 0.05, "5 %" },      { 0, "0 %" },
                 { 0.000123, "0.012 %" }, { (double)NAN, "-" }, { (double)INFINITY, "-" } };
    char buffer[FORMAT_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(format_percent(rows[i].share, buffer), rows[i].text);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        double s;
        const char *text;
    } rows[] = {
        { 0, "0 s" },
        { 0.384, "0.38 s" },
        { 0.001, "0.001 s" },
        { 0.00035, "0.35 ms" },
        { 8.8e-05, "0.088 ms" },
        { 0.994, "0.99 s" },
        { 0.996, "1.0 s" },
        { 9.94, "9.9 s" },
        { 9.96, "10 s" },
        { 59.4, "59 s" },
        { 59.6, "1 min 0 s" },
        { 192, "3 min 12 s" },
        { 3599.7, "1 h 0 min" },
        { 90061, "25 h 1 min" },
        { -1, "-" },
        { (double)NAN, "-" },
        { 1e12, "-" },
    };
    char text[FORMAT_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(format_duration(rows[i].s, text), rows[i].text);
}

static void ages(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        { 0, "0s" },       { 119, "119s" },  { 120, "2m" }, { 7199, "119m" }, { 7200, "2h" },
        { 172799, "47h" }, { 172800, "2d" }, { -5, "0s" }, /* the clocks of two machines differ */
    };
    const int64_t now = 1700000000000;
    char text[FORMAT_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(format_age(now - rows[i].seconds * 1000, now, text), rows[i].text);
    assert_string_equal(format_age(0, now, text), "-");
}

static void times(void **state)
{
    (void)state;
    char text[FORMAT_SIZE];

    assert_string_equal(format_time(0, text), "-");
    assert_string_equal(format_time(1795322498323, text), "2026-11-22 04:41:38Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes),     cmocka_unit_test(numbers), cmocka_unit_test(percents),
        cmocka_unit_test(durations), cmocka_unit_test(ages),    cmocka_unit_test(times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
