/*
 * messages - build the objects of the protocol, tell them apart.
 */
#include "host/messages.h"

#include <string.h>

#include "base/path.h"

enum message_type message_type(const json_t *message)
{
    static const char *const words[] = { "ready", "result", "recalibrated", "log", "error" };
    const char *type = json_string_value(json_object_get(message, "type"));

    for (size_t i = 0; type && i < COUNT_OF(words); i++)
        if (strcmp(type, words[i]) == 0)
            return (enum message_type)i;
    return MESSAGE_UNKNOWN;
}

const char *text_clean(const char *text, char *ret, size_t size)
{
    size_t to = 0;

    while (*text && to + 4 < size) {
        size_t n = utf8_sequence(text, strlen(text) < 4 ? strlen(text) : 4);
        bool is_control = (unsigned char)*text < ' ' || *text == 0x7f;
        if (n == 0 || is_control)
            ret[to++] = is_control ? ' ' : '?';
        else
            memcpy(ret + to, text, n);
        to += n == 0 || is_control ? 0 : n;
        text += n ? n : 1;
    }
    ret[to] = '\0';
    return ret;
}

const char *message_type_text(const json_t *message, char ret[64])
{
    const char *type = json_string_value(json_object_get(message, "type"));

    return text_clean(type ? type : "", ret, 64);
}

bool message_has_id(const json_t *message, int64_t id)
{
    const json_t *value = json_object_get(message, "id");

    return json_is_integer(value) && json_integer_value(value) == id;
}

bool message_is_without_id(const json_t *message)
{
    const json_t *value = json_object_get(message, "id");

    return !value || json_is_null(value);
}

static json_t *shape_of(const struct evaluator_tensor *t)
{
    json_t *shape = json_array();

    for (uint8_t i = 0; shape && i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i])) < 0) {
            json_decref(shape);
            return NULL;
        }
    return shape;
}

static json_t *table_row(const struct evaluator_tensor *t)
{
    bool is_float = dtype_kind(t->dtype) == DTYPE_FLOAT;
    AUTOJSON json_t *row = json_object();

    if (!row || json_put(row, "name", json_string(t->name)) < 0 ||
        json_put(row, "dtype", json_string(dtype_name(t->dtype))) < 0 ||
        json_put(row, "shape", shape_of(t)) < 0 ||
        json_put(row, "kind", json_string(is_float ? "float" : "integer")) < 0 ||
        json_put(row, "offset", json_integer(t->offset)) < 0)
        return NULL;
    if (is_float && json_put(row, "gradient_offset", json_integer(t->gradient_offset)) < 0)
        return NULL;
    return TAKE(row);
}

char *message_table(const struct evaluator_tensor *tensors, size_t count)
{
    AUTOJSON json_t *table = json_object();
    json_t *list = table ? json_array() : NULL; /* the table's from here on */

    if (json_put(table, "tensors", list) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, table_row(&tensors[i])) < 0)
            return NULL;
    return json_text(table);
}

static json_t *typed(const char *type)
{
    json_t *message = json_object();

    if (message && json_put(message, "type", json_string(type)) == 0)
        return message;
    json_decref(message);
    return NULL;
}

json_t *message_init(const struct evaluator_options *o, size_t table_bytes, json_t *options)
{
    AUTOJSON json_t *owned = options;
    AUTOJSON json_t *m = typed("init");

    if (!m || json_put(m, "protocol", json_integer(EVALUATOR_PROTOCOL)) < 0 ||
        json_put(m, "banks", json_integer(o->banks)) < 0 ||
        json_put(m, "bank_bytes", json_integer(o->bank_bytes)) < 0 ||
        json_put(m, "gradient_bank_bytes", json_integer(o->gradient_bank_bytes)) < 0 ||
        json_put(m, "table_bytes", json_integer((json_int_t)table_bytes)) < 0 ||
        json_put(m, "threads", json_integer(o->threads)) < 0 ||
        json_put(m, "options", json_incref(owned)) < 0)
        return NULL;
    return TAKE(m);
}

json_t *message_examples(int64_t bytes)
{
    AUTOJSON json_t *m = typed("examples");

    return m && json_put(m, "bytes", json_integer(bytes)) == 0 ? TAKE(m) : NULL;
}

json_t *message_evaluate(int64_t id, const struct evaluator_request *request)
{
    AUTOJSON json_t *m = typed("evaluate");

    if (!m || json_put(m, "id", json_integer(id)) < 0 ||
        json_put(m, "bank", json_integer(request->bank)) < 0 ||
        json_put(m, "split", json_string(request->split)) < 0 ||
        json_put(m, "gradient", json_boolean(request->gradient)) < 0)
        return NULL;
    if (request->batch >= 0 && json_put(m, "batch", json_integer(request->batch)) < 0)
        return NULL;
    return TAKE(m);
}

json_t *message_recalibrate(int64_t id, unsigned bank)
{
    AUTOJSON json_t *m = typed("recalibrate");

    if (!m || json_put(m, "id", json_integer(id)) < 0 ||
        json_put(m, "bank", json_integer(bank)) < 0)
        return NULL;
    return TAKE(m);
}

json_t *message_stop(void)
{
    return typed("stop");
}
