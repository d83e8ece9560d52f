/*
 * kernels_avx512 - the kernels for processors with AVX-512 F, BW, DQ and VL: thirty-two registers
 * of sixteen floats. Eight rows fit one tile, so that eight averages or gradients go over the
 * candidates once, and what widens BF16 is done once for all of them.
 */
#include "numerics/kernels.h"

#if defined(__x86_64__)

#include "numerics/kernels_x86.h"

/*
 * A tile of dots() has all its sums in registers, so it goes over a run once, and the longer that
 * is, the better for a memory: 0.89 of the time of runs of 2 KiB for eight gradients of F32, 0.93
 * for BF16. That the gradients then stand in the second-level cache is hidden behind the
 * arithmetic.
 */
#define TILE_ROWS 8
enum { VF = 16, VD = 8, DOTS_SUMS = 24, DOTS_RUN = 4 * DOTS_CHUNK };
typedef __m512 vf;
typedef __m512d vd;

INLINE vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

INLINE vd vd_set(double x)
{
    return _mm512_set1_pd(x);
}

INLINE void vf_stream(float *to, vf x)
{
    _mm512_stream_ps(to, x);
}

INLINE void stream_end(void)
{
    _mm_sfence();
}

INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm512_fmadd_pd(a, b, c);
}

INLINE vf vf_widen(enum type t, const void *x, size_t e)
{
    if (t == F32)
        return _mm512_loadu_ps(at(t, x, e));
    if (t == E4M3 || t == E5M2)
        return _mm512_insertf32x8(_mm512_castps256_ps512(widen8(t, x, e)), widen8(t, x, e + 8), 1);
    __m256i half = _mm256_loadu_si256(at(t, x, e));
    if (t == F16)
        return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

INLINE vd vd_widen(enum type t, const void *x, size_t e)
{
    return t == F64 ? _mm512_loadu_pd(at(t, x, e)) : _mm512_cvtps_pd(widen8(t, x, e));
}

INLINE void vd_store_as(enum type t, void *to, vd x)
{
    __m256 narrow = _mm512_cvtpd_ps(x);

    if (t == F64)
        _mm512_storeu_pd(to, x);
    else if (t == F32)
        _mm256_storeu_ps(to, narrow);
    else {
        __m128i bits = shorten8(t, narrow);
        memcpy(to, &bits, 8 * size_of(t));
    }
}

#include "numerics/kernels_blocked.h"

const struct kernels kernels_avx512 = KERNELS_TABLE("avx512");

#else
typedef int kernels_avx512_is_for_x86_64; /* ISO C wants a declaration in every file */
#endif
