/*
 * options - read the words of a command line.
 */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "../text.h"
#include "nearest.h"

struct reader {
    struct arguments *a;
    int argc, at;
    char *const *argv;
    struct sewa_error *err;
};

void arguments_clear(struct arguments *a)
{
    free(a->given);
    free(a->operands);
    *a = (struct arguments){ 0 };
}

int parse_number(const char *text, int64_t least, int64_t most, int64_t *ret)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    /* strtoll would skip space before it */
    if (errno || end == text || *end || !strchr("-0123456789", *text) || value < least ||
        value > most)
        return -1;
    *ret = value;
    return 0;
}

/* ---- values ---- */

static int bad(const struct reader *r, const struct option *o, const char *value, const char *want)
{
    return sewa_fail(r->err, SEWA_E_INVALID, "--%s is '%.60s', wanted is %s", o->name, value, want);
}

static int check_number(const struct reader *r, const struct option *o, const char *value,
                        int64_t *ret)
{
    char want[80];

    if (parse_number(value, o->least, o->most, ret) == 0)
        return 0;
    if (o->most == INT64_MAX)
        snprintf(want, sizeof want, "a whole number from %" PRId64 " on", o->least);
    else
        snprintf(want, sizeof want, "a whole number from %" PRId64 " to %" PRId64, o->least,
                 o->most);
    return bad(r, o, value, want);
}

static int64_t find_word(const struct option *o, const char *value)
{
    for (int i = 0; o->words[i]; i++)
        if (strcmp(o->words[i], value) == 0)
            return i;
    return -1;
}

static int check_word(const struct reader *r, const struct option *o, const char *value,
                      int64_t *ret)
{
    AUTO(sewa_text_clear) struct text list = { 0 };

    *ret = find_word(o, value);
    if (*ret >= 0)
        return 0;
    for (int i = 0; o->words[i]; i++)
        sewa_text_printf(&list, "%s%s", i ? ", " : "one of ", o->words[i]);
    return bad(r, o, value, sewa_text_get(&list));
}

/* Every element of a list with commas. */
static int check_list(const struct reader *r, const struct option *o, const char *value)
{
    char element[256];
    int64_t ignored;

    for (const char *p = value;; p++) {
        size_t n = strcspn(p, ",");
        if (n == 0 || n >= sizeof element)
            return bad(r, o, value, "a list with commas");
        memcpy(element, p, n);
        element[n] = '\0';
        if (o->kind != OPTION_TEXTS && check_number(r, o, element, &ignored) < 0)
            return r->err->code;
        p += n;
        if (!*p)
            return 0;
    }
}

static bool is_pair(const char *value)
{
    return value[0] != '=' && strchr(value, '=');
}

static int check_value(const struct reader *r, struct given *g)
{
    const struct option *o = g->option;
    const char *v = g->value;

    switch (o->kind) {
    case OPTION_TEXT: return *v ? 0 : bad(r, o, v, "a text that is not empty");
    case OPTION_WORD: return check_word(r, o, v, &g->number);
    case OPTION_FORMAT:
        g->number = find_word(o, v);
        return *v ? 0 : bad(r, o, v, "a text that is not empty");
    case OPTION_NUMBER: return check_number(r, o, v, &g->number);
    case OPTION_TEXTS:
    case OPTION_NUMBERS: return check_list(r, o, v);
    case OPTION_SELECT: return strcmp(v, "auto") == 0 ? 0 : check_list(r, o, v);
    case OPTION_LABEL: return is_pair(v) ? 0 : bad(r, o, v, "KEY=VALUE");
    case OPTION_PARAM: return is_pair(v) ? 0 : bad(r, o, v, "NAME=VALUE");
    default: return 0;
    }
}

/* ---- options ---- */

static bool is_flag(const struct option *o)
{
    return o->kind == OPTION_FLAG || o->kind == OPTION_NOTHING;
}

static bool may_repeat(const struct option *o)
{
    return o->kind == OPTION_TEXTS || o->kind == OPTION_NUMBERS || o->kind == OPTION_LABEL ||
           o->kind == OPTION_PARAM;
}

static const struct option *find_in(const struct option *table, const char *name, size_t n,
                                    char letter)
{
    for (; table && table->name; table++)
        if (letter ? table->letter == letter
                   : strlen(table->name) == n && memcmp(table->name, name, n) == 0)
            return table;
    return NULL;
}

static const struct option *find_option(const struct arguments *a, const char *name, size_t n,
                                        char letter)
{
    const struct option *own = a->command ? find_in(a->command->options, name, n, letter) : NULL;

    return own ? own : find_in(a->cli->globals, name, n, letter);
}

static int unknown_option(const struct reader *r, const char *name, size_t n)
{
    const char *near =
        nearest_option(r->a->command ? r->a->command->options : NULL, r->a->cli->globals, name, n);

    return sewa_fail(r->err, SEWA_E_INVALID, "there is no option '--%.*s'%s%s%s",
                     (int)(n < 60 ? n : 60), name, near ? "; is it '--" : "", near ? near : "",
                     near ? "'?" : "");
}

static int add(const struct reader *r, const struct option *o, const char *value)
{
    struct arguments *a = r->a;
    struct given g = { o, value, 0 };

    if (o->kind == OPTION_REFUSED)
        return sewa_fail(r->err, SEWA_E_INVALID, "%s", o->help);
    if (strcmp(o->name, "help") == 0)
        a->wants_help = true;
    for (size_t i = 0; i < a->given_count && !is_flag(o) && !may_repeat(o); i++)
        if (a->given[i].option == o)
            return sewa_fail(r->err, SEWA_E_INVALID, "--%s is given twice", o->name);
    int rc = check_value(r, &g);
    if (rc == 0)
        a->given[a->given_count++] = g;
    return rc;
}

/* The value of an option stands in the next word. */
static int add_with_next(struct reader *r, const struct option *o)
{
    if (r->at + 1 >= r->argc)
        return sewa_fail(r->err, SEWA_E_INVALID, "--%s needs a value: %s", o->name, o->value);
    return add(r, o, r->argv[++r->at]);
}

static int read_long(struct reader *r, const char *name)
{
    size_t n = strcspn(name, "=");
    const struct option *o = find_option(r->a, name, n, 0);

    if (!o)
        return unknown_option(r, name, n);
    if (is_flag(o) && name[n])
        return sewa_fail(r->err, SEWA_E_INVALID, "--%s takes no value", o->name);
    if (is_flag(o) || o->kind == OPTION_REFUSED)
        return add(r, o, NULL);
    return name[n] ? add(r, o, name + n + 1) : add_with_next(r, o);
}

/* "-q", "-qf", "-ojson", "-o json" */
static int read_short(struct reader *r, const char *letters)
{
    for (; *letters; letters++) {
        const struct option *o = find_option(r->a, NULL, 0, *letters);
        if (!o)
            return sewa_fail(r->err, SEWA_E_INVALID, "there is no option '-%c'", *letters);
        if (!is_flag(o))
            return letters[1] ? add(r, o, letters + 1) : add_with_next(r, o);
        int rc = add(r, o, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- words ---- */

static const struct command *find_command(const struct cli *cli, const char *noun, const char *verb)
{
    for (size_t i = 0; i < cli->command_count; i++) {
        const struct command *c = &cli->commands[i];
        bool same = c->verb && verb ? strcmp(c->verb, verb) == 0 : c->verb == verb;
        if (same && strcmp(c->noun, noun) == 0)
            return c;
    }
    return NULL;
}

static int unknown_word(const struct reader *r, const char *word)
{
    const char *near = nearest_word(r->a->cli, r->a->noun, word);

    return sewa_fail(r->err, SEWA_E_INVALID, "there is no command '%s%s%.60s'%s%s%s",
                     r->a->noun ? r->a->noun : "", r->a->noun ? " " : "", word,
                     near ? "; is it '" : "", near ? near : "", near ? "'?" : "");
}

static int read_noun(struct reader *r, const char *word)
{
    const struct noun *n = r->a->cli->nouns;

    if (strcmp(word, "help") == 0) {
        r->a->wants_help = true;
        return 0;
    }
    while (n->name && strcmp(n->name, word) != 0)
        n++;
    if (!n->name)
        return unknown_word(r, word);
    r->a->noun = n->name;
    r->a->command = find_command(r->a->cli, n->name, NULL);
    return 0;
}

static int read_word(struct reader *r, const char *word)
{
    struct arguments *a = r->a;

    if (!a->noun)
        return read_noun(r, word);
    if (!a->command) {
        a->command = find_command(a->cli, a->noun, word);
        return a->command ? 0 : unknown_word(r, word);
    }
    if (a->command->most >= 0 && (int)a->operand_count == a->command->most)
        return sewa_fail(r->err, SEWA_E_INVALID, "'%.100s' is too much", word);
    a->operands[a->operand_count++] = word;
    return 0;
}

static int no_verb(const struct reader *r)
{
    const struct cli *cli = r->a->cli;
    AUTO(sewa_text_clear) struct text verbs = { 0 };

    for (size_t i = 0; i < cli->command_count; i++)
        if (strcmp(cli->commands[i].noun, r->a->noun) == 0)
            sewa_text_printf(&verbs, "%s%s", verbs.length ? ", " : "", cli->commands[i].verb);
    return sewa_fail(r->err, SEWA_E_INVALID, "what is to be done with '%s'? There are %s",
                     r->a->noun, sewa_text_get(&verbs));
}

static int check_complete(const struct reader *r)
{
    const struct arguments *a = r->a;

    if (!a->noun)
        return sewa_fail(r->err, SEWA_E_INVALID, "no command is named");
    if (!a->command)
        return no_verb(r);
    if ((int)a->operand_count < a->command->least)
        return sewa_fail(r->err, SEWA_E_INVALID, "%s is missing", a->command->operands);
    return 0;
}

static int read_all(struct reader *r)
{
    bool only_words = false;
    int rc = 0;

    for (; rc == 0 && r->at < r->argc; r->at++) {
        const char *word = r->argv[r->at];
        if (!only_words && strcmp(word, "--") == 0)
            only_words = true;
        else if (!only_words && strncmp(word, "--", 2) == 0)
            rc = read_long(r, word + 2);
        else if (!only_words && word[0] == '-' && word[1])
            rc = read_short(r, word + 1);
        else
            rc = read_word(r, word);
    }
    return rc;
}

int arguments_parse(const struct cli *cli, int argc, char *const *argv, struct arguments *ret,
                    struct sewa_error *err)
{
    struct sewa_error scratch;
    struct reader r = { .a = ret, .argc = argc, .argv = argv, .err = err ? err : &scratch };
    size_t words = 1;

    *ret = (struct arguments){ .cli = cli };
    for (int i = 0; i < argc; i++)
        words += strlen(argv[i]); /* "-qqq" is three options */
    ret->given = calloc(words, sizeof *ret->given);
    ret->operands = calloc((size_t)argc + 1, sizeof *ret->operands);
    if (!ret->given || !ret->operands)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the command line");
    int rc = read_all(&r);
    /* whoever asks for help gets it, whatever else is wrong */
    for (; rc < 0 && !ret->wants_help && r.at < argc; r.at++)
        ret->wants_help = strcmp(argv[r.at], "--help") == 0 || strcmp(argv[r.at], "-h") == 0;
    if (ret->wants_help)
        return 0;
    return rc < 0 ? rc : check_complete(&r);
}

/* ---- what was given ---- */

static const struct given *find_given(const struct arguments *a, const char *name)
{
    const struct option *o = find_option(a, name, strlen(name), 0);

    assert(o);
    for (size_t i = 0; i < a->given_count; i++)
        if (a->given[i].option == o)
            return &a->given[i];
    return NULL;
}

bool arguments_has(const struct arguments *a, const char *name)
{
    return find_given(a, name) != NULL;
}

const char *arguments_text(const struct arguments *a, const char *name)
{
    const struct given *g = find_given(a, name);

    return g ? g->value : NULL;
}

int64_t arguments_number(const struct arguments *a, const char *name, int64_t fallback)
{
    const struct given *g = find_given(a, name);

    return g ? g->number : fallback;
}
