/*
 * test_commands - the table of all commands: nothing stands in it twice, every field of a request
 * has an option, and help fits 80 columns.
 */
#include "support/support.h"

#include <jansson.h>
#include <stdio.h>

#include "cleanup.h"
#include "cli/help.h"
#include "words.h"

static const struct command *find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < sewactl.command_count; i++)
        if (strcmp(sewactl.commands[i].noun, noun) == 0 && sewactl.commands[i].verb &&
            strcmp(sewactl.commands[i].verb, verb) == 0)
            return &sewactl.commands[i];
    fail_msg("there is no command '%s %s'", noun, verb);
    return NULL;
}

static void names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < sewactl.command_count; i++) {
        const struct command *c = &sewactl.commands[i];
        for (size_t k = 0; k < i; k++) {
            const struct command *other = &sewactl.commands[k];
            bool same_verb = c->verb && other->verb ? strcmp(c->verb, other->verb) == 0
                                                    : c->verb == other->verb;
            assert_false(same_verb && strcmp(c->noun, other->noun) == 0);
        }
        assert_non_null(c->run);
        assert_true(c->most == -1 || c->most >= c->least);
        assert_int_equal(c->operands != NULL, c->most != 0);
        for (const struct option *o = c->options; o && o->name; o++)
            for (const struct option *other = c->options; other < o; other++) {
                assert_string_not_equal(o->name, other->name);
                assert_true(!o->letter || o->letter != other->letter);
            }
    }
}

/* An option of a command may only hide a global one where -o is a place. */
static void global_options_are_not_hidden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sewactl.command_count; i++)
        for (const struct option *o = sewactl.commands[i].options; o && o->name; o++)
            for (const struct option *g = sewactl.globals; g->name; g++) {
                bool same = strcmp(o->name, g->name) == 0 || (o->letter && o->letter == g->letter);
                assert_true(!same ||
                            (strcmp(sewactl.commands[i].verb, "pull") == 0 && o->letter == 'o'));
            }
}

static bool has_field(const struct command *c, const char *field)
{
    size_t n = strlen(field);

    for (const struct option *o = c->options; o && o->name; o++)
        if (o->field && strncmp(o->field + 1, field, n) == 0 &&
            (o->field[1 + n] == '\0' || o->field[1 + n] == '/'))
            return true;
    return false;
}

/* What POST takes stands in the description of the interface. */
static void check_fields(const char *schema, const struct command *c, const char *exception)
{
    json_error_t e;
    json_t *root = json_load_file(OPENAPI, 0, &e);
    json_t *schemas = json_object_get(json_object_get(root, "components"), "schemas");
    json_t *fields = json_object_get(json_object_get(schemas, schema), "properties");
    const char *name;
    json_t *value;

    assert_true(json_object_size(fields) > 5);
    json_object_foreach(fields, name, value)
    {
        if (!has_field(c, name) && strcmp(name, exception) != 0)
            fail_msg("field '%s' of %s has no option", name, schema);
    }
    for (const struct option *o = c->options; o->name; o++) {
        char field[64];
        if (!o->field)
            continue;
        snprintf(field, sizeof field, "%s", o->field + 1);
        field[strcspn(field, "/")] = '\0';
        if (!json_object_get(fields, field))
            fail_msg("--%s fills '%s', which %s does not have", o->name, o->field, schema);
    }
    json_decref(root);
}

static void every_field_has_an_option(void **state)
{
    (void)state;
    check_fields("JobRequest", find("job", "submit"), "");
    check_fields("JobRequest", find("job", "plan"), "if_new_checkpoints");
    check_fields("RunCreate", find("run", "create"), "name");
}

/* ---- help ---- */

static void check_help(const char *line, const char *words)
{
    AUTO(words_clear) struct words w = { 0 };
    AUTO(sewa_text_clear) struct text t = { 0 };
    struct sewa_error err;

    assert_ok(words_parse(&w, line, &err), err);
    help_write(&w.a, &t);
    assert_false(t.failed);
    if (!strstr(sewa_text_get(&t), words))
        fail_msg("'%s' is not in:\n%s", words, sewa_text_get(&t));
    for (const char *p = sewa_text_get(&t); *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t n = strcspn(p, "\n");
        if (n > 80 || (n > 0 && p[n - 1] == ' '))
            fail_msg("'%.*s' is too long, or ends with a space", (int)n, p);
    }
}

static void help_of_everything(void **state)
{
    (void)state;
    char line[128], usage[128];

    check_help("--help", "usage: sewactl NOUN VERB");
    check_help("--help", "7 the job has");
    check_help("--help", "SEWA_TOKEN_FILE in the environment");
    check_help("job|--help", "usage: sewactl job VERB");
    for (size_t i = 0; i < sewactl.command_count; i++) {
        const struct command *c = &sewactl.commands[i];
        snprintf(line, sizeof line, "%s%s%s|--help", c->noun, c->verb ? "|" : "",
                 c->verb ? c->verb : "");
        snprintf(usage, sizeof usage, "usage: sewactl %s%s%s", c->noun, c->verb ? " " : "",
                 c->verb ? c->verb : "");
        check_help(line, usage);
        check_help(line, c->operands ? c->operands : "usage");
        for (const struct option *o = c->options; o && o->name; o++)
            check_help(line, o->name);
    }
}

/* One of a command's own stands in the place of the global one. */
static void help_has_an_option_once(void **state)
{
    (void)state;
    static const char *const lines[] = { "job|pull|--help", "job|submit|--help", "status|--help" };

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        AUTO(words_clear) struct words w = { 0 };
        AUTO(sewa_text_clear) struct text t = { 0 };
        struct sewa_error err;
        assert_ok(words_parse(&w, lines[i], &err), err);
        help_write(&w.a, &t);
        const char *first = strstr(sewa_text_get(&t), "-o, --output ");
        assert_non_null(first);
        assert_null(strstr(first + 1, "-o, --output "));
    }
}

/* --output stands in the help of the commands that take it, and of no others. */
static void help_has_formats_where_there_are_some(void **state)
{
    (void)state;
    char line[128];

    for (size_t i = 0; i < sewactl.command_count; i++) {
        const struct command *c = &sewactl.commands[i];
        AUTO(words_clear) struct words w = { 0 };
        AUTO(sewa_text_clear) struct text t = { 0 };
        struct sewa_error err;
        snprintf(line, sizeof line, "%s%s%s|--help", c->noun, c->verb ? "|" : "",
                 c->verb ? c->verb : "");
        assert_ok(words_parse(&w, line, &err), err);
        help_write(&w.a, &t);
        if ((strstr(sewa_text_get(&t), "--output ") != NULL) != (c->formats != 0))
            fail_msg("'%s' and its formats do not agree:\n%s", line, sewa_text_get(&t));
    }
}

/* The option that only exists to be refused is not offered. */
static void help_offers_no_token(void **state)
{
    (void)state;
    AUTO(words_clear) struct words w = { 0 };
    AUTO(sewa_text_clear) struct text t = { 0 };
    struct sewa_error err;

    assert_ok(words_parse(&w, "--help", &err), err);
    help_write(&w.a, &t);
    assert_null(strstr(sewa_text_get(&t), "--token "));
    assert_non_null(strstr(sewa_text_get(&t), "--token-file PATH"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(global_options_are_not_hidden),
        cmocka_unit_test(every_field_has_an_option),
        cmocka_unit_test(help_of_everything),
        cmocka_unit_test(help_has_an_option_once),
        cmocka_unit_test(help_has_formats_where_there_are_some),
        cmocka_unit_test(help_offers_no_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
