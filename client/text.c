/*
 * text - bytes that grow.
 */
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

void sewa_text_clear(struct text *t)
{
    free(t->data);
    *t = (struct text){ 0 };
}

/* Room for n more bytes and the NUL. */
static bool reserve(struct text *t, size_t n)
{
    size_t wanted, room = t->room ? t->room : 64;

    if (t->failed || __builtin_add_overflow(t->length + 1, n, &wanted) || wanted > SIZE_MAX / 2) {
        t->failed = true;
        return false;
    }
    if (wanted <= t->room)
        return true;
    while (room < wanted)
        room *= 2;
    char *data = realloc(t->data, room);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->room = room;
    return true;
}

void sewa_text_append(struct text *t, const void *data, size_t n)
{
    if (!reserve(t, n))
        return;
    if (n)
        memcpy(t->data + t->length, data, n);
    t->length += n;
    t->data[t->length] = '\0';
}

void sewa_text_put(struct text *t, const char *s)
{
    sewa_text_append(t, s, strlen(s));
}

void sewa_text_printf(struct text *t, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n < 0)
        t->failed = true;
    if (n < 0 || !reserve(t, (size_t)n))
        return;
    va_start(ap, format);
    vsnprintf(t->data + t->length, (size_t)n + 1, format, ap);
    va_end(ap);
    t->length += (size_t)n;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void sewa_text_escape(struct text *t, const char *s)
{
    /* "." and ".." as a whole component would be resolved away on the way */
    bool dots = strcmp(s, ".") == 0 || strcmp(s, "..") == 0;

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (is_unreserved(c) && !dots)
            sewa_text_append(t, s, 1);
        else
            sewa_text_printf(t, "%%%02X", c);
    }
}

void sewa_text_query(struct text *t, const char *key, const char *value)
{
    if (!value)
        return;
    sewa_text_printf(t, "%s%s=", t->data && strchr(t->data, '?') ? "&" : "?", key);
    sewa_text_escape(t, value);
}

const char *sewa_text_get(const struct text *t)
{
    return t->data && !t->failed ? t->data : "";
}

char *sewa_text_take(struct text *t)
{
    sewa_text_append(t, "", 0); /* an empty one has no bytes yet */
    char *data = t->failed ? NULL : TAKE(t->data);
    sewa_text_clear(t);
    return data;
}
