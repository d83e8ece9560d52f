/*
 * fields - options.def as a table, and the fields of the structs of config.h by it.
 * For this room only. Thread: any.
 */
#ifndef CONFIG_FIELDS_H
#define CONFIG_FIELDS_H

#include "base/buf.h"
#include "config/check.h"
#include "config/config.h"

enum scope { SCOPE_SERVICE, SCOPE_RUN, SCOPE_ROOT, SCOPE_EVALUATOR, SCOPE_SLURM };

/* How a field holds its value: int64_t, int, char *, struct config_list. */
enum shape { SHAPE_NUMBER, SHAPE_WORD, SHAPE_TEXT, SHAPE_LIST };

/* What a change of an option needs. */
enum when { WHEN_RELOAD, WHEN_RESTART };

struct field {
    enum scope scope;
    enum config_kind kind;
    enum when when;
    enum shape shape;
    size_t offset; /* in the struct of its scope */
    int64_t min, max;
    struct config_option option;
};

extern const struct field fields[];
extern const size_t field_count;

/* NULL when there is no such option. */
const struct field *field_find(enum scope scope, const char *name);

/*
 * Check a value and put it into the struct of the field's scope; a list gets one more item.
 * SEWA_E_CONFIG or SEWA_E_NO_MEMORY.
 */
int field_set(const struct field *f, void *object, const char *value, struct sewa_error *err);

/* The struct is zero before. Options that must be given stay NULL or empty. */
int fields_set_defaults(enum scope scope, void *object, struct sewa_error *err);

void fields_clear(enum scope scope, void *object);

bool field_is_equal(const struct field *f, const void *a, const void *b);

/* A value as a message shows it: a number or word bare, a text in quotes, a list in braces. */
void field_show(const struct field *f, const void *object, struct buf *ret);

/* "path" when an option that must be given is missing, NULL when none is. */
const char *fields_missing(enum scope scope, const void *object);

#endif
