/*
 * convert - one number from or to F16, BF16 and F32: the definition that every kernel must equal.
 *
 * Narrowing rounds once, to nearest even, also into the subnormals; what is too large becomes an
 * infinity. A NaN stays a NaN: widening keeps whatever payload the processor keeps, narrowing
 * writes the one positive quiet NaN of the type, so that bytes in a file do not depend on the
 * processor. Pure. Thread: any. Source: IEEE 754-2019 (binary16); BF16 is the upper half of a
 * binary32.
 */
#ifndef NUMERICS_CONVERT_H
#define NUMERICS_CONVERT_H

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

/*
 * x in a binary format of 16 bits or less with this many bits of fraction and this exponent bias.
 * Codes of non-negative numbers ascend with the number, so a significand that rounds up to the next
 * power of two carries into the exponent by itself, from the subnormals upwards.
 */
static inline uint16_t narrow_f64(double x, int fraction_bits, int bias)
{
    int infinity = (2 * bias + 1) << fraction_bits;
    int sign = signbit(x) ? 1 << 15 : 0;
    double magnitude = fabs(x);
    int exponent;

    if (isnan(x))
        return (uint16_t)(infinity | 1 << (fraction_bits - 1));
    if (magnitude < ldexp(1, 1 - bias))
        return (uint16_t)(sign | (int)rint(ldexp(magnitude, bias - 1 + fraction_bits)));
    if (magnitude >= ldexp(1, bias + 1))
        return (uint16_t)(sign | infinity);
    double significand = 2 * frexp(magnitude, &exponent); /* 1 <= significand < 2 */
    int code = (exponent - 2 + bias) << fraction_bits;
    return (uint16_t)(sign | (code + (int)rint(ldexp(significand, fraction_bits))));
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
