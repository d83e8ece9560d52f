/*
 * test_params - the tables of parameters, which the API shows, against what the methods take: both
 * ends of every range are taken and nothing beyond them, every word and no other, and what is used
 * when nothing is given is the default of the table.
 */
#include "toy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int check_json(const struct method_info *info, const json_t *params, struct sewa_error *err)
{
    return method_check(info->name, 50, NULL, params, NULL, err);
}

/* {"name": value}; the value is stolen. */
static void assert_taken(const struct method_info *info, const struct method_param *p,
                         json_t *value, bool wanted)
{
    AUTOJSON json_t *params = json_pack("{s:o}", p->name, value);
    AUTOFREE char *text = json_text(params);
    char pointer[100];
    struct sewa_error err = { 0 };
    int rc = check_json(info, params, &err);

    if ((rc == 0) != wanted)
        fail_msg("%s takes %s: %s", info->name, text, rc == 0 ? "yes" : err.text);
    if (wanted)
        return;
    snprintf(pointer, sizeof pointer, "/params/%s", p->name);
    assert_int_equal(rc, SEWA_E_INVALID);
    assert_string_equal(err.pointer, pointer);
}

static json_t *number(const struct method_param *p, double value)
{
    return p->kind == METHOD_PARAM_INTEGER ? json_integer((json_int_t)value) : json_real(value);
}

static void check_numbers(const struct method_info *info, const struct method_param *p)
{
    bool whole = p->kind == METHOD_PARAM_INTEGER;

    assert_true(p->least <= p->fallback && p->fallback <= p->most);
    assert_taken(info, p, number(p, p->least), true);
    assert_taken(info, p, number(p, p->most), true);
    assert_taken(info, p, number(p, whole ? p->least - 1 : nextafter(p->least, -1)), false);
    assert_taken(info, p, number(p, whole ? p->most + 1 : nextafter(p->most, 1e300)), false);
    assert_taken(info, p, json_string("many"), false);
    if (whole)
        assert_taken(info, p, json_real(p->fallback + 0.5), false);
}

static void check_words(const struct method_info *info, const struct method_param *p)
{
    bool found = !p->word;

    for (int i = 0; p->words[i]; i++)
        found = found || strcmp(p->words[i], p->word) == 0;
    assert_true(found);
    assert_taken(info, p, json_string("nonsense"), false);
    assert_taken(info, p, json_integer(1), false);
}

static void ranges_are_those_of_the_table(void **state)
{
    (void)state;
    size_t count = 0;
    const struct method_info *info;

    for (size_t m = 0; (info = method_at(m)) != NULL; m++)
        for (size_t i = 0; i < info->param_count; i++, count++) {
            const struct method_param *p = &info->params[i];
            assert_true(strlen(p->summary) > 5);
            if (p->kind == METHOD_PARAM_WORD)
                check_words(info, p);
            else if (p->kind != METHOD_PARAM_TEXT)
                check_numbers(info, p);
        }
    assert_true(count >= 10);
}

static void schedules_have_the_range_too(void **state)
{
    (void)state;
    const struct method_info *info;
    size_t count = 0;

    for (size_t m = 0; (info = method_at(m)) != NULL; m++)
        for (size_t i = 0; i < info->param_count; i++) {
            const struct method_param *p = &info->params[i];
            if (p->kind != METHOD_PARAM_SCHEDULE)
                continue;
            count++;
            assert_taken(info, p, json_pack("{s:f, s:f}", "start", p->most, "end", p->least), true);
            AUTOJSON json_t *params = json_pack("{s:{s:f}}", p->name, "start", p->most * 1.01);
            assert_int_equal(check_json(info, params, NULL), SEWA_E_INVALID);
        }
    assert_true(count > 0);
}

/* A parameter that is in no table would be taken, but shown to nobody. */
static void what_is_used_stands_in_the_table(void **state)
{
    (void)state;
    static const struct method_evaluator evaluator = { .gradient = true };
    const struct method_info *info;

    for (size_t m = 0; (info = method_at(m)) != NULL; m++) {
        const struct method_setup setup = {
            .k = 20, .steps = toy_steps, .select = 5, .evaluator = &evaluator
        };
        struct method *method = NULL;
        struct sewa_error err;
        assert_ok(method_new(info->name, &setup, &method, &err), err);
        AUTOJSON json_t *used = method_params(method);
        assert_int_equal(json_object_size(used), info->param_count);
        for (size_t i = 0; i < info->param_count; i++) {
            const struct method_param *p = &info->params[i];
            const json_t *value = json_object_get(used, p->name);
            assert_non_null(value);
            if (json_is_number(value))
                assert_true(json_number_value(value) == p->fallback);
            else if (p->word && strcmp(p->word, "auto") != 0)
                assert_string_equal(json_string_value(value), p->word);
        }
        method_free(method);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_those_of_the_table),
        cmocka_unit_test(schedules_have_the_range_too),
        cmocka_unit_test(what_is_used_stands_in_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
