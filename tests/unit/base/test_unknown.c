/*
 * test_unknown - what is said of a name that is not there.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/unknown.h"

struct row {
    const char *word;
    const char *known[6];
    const char *words;
};

static const struct row rows[] = {
    { "swea",
      { "last", "best", "sewa" },
      "; is it 'sewa'? There are last, best, sewa" }, /* two letters */
    { "magic", { "last", "best" }, "; there are last, best" },
    { "digit", { "digits" }, "; is it 'digits'? There is only digits" },
    { "x", { "digits" }, "; there is only digits" },
    { "x", { NULL }, "; there are none" },
    { "", { "a" }, "; is it 'a'? There is only a" },
    { "toy2", { "toy3", "toy1", "toy" }, "; is it 'toy3'? There are toy3, toy1, toy" },
    /* one letter of two, two of three, three of eight; no more */
    { "ab", { "ax" }, "; is it 'ax'? There is only ax" },
    { "ab", { "xy" }, "; there is only xy" },
    { "abc", { "axy" }, "; is it 'axy'? There is only axy" },
    { "abc", { "xyz" }, "; there is only xyz" },
    { "abcdefgh", { "abcdexyz" }, "; is it 'abcdexyz'? There is only abcdexyz" },
    { "abcdefgh", { "abcdwxyz" }, "; there is only abcdwxyz" },
};

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTO(unknown_clear) struct unknown u;

    unknown_begin(&u, row->word);
    for (int i = 0; row->known[i]; i++)
        unknown_known(&u, row->known[i]);
    assert_string_equal(unknown_words(&u), row->words);
}

/* However many there are, and however long their names: the words fit into an error, and the
 * nearest one is found among those that are not listed too. */
static void test_many(void **state)
{
    (void)state;
    static char names[300][64];
    char long_name[600];
    struct sewa_error err;
    AUTO(unknown_clear) struct unknown u;

    unknown_begin(&u, "name-29x");
    for (int i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "name-%d", i + 1);
        unknown_known(&u, names[i]);
    }
    memset(long_name, 'l', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    unknown_known(&u, long_name);
    const char *words = unknown_words(&u);
    assert_true(strncmp(words, "; is it 'name-29'? There are name-1, name-2, ", 40) == 0);
    int left_out = 0;
    const char *and = strstr(words, " and ");
    assert_non_null(and);
    assert_int_equal(sscanf(and, " and %d more", &left_out), 1);
    int listed = 1;
    for (const char *p = strstr(words, "There"); p < and; p++)
        listed += *p == ',';
    assert_int_equal(listed + left_out, 301);
    sewa_fail(&err, SEWA_E_UNKNOWN_NAME, "there is no evaluator '%.80s' in the configuration%s",
              "name-29x", words);
    assert_non_null(strstr(err.text, " more"));
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 1] = { cmocka_unit_test(test_many) };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i + 1] = (struct CMUnitTest){ .name = rows[i].word,
                                            .test_func = test_row,
                                            .initial_state = (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
