/*
 * shard_index - which file of a sharded checkpoint holds which tensor: the index of Hugging Face's
 * libraries,
 *
 *     {"metadata": {"total_size": 123}, "weight_map": {"a.weight":
 * "model-00001-of-00002.safetensors"}}
 *
 * Read as strictly as a safetensors header: no key twice, names of files that are no paths.
 */
#ifndef FORMATS_SHARD_INDEX_H
#define FORMATS_SHARD_INDEX_H

#include "base/buf.h"
#include "formats/window.h"

struct shard_index_entry {
    const char *name; /* of the tensor */
    uint32_t file;    /* index into files */
};

struct shard_index {
    size_t count;
    struct shard_index_entry *entries; /* in strcmp order of names */
    size_t file_count;
    const char **files;          /* in strcmp order */
    uint8_t digest[SHA256_SIZE]; /* of the text */
};

/*
 * Read the @bytes of a source. SEWA_E_CORRUPT, SEWA_E_INCOMPLETE (the text breaks off),
 * SEWA_E_UNSUPPORTED (a limit of layout.h), SEWA_E_IO or SEWA_E_NO_MEMORY. Blocks.
 */
int shard_index_read(const struct window_source *source, int64_t bytes, struct shard_index **ret,
                     struct sewa_error *err);
void shard_index_free(struct shard_index *x);
AUTOPTR_DEFINE(shard_index_free, struct shard_index);

/* The entry of this tensor, or NULL. O(log count). */
const struct shard_index_entry *shard_index_find(const struct shard_index *x, const char *name);

/*
 * Build the text of an index and append it to @ret: entries in strcmp order of names, their files,
 * and the bytes of all tensors. What our own reader would refuse is not written: SEWA_E_INVALID.
 */
int shard_index_text(const struct shard_index_entry *entries, size_t count,
                     const char *const files[], int64_t total_size, struct buf *ret,
                     struct sewa_error *err);

#endif
