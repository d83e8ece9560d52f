/*
 * help - what --help says.
 */
#include "help.h"

#include <string.h>

#include "../cleanup.h"

enum { INDENT = 2, LEFT = 28, WIDTH = 80 };

/* Words, broken at WIDTH and indented; a line end in the text stays one. */
static void wrap(struct text *to, const char *text, size_t indent, size_t at)
{
    while (*text) {
        size_t n = strcspn(text, " \n");
        bool fits = at == indent || at + n <= WIDTH;
        if (!fits) {
            sewa_text_printf(to, "\n%*s", (int)indent, "");
            at = indent;
        }
        sewa_text_append(to, text, n);
        at += n;
        text += n;
        if (*text == '\n') {
            sewa_text_printf(to, "\n%*s", text[1] == '\n' ? 0 : (int)indent, "");
            at = indent;
            text++;
        } else if (*text == ' ') {
            size_t next = strcspn(text + 1, " \n");
            if (at + 1 + next <= WIDTH)
                sewa_text_put(to, " ");
            at++;
            text++;
        }
    }
    sewa_text_put(to, "\n");
}

static void two_columns(struct text *to, const char *left, const char *right)
{
    sewa_text_printf(to, "%*s%-*s", INDENT, "", LEFT - INDENT, left);
    if (strlen(left) + INDENT >= LEFT)
        sewa_text_printf(to, "\n%*s", LEFT, "");
    wrap(to, right, LEFT, LEFT);
}

/* An option of a command stands in the place of a global one of its name, and --output is none of
 * a command that has nothing to print. */
static bool is_hidden(const struct option *o, const struct command *c)
{
    if (!c)
        return false;
    for (const struct option *own = c->options; own && own->name; own++)
        if (strcmp(own->name, o->name) == 0)
            return true;
    return c->formats == 0 && strcmp(o->name, "output") == 0;
}

/* But for those that @c hides; NULL: none. */
static void write_options(struct text *to, const char *title, const struct option *table,
                          const struct command *c)
{
    if (!table || !table->name)
        return;
    sewa_text_printf(to, "\n%s:\n", title);
    for (const struct option *o = table; o->name; o++) {
        AUTO(sewa_text_clear) struct text left = { 0 };
        if (o->kind == OPTION_REFUSED || is_hidden(o, c))
            continue;
        if (o->letter)
            sewa_text_printf(&left, "-%c, ", o->letter);
        else
            sewa_text_put(&left, "    ");
        sewa_text_printf(&left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        two_columns(to, sewa_text_get(&left), o->help);
    }
}

static void command_help(const struct cli *cli, const struct command *c, struct text *to)
{
    sewa_text_printf(to, "usage: %s %s%s%s%s%s%s\n", cli->program, c->noun, c->verb ? " " : "",
                     c->verb ? c->verb : "", c->options && c->options->name ? " [OPTIONS]" : "",
                     c->operands ? " " : "", c->operands ? c->operands : "");
    wrap(to, c->summary, 0, 0);
    if (c->details) {
        sewa_text_put(to, "\n");
        wrap(to, c->details, 0, 0);
    }
    write_options(to, "options", c->options, NULL);
    write_options(to, "options of every command", cli->globals, c);
}

static void list_commands(const struct cli *cli, const char *noun, struct text *to)
{
    for (size_t i = 0; i < cli->command_count; i++) {
        const struct command *c = &cli->commands[i];
        AUTO(sewa_text_clear) struct text left = { 0 };
        if (strcmp(c->noun, noun) != 0)
            continue;
        sewa_text_printf(&left, "%s%s%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "",
                         c->operands ? " " : "", c->operands ? c->operands : "");
        two_columns(to, sewa_text_get(&left), c->summary);
    }
}

static void noun_help(const struct cli *cli, const char *noun, struct text *to)
{
    sewa_text_printf(to, "usage: %s %s VERB ...\n\n", cli->program, noun);
    list_commands(cli, noun, to);
    sewa_text_printf(to, "\n`%s %s VERB --help` says more.\n", cli->program, noun);
}

static void program_help(const struct cli *cli, struct text *to)
{
    sewa_text_printf(to, "usage: %s NOUN VERB ...\n", cli->program);
    wrap(to, cli->summary, 0, 0);
    for (const struct noun *n = cli->nouns; n->name; n++) {
        sewa_text_printf(to, "\n%s\n", n->help);
        list_commands(cli, n->name, to);
    }
    write_options(to, "options of every command", cli->globals, NULL);
    sewa_text_put(to, "\n");
    wrap(to, cli->details, 0, 0);
    sewa_text_printf(to, "\n`%s NOUN VERB --help` says more.\n", cli->program);
}

void help_write(const struct arguments *a, struct text *to)
{
    if (a->command)
        command_help(a->cli, a->command, to);
    else if (a->noun)
        noun_help(a->cli, a->noun, to);
    else
        program_help(a->cli, to);
}

void help_name(const struct arguments *a, struct text *to)
{
    sewa_text_put(to, a->cli->program);
    if (a->noun)
        sewa_text_printf(to, " %s", a->noun);
    if (a->command && a->command->verb)
        sewa_text_printf(to, " %s", a->command->verb);
}
