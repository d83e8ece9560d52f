/*
 * window - refilling, from a descriptor or from memory.
 */
#include "formats/window.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/fdio.h"

int window_init(struct window *w, const struct window_source *source, size_t size,
                struct sewa_error *err)
{
    assert(size >= WINDOW_BYTES_MIN);
    *w = (struct window){ .err = err, .source = *source, .size = size };
    w->space = malloc(size);
    w->digest = sha256_new();
    if (!w->space || !w->digest)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", source->name);
    w->at = w->end = w->space;
    return 0;
}

void window_clear(struct window *w)
{
    free(w->space);
    sha256_free(w->digest);
    memset(w, 0, sizeof *w);
}

ssize_t window_source_read(const struct window_source *s, void *to, size_t n, int64_t offset)
{
    if (!s->bytes)
        return pread_full(s->fd, to, n, offset);
    size_t left = (int64_t)s->n > offset ? s->n - (size_t)offset : 0;
    if (n > left)
        n = left;
    memcpy(to, (const uint8_t *)s->bytes + (left ? offset : 0), n);
    return (ssize_t)n;
}

bool window_fill(struct window *w, size_t n)
{
    size_t rest = (size_t)(w->end - w->at);

    assert(n <= w->size);
    memmove(w->space, w->at, rest);
    w->at = w->space;
    w->end = w->space + rest;
    size_t want = w->size - rest;
    if ((int64_t)want > w->limit - w->next)
        want = (size_t)(w->limit - w->next);
    if (want == 0 || w->is_cut || w->rc < 0)
        return false;
    ssize_t got = window_source_read(&w->source, w->space + rest, want, w->next);
    if (got < 0) {
        w->rc = sewa_fail_errno(w->err, SEWA_E_IO, "cannot read '%s' at offset %" PRId64,
                                w->source.name, w->next);
        return false;
    }
    sha256_update(w->digest, w->end, (size_t)got);
    w->is_cut = (size_t)got < want;
    w->next += got;
    w->end += got;
    return rest + (size_t)got >= n;
}

bool window_rest_is_zero(struct window *w)
{
    static const uint8_t zeros[256];

    while (window_has(w, 1)) {
        size_t n = (size_t)(w->end - w->at);
        if (n > sizeof zeros)
            n = sizeof zeros;
        if (memcmp(w->at, zeros, n) != 0)
            return false;
        w->at += n;
    }
    return true;
}

void window_digest(struct window *w, uint8_t ret[SHA256_SIZE])
{
    sha256_final(w->digest, ret);
}
