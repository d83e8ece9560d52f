/*
 * test_options - command lines that are understood, those that are not, and what is said then.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <stdio.h>

#include "cleanup.h"
#include "cli/help.h"
#include "cli/nearest.h"
#include "words.h"

/* ---- refused ---- */

struct row {
    const char *line, *word;
    const char *name; /* help_name(): how far it was understood */
};

static const struct row rows[] = {
    { "", "no command is named", "sewactl" },
    { "run", "what is to be done with 'run'? There are list, show, create, delete", "sewactl run" },
    { "jobs", "'jobs'; is it 'job'?", "sewactl" },
    { "xyzzy", "there is no command 'xyzzy'", "sewactl" },
    { "job|sumbit", "'job sumbit'; is it 'submit'?", "sewactl job" },
    { "run|show", "RUN is missing", "sewactl run show" },
    { "run|show|a|b", "'b' is too much", "sewactl run show" },
    { "run|list|a", "'a' is too much", "sewactl run list" },
    { "status|now", "'now' is too much", "sewactl status" },
    { "job|wait", "JOB... is missing", "sewactl job wait" },
    { "run|list|--limt|3", "'--limt'; is it '--limit'?", "sewactl run list" },
    { "run|list|--xyzzy", "no option '--xyzzy'", "sewactl run list" },
    { "run|list|-x", "no option '-x'", "sewactl run list" },
    { "run|list|--limit", "--limit needs a value: N", "sewactl run list" },
    { "run|list|-o", "--output needs a value: FORMAT", "sewactl run list" },
    { "run|list|--limit|0", "'0', wanted is a whole number from 1", "sewactl run list" },
    { "run|list|--limit|1.5", "'1.5'", "sewactl run list" },
    { "run|list|--limit| 5", "' 5'", "sewactl run list" },
    { "run|list|--limit|+5", "'+5'", "sewactl run list" },
    { "run|list|--limit|", "''", "sewactl run list" },
    { "run|list|--limit|99999999999999999999", "99999999999999999999", "sewactl run list" },
    { "run|list|--limit|1|--limit|2", "--limit is given twice", "sewactl run list" },
    { "run|list|--all=yes", "--all takes no value", "sewactl run list" },
    { "run|list|-o|yaml", "'yaml', wanted is one of table, json, jsonl, name", "sewactl run list" },
    { "run|list|--url=", "--url is ''", "sewactl run list" },
    { "job|submit|-l|=v", "wanted is KEY=VALUE", "sewactl job submit" },
    { "job|submit|-l|team", "--label is 'team', wanted is KEY=VALUE", "sewactl job submit" },
    { "run|create|x|--label|team", "--label is 'team'", "sewactl run create" },
    { "job|pull|j|-o|", "--output is ''", "sewactl job pull" },
    { "job|submit|-p|name", "wanted is NAME=VALUE", "sewactl job submit" },
    { "job|submit|-k|ten", "'ten'", "sewactl job submit" },
    { "job|submit|-k|5,", "a list with commas", "sewactl job submit" },
    { "job|submit|-k|0", "'0'", "sewactl job submit" },
    { "job|submit|--exclude-step|1,,2", "a list with commas", "sewactl job submit" },
    { "job|submit|--exclude-step|1,x", "'x'", "sewactl job submit" },
    { "job|submit|--baseline|", "a list with commas", "sewactl job submit" },
    { "job|submit|--integers|median", "newest, oldest, max, equal", "sewactl job submit" },
    { "job|submit|--token|secret", "does not belong on a command line", "sewactl job submit" },
    { "--token=secret|status", "does not belong on a command line", "sewactl" },
    { "--verbose|status", "no option '--verbose'", "sewactl" },
};

static void refused(void **state)
{
    const struct row *r = *state;
    AUTO(words_clear) struct words w = { 0 };
    AUTO(sewa_text_clear) struct text name = { 0 };
    struct sewa_error err;

    assert_failed(words_parse(&w, r->line, &err), err, SEWA_E_INVALID, r->word);
    assert_null(strstr(err.text, "secret"));
    help_name(&w.a, &name);
    assert_string_equal(sewa_text_get(&name), r->name);
}

/* ---- understood ---- */

static void reads_options(void **state)
{
    (void)state;
    AUTO(words_clear) struct words w = { 0 };
    struct sewa_error err;

    assert_ok(words_parse(&w,
                          "--url|http://a|job|-q|submit|-r|digits|-k3|--param|a=1|-pb=2|-l|k=|"
                          "-qojson|--timeout=7",
                          &err),
              err);
    assert_string_equal(w.a.command->verb, "submit");
    assert_string_equal(arguments_text(&w.a, "url"), "http://a");
    assert_string_equal(arguments_text(&w.a, "run"), "digits");
    assert_string_equal(arguments_text(&w.a, "select"), "3");
    assert_int_equal(arguments_number(&w.a, "timeout", -1), 7);
    assert_int_equal(arguments_number(&w.a, "output", FORMAT_TABLE), FORMAT_JSON);
    assert_true(arguments_has(&w.a, "quiet"));
    assert_false(arguments_has(&w.a, "wait"));
    assert_null(arguments_text(&w.a, "window"));
    assert_int_equal(arguments_number(&w.a, "window", 42), 42);
}

static void reads_operands(void **state)
{
    (void)state;
    AUTO(words_clear) struct words w = { 0 };
    struct sewa_error err;

    assert_ok(words_parse(&w, "job|wait|a|-q|b|--|-c|--quiet", &err), err);
    assert_int_equal(w.a.operand_count, 4);
    assert_string_equal(w.a.operands[1], "b");
    assert_string_equal(w.a.operands[2], "-c");
    assert_string_equal(w.a.operands[3], "--quiet");
    words_clear(&w);
    assert_ok(words_parse(&w, "run|show|-", &err), err); /* a word like others */
    assert_string_equal(w.a.operands[0], "-");
}

/* "job pull -o DIR" means a place, for a version more; "-o json" a format, as everywhere. */
static void own_options_hide_global_ones(void **state)
{
    (void)state;
    AUTO(words_clear) struct words w = { 0 };
    struct sewa_error err;

    assert_ok(words_parse(&w, "job|pull|j|-o|some/where", &err), err);
    assert_string_equal(arguments_text(&w.a, "output"), "some/where");
    assert_int_equal(arguments_number(&w.a, "output", 7), -1);
    words_clear(&w);
    assert_ok(words_parse(&w, "job|pull|j|-o|json", &err), err);
    assert_int_equal(arguments_number(&w.a, "output", 7), FORMAT_JSON);
}

static void labels(void **state)
{
    (void)state;
    AUTO(words_clear) struct words w = { 0 };
    struct sewa_error err;

    /* an empty value is one; in a filter a key alone means any value */
    assert_ok(words_parse(&w, "job|submit|-r|d|-l|team=|--label|a==", &err), err);
    assert_int_equal(w.a.given_count, 3);
    words_clear(&w);
    assert_ok(words_parse(&w, "job|list|-l|team", &err), err);
    assert_string_equal(arguments_text(&w.a, "label"), "team");
}

/* Whoever asks for help gets it, whatever else is wrong. */
static void help_wins(void **state)
{
    (void)state;
    static const char *const lines[] = { "--help",
                                         "-h",
                                         "help",
                                         "job|--help",
                                         "job|submit|-h",
                                         "job|submit|--nonsense|--help",
                                         "job|nonsense|-h",
                                         "run|show|a|b|c|--help",
                                         "help|job|submit" };

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        AUTO(words_clear) struct words w = { 0 };
        struct sewa_error err;
        assert_ok(words_parse(&w, lines[i], &err), err);
        assert_true(w.a.wants_help);
    }
    AUTO(words_clear) struct words w = { 0 };
    struct sewa_error err;
    assert_ok(words_parse(&w, "help|job|submit", &err), err);
    assert_string_equal(w.a.command->verb, "submit");
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
        int rc;
    } rows_of_numbers[] = {
        { "0", 0, 0 },  { "-5", -5, 0 },  { "100", 100, 0 }, { "101", 0, -1 },  { "-6", 0, -1 },
        { "", 0, -1 },  { " 1", 0, -1 },  { "1 ", 0, -1 },   { "0x10", 0, -1 }, { "1e2", 0, -1 },
        { "-", 0, -1 }, { "--1", 0, -1 }, { "007", 7, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(rows_of_numbers); i++) {
        int64_t value = 0;
        assert_int_equal(parse_number(rows_of_numbers[i].text, -5, 100, &value),
                         rows_of_numbers[i].rc);
        assert_int_equal(value, rows_of_numbers[i].value);
    }
}

static void nearest_words(void **state)
{
    (void)state;
    static const struct {
        const char *noun, *word, *nearest;
    } rows_of_words[] = {
        { NULL, "jobs", "job" },
        { NULL, "chekpoint", "checkpoint" },
        { NULL, "q", NULL },
        { "job", "cancle", "cancel" },
        { "job", "remove", NULL },
        { "run", "creat", "create" },
        { "job", "a-very-long-word-that-nobody-would-ever-type", NULL },
    };

    for (size_t i = 0; i < COUNT_OF(rows_of_words); i++) {
        const char *found = nearest_word(&sewactl, rows_of_words[i].noun, rows_of_words[i].word);
        if (rows_of_words[i].nearest)
            assert_string_equal(found, rows_of_words[i].nearest);
        else
            assert_null(found);
    }
}

static void memory_runs_out(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        AUTO(words_clear) struct words w = { 0 };
        struct sewa_error err;
        alloc_fail_at(n);
        int rc = words_parse(&w, "job|submit|-r|a|-q", &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n >= 2);
            return;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 7] = {
        cmocka_unit_test(reads_options),
        cmocka_unit_test(reads_operands),
        cmocka_unit_test(own_options_hide_global_ones),
        cmocka_unit_test(labels),
        cmocka_unit_test(help_wins),
        cmocka_unit_test(numbers),
        cmocka_unit_test(nearest_words),
        cmocka_unit_test(memory_runs_out),
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i + 7] = (struct CMUnitTest){ rows[i].line, refused, NULL, NULL, (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
