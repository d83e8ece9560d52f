/*
 * command_run - sewactl run ...
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "../cleanup.h"
#include "commands.h"
#include "format.h"
#include "list_view.h"
#include "record.h"
#include "request.h"

/* ---- list ---- */

struct runs {
    struct list_view view;
    struct sewa_run_list page;
};

static struct runs *runs_of(const struct list_view *v)
{
    return container_of(v, struct runs, view);
}

static int fetch(struct list_view *v, struct context *c, int limit, const char *page_token,
                 struct sewa_error *err)
{
    struct runs *r = runs_of(v);
    int rc = sewa_run_list(c->client, limit, page_token, &r->page, err);

    v->json = r->page.json;
    v->count = r->page.count;
    v->next_page_token = r->page.next_page_token;
    return rc;
}

static void clear(struct list_view *v)
{
    sewa_run_list_clear(&runs_of(v)->page);
}

static const char *item_json(const struct list_view *v, size_t i)
{
    return runs_of(v)->page.items[i].json;
}

static const char *item_name(const struct list_view *v, size_t i)
{
    return runs_of(v)->page.items[i].name;
}

static void row(const struct list_view *v, size_t i, struct table *t)
{
    const struct sewa_run *r = &runs_of(v)->page.items[i];
    char age[FORMAT_SIZE];

    table_cell(t, r->name);
    table_cellf(t, "%" PRId64, r->complete);
    table_cellf(t, "%" PRId64, r->incomplete);
    table_cell(t, r->scan_error ? "error" : r->is_watched ? "yes" : "no");
    table_cell(t, format_age(r->created_ms, wall_clock_ms(), age));
    table_cell(t, r->path);
}

int command_run_list(struct context *c, const struct arguments *a)
{
    static const struct column columns[] = {
        { "NAME", COLUMN_SHRINK }, { "COMPLETE", COLUMN_RIGHT }, { "INCOMPLETE", COLUMN_RIGHT },
        { "WATCHED", 0 },          { "AGE", COLUMN_RIGHT },      { "PATH", COLUMN_SHRINK },
    };
    struct runs r = { .view = { .what = "runs",
                                .columns = columns,
                                .column_count = COUNT_OF(columns),
                                .fetch = fetch,
                                .clear = clear,
                                .item_json = item_json,
                                .item_name = item_name,
                                .row = row } };

    (void)a;
    return list_show(&r.view, c);
}

/* ---- one run ---- */

static int show(struct context *c, const struct sewa_run *r)
{
    AUTO(sewa_text_clear) struct text t = { 0 };
    char time[FORMAT_SIZE];

    if (c->format == FORMAT_NAME)
        print_name(c, r->name);
    if (c->format == FORMAT_JSON || c->format == FORMAT_JSONL)
        print_json(c, r->json);
    if (c->format != FORMAT_TABLE)
        return EXIT_OK;
    record_text(&t, "name", r->name);
    record_text(&t, "id", r->id);
    record_text(&t, "path", r->path);
    record_text(&t, "pattern", r->pattern);
    record_textf(&t, "origin", "%s%s", r->origin ? r->origin : "-",
                 r->is_watched ? "" : ", not watched");
    record_textf(&t, "checkpoints",
                 "%" PRId64 " complete, %" PRId64 " incomplete, %" PRId64 " changed, %" PRId64
                 " gone",
                 r->complete, r->incomplete, r->changed, r->gone);
    if (r->steps_advice)
        record_text(&t, "steps", r->steps_advice);
    record_labels(&t, r->labels, r->label_count);
    record_text(&t, "last scan", format_time(r->last_scan_ms, time));
    if (r->scan_error)
        record_text(&t, "scan error", r->scan_error);
    record_text(&t, "created", format_time(r->created_ms, time));
    return record_print(c, &t);
}

int command_run_show(struct context *c, const struct arguments *a)
{
    struct sewa_run r = { 0 };
    struct sewa_error err;
    int rc = sewa_run_show(c->client, a->operands[0], &r, &err);
    int status = rc < 0 ? explain(c, &err) : show(c, &r);

    sewa_run_clear(&r);
    return status;
}

/* {"name": ...} with the fields that the options fill. */
static int create_request(const struct arguments *a, char **ret, struct sewa_error *err)
{
    json_t *o = json_pack("{s:s}", "name", a->operands[0]);
    AUTOFREE char *base = o ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (!base)
        return sewa_fail(err, SEWA_E_INVALID, "the name of the run is not valid UTF-8");
    return request_build(a, base, ret, err);
}

int command_run_create(struct context *c, const struct arguments *a)
{
    AUTOFREE char *json = NULL;
    struct sewa_run r = { 0 };
    struct sewa_error err;

    if (!arguments_has(a, "path"))
        return explain_usage(c, "--path is missing: what is to be watched?");
    int rc = create_request(a, &json, &err);
    if (rc == 0)
        rc = sewa_run_create(c->client, json, &r, &err);
    int status = rc < 0 ? explain(c, &err) : show(c, &r);
    sewa_run_clear(&r);
    return status;
}

int command_run_delete(struct context *c, const struct arguments *a)
{
    struct sewa_error err;
    int status = EXIT_OK;

    for (size_t i = 0; i < a->operand_count; i++) {
        if (sewa_run_delete(c->client, a->operands[i], &err) == 0)
            say(c, "run '%s' is forgotten", a->operands[i]);
        else
            status = explain(c, &err);
    }
    return status;
}
