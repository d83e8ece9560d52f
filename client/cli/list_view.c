/*
 * list_view - show a list, page by page.
 *
 * Everything but a table is written as it comes, so that a list of a million is no matter of
 * memory. One page is handed on unchanged; several are put together in the form of one.
 */
#include "list_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"

enum { PAGE_MAX = 500, LIMIT_DEFAULT = 50 };

struct listing {
    struct list_view *view;
    struct context *context;
    int64_t left; /* how many more are wanted; -1: all */
    int64_t shown;
    bool parts; /* several pages become one JSON object */
    struct table *table;
};

static bool is_last(const struct listing *l)
{
    return !l->view->next_page_token || l->left == 0;
}

static void put_part(struct listing *l, size_t i)
{
    print_json_part(l->context, l->shown == 0 ? "{\"items\":[" : ",");
    print_json_part(l->context, l->view->item_json(l->view, i));
}

static void show_item(struct listing *l, size_t i)
{
    struct list_view *v = l->view;

    switch (l->context->format) {
    case FORMAT_TABLE: v->row(v, i, l->table); break;
    case FORMAT_JSON: put_part(l, i); break;
    case FORMAT_JSONL: print_json(l->context, v->item_json(v, i)); break;
    case FORMAT_NAME: print_name(l->context, v->item_name(v, i)); break;
    }
}

static void show_page(struct listing *l)
{
    struct list_view *v = l->view;

    if (l->left > 0)
        l->left -= (int64_t)v->count < l->left ? (int64_t)v->count : l->left;
    if (l->context->format == FORMAT_JSON && l->shown == 0 && is_last(l)) {
        print_json(l->context, v->json);
        l->shown = (int64_t)v->count;
        return;
    }
    l->parts = l->context->format == FORMAT_JSON;
    for (size_t i = 0; i < v->count; i++, l->shown++)
        show_item(l, i);
}

/* The end of what put_part() began. A token is made of letters and digits. */
static void end_parts(struct listing *l)
{
    const char *token = l->view->next_page_token;

    if (!l->parts)
        return;
    print_json_part(l->context, l->shown == 0 ? "{\"items\":[" : "");
    print_json_part(l->context, "],\"next_page_token\":");
    print_json_part(l->context, token ? "\"" : "null");
    print_json_part(l->context, token ? token : "");
    print_json(l->context, token ? "\"}" : "}");
}

static int end(struct listing *l)
{
    end_parts(l);
    if (l->context->format == FORMAT_TABLE && l->shown == 0)
        say(l->context, "there are no %s", l->view->what);
    int status = EXIT_OK;
    if (l->context->format == FORMAT_TABLE && l->shown > 0)
        status = print_table(l->context, TAKE(l->table));
    if (l->view->next_page_token && l->context->format != FORMAT_JSON)
        say(l->context, "there are more %s: --all shows them, --page-token %s goes on",
            l->view->what, l->view->next_page_token);
    return status;
}

static int fetch(struct listing *l, const char *token, struct sewa_error *err)
{
    struct list_view *v = l->view;
    int limit = l->left < 0 || l->left > PAGE_MAX ? PAGE_MAX : (int)l->left;
    /* the token belongs to the page that is about to be cleared */
    AUTOFREE char *own = token ? strdup(token) : NULL;

    if (token && !own)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list");
    v->clear(v);
    v->json = v->next_page_token = NULL;
    v->count = 0;
    return v->fetch(v, l->context, limit, own, err);
}

int list_show(struct list_view *v, struct context *c)
{
    const struct arguments *a = c->arguments;
    struct listing l = { .view = v, .context = c };
    struct sewa_error err;

    l.left = arguments_has(a, "all") ? -1 : arguments_number(a, "limit", LIMIT_DEFAULT);
    l.table = c->format == FORMAT_TABLE ? table_new(v->columns, v->column_count) : NULL;
    int rc = fetch(&l, arguments_text(a, "page-token"), &err);
    while (rc == 0) {
        show_page(&l);
        if (is_last(&l))
            break;
        rc = fetch(&l, v->next_page_token, &err);
    }
    int status = rc < 0 ? explain(c, &err) : end(&l);
    v->clear(v);
    table_free(l.table);
    return status;
}
