/*
 * command_evaluator - sewactl evaluator list. Checking one is a job: command_submit.c.
 */
#include <inttypes.h>
#include <string.h>

#include "../cleanup.h"
#include "commands.h"

/* As one would type it, near enough for people. */
static void put_command(struct table *t, const struct sewa_evaluator *e)
{
    AUTO(sewa_text_clear) struct text line = { 0 };

    for (size_t i = 0; i < e->argument_count; i++) {
        bool plain = e->command[i][0] && !strpbrk(e->command[i], " \t\n'\"");
        sewa_text_printf(&line, "%s%s%s%s", i ? " " : "", plain ? "" : "'", e->command[i],
                         plain ? "" : "'");
    }
    table_cell(t, sewa_text_get(&line));
}

static int show_table(struct context *c, const struct sewa_evaluator_list *l)
{
    static const struct column columns[] = { { "NAME", 0 },
                                             { "TIMEOUT", COLUMN_RIGHT },
                                             { "COMMAND", COLUMN_SHRINK } };

    if (l->count == 0) {
        say(c, "there are no evaluators: they stand in the configuration of sewad");
        return EXIT_OK;
    }
    struct table *t = table_new(columns, COUNT_OF(columns));
    for (size_t i = 0; i < l->count; i++) {
        table_cell(t, l->items[i].name);
        table_cellf(t, "%" PRId64 " s", l->items[i].timeout_seconds);
        put_command(t, &l->items[i]);
    }
    return print_table(c, t);
}

int command_evaluator_list(struct context *c, const struct arguments *a)
{
    struct sewa_evaluator_list l = { 0 };
    struct sewa_error err;
    int status = EXIT_OK;

    (void)a;
    if (sewa_evaluator_list(c->client, &l, &err) < 0)
        return explain(c, &err);
    if (c->format == FORMAT_TABLE)
        status = show_table(c, &l);
    if (c->format == FORMAT_JSON)
        print_json(c, l.json);
    for (size_t i = 0; i < l.count; i++) {
        if (c->format == FORMAT_JSONL)
            print_json(c, l.items[i].json);
        if (c->format == FORMAT_NAME)
            print_name(c, l.items[i].name);
    }
    sewa_evaluator_list_clear(&l);
    return status;
}
