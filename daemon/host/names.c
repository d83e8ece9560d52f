/*
 * names - find tensors by name, by a sorted index made for one list.
 */
#include "host/names.h"

#include <string.h>

#include "base/buf.h"
#include "host/messages.h"

enum { NAMES_SHOWN = 5 };

/* Indices of the tensors in order of names, for looking up a hundred thousand of them. */
struct index_entry {
    const char *name;
    size_t tensor;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct index_entry *)a)->name, ((const struct index_entry *)b)->name);
}

static struct index_entry *index_make(const struct evaluator_tensor *tensors, size_t count)
{
    struct index_entry *index = calloc(count ? count : 1, sizeof *index);

    for (size_t i = 0; index && i < count; i++)
        index[i] = (struct index_entry){ tensors[i].name, i };
    if (index)
        qsort(index, count, sizeof *index, by_name);
    return index;
}

/* What was wrong with a list of names: the first few in words, all counted. */
struct complaint {
    struct buf names;
    size_t count;
};

static void complaint_clear(struct complaint *c)
{
    buf_clear(&c->names);
}

static void complain(struct complaint *c, const char *name, const char *what)
{
    char text[128];

    if (c->count++ < NAMES_SHOWN)
        buf_printf(&c->names, "%s'%s' %s", c->count > 1 ? ", " : "",
                   text_clean(name, text, sizeof text), what);
}

/* Set is_named for each tensor that the array names; complain of the others. */
static void mark(const json_t *names, const struct index_entry *index,
                 const struct evaluator_tensor *tensors, size_t count, bool *is_named,
                 struct complaint *c)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct index_entry key = { .name = name };
        const struct index_entry *e = bsearch(&key, index, count, sizeof *index, by_name);
        if (!e)
            complain(c, name, "is no tensor of the checkpoints");
        else if (dtype_kind(tensors[e->tensor].dtype) != DTYPE_FLOAT)
            complain(c, name, "holds integers");
        else
            is_named[e->tensor] = true;
    }
}

bool names_are_strings(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i)))
            return false;
    return json_is_array(value);
}

int names_mark(const json_t *names, const char *what, const struct evaluator_tensor *tensors,
               size_t count, bool *is_named, struct sewa_error *err)
{
    AUTOFREE struct index_entry *index = index_make(tensors, count);
    AUTO(complaint_clear) struct complaint c = { 0 };

    if (!index)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tensors", count);
    mark(names, index, tensors, count, is_named, &c);
    if (c.count == 0)
        return 0;
    return sewa_fail(err, SEWA_E_EVALUATOR_MISMATCH, "%s: %s%s (%zu of %zu names do not fit)", what,
                     buf_cstr(&c.names), c.count > NAMES_SHOWN ? ", ..." : "", c.count,
                     json_array_size(names));
}
