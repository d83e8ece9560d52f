/*
 * registry - the table of methods, and what is checked of a request before any of them runs.
 * Pure. Thread: any.
 */
#include "methods/method.h"

#include <inttypes.h>
#include <string.h>

#include "base/unknown.h"
#include "methods/class.h"

/* A new method is one file and one row here. */
static const struct method_class *const classes[] = {
    &method_last, &method_best, &method_uniform, &method_lawa, &method_sewa,
};

const struct method_info *method_at(size_t i)
{
    return i < COUNT_OF(classes) ? &classes[i]->info : NULL;
}

static const struct method_class *find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        if (strcmp(classes[i]->info.name, name) == 0)
            return classes[i];
    return NULL;
}

const struct method_info *method_find(const char *name)
{
    const struct method_class *class = find(name);

    return class ? &class->info : NULL;
}

int method_unknown(const char *name, int code, const char *pointer, struct sewa_error *err)
{
    AUTO(unknown_clear) struct unknown u;

    unknown_begin(&u, name);
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        unknown_known(&u, classes[i]->info.name);
    return sewa_fail_at(err, code, pointer, "there is no method '%.60s'%s", name,
                        unknown_words(&u));
}

const struct method_class *method_class_find(const char *name, struct sewa_error *err)
{
    const struct method_class *class = find(name);

    if (!class)
        method_unknown(name, SEWA_E_UNKNOWN_NAME, "/method", err);
    return class;
}

static int candidates_check(size_t k, struct sewa_error *err)
{
    if (k == 0)
        return sewa_fail(err, SEWA_E_NO_CANDIDATES, "there are no candidates to choose from");
    if (k > METHOD_CANDIDATES_MAX)
        return sewa_fail(err, SEWA_E_INVALID, "there are %zu candidates, at most %d are allowed", k,
                         METHOD_CANDIDATES_MAX);
    return 0;
}

static int select_check(const struct method_class *class, size_t k, int64_t select,
                        struct sewa_error *err)
{
    if (select < 1)
        return sewa_fail_at(err, SEWA_E_INVALID, "/select",
                            "'select' is %" PRId64 ", allowed is 1 to %zu%s", select, k,
                            class->info.choice == METHOD_CHOOSES_AUTO ? " or \"auto\"" : "");
    if ((uint64_t)select > k)
        return sewa_fail_at(err, SEWA_E_INVALID, "/select",
                            "'select' is %" PRId64 ", but there %s only %zu candidate%s", select,
                            k == 1 ? "is" : "are", k, k == 1 ? "" : "s");
    return 0;
}

/* The request's "select" as a number. */
static int select_read(const struct method_class *class, size_t k, const json_t *select,
                       size_t *ret, struct sewa_error *err)
{
    bool has_auto = class->info.choice == METHOD_CHOOSES_AUTO;

    if (!select || json_is_null(select)) {
        *ret = k < METHOD_SELECT_DEFAULT ? k : METHOD_SELECT_DEFAULT;
        return 0;
    }
    if (class->info.choice == METHOD_CHOOSES_ONE || class->info.choice == METHOD_CHOOSES_ALL)
        return sewa_fail_at(err, SEWA_E_INVALID, "/select", "method '%s' takes no 'select'",
                            class->info.name);
    if (json_is_string(select) && strcmp(json_string_value(select), "auto") == 0) {
        *ret = METHOD_SELECT_AUTO;
        if (has_auto)
            return 0;
        return sewa_fail_at(err, SEWA_E_INVALID, "/select",
                            "method '%s' cannot find 'select' by itself, give a number",
                            class->info.name);
    }
    if (!json_is_integer(select))
        return sewa_fail_at(err, SEWA_E_INVALID, "/select", "'select' must be a whole number%s",
                            has_auto ? " or \"auto\"" : "");
    int rc = select_check(class, k, json_integer_value(select), err);
    if (rc == 0)
        *ret = (size_t)json_integer_value(select);
    return rc;
}

static int no_params(const json_t *params, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init_optional(&r, params, "/params", err);
    return json_reader_end(&r);
}

int method_class_check(const struct method_class *class, const struct method_setup *setup,
                       struct sewa_error *err)
{
    enum method_choice choice = class->info.choice;
    bool is_auto = choice == METHOD_CHOOSES_AUTO && setup->select == METHOD_SELECT_AUTO;

    int rc = candidates_check(setup->k, err);
    if (rc == 0 && choice >= METHOD_CHOOSES_SELECT && !is_auto)
        rc = select_check(class, setup->k, (int64_t)setup->select, err);
    if (rc < 0)
        return rc;
    return class->check ? class->check(setup, err) : no_params(setup->params, err);
}

size_t method_class_select(const struct method_class *class, const struct method_setup *setup)
{
    switch (class->info.choice) {
    case METHOD_CHOOSES_ONE: return 1;
    case METHOD_CHOOSES_ALL: return setup->k;
    case METHOD_CHOOSES_SELECT:
    case METHOD_CHOOSES_AUTO: break;
    }
    return setup->select;
}

int method_check(const char *name, size_t k, const json_t *select, const json_t *params,
                 size_t *ret_select, struct sewa_error *err)
{
    const struct method_class *class = method_class_find(name, err);
    struct method_setup setup = { .k = k, .params = params };

    if (!class)
        return SEWA_E_UNKNOWN_NAME;
    int rc = candidates_check(k, err);
    if (rc == 0)
        rc = select_read(class, k, select, &setup.select, err);
    if (rc == 0)
        rc = method_class_check(class, &setup, err);
    if (rc < 0)
        return rc;
    if (ret_select)
        *ret_select = method_class_select(class, &setup);
    return 0;
}
