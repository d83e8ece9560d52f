/*
 * method - which methods the service has, and what each takes.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"

enum { NUMBER_SIZE = 32 };

/* A text as it is, and a number in as few digits as it has. */
static int read_fallback(struct sewa_document *d, const json_t *o, const char **ret,
                         struct sewa_error *err)
{
    const json_t *value = json_object_get(o, "default");
    char *number;

    *ret = json_string_value(value);
    if (!json_is_number(value))
        return 0;
    number = sewa_document_alloc(d, NUMBER_SIZE, 1);
    if (!number)
        return sewa_no_memory(err);
    snprintf(number, NUMBER_SIZE, "%.15g", json_number_value(value));
    *ret = number;
    return 0;
}

static int read_param(struct sewa_document *d, const json_t *o, struct sewa_method_param *ret,
                      struct sewa_error *err)
{
    *ret = (struct sewa_method_param){
        .type = sewa_get_text(o, "type"),
        .minimum = sewa_get_number(o, "minimum"),
        .maximum = sewa_get_number(o, "maximum"),
        .description = sewa_get_text(o, "description"),
    };
    int rc = sewa_need_text(o, "name", &ret->name, err);

    if (rc == 0)
        rc = sewa_get_texts(d, o, "enum", &ret->words, &ret->word_count, err);
    return rc < 0 ? rc : read_fallback(d, o, &ret->fallback, err);
}

static int read_params(struct sewa_document *d, const json_t *array, struct sewa_method *m,
                       struct sewa_error *err)
{
    size_t n = json_array_size(array);
    struct sewa_method_param *params = sewa_document_alloc(d, n, sizeof *params);
    int rc = params ? 0 : sewa_no_memory(err);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_param(d, json_array_get(array, i), &params[i], err);
    m->params = params;
    m->param_count = n;
    return rc;
}

static int read_method(struct sewa_document *d, const json_t *o, const char *json, void *ret,
                       struct sewa_error *err)
{
    const json_t *select = json_object_get(o, "select");
    struct sewa_method m = {
        .json = json,
        .description = sewa_get_text(o, "description"),
        .needs = sewa_get_text(o, "needs"),
        .needs_evaluator = sewa_get_bool(o, "evaluator"),
        .takes_select = json_is_object(select),
        .finds_select = sewa_get_bool(select, "auto"),
        .select = sewa_get_integer(select, "default", 0),
    };
    int rc = sewa_need_text(o, "name", &m.name, err);

    if (rc == 0)
        rc = read_params(d, json_object_get(o, "params"), &m, err);
    if (rc == 0)
        *(struct sewa_method *)ret = m;
    return rc;
}

int sewa_method_list(struct sewa_client *c, struct sewa_method_list *ret, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct page p;

    *ret = (struct sewa_method_list){ 0 };
    sewa_path(&path, "methods", NULL, NULL);
    int rc = sewa_ask_page(c, &path, sizeof(struct sewa_method), read_method, &p, err);
    if (rc == 0)
        *ret = (struct sewa_method_list){ p.document->text, p.count, p.items, p.document };
    return rc;
}

void sewa_method_list_clear(struct sewa_method_list *l)
{
    sewa_document_free(l->document);
    *l = (struct sewa_method_list){ 0 };
}

int sewa_method_show(struct sewa_client *c, const char *name, struct sewa_method *ret,
                     struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { 0 };
    AUTO(sewa_text_clear) struct text path = { 0 };

    *ret = (struct sewa_method){ 0 };
    sewa_path(&path, "methods", name, NULL);
    int rc = sewa_ask(c, &call, &path, &d, err);
    if (rc == 0)
        rc = read_method(d, d->root, d->text, ret, err);
    if (rc == 0)
        ret->document = TAKE(d);
    else
        *ret = (struct sewa_method){ 0 };
    return rc;
}

void sewa_method_clear(struct sewa_method *m)
{
    sewa_document_free(m->document);
    *m = (struct sewa_method){ 0 };
}
