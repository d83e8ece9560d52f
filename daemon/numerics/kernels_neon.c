/*
 * kernels_neon - the kernels for aarch64, whose processors all have NEON: thirty-two registers of
 * four floats. Eight rows fit one tile; dots goes over the elements once for each quarter of the
 * lanes then.
 */
#include "numerics/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "numerics/kernels_types.h"

#define TILE_ROWS 8
enum { VF = 4, VD = 2, DOTS_SUMS = 24, DOTS_RUN = 2048 }; /* as in kernels_avx2.c */
typedef float32x4_t vf;
typedef float64x2_t vd;

INLINE vf vf_set(float x)
{
    return vdupq_n_f32(x);
}

INLINE vd vd_set(double x)
{
    return vdupq_n_f64(x);
}

/* There is no such store for one register. */
INLINE void vf_stream(float *to, vf x)
{
    vst1q_f32(to, x);
}

INLINE void stream_end(void)
{
}

INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

INLINE vd vd_fma(vd a, vd b, vd c)
{
    return vfmaq_f64(c, a, b);
}

INLINE vf widen_half(uint16x4_t bits)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}

/*
 * E5M2 is the upper half of an F16. E4M3 has the fields of an F16 as well, when they are moved to
 * its places, but for a bias that is 8 less and a NaN that is a number there.
 */
INLINE vf widen_f8(enum type t, uint64_t bytes)
{
    uint16x4_t wide = vget_low_u16(vmovl_u8(vcreate_u8(bytes)));
    uint16x4_t rest = vand_u16(wide, vdup_n_u16(0x7f));
    uint16x4_t sign = vshl_n_u16(vand_u16(wide, vdup_n_u16(0x80)), 8);

    if (t == E5M2)
        return widen_half(vshl_n_u16(wide, 8));
    vf value = vmulq_n_f32(widen_half(vorr_u16(sign, vshl_n_u16(rest, 7))), 256);
    int16x4_t is_nan = vreinterpret_s16_u16(vceq_u16(rest, vdup_n_u16(0x7f)));
    uint32x4_t nan = vreinterpretq_u32_s32(vmovl_s16(is_nan));
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(value), nan));
}

/* n elements of 8 or 16 bits in the low part; what is above is zero. */
INLINE vf widen_bits(enum type t, const void *x, size_t n)
{
    uint64_t bits = 0;

    memcpy(&bits, x, n * size_of(t));
    if (t == E4M3 || t == E5M2)
        return widen_f8(t, bits);
    if (t == F16)
        return widen_half(vcreate_u16(bits));
    return vreinterpretq_f32_u32(vshll_n_u16(vcreate_u16(bits), 16));
}

INLINE vf vf_widen(enum type t, const void *x, size_t e)
{
    vf v;

    if (t != F32)
        return widen_bits(t, at(t, x, e), VF);
    memcpy(&v, at(t, x, e), sizeof v);
    return v;
}

INLINE vd vd_widen(enum type t, const void *x, size_t e)
{
    float32x2_t two;
    vd v;

    if (t == F64) {
        memcpy(&v, at(t, x, e), sizeof v);
        return v;
    }
    if (t != F32)
        return vcvt_f64_f32(vget_low_f32(widen_bits(t, at(t, x, e), VD)));
    memcpy(&two, at(t, x, e), sizeof two);
    return vcvt_f64_f32(two);
}

/* Two floats, already rounded to the type, as numbers of it, in the low bits. */
INLINE uint64_t shorten(enum type t, float32x2_t x)
{
    vf four = vcombine_f32(x, vdup_n_f32(0));
    uint16x4_t half, rest, is_nan;

    if (t == BF16)
        return vget_lane_u64(vreinterpret_u64_u16(vshrn_n_u32(vreinterpretq_u32_f32(four), 16)), 0);
    if (t == E4M3)
        four = vmulq_n_f32(four, 0x1p-8f);
    half = vreinterpret_u16_f16(vcvt_f16_f32(four));
    if (t == F16)
        return vget_lane_u64(vreinterpret_u64_u16(half), 0);
    rest = vshr_n_u16(half, 8);
    if (t == E4M3) {
        is_nan = vcgt_u16(vand_u16(half, vdup_n_u16(0x7fff)), vdup_n_u16(0x7c00));
        rest = vorr_u16(vand_u16(rest, vdup_n_u16(0x80)),
                        vand_u16(vshr_n_u16(half, 7), vdup_n_u16(0x7f)));
        rest = vbsl_u16(is_nan, vdup_n_u16(0x7f), rest);
    }
    uint16x8_t both = vcombine_u16(rest, vdup_n_u16(0));
    return vget_lane_u64(vreinterpret_u64_u8(vmovn_u16(both)), 0);
}

INLINE void vd_store_as(enum type t, void *to, vd x)
{
    float32x2_t narrow = vcvt_f32_f64(x);
    uint64_t bits;

    if (t == F64) {
        memcpy(to, &x, sizeof x);
        return;
    }
    if (t == F32)
        bits = vget_lane_u64(vreinterpret_u64_f32(narrow), 0);
    else
        bits = shorten(t, narrow);
    memcpy(to, &bits, VD * size_of(t));
}

#include "numerics/kernels_blocked.h"

const struct kernels kernels_neon = KERNELS_TABLE("neon");

#else
typedef int kernels_neon_is_for_aarch64; /* ISO C wants a declaration in every file */
#endif
