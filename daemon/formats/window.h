/*
 * window - a fixed buffer that moves over the first bytes of a file or of memory, and the SHA-256
 * of all that it has passed. Whoever reads looks at [at, end) itself and calls in only when that
 * runs out, so there is no call for each byte. Nothing is mapped: a watched file may be cut while
 * it is read. Thread: one at a time; blocks.
 */
#ifndef FORMATS_WINDOW_H
#define FORMATS_WINDOW_H

#include "base/digest.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WINDOW_BYTES 65536
#define WINDOW_BYTES_MIN                                                     \
    16 /* the longest thing that is asked for at once is an escaped pair, 12 \
        */

struct window_source {
    const char *name;  /* for messages */
    int fd;            /* read with pread, when there is no memory */
    const void *bytes; /* or memory: n bytes, NULL for the descriptor */
    size_t n;
};

/* Bytes read at an offset, short only where the source ends, or -1 with errno. */
ssize_t window_source_read(const struct window_source *source, void *to, size_t n, int64_t offset);

struct window {
    const uint8_t *at, *end; /* what is in sight and not yet read; at is the reader's to move */
    int64_t next;            /* offset in the file of the byte behind end */
    int64_t limit;           /* nothing at or behind this offset is read; may be raised */
    bool is_cut;             /* the source ended before the limit */
    int rc;                  /* first failure of reading, 0 when there was none */
    struct sewa_error *err;  /* it is told there */
    struct window_source source;
    uint8_t *space;
    size_t size;
    struct sha256 *digest;
};

/* An empty window of @size bytes at offset 0, limit 0. Fails with SEWA_E_NO_MEMORY. */
int window_init(struct window *w, const struct window_source *source, size_t size,
                struct sewa_error *err);
void window_clear(struct window *w); /* zero-filled is fine */

/* Move on until n bytes are in sight; false at the end (limit or cut) and after a failure. */
bool window_fill(struct window *w, size_t n);

static inline bool window_has(struct window *w, size_t n)
{
    return (size_t)(w->end - w->at) >= n || window_fill(w, n);
}

/* Offset in the file of the next byte to read. */
static inline int64_t window_offset(const struct window *w)
{
    return w->next - (w->end - w->at);
}

/* Read on to the end; whether all bytes from here are zero. Stops at the first that is not. */
bool window_rest_is_zero(struct window *w);

/* SHA-256 of all bytes that came into sight. Once. */
void window_digest(struct window *w, uint8_t ret[SHA256_SIZE]);

#endif
