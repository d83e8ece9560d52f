/*
 * layout - what a checkpoint's header says: its tensors, by name, type, shape and place.
 *
 * A layout is made by a format's reader, never changed afterwards, and may be shared by threads
 * that only read. Names and shapes live in memory that belongs to the layout.
 */
#ifndef FORMATS_LAYOUT_H
#define FORMATS_LAYOUT_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/dtype.h"
#include "sewa/error.h"

#include <stddef.h>
#include <stdint.h>

#define LAYOUT_RANK_MAX     16
#define LAYOUT_NAME_MAX     1024
#define LAYOUT_TENSORS_MAX  1000000
#define LAYOUT_METADATA_MAX 1000000

struct tensor {
    const char *name; /* UTF-8, NUL-terminated, at most LAYOUT_NAME_MAX bytes, contains no NUL */
    enum dtype dtype;
    uint8_t rank;
    uint32_t file;        /* which file of the checkpoint; 0 when there is one */
    const int64_t *shape; /* rank numbers, NULL for rank 0 */
    int64_t elements;     /* product of shape; 1 for rank 0 */
    int64_t offset;       /* of the first byte, from the start of the file */
    int64_t bytes;
};

struct layout_metadata {
    const char *key, *value;
};

struct layout {
    const char *format; /* "safetensors"; lives as long as the layout */
    size_t count;
    struct tensor *tensors;  /* by file, then offset, then end (empty ones first), then name */
    const uint32_t *by_name; /* indices into tensors, in strcmp order of names */
    size_t metadata_count;
    struct layout_metadata *metadata; /* "__metadata__", in file order */
    int64_t file_bytes;               /* what the header says the (first) file must measure */
    uint8_t header_digest[32];        /* SHA-256 of the bytes up to the first tensor */
};

void layout_free(struct layout *l); /* NULL is fine */
AUTOPTR_DEFINE(layout_free, struct layout);

/* The tensor with this name, or NULL. O(log count). */
const struct tensor *layout_find(const struct layout *l, const char *name);

/*
 * SHA-256 over names, types and shapes in order of names: two checkpoints with the same signature
 * can be averaged whatever order their files have. Offsets do not count.
 */
int layout_signature(const struct layout *l, uint8_t ret[32], struct sewa_error *err);

/*
 * Say how b differs from a: 0 when they can be averaged; otherwise SEWA_E_MISMATCH and a text that
 * names the first five of each kind (missing in b, only in b, other shape, other type) with counts.
 * All four counts are always there; of the names, as many of the five as the text has room for.
 */
int layout_compare(const struct layout *a, const char *name_a, const struct layout *b,
                   const char *name_b, struct sewa_error *err);

/*
 * The tensor table as bytes for the index, and back. Equal tables give equal bytes. Metadata, file
 * size and header digest are not in it: they differ from file to file. The bytes are appended to
 * ret. Decoding trusts nothing: SEWA_E_CORRUPT, or SEWA_E_UNSUPPORTED when another version wrote
 * them.
 */
int layout_encode(const struct layout *l, struct buf *ret, struct sewa_error *err);
int layout_decode(const void *bytes, size_t n, struct layout **ret, struct sewa_error *err);

/* Sums over all tensors: bytes of data, number of elements of averaged (float) tensors. */
int64_t layout_data_bytes(const struct layout *l);
int64_t layout_float_elements(const struct layout *l);

/* ---- for readers of formats: build a layout piece by piece ---- */

struct layout_builder; /* owns everything until layout_builder_finish() */

struct layout_builder *layout_builder_new(const char *format); /* NULL when out of memory */
void layout_builder_free(struct layout_builder *b);
AUTOPTR_DEFINE(layout_builder_free, struct layout_builder);

/*
 * Add a tensor. Name and shape are copied; @elements is not read but computed. SEWA_E_CORRUPT when
 * a product overflows, the bytes are not those of the elements, the place is no place in a file or
 * the name is no UTF-8; SEWA_E_UNSUPPORTED past one of the limits above.
 */
int layout_builder_tensor(struct layout_builder *b, const struct tensor *t, struct sewa_error *err);
int layout_builder_metadata(struct layout_builder *b, const char *key, const char *value,
                            struct sewa_error *err);

/*
 * Sorts, refuses duplicate names and metadata keys (SEWA_E_CORRUPT), hands over. file_bytes and
 * header_digest are zero: the reader fills them. The builder is only freed afterwards, whatever
 * this returned.
 */
int layout_builder_finish(struct layout_builder *b, struct layout **ret, struct sewa_error *err);

#endif
