/*
 * list - one page of a list: its items, and the text of each as it came.
 *
 * The text is cut out of the answer instead of being written again, so that what a program hands on
 * is what the service said, to the last digit.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "document.h"

/* The first character behind a string; @p stands on its opening quote. */
static char *skip_string(char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

static char *skip_space(char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* The first character behind a value of any kind. */
static char *skip_value(char *p)
{
    int depth = 0;

    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        p++;
    } while (*p && (depth > 0 || !strchr(",]} \t\r\n", *p)));
    return p;
}

/* The value of a member of the object that @p stands on, or NULL. Keys are compared as they are
 * written: the service escapes none of its own. */
static char *find_member(char *p, const char *key)
{
    size_t n = strlen(key);

    for (p = skip_space(p) + 1;;) {
        p = skip_space(p);
        if (*p != '"')
            return NULL;
        char *name = p + 1;
        p = skip_space(skip_string(p));
        bool found = strncmp(name, key, n) == 0 && name[n] == '"';
        if (*p != ':')
            return NULL;
        p = skip_space(p + 1);
        if (found)
            return p;
        p = skip_space(skip_value(p));
        if (*p++ != ',')
            return NULL;
    }
}

size_t sewa_slice(char *text, const char *key, const char **ret, size_t count)
{
    char *p = find_member(text, key);
    size_t n = 0;

    if (!p || *p != '[')
        return 0;
    p = skip_space(p + 1);
    while (n < count && *p && *p != ']') {
        ret[n++] = p;
        char *end = skip_value(p);
        p = skip_space(end);
        bool more = *p == ',';
        *end = '\0'; /* may be the comma itself */
        if (!more)
            break;
        p = skip_space(p + 1);
    }
    return n;
}

int sewa_document_list(struct sewa_document *d, struct list *ret, struct sewa_error *err)
{
    const json_t *items = json_object_get(d->root, "items");
    size_t count = json_array_size(items);

    if (!json_is_array(items))
        return sewa_fail(err, SEWA_E_PROTOCOL, "the answer has no 'items': is this a sewad?");
    const char **json = sewa_document_alloc(d, count, sizeof *json);
    d->slices = strdup(d->text);
    if (!json || !d->slices)
        return sewa_no_memory(err);
    if (sewa_slice(d->slices, "items", json, count) != count)
        return sewa_fail(err, SEWA_E_PROTOCOL, "the %zu items of the answer cannot be told apart",
                         count);
    *ret = (struct list){ items, json, sewa_get_text(d->root, "next_page_token") };
    return 0;
}
