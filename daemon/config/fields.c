/*
 * fields - options.def as a table, and the fields of the structs by it.
 */
#include "config/fields.h"

#include <stdlib.h>
#include <string.h>

#define STRUCT_SERVICE    struct config
#define STRUCT_RUN        struct config_source
#define STRUCT_ROOT       struct config_source
#define STRUCT_EVALUATOR  struct config_evaluator
#define STRUCT_SLURM      struct config_slurm
#define SECTION_SERVICE   ""
#define SECTION_RUN       "run"
#define SECTION_ROOT      "root"
#define SECTION_EVALUATOR "evaluator"
#define SECTION_SLURM     "launcher"

/* The type of the field says how it holds its value. */
#define SHAPE_OF(field) \
    _Generic((field),            \
        int64_t: SHAPE_NUMBER,   \
        int: SHAPE_WORD,         \
        char *: SHAPE_TEXT,      \
        struct config_list: SHAPE_LIST)

#define OPTION(scope_, name_, kind_, when_, default_, min_, max_, help_) \
    {                                                                    \
        .scope = SCOPE_##scope_,                                         \
        .kind = KIND_##kind_,                                            \
        .when = WHEN_##when_,                                            \
        .shape = SHAPE_OF(((STRUCT_##scope_ *)0)->name_),                \
        .offset = __builtin_offsetof(STRUCT_##scope_, name_),            \
        .min = (min_),                                                   \
        .max = (max_),                                                   \
        .option = { SECTION_##scope_, #name_, default_, help_ },         \
    },

const struct field fields[] = {
#include "config/options.def"
};
const size_t field_count = COUNT_OF(fields);

static void *place_of(const struct field *f, void *object)
{
    return (char *)object + f->offset;
}

const struct field *field_find(enum scope scope, const char *name)
{
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope && strcmp(fields[i].option.name, name) == 0)
            return &fields[i];
    return NULL;
}

static int no_memory(const struct field *f, struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for option '%s'", f->option.name);
}

static int set_text(const struct field *f, char **text, const char *value, struct sewa_error *err)
{
    char *copy = strdup(value);

    if (!copy)
        return no_memory(f, err);
    free(*text);
    *text = copy;
    return 0;
}

static int append_item(const struct field *f, struct config_list *list, const char *value,
                       struct sewa_error *err)
{
    if (list->count >= (size_t)f->max)
        return sewa_fail(err, SEWA_E_CONFIG, "%s has more than %lld items", f->option.name,
                         (long long)f->max);
    char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items)
        return no_memory(f, err);
    list->items = items;
    items[list->count] = strdup(value);
    if (!items[list->count])
        return no_memory(f, err);
    list->count++;
    return 0;
}

/* A default may lie outside the range: it stands for "not given". */
static int put(const struct field *f, void *object, const char *value, struct sewa_error *err)
{
    void *place = place_of(f, object);

    switch (f->shape) {
    case SHAPE_NUMBER: *(int64_t *)place = config_number(value); return 0;
    case SHAPE_WORD: *(int *)place = config_word(f->kind, value); return 0;
    case SHAPE_TEXT: return set_text(f, place, value, err);
    case SHAPE_LIST: return append_item(f, place, value, err);
    }
    return 0;
}

int field_set(const struct field *f, void *object, const char *value, struct sewa_error *err)
{
    int rc = config_check(f->kind, f->option.name, value, f->min, f->max, err);

    return rc < 0 ? rc : put(f, object, value, err);
}

int fields_set_defaults(enum scope scope, void *object, struct sewa_error *err)
{
    for (size_t i = 0; i < field_count; i++) {
        const struct field *f = &fields[i];
        if (f->scope != scope || f->shape == SHAPE_LIST || !f->option.default_value)
            continue; /* the default of a list is an empty one */
        int rc = put(f, object, f->option.default_value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void fields_clear(enum scope scope, void *object)
{
    for (size_t i = 0; i < field_count; i++) {
        void *place = place_of(&fields[i], object);
        if (fields[i].scope != scope)
            continue;
        if (fields[i].shape == SHAPE_TEXT) {
            free(*(char **)place);
        } else if (fields[i].shape == SHAPE_LIST) {
            struct config_list *list = place;
            while (list->count > 0)
                free(list->items[--list->count]);
            free(list->items);
        }
    }
}

const char *fields_missing(enum scope scope, const void *object)
{
    for (size_t i = 0; i < field_count; i++) {
        const struct field *f = &fields[i];
        const void *place = (const char *)object + f->offset;
        if (f->scope != scope || f->option.default_value)
            continue;
        if (f->shape == SHAPE_TEXT && !*(char *const *)place)
            return f->option.name;
        if (f->shape == SHAPE_LIST && ((const struct config_list *)place)->count == 0)
            return f->option.name;
    }
    return NULL;
}

bool field_is_equal(const struct field *f, const void *a, const void *b)
{
    const void *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
    const struct config_list *l = x, *m = y;

    switch (f->shape) {
    case SHAPE_NUMBER: return *(const int64_t *)x == *(const int64_t *)y;
    case SHAPE_WORD: return *(const int *)x == *(const int *)y;
    case SHAPE_TEXT: return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    case SHAPE_LIST: break;
    }
    for (size_t i = 0; l->count == m->count && i < l->count; i++)
        if (strcmp(l->items[i], m->items[i]) != 0)
            return false;
    return l->count == m->count;
}

void field_show(const struct field *f, const void *object, struct buf *ret)
{
    const void *place = (const char *)object + f->offset;
    const struct config_list *list = place;

    switch (f->shape) {
    case SHAPE_NUMBER: buf_printf(ret, "%lld", (long long)*(const int64_t *)place); return;
    case SHAPE_WORD: buf_text(ret, config_word_text(f->kind, *(const int *)place)); return;
    case SHAPE_TEXT: buf_printf(ret, "'%s'", *(char *const *)place); return;
    case SHAPE_LIST: break;
    }
    buf_char(ret, '{');
    for (size_t i = 0; i < list->count; i++)
        buf_printf(ret, "%s'%s'", i ? ", " : "", list->items[i]);
    buf_char(ret, '}');
}

const char *config_default(const char *name)
{
    const struct field *f = field_find(SCOPE_SERVICE, name);

    return f ? f->option.default_value : NULL;
}

const struct config_option *config_option_at(size_t i)
{
    return i < field_count ? &fields[i].option : NULL;
}
