/*
 * kernels_variants - what the files of kernels share with each other and with cpu.c alone.
 */
#ifndef NUMERICS_KERNELS_VARIANTS_H
#define NUMERICS_KERNELS_VARIANTS_H

#include "numerics/kernels.h"

extern const struct kernels kernels_reference;
extern const struct kernels kernels_avx2; /* x86-64 only; needs AVX2, FMA and F16C */

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
