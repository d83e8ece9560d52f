/*
 * text - bytes that grow, always followed by a NUL. A failed allocation is remembered, so that a
 * caller may append twenty times and look once. For libsewa and sewactl. Thread: any.
 */
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H

#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Zero is a valid empty one. */
struct text {
    char *data; /* NULL while it is empty */
    size_t length;
    size_t room;
    bool failed;
};

void sewa_text_clear(struct text *t);
void sewa_text_append(struct text *t, const void *data, size_t n);
void sewa_text_put(struct text *t, const char *s);
void sewa_text_printf(struct text *t, const char *format, ...) SEWA_PRINTF(2, 3);

/* Append a component of a URL: everything but letters, digits and -._~ is escaped. */
void sewa_text_escape(struct text *t, const char *s);

/* Append "?" or "&", the key, "=" and the escaped value. Nothing when the value is NULL. */
void sewa_text_query(struct text *t, const char *key, const char *value);

/* What is there, "" when it is empty or failed. Until the next change. */
const char *sewa_text_get(const struct text *t);

/* Give the bytes away (heap memory, NUL-terminated) and be empty. NULL when it failed. */
char *sewa_text_take(struct text *t);

#endif
