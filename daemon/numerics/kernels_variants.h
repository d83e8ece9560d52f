/*
 * kernels_variants - what the files of kernels share with each other and with cpu.c alone.
 */
#ifndef NUMERICS_KERNELS_VARIANTS_H
#define NUMERICS_KERNELS_VARIANTS_H

#include "numerics/kernels.h"

extern const struct kernels kernels_reference;
extern const struct kernels kernels_avx2;   /* x86-64 only; needs AVX2, FMA and F16C */
extern const struct kernels kernels_avx512; /* and AVX-512 F, BW, DQ, VL */
extern const struct kernels kernels_neon;   /* aarch64 only, where every processor has it */

/* A table of functions that all end in the name of a type. */
#define KERNELS_ROW(t)                                                                    \
    {                                                                                     \
        widen_##t, from_f64_##t, count_nonfinite_##t, sum_##t, weighted_sum_##t, mix_##t, \
            dots_##t,                                                                     \
    }
#define KERNELS_TABLE(called)                                                             \
    {                                                                                     \
        .name = (called), .f32 = KERNELS_ROW(f32), .f64 = KERNELS_ROW(f64),               \
        .f16 = KERNELS_ROW(f16), .bf16 = KERNELS_ROW(bf16), .f8_e4m3 = KERNELS_ROW(e4m3), \
        .f8_e5m2 = KERNELS_ROW(e5m2), .divide = divide,                                   \
    }

/* The fixed tree over the lanes of one pair: by halves, in double. */
static inline double join_f64(const double lane[8])
{
    double four[4], two[2];

    for (int l = 0; l < 4; l++)
        four[l] = lane[l] + lane[l + 4];
    for (int l = 0; l < 2; l++)
        two[l] = four[l] + four[l + 2];
    return two[0] + two[1];
}

static inline double join_f32(const float lane[16])
{
    double eight[8];

    for (int l = 0; l < 8; l++)
        eight[l] = (double)lane[l] + (double)lane[l + 8];
    return join_f64(eight);
}

#endif
