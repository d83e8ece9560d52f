/*
 * buf - a growable run of bytes, always followed by a NUL.
 *
 * Failing to allocate is sticky: later calls do nothing and buf_failed() stays true, so a long
 * piece of text is built without a check on each line and checked once at its end.
 * Thread: one at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL until the first byte */
    size_t len;
    size_t cap;
    bool failed;
};

void buf_clear(struct buf *b);
void buf_reset(struct buf *b); /* empty, memory kept, failure forgotten */
void buf_append(struct buf *b, const void *data, size_t n);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) SEWA_PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list ap) SEWA_PRINTF(2, 0);

/* Room for n more bytes at the end; they count once buf_advance() says so. NULL when out of memory.
 */
void *buf_reserve(struct buf *b, size_t n);
void buf_advance(struct buf *b, size_t n);

/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);

static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

/* The text so far, "" when there is none. Valid until the next change. */
static inline const char *buf_cstr(const struct buf *b)
{
    return b->data ? b->data : "";
}

/* Hand the bytes over: heap memory that the caller frees, NULL when out of memory. Resets b. */
char *buf_take(struct buf *b);

#endif
