/*
 * dtype - the element types of tensors, by the names that safetensors gives them.
 * Conversion and arithmetic live in numerics/; this is what formats and evaluators must also know.
 * Pure. Thread: any.
 */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_BOOL,
    DTYPE_F4, /* two in a byte */
    DTYPE_F6_E2M3,
    DTYPE_F6_E3M2,
    DTYPE_U8,
    DTYPE_I8,
    DTYPE_F8_E5M2,
    DTYPE_F8_E4M3,
    DTYPE_F8_E8M0,
    DTYPE_F8_E4M3FNUZ,
    DTYPE_F8_E5M2FNUZ,
    DTYPE_I16,
    DTYPE_U16,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_I32,
    DTYPE_U32,
    DTYPE_F32,
    DTYPE_C64, /* two F32 */
    DTYPE_F64,
    DTYPE_I64,
    DTYPE_U64,
    DTYPE_COUNT
};

/* What an average does with a tensor of this type. */
enum dtype_kind {
    DTYPE_FLOAT,   /* averaged: F64 F32 F16 BF16 F8_E4M3 F8_E5M2 */
    DTYPE_INTEGER, /* never averaged: taken from one ingredient by policy (bool is one of these) */
    DTYPE_CARRIED, /* indexed and shown, but a job that needs an average of it is refused */
};

const char *dtype_name(enum dtype t); /* "BF16" */
enum dtype_kind dtype_kind(enum dtype t);
unsigned dtype_bits(enum dtype t); /* of one element; F4 has 4, F6 have 6 */

/* The type with this exact name of n bytes, or -1. */
int dtype_from_name(const char *name, size_t n);

/* Bytes of count elements; -1 when that overflows int64 or is no whole number of bytes. */
int64_t dtype_bytes(enum dtype t, int64_t count);

#endif
