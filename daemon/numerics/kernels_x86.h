/*
 * kernels_x86 - eight elements of any type into a register of AVX2, and back: what both files of
 * kernels for x86-64 need. Exact in every case.
 */
#ifndef NUMERICS_KERNELS_X86_H
#define NUMERICS_KERNELS_X86_H

#include <immintrin.h>

#include "numerics/kernels_types.h"

/*
 * E5M2 is the upper half of an F16. E4M3 has the fields of an F16 as well, when they are moved to
 * its places, but for a bias that is 8 less and a NaN that is a number there.
 */
INLINE __m256 widen8_f8(enum type t, const void *x)
{
    __m128i wide = _mm_cvtepu8_epi16(_mm_loadl_epi64(x));
    __m128i sign = _mm_slli_epi16(_mm_and_si128(wide, _mm_set1_epi16(0x80)), 8);
    __m128i rest = _mm_and_si128(wide, _mm_set1_epi16(0x7f));

    if (t == E5M2)
        return _mm256_cvtph_ps(_mm_slli_epi16(wide, 8));
    __m128i half = _mm_or_si128(sign, _mm_slli_epi16(rest, 7));
    __m128i is_nan = _mm_cmpeq_epi16(rest, _mm_set1_epi16(0x7f));
    __m256 value = _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256));
    __m256 nan = _mm256_castsi256_ps(_mm256_cvtepi16_epi32(is_nan));
    return _mm256_or_ps(value, nan); /* all bits set are a NaN, too */
}

INLINE __m256 widen8(enum type t, const void *x, size_t e)
{
    if (t == F32)
        return _mm256_loadu_ps(at(t, x, e));
    if (t == E4M3 || t == E5M2)
        return widen8_f8(t, at(t, x, e));
    __m128i half = _mm_loadu_si128(at(t, x, e));
    if (t == F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/* The low four bytes, or eight. */
INLINE __m128i load_bytes(const void *x, size_t n)
{
    int32_t four;

    if (n == 8)
        return _mm_loadl_epi64(x);
    memcpy(&four, x, sizeof four);
    return _mm_cvtsi32_si128(four);
}

/*
 * Four or eight floats, already rounded to the type, as numbers of it: of 16 bits each. F8 are made
 * of F16, whose bits behind are zero.
 */
INLINE __m128i shorten8(enum type t, __m256 x)
{
    __m256i bits = _mm256_castps_si256(x);
    __m128i high, half, rest;

    if (t == BF16) {
        bits = _mm256_srli_epi32(bits, 16);
        return _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    }
    if (t == E4M3)
        x = _mm256_mul_ps(x, _mm256_set1_ps(0x1p-8f));
    half = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    if (t == F16)
        return half;
    high = _mm_srli_epi16(half, 8);
    if (t == E5M2)
        return _mm_packus_epi16(high, high);
    rest = _mm_and_si128(_mm_srli_epi16(half, 7), _mm_set1_epi16(0x7f));
    rest = _mm_or_si128(_mm_and_si128(high, _mm_set1_epi16(0x80)), rest);
    /* an F16's NaN has the exponent of E4M3's, and a fraction of one bit */
    half = _mm_and_si128(half, _mm_set1_epi16(0x7fff));
    half = _mm_cmpgt_epi16(half, _mm_set1_epi16(0x7c00));
    rest = _mm_blendv_epi8(rest, _mm_set1_epi16(0x7f), half);
    return _mm_packus_epi16(rest, rest);
}

#endif
