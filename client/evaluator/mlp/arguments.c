/*
 * arguments - parse and show a table of arguments.
 */
#include "arguments.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"

static const struct argument *find(const struct argument *table, const char *name, size_t n)
{
    for (; table->name; table++)
        if (strlen(table->name) == n && memcmp(table->name, name, n) == 0)
            return table;
    return NULL;
}

static int take_word(const struct argument *a, const char *value, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf list = { 0 };

    for (int i = 0; a->words[i]; i++) {
        if (strcmp(a->words[i], value) == 0) {
            *a->word = i;
            return 0;
        }
        buf_printf(&list, "%s%s", i ? ", " : "", a->words[i]);
    }
    return sewa_fail(err, SEWA_E_INVALID, "--%s is '%.60s', allowed is one of %s", a->name, value,
                     buf_cstr(&list));
}

static int take_value(const struct argument *a, const char *value, struct sewa_error *err)
{
    if (a->text) {
        *a->text = value;
        return *value ? 0 : sewa_fail(err, SEWA_E_INVALID, "--%s is empty", a->name);
    }
    if (a->word)
        return take_word(a, value, err);
    if (a->integer && parse_i64(value, a->least, a->most, a->integer) < 0)
        return sewa_fail(err, SEWA_E_INVALID,
                         "--%s is '%.60s', allowed is a whole number from %" PRId64 " to %" PRId64,
                         a->name, value, a->least, a->most);
    double x;
    if (a->real) {
        if (parse_f64(value, &x) < 0 || x < a->low || x > a->high)
            return sewa_fail(err, SEWA_E_INVALID,
                             "--%s is '%.60s', allowed is a number from %g to %g", a->name, value,
                             a->low, a->high);
        *a->real = x;
    }
    return 0;
}

/* argv[*at] begins with "--"; moves *at to the last word that belongs to it. */
static int take_named(const struct argument *table, int argc, char *const *argv, int *at,
                      struct sewa_error *err)
{
    const char *name = argv[*at] + 2;
    size_t n = strcspn(name, "=");
    const struct argument *a = find(table, name, n);

    if (!a)
        return sewa_fail(err, SEWA_E_INVALID, "there is no argument '--%.*s'",
                         (int)(n < 60 ? n : 60), name);
    if (a->flag) {
        *a->flag = true;
        return name[n] ? sewa_fail(err, SEWA_E_INVALID, "--%s takes no value", a->name) : 0;
    }
    if (name[n])
        return take_value(a, name + n + 1, err);
    if (*at + 1 >= argc)
        return sewa_fail(err, SEWA_E_INVALID, "--%s needs a value", a->name);
    return take_value(a, argv[++*at], err);
}

int arguments_parse(const struct argument *table, int argc, char *const *argv,
                    const char **positional, int positional_max, int *ret_count,
                    struct sewa_error *err)
{
    bool names_are_over = false;

    *ret_count = 0;
    for (int i = 0; i < argc; i++) {
        int rc = 0;
        if (!names_are_over && strcmp(argv[i], "--") == 0)
            names_are_over = true;
        else if (!names_are_over && strncmp(argv[i], "--", 2) == 0)
            rc = take_named(table, argc, argv, &i, err);
        else if (*ret_count < positional_max)
            positional[(*ret_count)++] = argv[i];
        else
            rc = sewa_fail(err, SEWA_E_INVALID, "'%.200s' is too much", argv[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void arguments_show(const struct argument *table, FILE *to)
{
    for (; table->name; table++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", table->name, table->value ? " " : "",
                 table->value ? table->value : "");
        fprintf(to, "  %-28s %s\n", left, table->help);
    }
}
