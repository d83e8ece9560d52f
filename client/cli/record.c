/*
 * record - one thing, a line for each of its properties.
 */
#include "record.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "visible.h"

enum { NAME_WIDTH = 15 };

void record_text(struct text *to, const char *name, const char *value)
{
    if (!value || !*value)
        value = "-";
    sewa_text_printf(to, "%-*s ", NAME_WIDTH, name);
    visible_append(to, value, strlen(value), VISIBLE_WORD);
    sewa_text_put(to, "\n");
}

void record_textf(struct text *to, const char *name, const char *format, ...)
{
    char *value;
    va_list ap;

    va_start(ap, format);
    int n = vasprintf(&value, format, ap);
    va_end(ap);
    if (n < 0) {
        to->failed = true;
        return;
    }
    record_text(to, name, value);
    free(value);
}

void record_labels(struct text *to, const struct sewa_label *labels, size_t count)
{
    AUTO(sewa_text_clear) struct text list = { 0 };

    for (size_t i = 0; i < count; i++)
        sewa_text_printf(&list, "%s%s=%s", i ? ", " : "", labels[i].key, labels[i].value);
    record_text(to, "labels", sewa_text_get(&list));
    to->failed = to->failed || list.failed;
}

int record_print(struct context *c, const struct text *t)
{
    struct sewa_error err;

    if (t->failed) {
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the output");
        return explain(c, &err);
    }
    print_text(c, t);
    return EXIT_OK;
}
