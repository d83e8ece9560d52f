/*
 * kernels_types - the element types as constants that a compiler can fold, and single elements:
 * what the vector kernels have in common before there are vectors.
 */
#ifndef NUMERICS_KERNELS_TYPES_H
#define NUMERICS_KERNELS_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "numerics/convert.h"

/*
 * Everything goes into one function for each kernel and type, and every loop over registers away:
 * what is constant must be one, or tiles would live in memory. Not for a compiler that puts checks
 * around each access: it would take minutes for code that nobody times.
 */
#if defined(__SANITIZE_ADDRESS__)
#define INLINE static inline
#define UNROLL
#elif defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* The element type is a constant at every call, so that only one branch is left. */
enum type { F32, F64, F16, BF16, E4M3, E5M2 };

INLINE size_t size_of(enum type t)
{
    return t == F64 ? 8 : t == F32 ? 4 : t == F16 || t == BF16 ? 2 : 1;
}

INLINE const void *at(enum type t, const void *x, size_t e)
{
    return (const char *)x + e * size_of(t);
}

/* Not of F64. */
INLINE float load1(enum type t, const void *x, size_t e)
{
    uint16_t half;
    uint8_t byte;
    float f;

    switch (t) {
    case F32: memcpy(&f, at(t, x, e), sizeof f); return f;
    case F16: memcpy(&half, at(t, x, e), sizeof half); return f16_to_f32(half);
    case BF16: memcpy(&half, at(t, x, e), sizeof half); return bf16_to_f32(half);
    default: memcpy(&byte, at(t, x, e), sizeof byte);
    }
    return t == E4M3 ? e4m3_to_f32(byte) : e5m2_to_f32(byte);
}

INLINE double load1_f64(enum type t, const void *x, size_t e)
{
    double d;

    if (t != F64)
        return (double)load1(t, x, e);
    memcpy(&d, at(t, x, e), sizeof d);
    return d;
}

#endif
