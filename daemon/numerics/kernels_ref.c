/*
 * kernels_ref - the definition of every kernel, in loops that read like the formulas in kernels.h.
 * Compiled for the oldest processor that the build allows; where that has no fused multiplication,
 * fma() comes from the C library, exact and slow.
 */
#include "numerics/kernels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "numerics/convert.h"
#include "numerics/kernels_variants.h"

/* Element e of x, which may have any alignment. */
#define DEFINE_LOAD(type, real, stored, convert)                    \
    static inline real load_##type(const void *x, size_t e)         \
    {                                                               \
        stored v;                                                   \
        memcpy(&v, (const char *)x + e * sizeof(stored), sizeof v); \
        return convert(v);                                          \
    }

/* One rounding to the type that is stored. */
#define DEFINE_FROM_F64(type, stored, convert)                        \
    static void from_f64_##type(void *out, const double *x, size_t n) \
    {                                                                 \
        for (size_t e = 0; e < n; e++)                                \
            ((stored *)out)[e] = convert(x[e]);                       \
    }

#define DEFINE_SIMPLE(type, real)                                                            \
    static void widen_##type(void *out, const void *x, size_t n)                             \
    {                                                                                        \
        for (size_t e = 0; e < n; e++)                                                       \
            ((real *)out)[e] = load_##type(x, e);                                            \
    }                                                                                        \
    static size_t count_nonfinite_##type(const void *x, size_t n)                            \
    {                                                                                        \
        size_t count = 0;                                                                    \
        for (size_t e = 0; e < n; e++)                                                       \
            count += !isfinite(load_##type(x, e));                                           \
        return count;                                                                        \
    }                                                                                        \
    static void sum_##type(double *acc, const void *const x[], size_t k, size_t n)           \
    {                                                                                        \
        for (size_t i = 0; i < k; i++)                                                       \
            for (size_t e = 0; e < n; e++)                                                   \
                acc[e] = acc[e] + (double)load_##type(x[i], e);                              \
    }                                                                                        \
    static void weighted_sum_##type(double *acc, const void *const x[], const double *alpha, \
                                    size_t k, size_t n)                                      \
    {                                                                                        \
        for (size_t i = 0; i < k; i++)                                                       \
            for (size_t e = 0; e < n; e++)                                                   \
                acc[e] = acc[e] + alpha[i] * (double)load_##type(x[i], e);                   \
    }

#define DEFINE_MIX(type, real, fused)                                                    \
    static void mix_##type(void *const out[], size_t m, const void *const x[], size_t k, \
                           const double *alpha, size_t n)                                \
    {                                                                                    \
        for (size_t j = 0; j < m; j++) {                                                 \
            for (size_t e = 0; e < n; e++) {                                             \
                real acc = -0.0;                                                         \
                for (size_t i = 0; i < k; i++) {                                         \
                    real w = (real)alpha[j * k + i];                                     \
                    if (w != 0)                                                          \
                        acc = fused(w, load_##type(x[i], e), acc);                       \
                }                                                                        \
                ((real *)out[j])[e] = acc;                                               \
            }                                                                            \
        }                                                                                \
    }

#define DEFINE_DOTS(type, real, lanes, fused, join)                                                \
    static void dots_##type(double *sums, const float *const g[], size_t m, const void *const x[], \
                            const void *r, size_t k, size_t n, void *scratch)                      \
    {                                                                                              \
        (void)scratch;                                                                             \
        for (size_t i = 0; i < k; i++) {                                                           \
            for (size_t j = 0; j < m; j++) {                                                       \
                real lane[lanes] = { 0 };                                                          \
                for (size_t e = 0; e < n; e++) {                                                   \
                    real d = load_##type(x[i], e) - load_##type(r, e);                             \
                    lane[e % lanes] = fused((real)load_f32(g[j], e), d, lane[e % lanes]);          \
                }                                                                                  \
                sums[i * m + j] += join(lane);                                                     \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_LOAD(f32, float, float, )
DEFINE_LOAD(f64, double, double, )
DEFINE_LOAD(f16, float, uint16_t, f16_to_f32)
DEFINE_LOAD(bf16, float, uint16_t, bf16_to_f32)
DEFINE_LOAD(e4m3, float, uint8_t, e4m3_to_f32)
DEFINE_LOAD(e5m2, float, uint8_t, e5m2_to_f32)

DEFINE_FROM_F64(f32, float, f32_from_f64)
DEFINE_FROM_F64(f64, double, f64_from_f64)
DEFINE_FROM_F64(f16, uint16_t, f16_from_f64)
DEFINE_FROM_F64(bf16, uint16_t, bf16_from_f64)
DEFINE_FROM_F64(e4m3, uint8_t, e4m3_from_f64)
DEFINE_FROM_F64(e5m2, uint8_t, e5m2_from_f64)

DEFINE_SIMPLE(f32, float)
DEFINE_SIMPLE(f64, double)
DEFINE_SIMPLE(f16, float)
DEFINE_SIMPLE(bf16, float)
DEFINE_SIMPLE(e4m3, float)
DEFINE_SIMPLE(e5m2, float)

DEFINE_MIX(f32, float, fmaf)
DEFINE_MIX(f64, double, fma)
DEFINE_MIX(f16, float, fmaf)
DEFINE_MIX(bf16, float, fmaf)
DEFINE_MIX(e4m3, float, fmaf)
DEFINE_MIX(e5m2, float, fmaf)

DEFINE_DOTS(f32, float, 16, fmaf, join_f32)
DEFINE_DOTS(f64, double, 8, fma, join_f64)
DEFINE_DOTS(f16, float, 16, fmaf, join_f32)
DEFINE_DOTS(bf16, float, 16, fmaf, join_f32)
DEFINE_DOTS(e4m3, float, 16, fmaf, join_f32)
DEFINE_DOTS(e5m2, float, 16, fmaf, join_f32)

static void divide(double *acc, double by, size_t n)
{
    for (size_t e = 0; e < n; e++)
        acc[e] = acc[e] / by;
}

const struct kernels kernels_reference = KERNELS_TABLE("reference");
