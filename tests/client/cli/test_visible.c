/*
 * test_visible - what a terminal gets of text from elsewhere, and how wide it is there.
 */
#include "support/support.h"

#include <locale.h>
#include <string.h>

#include "cleanup.h"
#include "cli/visible.h"

struct row {
    const char *from;
    const char *word, *lines; /* lines NULL: the same */
};

static const struct row rows[] = {
    { "plain ~", "plain ~", NULL },
    { "\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80", "\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80", NULL },
    { "\033[31mred\033[0m", "\\u001b[31mred\\u001b[0m", NULL },
    { "\033]0;title\a", "\\u001b]0;title\\u0007", NULL },
    { "a\nb\tc", "a\\u000ab\\u0009c", "a\nb\tc" },
    { "1%\r2%\r\n", "1%\\u000d2%\\u000d\\u000a", "1%\n2%\n" },
    { "\x7f", "\\u007f", NULL },
    { "\xc2\x9b"
      "31m",
      "\\u009b31m", NULL }, /* CSI in one character */
    { "a\xe2\x80\xae"
      "b",
      "a\\u202eb", NULL },                                         /* right to left */
    { "\xe2\x81\xa6x\xef\xbb\xbf", "\\u2066x\\ufeff", NULL },      /* isolates, BOM */
    { "\xff\x80z", "\\xff\\x80z", NULL },                          /* no UTF-8 */
    { "\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf", NULL }, /* too long forms */
    { "\xed\xa0\x80", "\\xed\\xa0\\x80", NULL },                   /* a surrogate */
    { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", NULL },          /* past the last one */
    { "\xe4\xb8", "\\xe4\\xb8", NULL },                            /* cut off */
};

static void check_row(void **state)
{
    const struct row *r = *state;
    AUTO(sewa_text_clear) struct text word = { 0 }, lines = { 0 };

    visible_append(&word, r->from, strlen(r->from), VISIBLE_WORD);
    visible_append(&lines, r->from, strlen(r->from), VISIBLE_LINES);
    assert_string_equal(sewa_text_get(&word), r->word);
    assert_string_equal(sewa_text_get(&lines), r->lines ? r->lines : r->word);
}

static void nul_is_shown_too(void **state)
{
    (void)state;
    AUTO(sewa_text_clear) struct text t = { 0 };

    visible_append(&t, "a\0b", 3, VISIBLE_LINES);
    assert_string_equal(sewa_text_get(&t), "a\\u0000b");
}

static void widths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } rows_of_widths[] = {
        { "", 0 },          { "abc", 3 }, { "\xc3\xa4", 1 }, { "\xe4\xb8\xad\xe6\x96\x87", 4 },
        { "e\xcc\x81", 1 }, /* with a combining accent */
    };
    size_t used;

    for (size_t i = 0; i < COUNT_OF(rows_of_widths); i++)
        assert_int_equal(visible_width(rows_of_widths[i].text), rows_of_widths[i].width);
    /* half of a wide character does not fit */
    assert_int_equal(visible_fit("\xe4\xb8\xad\xe6\x96\x87", 3, &used), 3);
    assert_int_equal(used, 2);
    assert_int_equal(visible_fit("abc", 0, &used), 0);
    assert_int_equal(used, 0);
}

/* A log comes in pieces that may end inside of a character. */
static void pieces(void **state)
{
    (void)state;
    static const struct {
        const char *piece;
        size_t whole;
    } rows_of_pieces[] = {
        { "abc", 3 },
        { "ab\xc3", 2 },
        { "a\xe4\xb8", 1 },
        { "a\xe4\xb8\xad", 4 },
        { "\xf0\x9f\x98", 0 },
        { "\x80\x80\x80\x80", 4 }, /* nothing to wait for */
        { "ab\r", 2 },             /* a line end may follow */
        { "", 0 },
    };

    for (size_t i = 0; i < COUNT_OF(rows_of_pieces); i++)
        assert_int_equal(visible_whole(rows_of_pieces[i].piece, strlen(rows_of_pieces[i].piece)),
                         rows_of_pieces[i].whole);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3] = {
        cmocka_unit_test(nul_is_shown_too),
        cmocka_unit_test(widths),
        cmocka_unit_test(pieces),
    };

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 1;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i + 3] = (struct CMUnitTest){ rows[i].word, check_row, NULL, NULL, (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
