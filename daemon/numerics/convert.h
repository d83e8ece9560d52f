/*
 * convert - one number from or to F16, BF16, F8 and F32: the definition that every kernel must
 * equal.
 *
 * Narrowing rounds once, to nearest even, also into the subnormals; what is too large becomes an
 * infinity, and in E4M3, which has none, a NaN. A NaN stays a NaN: widening keeps whatever payload
 * the processor keeps, narrowing writes the one positive quiet NaN of the type, so that bytes in a
 * file do not depend on the processor. Pure. Thread: any. Source: IEEE 754-2019 (binary16); BF16 is
 * the upper half of a binary32; F8_E5M2 the upper half of a binary16; F8_E4M3 the type that the
 * "OCP 8-bit Floating Point Specification" has under this name, PyTorch's float8_e4m3fn: bias 7,
 * only 0x7f and 0xff are NaNs, the largest number is 448.
 */
#ifndef NUMERICS_CONVERT_H
#define NUMERICS_CONVERT_H

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline double double_from_bits(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 31;
    uint32_t fraction = h & 1023;

    if (exponent == 0) /* zero and subnormals: whole multiples of 2^-24 */
        return copysignf((float)fraction * 0x1p-24f, float_from_bits(sign));
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000 | fraction << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static inline float bf16_to_f32(uint16_t b)
{
    return float_from_bits((uint32_t)b << 16);
}

static inline float e5m2_to_f32(uint8_t b)
{
    return f16_to_f32((uint16_t)(b << 8));
}

static inline float e4m3_to_f32(uint8_t b)
{
    uint32_t sign = (uint32_t)(b & 0x80) << 24;
    uint32_t exponent = b >> 3 & 15;
    uint32_t fraction = b & 7;

    if (exponent == 0) /* zero and subnormals: whole multiples of 2^-9 */
        return copysignf((float)fraction * 0x1p-9f, float_from_bits(sign));
    if ((b & 0x7f) == 0x7f)
        return float_from_bits(sign | 0x7fc00000);
    return float_from_bits(sign | (exponent + 120) << 23 | fraction << 20);
}

/*
 * x, which is no NaN, without its sign, in a binary format with this many bits of fraction and
 * this exponent bias, as if numbers went on to 2^(bias + 2), where none has any: for their end
 * the caller looks at the code.
 * Codes of non-negative numbers ascend with the number, so a significand that rounds up to the next
 * power of two carries into the exponent by itself, from the subnormals upwards.
 */
static inline int narrow_magnitude(double x, int fraction_bits, int bias)
{
    double magnitude = fabs(x);
    int exponent;

    if (magnitude < ldexp(1, 1 - bias))
        return (int)rint(ldexp(magnitude, bias - 1 + fraction_bits));
    if (magnitude >= ldexp(1, bias + 2))
        return INT_MAX;
    double significand = 2 * frexp(magnitude, &exponent); /* 1 <= significand < 2 */
    int code = (exponent - 2 + bias) << fraction_bits;
    return code + (int)rint(ldexp(significand, fraction_bits));
}

static inline uint16_t narrow_f64(double x, int fraction_bits, int bias)
{
    int infinity = (2 * bias + 1) << fraction_bits;
    int sign = signbit(x) ? 1 << 15 : 0;

    if (isnan(x))
        return (uint16_t)(infinity | 1 << (fraction_bits - 1));
    int code = narrow_magnitude(x, fraction_bits, bias);
    return (uint16_t)(sign | (code < infinity ? code : infinity));
}

static inline uint8_t e5m2_from_f64(double x)
{
    uint16_t code = narrow_f64(x, 2, 15);

    return (uint8_t)((code & 0x7f) | (code & 0x8000) >> 8);
}

static inline uint8_t e4m3_from_f64(double x)
{
    int code = isnan(x) ? INT_MAX : narrow_magnitude(x, 3, 7);

    if (code >= 0x7f)
        return 0x7f;
    return (uint8_t)(code | (signbit(x) ? 0x80 : 0));
}

static inline uint16_t f16_from_f64(double x)
{
    return narrow_f64(x, 10, 15);
}

static inline uint16_t bf16_from_f64(double x)
{
    return narrow_f64(x, 7, 127);
}

static inline float f32_from_f64(double x)
{
    return isnan(x) ? float_from_bits(0x7fc00000) : (float)x;
}

static inline double f64_from_f64(double x)
{
    return isnan(x) ? double_from_bits(0x7ff8000000000000) : x;
}

#endif
