/*
 * command_method - sewactl method list and show: what a job's --method and --param may be.
 */
#include <inttypes.h>
#include <math.h>

#include "../cleanup.h"
#include "commands.h"
#include "record.h"

/* ---- list ---- */

static void put_select(const struct sewa_method *m, char *ret, size_t size)
{
    if (m->takes_select)
        snprintf(ret, size, "%" PRId64 "%s", m->select, m->finds_select ? ", or auto" : "");
    else
        snprintf(ret, size, "none");
}

static int list_table(struct context *c, const struct sewa_method_list *l)
{
    static const struct column columns[] = { { "NAME", 0 },
                                             { "EVALUATOR", 0 },
                                             { "SELECT", 0 },
                                             { "PARAMETERS", COLUMN_RIGHT },
                                             { "DESCRIPTION", COLUMN_SHRINK } };
    struct table *t = table_new(columns, COUNT_OF(columns));
    char select[64];

    for (size_t i = 0; i < l->count; i++) {
        put_select(&l->items[i], select, sizeof select);
        table_cell(t, l->items[i].name);
        table_cell(t, l->items[i].needs_evaluator ? l->items[i].needs : "not needed");
        table_cell(t, select);
        table_cellf(t, "%zu", l->items[i].param_count);
        table_cell(t, l->items[i].description);
    }
    return print_table(c, t);
}

int command_method_list(struct context *c, const struct arguments *a)
{
    struct sewa_method_list l = { 0 };
    struct sewa_error err;
    int status = EXIT_OK;

    (void)a;
    if (sewa_method_list(c->client, &l, &err) < 0)
        return explain(c, &err);
    if (c->format == FORMAT_TABLE)
        status = list_table(c, &l);
    if (c->format == FORMAT_JSON)
        print_json(c, l.json);
    for (size_t i = 0; i < l.count; i++) {
        if (c->format == FORMAT_JSONL)
            print_json(c, l.items[i].json);
        if (c->format == FORMAT_NAME)
            print_name(c, l.items[i].name);
    }
    sewa_method_list_clear(&l);
    return status;
}

/* ---- show ---- */

static void put_range(struct table *t, const struct sewa_method_param *p)
{
    AUTO(sewa_text_clear) struct text range = { 0 };

    for (size_t i = 0; i < p->word_count; i++)
        sewa_text_printf(&range, "%s%s", i ? ", " : "", p->words[i]);
    if (!isnan(p->minimum))
        sewa_text_printf(&range, "%.15g to %.15g", p->minimum, p->maximum);
    table_cell(t, range.length ? sewa_text_get(&range) : p->type);
}

static int show_params(struct context *c, const struct sewa_method *m)
{
    static const struct column columns[] = { { "PARAMETER", 0 },
                                             { "TYPE", 0 },
                                             { "DEFAULT", COLUMN_RIGHT },
                                             { "ALLOWED", COLUMN_SHRINK },
                                             { "DESCRIPTION", COLUMN_SHRINK } };
    struct table *t = table_new(columns, COUNT_OF(columns));

    for (size_t i = 0; i < m->param_count; i++) {
        const struct sewa_method_param *p = &m->params[i];
        table_cell(t, p->name);
        table_cell(t, p->type);
        table_cell(t, p->fallback);
        put_range(t, p);
        table_cell(t, p->description);
    }
    putc('\n', c->out.file);
    return print_table(c, t);
}

static int show(struct context *c, const struct sewa_method *m)
{
    AUTO(sewa_text_clear) struct text t = { 0 };
    char select[64];

    put_select(m, select, sizeof select);
    record_text(&t, "name", m->name);
    record_text(&t, "description", m->description);
    record_textf(&t, "evaluator", m->needs_evaluator ? "needed, for %s" : "not needed", m->needs);
    record_textf(&t, "select", m->takes_select ? "default %s" : "%s is taken", select);
    if (m->param_count == 0)
        record_text(&t, "parameters", "none");
    int status = record_print(c, &t);
    return status == EXIT_OK && m->param_count > 0 ? show_params(c, m) : status;
}

int command_method_show(struct context *c, const struct arguments *a)
{
    struct sewa_method m = { 0 };
    struct sewa_error err;
    int status = EXIT_OK;

    if (sewa_method_show(c->client, a->operands[0], &m, &err) < 0)
        return explain(c, &err);
    if (c->format == FORMAT_TABLE)
        status = show(c, &m);
    else if (c->format == FORMAT_NAME)
        print_name(c, m.name);
    else
        print_json(c, m.json);
    sewa_method_clear(&m);
    return status;
}
