/*
 * safetensors - read and write the header of a .safetensors file
 * (https://github.com/huggingface/safetensors, format description and its Rust reference).
 *
 * Rules: 8 bytes little-endian N <= 100,000,000; N bytes of UTF-8 JSON that begin with '{' and may
 * end in white space; "__metadata__" maps strings to strings (or is null, as good as absent);
 * tensors sorted by offset are contiguous from 0 to the end of the file, without a hole, an overlap
 * or a tail. Of a tensor, dtype, shape and data_offsets are needed once each; the reference ignores
 * other fields, and so do we, after checking that they are JSON.
 *
 * On top of the reference: no duplicate key, neither in the header nor in the metadata nor in a
 * tensor; whole numbers below 2^63; a tensor is an object and its dtype a string (serde would take
 * an array and {"F32":null}); and the limits, beyond which a file is SEWA_E_UNSUPPORTED: rank <=
 * 16, names <= 1,024 bytes, a million tensors, a million metadata keys, 16 unknown fields in a
 * tensor, no U+0000 in names and metadata.
 *
 * The parser is a stream over a fixed buffer: memory is that of the tensor table and never a
 * multiple of the header. It never recurses and never looks at tensor data.
 */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "formats/layout.h"

#define SAFETENSORS_HEADER_MAX 100000000

/*
 * Read the header from fd (any position; pread only). @name is for messages (UTF-8), @file_bytes
 * what stat said. Fails with SEWA_E_CORRUPT (the header breaks a rule; the text gives the offset),
 * SEWA_E_INCOMPLETE (it may still be growing: shorter than its length field, its header or its last
 * tensor demands, or zero where the header should be), SEWA_E_UNSUPPORTED (a type that is not
 * known, or a limit), SEWA_E_IO or SEWA_E_NO_MEMORY. Blocks; thread: any.
 */
int safetensors_read(int fd, const char *name, int64_t file_bytes, struct layout **ret,
                     struct sewa_error *err);

/*
 * The same on bytes in memory (fuzzing and tests). @bytes are the first @n of a file that claims to
 * have @file_bytes; those of the header are enough.
 */
int safetensors_parse(const void *bytes, size_t n, const char *name, int64_t file_bytes,
                      struct layout **ret, struct sewa_error *err);

/* Both, with a window of another size: tests let its edge fall everywhere (see window.h). */
struct window_source;
int safetensors_read_from(const struct window_source *source, size_t window_bytes,
                          int64_t file_bytes, struct layout **ret, struct sewa_error *err);

struct safetensors_item {
    const char *name;
    enum dtype dtype;
    uint8_t rank;
    const int64_t *shape; /* rank numbers */
};

/*
 * Build the header (length field included, padded with spaces to a multiple of 8 bytes) for
 * tensors that will be written one behind the other in the given order. Metadata may be NULL.
 * It is appended to @ret. What our own reader would refuse is not written: SEWA_E_INVALID, with the
 * reader's words (a name twice, a name that is not UTF-8, a shape without a size, a limit).
 */
int safetensors_header(const struct safetensors_item *items, size_t count,
                       const struct layout_metadata *metadata, size_t metadata_count,
                       struct buf *ret, struct sewa_error *err);

#endif
