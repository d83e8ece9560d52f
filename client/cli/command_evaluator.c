/*
 * command_evaluator - sewactl evaluator list and show. Checking one is a job: command_submit.c.
 */
#include <inttypes.h>
#include <string.h>

#include "../cleanup.h"
#include "commands.h"
#include "record.h"

/* As one would type it, near enough for people. */
static void put_command(struct text *line, const struct sewa_evaluator *e)
{
    for (size_t i = 0; i < e->argument_count; i++) {
        bool plain = e->command[i][0] && !strpbrk(e->command[i], " \t\n'\"");
        sewa_text_printf(line, "%s%s%s%s", i ? " " : "", plain ? "" : "'", e->command[i],
                         plain ? "" : "'");
    }
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
        AUTO(sewa_text_clear) struct text command = { 0 };
        put_command(&command, &l->items[i]);
        table_cell(t, sewa_text_get(&command));
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

static int show(struct context *c, const struct sewa_evaluator *e)
{
    AUTO(sewa_text_clear) struct text t = { 0 }, command = { 0 };

    put_command(&command, e);
    record_text(&t, "name", e->name);
    record_text(&t, "command", sewa_text_get(&command));
    record_textf(&t, "timeout", "%" PRId64 " s for one evaluation", e->timeout_seconds);
    return record_print(c, &t);
}

int command_evaluator_show(struct context *c, const struct arguments *a)
{
    struct sewa_evaluator e = { 0 };
    struct sewa_error err;
    int status = EXIT_OK;

    if (sewa_evaluator_show(c->client, a->operands[0], &e, &err) < 0)
        return explain(c, &err);
    if (c->format == FORMAT_TABLE)
        status = show(c, &e);
    else if (c->format == FORMAT_NAME)
        print_name(c, e.name);
    else
        print_json(c, e.json);
    sewa_evaluator_clear(&e);
    return status;
}
