/*
 * arena - chunks that double from 4 KiB to 1 MiB; what is large gets a chunk of its own, so at
 * most half of a chunk is ever wasted.
 */
#include "formats/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096, LAST_BYTES = 1 << 20 };

struct arena_chunk {
    struct arena_chunk *next;
    _Alignas(16) char bytes[];
};

static char *chunk_new(struct arena *a, size_t n)
{
    if (n > SIZE_MAX - sizeof(struct arena_chunk))
        return NULL;
    struct arena_chunk *chunk = malloc(sizeof *chunk + n);
    if (!chunk)
        return NULL;
    chunk->next = a->chunks;
    a->chunks = chunk;
    return chunk->bytes;
}

void *arena_take(struct arena *a, size_t n, size_t align)
{
    size_t pad = (size_t)(-(uintptr_t)a->at & (align - 1));
    size_t left = (size_t)(a->end - a->at);

    if (left >= pad && left - pad >= n) {
        char *taken = a->at + pad;
        a->at = taken + n;
        return taken;
    }
    size_t size = a->next_bytes ? a->next_bytes : FIRST_BYTES;
    if (n > size / 2)
        return chunk_new(a, n); /* the chunk that is being filled stays in use */
    char *fresh = chunk_new(a, size);
    if (!fresh)
        return NULL;
    a->at = fresh + n;
    a->end = fresh + size;
    a->next_bytes = size < LAST_BYTES ? 2 * size : size;
    return fresh;
}

char *arena_text(struct arena *a, const char *text, size_t n)
{
    char *copy = n < SIZE_MAX ? arena_take(a, n + 1, 1) : NULL;

    if (!copy)
        return NULL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

void arena_clear(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    memset(a, 0, sizeof *a);
}
