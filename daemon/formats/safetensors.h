/*
 * safetensors - read and write the header of a .safetensors file
 * (https://github.com/huggingface/safetensors, format description and its Rust reference).
 *
 * Rules: 8 bytes little-endian N <= 100,000,000; N bytes of UTF-8 JSON that begin with '{' and may
 * end in spaces; "__metadata__" maps strings to strings; tensors sorted by offset are contiguous
 * from 0 to the end of the file, without a hole, an overlap or a tail. On top: no duplicate key,
 * whole numbers only, rank <= 16, names <= 1,024 bytes, at most a million tensors.
 *
 * The parser is a stream over a fixed buffer: memory is that of the tensor table and never a
 * multiple of the header. It never recurses and never looks at tensor data.
 */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "formats/layout.h"

#define SAFETENSORS_HEADER_MAX 100000000

/*
 * Read the header from fd (any position; pread only). @name is for messages, @file_bytes what stat
 * said. Fails with SEWA_E_CORRUPT (the header breaks a rule; the text gives the offset),
 * SEWA_E_INCOMPLETE (it may still be growing: shorter than its length field, its header or its last
 * tensor demands), SEWA_E_UNSUPPORTED (a type that is not known), SEWA_E_IO or SEWA_E_NO_MEMORY.
 */
int safetensors_read(int fd, const char *name, int64_t file_bytes, struct layout **ret,
                     struct sewa_error *err);

/* The same on bytes in memory (fuzzing and tests). @n is the length of the whole file's bytes
 * given,
 * @file_bytes its claimed length. */
int safetensors_parse(const void *bytes, size_t n, const char *name, int64_t file_bytes,
                      struct layout **ret, struct sewa_error *err);

struct safetensors_item {
    const char *name;
    enum dtype dtype;
    uint8_t rank;
    const int64_t *shape;
};

/*
 * Build the header (length field included, padded with spaces to a multiple of 8 bytes) for
 * tensors that will be written one behind the other in the given order. Metadata may be NULL.
 */
int safetensors_header(const struct safetensors_item *items, size_t count,
                       const struct layout_metadata *metadata, size_t metadata_count,
                       struct buf *ret, struct sewa_error *err);

#endif
