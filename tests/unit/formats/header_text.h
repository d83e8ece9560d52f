/*
 * header_text - make the bytes of a safetensors file from the text of its header, for tests.
 */
#ifndef TESTS_HEADER_TEXT_H
#define TESTS_HEADER_TEXT_H

#include <stdint.h>
#include <string.h>

#include "base/buf.h"

/* The text of one tensor. */
#define TENSOR(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

#define METADATA(text) "\"__metadata__\":" text

/* Append the length field and n bytes of header. */
static inline void put_header(struct buf *file, const void *text, size_t n)
{
    for (unsigned i = 0; i < 8; i++)
        buf_char(file, (char)((uint64_t)n >> 8 * i));
    buf_append(file, text, n);
}

#endif
