/*
 * kernels_avx2 - the kernels for processors with AVX2, FMA and F16C: sixteen registers of eight
 * floats. A tile of mix has 4 rows of two registers, one of dots 4 rows x 3 candidates.
 */
#include "numerics/kernels.h"

#if defined(__x86_64__)

#include "numerics/kernels_x86.h"

/*
 * Half of the lanes at a time: the second half of a tile of dots() wants the run again, so eight
 * gradients and four candidates must stay in the first-level cache (24 KiB of it).
 */
#define TILE_ROWS 4
enum { VF = 8, VD = 4, DOTS_SUMS = 12, DOTS_RUN = 2048 };
typedef __m256 vf;
typedef __m256d vd;

INLINE vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}

INLINE vd vd_set(double x)
{
    return _mm256_set1_pd(x);
}

INLINE void vf_stream(float *to, vf x)
{
    _mm256_stream_ps(to, x);
}

INLINE void stream_end(void)
{
    _mm_sfence();
}

INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm256_fmadd_pd(a, b, c);
}

INLINE vf vf_widen(enum type t, const void *x, size_t e)
{
    return widen8(t, x, e);
}

INLINE vd vd_widen(enum type t, const void *x, size_t e)
{
    char padded[8] = { 0 };

    if (t == F64)
        return _mm256_loadu_pd(at(t, x, e));
    if (t == F32)
        return _mm256_cvtps_pd(_mm_loadu_ps(at(t, x, e)));
    __m128i bits = load_bytes(at(t, x, e), 4 * size_of(t));
    if (t == F16)
        return _mm256_cvtps_pd(_mm_cvtph_ps(bits));
    if (t == BF16)
        return _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(bits), 16)));
    _mm_storel_epi64((void *)padded, bits);
    return _mm256_cvtps_pd(_mm256_castps256_ps128(widen8_f8(t, padded)));
}

INLINE void vd_store_as(enum type t, void *to, vd x)
{
    __m128 narrow = _mm256_cvtpd_ps(x);

    if (t == F64)
        _mm256_storeu_pd(to, x);
    else if (t == F32)
        _mm_storeu_ps(to, narrow);
    else {
        __m128i bits = shorten8(t, _mm256_zextps128_ps256(narrow));
        memcpy(to, &bits, 4 * size_of(t));
    }
}

#include "numerics/kernels_blocked.h"

const struct kernels kernels_avx2 = KERNELS_TABLE("avx2");

#else
typedef int kernels_avx2_is_for_x86_64; /* ISO C wants a declaration in every file */
#endif
