/*
 * test_table - columns that line up, fit the terminal, and hold nothing that moves the cursor.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <locale.h>
#include <string.h>

#include "cleanup.h"
#include "cli/table.h"

static const struct column columns[] = { { "NAME", COLUMN_SHRINK },
                                         { "SIZE", COLUMN_RIGHT },
                                         { "PATH", COLUMN_SHRINK } };

static void check(const char *const *cells, size_t width, const char *wanted)
{
    AUTO(table_cleanup) struct table *t = table_new(columns, COUNT_OF(columns));
    AUTO(sewa_text_clear) struct text text = { 0 };

    for (; *cells; cells++)
        table_cell(t, *cells);
    assert_true(table_write(t, width, false, &text));
    assert_string_equal(sewa_text_get(&text), wanted);
}

static void lines_up(void **state)
{
    (void)state;
    check((const char *const[]){ "a", "7", "/x", "long name", "1234567", "", NULL }, 0,
          "NAME          SIZE  PATH\n"
          "a                7  /x\n"
          "long name  1234567  -\n");
}

static void no_rows(void **state)
{
    (void)state;
    check((const char *const[]){ NULL }, 0, "NAME  SIZE  PATH\n");
}

static void wide_characters(void **state)
{
    (void)state;
    check((const char *const[]){ "\xe4\xb8\xad\xe6\x96\x87", "1", "x", "\xc3\xa4", "2", "y", NULL },
          0,
          "NAME  SIZE  PATH\n"
          "\xe4\xb8\xad\xe6\x96\x87     1  x\n"
          "\xc3\xa4        2  y\n");
}

static void control_characters(void **state)
{
    (void)state;
    check((const char *const[]){ "a\033[2J", "1\n", "x", NULL }, 0,
          "NAME           SIZE  PATH\n"
          "a\\u001b[2J  1\\u000a  x\n");
}

/* The widest of the columns that may be cut gives first, numbers never. */
static void fits_the_terminal(void **state)
{
    (void)state;
    check((const char *const[]){ "0123456789", "12345678", "/a/very/long/path/to/a/file", NULL },
          40,
          "NAME            SIZE  PATH\n"
          "0123456789  12345678  /a/very/long/path\xe2\x80\xa6\n");
    check((const char *const[]){ "0123456789", "12345678", "/a/very/long/path/to/a/file", NULL },
          10,
          "NAME          SIZE  PATH\n"
          "0123456\xe2\x80\xa6  12345678  /a/very\xe2\x80\xa6\n");
}

static void colors(void **state)
{
    (void)state;
    AUTO(table_cleanup) struct table *t = table_new(columns, 1);
    AUTO(sewa_text_clear) struct text text = { 0 };

    table_cell(t, "failed");
    table_tint(t, tint_of("failed"));
    assert_true(table_write(t, 0, true, &text));
    assert_string_equal(sewa_text_get(&text), "\033[2mNAME\033[0m\n\033[31mfailed\033[0m\n");
    assert_int_equal(tint_of("improved"), TINT_GOOD);
    assert_int_equal(tint_of("whatever"), TINT_NONE);
    assert_int_equal(tint_of(NULL), TINT_NONE);
}

static void memory_runs_out(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        AUTO(sewa_text_clear) struct text text = { 0 };
        alloc_fail_at(n);
        AUTO(table_cleanup) struct table *t = table_new(columns, COUNT_OF(columns));
        for (int i = 0; i < 100; i++)
            table_cell(t, "x");
        bool whole = table_write(t, 0, false, &text);
        bool fired = alloc_fired();
        assert_int_equal(whole, !fired);
        if (!fired) {
            assert_true(n > 100);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_up),          cmocka_unit_test(no_rows),
        cmocka_unit_test(wide_characters),   cmocka_unit_test(control_characters),
        cmocka_unit_test(fits_the_terminal), cmocka_unit_test(colors),
        cmocka_unit_test(memory_runs_out),
    };

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
