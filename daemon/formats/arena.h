/*
 * arena - memory that is taken in small pieces and given back all at once: the names and shapes of
 * a layout. A million tensors cost a few hundred calls of malloc and are freed in as many.
 * Zero-filled is a valid empty arena. Thread: one at a time.
 */
#ifndef FORMATS_ARENA_H
#define FORMATS_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* the newest first */
    char *at, *end;             /* free part of the chunk that is being filled */
    size_t next_bytes;          /* size of the next chunk */
};

/* n > 0 bytes at a multiple of align (a power of two, at most 16); NULL when out of memory. */
void *arena_take(struct arena *a, size_t n, size_t align);

/* A copy of n bytes with a NUL behind it; NULL when out of memory. */
char *arena_text(struct arena *a, const char *text, size_t n);

/* Free everything; the arena is empty afterwards. */
void arena_clear(struct arena *a);

#endif
