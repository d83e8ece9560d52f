/*
 * request - the body of a request, made from options.
 */
#include "request.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"

static void cleanup_json(json_t **o)
{
    json_decref(*o);
}

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
}

/* ---- values ---- */

/* "1,2,3" or "a,b": append the elements. */
static int append_list(json_t *array, const char *text, bool numbers)
{
    char element[256];
    int64_t n;
    int rc = 0;

    while (rc == 0 && *text) {
        size_t length = strcspn(text, ",");
        snprintf(element, sizeof element, "%.*s", (int)length, text); /* was checked to fit */
        text += length + (text[length] == ',');
        bool is_number = numbers && parse_number(element, INT64_MIN, INT64_MAX, &n) == 0;
        rc = json_array_append_new(array, is_number ? json_integer(n) : json_string(element));
    }
    return rc;
}

static json_t *select_value(const char *text)
{
    int64_t n;

    if (strcmp(text, "auto") == 0)
        return json_string(text);
    if (parse_number(text, 0, INT64_MAX, &n) == 0)
        return json_integer(n);
    json_t *array = json_array();
    if (array && append_list(array, text, true) < 0) {
        json_decref(array);
        return NULL;
    }
    return array;
}

/* What is JSON is taken as JSON: 60, true, {"start": 1}; everything else is a text. */
static json_t *param_value(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

    return value ? value : json_string(text);
}

static int set_pair(json_t *object, const char *pair, bool is_param)
{
    size_t n = strcspn(pair, "=");
    AUTOFREE char *key = strndup(pair, n);
    const char *value = pair[n] ? pair + n + 1 : "";

    if (!key)
        return -1;
    return json_object_set_new(object, key, is_param ? param_value(value) : json_string(value));
}

/* ---- fields ---- */

/* The container that an option adds to: there already, if this is not its first time. */
static json_t *container(json_t *parent, const char *key, bool first, json_t *(*make)(void))
{
    json_t *there = first ? NULL : json_object_get(parent, key);

    if (there)
        return there;
    return json_object_set_new(parent, key, make()) < 0 ? NULL : json_object_get(parent, key);
}

static json_t *object_of(json_t *parent, const char *key)
{
    json_t *there = json_object_get(parent, key);

    /* labels and parameters of the base are kept, and null is as good as nothing */
    return container(parent, key, !json_is_object(there), json_object);
}

static int put(json_t *parent, const char *key, const struct given *g, bool first)
{
    switch (g->option->kind) {
    case OPTION_FLAG: return json_object_set_new(parent, key, json_true());
    case OPTION_NOTHING: return json_object_set_new(parent, key, json_array());
    case OPTION_NUMBER: return json_object_set_new(parent, key, json_integer(g->number));
    case OPTION_SELECT: return json_object_set_new(parent, key, select_value(g->value));
    case OPTION_TEXTS:
    case OPTION_NUMBERS: {
        json_t *array = container(parent, key, first, json_array);
        return array ? append_list(array, g->value, g->option->kind == OPTION_NUMBERS) : -1;
    }
    case OPTION_LABEL:
    case OPTION_PARAM: {
        json_t *object = object_of(parent, key);
        return object ? set_pair(object, g->value, g->option->kind == OPTION_PARAM) : -1;
    }
    default: return json_object_set_new(parent, key, json_string(g->value));
    }
}

/* "/output/dtype": in the member "output", which is made when it is not there. */
static int put_field(json_t *root, const struct given *g, bool first)
{
    const char *field = g->option->field + 1, *slash = strchr(field, '/');

    if (!slash)
        return put(root, field, g, first);
    AUTOFREE char *outer = strndup(field, (size_t)(slash - field));
    json_t *parent = outer ? object_of(root, outer) : NULL;
    return parent ? put(parent, slash + 1, g, first) : -1;
}

static bool is_first(const struct arguments *a, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (a->given[j].option == a->given[i].option)
            return false;
    return true;
}

/* A text that is no UTF-8 cannot stand in JSON. */
static int cannot_put(const struct given *g, struct sewa_error *err)
{
    json_t *probe = g->value ? json_string(g->value) : NULL;

    json_decref(probe);
    if (g->value && !probe)
        return sewa_fail(err, SEWA_E_INVALID, "--%s is not valid UTF-8", g->option->name);
    return no_memory(err);
}

static int dump_into(const char *bytes, size_t n, void *file)
{
    return fwrite(bytes, 1, n, file) == n ? 0 : -1;
}

static char *text_of(const json_t *o)
{
    char *text = NULL;
    size_t n;
    FILE *file = open_memstream(&text, &n);

    if (!file)
        return NULL;
    int rc = json_dump_callback(o, dump_into, file, JSON_COMPACT);
    if (fclose(file) == 0 && rc == 0)
        return text;
    free(text);
    return NULL;
}

int request_build(const struct arguments *a, const char *base, char **ret, struct sewa_error *err)
{
    json_error_t e;
    AUTO(cleanup_json)
    json_t *o = base ? json_loads(base, JSON_REJECT_DUPLICATES, &e) : json_object();

    if (base && !o)
        return sewa_fail(err, SEWA_E_INVALID, "the request is no JSON: line %d, column %d: %s",
                         e.line, e.column, e.text);
    if (base && !json_is_object(o))
        return sewa_fail(err, SEWA_E_INVALID, "the request is no JSON object");
    if (!o)
        return no_memory(err);
    for (size_t i = 0; i < a->given_count; i++)
        if (a->given[i].option->field && put_field(o, &a->given[i], is_first(a, i)) < 0)
            return cannot_put(&a->given[i], err);
    *ret = text_of(o);
    return *ret ? 0 : no_memory(err);
}
