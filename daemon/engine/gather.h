/*
 * gather - a view of bytes in a file, as PyTorch saves a transposed, sliced or expanded tensor,
 * into memory in C order. Thread: any, on separate results; blocks.
 */
#ifndef ENGINE_GATHER_H
#define ENGINE_GATHER_H

#include "engine/candidate.h"

#include <stddef.h>

struct view {
    int64_t offset;        /* in the file, of the first element */
    int64_t span_bytes;    /* to the end of the last one */
    size_t element_bytes;  /* 1, 2, 4 or 8 */
    uint8_t rank;          /* 1 .. LAYOUT_RANK_MAX */
    const int64_t *shape;  /* no 0: there is an element */
    const int64_t *stride; /* elements, none negative */
};

/*
 * out: the product of shape elements. The file is walked in its own order, so that each of its
 * bytes is read about once, whatever the order of the view; a mebibyte of memory beside out.
 * SEWA_E_IO and SEWA_E_CHANGED name file and offset; SEWA_E_NO_MEMORY; SEWA_E_CANCELLED.
 */
int gather(const struct shard *shard, const struct candidate *c, const struct view *v, void *out,
           const atomic_bool *cancel, struct sewa_error *err);

#endif
