/*
 * model - the tensors that all candidates have in common, in one order, and where each stands: in a
 * row of resident candidates, in a bank of averages, in a bank of gradients.
 *
 * The order is that of the names, so that no sum depends on the order in which files list their
 * tensors. A tensor is cut into chunks of DOTS_CHUNK elements, and all chunks into at most
 * MODEL_PARTITIONS partitions of consecutive ones, by nothing but the model: partitions are the
 * items that threads share out, and partial sums are added in their order. Immutable once made; any
 * number of threads may read.
 */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "base/cleanup.h"
#include "base/dtype.h"
#include "formats/layout.h"
#include "numerics/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_ALIGNMENT = 64,          /* bytes; of every tensor in a row or a bank */
    MODEL_PARTITIONS = 256,        /* at most */
    MODEL_PIECE = 16 * DOTS_CHUNK, /* elements in one piece, at most */
};

struct model_tensor {
    const char *name;     /* lives as long as the model */
    const int64_t *shape; /* rank numbers, NULL for rank 0 */
    uint8_t rank;
    bool is_float;         /* averaged; otherwise an integer or bool, taken from one ingredient */
    enum dtype dtype;      /* in the checkpoints */
    enum dtype bank_dtype; /* in a bank: floats arrive as F32, but F64 and all else as it is */
    int64_t elements;
    int64_t row_offset;      /* bytes, from the start of a row of a candidate */
    int64_t bank_offset;     /* bytes, from the start of a bank */
    int64_t gradient_offset; /* bytes, from the start of a gradient bank: F32; -1 for integers */
    int64_t first_chunk;
};

struct model {
    size_t count;
    const struct model_tensor *tensors; /* in strcmp order of names */
    int64_t chunks;
    /* Distances from one to the next, by model_stagger(): never 0. */
    int64_t row_bytes;           /* of one candidate, in the types of the checkpoint */
    int64_t bank_bytes;          /* of one average */
    int64_t gradient_bank_bytes; /* of one gradient */
};

/*
 * SEWA_E_UNSUPPORTED names the first tensor whose type can be indexed but not averaged.
 * SEWA_E_TOO_LARGE when the sizes do not fit 62 bits.
 */
int model_new(const struct layout *l, struct model **ret, struct sewa_error *err);
void model_free(struct model *m); /* NULL is fine */
AUTOPTR_DEFINE(model_free, struct model);

/* Index of the tensor with this name, or -1. O(log count). */
int64_t model_find(const struct model *m, const char *name);

/* Bytes of one element in the checkpoints, in a bank. */
size_t model_element_bytes(const struct model_tensor *t);
size_t model_bank_element_bytes(const struct model_tensor *t);

/*
 * bytes rounded up so that neighbours at this distance do not fall into the same sets of the
 * first-level cache: a multiple of MODEL_ALIGNMENT that is none of the page size. A power of two
 * between the rows would leave a pass over many of them a cache of eight lines.
 */
int64_t model_stagger(int64_t bytes);

/* Consecutive elements of one tensor, beginning at a chunk. */
struct piece {
    size_t tensor;
    int64_t first; /* element */
    size_t count;  /* 1 .. MODEL_PIECE elements */
};

size_t model_partitions(const struct model *m); /* 0 when no tensor has an element */

/*
 * Most elements in a piece of this tensor when it may measure so many bytes: whole chunks, one at
 * least. 0 bytes: MODEL_PIECE. How a tensor is cut into pieces changes no result.
 */
size_t piece_elements(const struct model_tensor *t, size_t piece_bytes);

/* The pieces of a partition, in order: for (walk = ...; piece_next(&walk, &piece);) */
struct piece_walk {
    const struct model *model;
    size_t piece_bytes;
    int64_t chunk, end;
    size_t tensor;
};

struct piece_walk model_walk(const struct model *m, size_t partition, size_t piece_bytes);
bool piece_next(struct piece_walk *w, struct piece *ret);

#endif
