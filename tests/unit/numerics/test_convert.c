/*
 * test_convert - F16, BF16 and F8 against exact arithmetic in double: every code, every midpoint
 * between two codes and its neighbours, and the ends of the range.
 */
#include "support/support.h"

#include <math.h>

#include "base/cleanup.h"
#include "numerics/convert.h"

struct format {
    const char *name;
    int fraction_bits, bias;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(double);
};

static const struct format formats[] = {
    { "F16", 10, 15, f16_to_f32, f16_from_f64 },
    { "BF16", 7, 127, bf16_to_f32, bf16_from_f64 },
};

static int infinity_of(const struct format *f)
{
    return (2 * f->bias + 1) << f->fraction_bits;
}

/* The number that a code stands for, by the definition of a binary format. */
static double value_of(const struct format *f, int code)
{
    int exponent = code >> f->fraction_bits;
    int fraction = code & ((1 << f->fraction_bits) - 1);

    if (exponent == 0)
        return ldexp(fraction, 1 - f->bias - f->fraction_bits);
    return ldexp((1 << f->fraction_bits) + fraction, exponent - f->bias - f->fraction_bits);
}

static void test_every_code_widens(void **state)
{
    const struct format *f = *state;

    for (int code = 0; code < infinity_of(f); code++) {
        assert_true((double)f->widen((uint16_t)code) == value_of(f, code));
        assert_true((double)f->widen((uint16_t)(code | 0x8000)) == -value_of(f, code));
    }
    assert_true(isinf(f->widen((uint16_t)infinity_of(f))));
    assert_true(f->widen((uint16_t)(infinity_of(f) | 0x8000)) == -INFINITY);
    for (int code = infinity_of(f) + 1; code < 0x8000; code++)
        assert_true(isnan(f->widen((uint16_t)code)));
    assert_true(signbit(f->widen(0x8000)));
}

/* What lies at, just below and just above a midpoint; ties go to the even code. */
static void test_every_midpoint_narrows(void **state)
{
    const struct format *f = *state;

    for (int code = 0; code < infinity_of(f); code++) {
        double low = value_of(f, code), high = value_of(f, code + 1);
        double middle = (low + high) / 2; /* exact: double has bits to spare */
        int even = code % 2 == 0 ? code : code + 1;

        assert_int_equal(f->narrow(low), code);
        assert_int_equal(f->narrow(-low), code | 0x8000);
        assert_int_equal(f->narrow(middle), even);
        assert_int_equal(f->narrow(-middle), even | 0x8000);
        assert_int_equal(f->narrow(nextafter(middle, low)), code);
        assert_int_equal(f->narrow(nextafter(middle, high)), code + 1);
    }
}

static void test_the_ends(void **state)
{
    const struct format *f = *state;
    int infinity = infinity_of(f);

    assert_int_equal(f->narrow(INFINITY), infinity);
    assert_int_equal(f->narrow(-INFINITY), infinity | 0x8000);
    assert_int_equal(f->narrow(1e300), infinity);
    assert_int_equal(f->narrow(0x1p-1074), 0);
    assert_int_equal(f->narrow(-0x1p-1074), 0x8000);
    assert_int_equal(f->narrow(NAN), infinity | 1 << (f->fraction_bits - 1));
    assert_int_equal(f->narrow(-NAN), infinity | 1 << (f->fraction_bits - 1));
}

/* ---- eight bits: few enough to write the definition down again ---- */

static double e4m3_value(int code)
{
    int exponent = code >> 3, fraction = code & 7;

    return exponent == 0 ? ldexp(fraction, -9) : ldexp(8 + fraction, exponent - 10);
}

static void test_e4m3(void **state)
{
    (void)state;
    for (int code = 0; code < 0x7f; code++) {
        double low = e4m3_value(code), high = e4m3_value(code + 1), middle = (low + high) / 2;
        int even = code % 2 == 0 ? code : code + 1;

        assert_true((double)e4m3_to_f32((uint8_t)code) == low);
        assert_true((double)e4m3_to_f32((uint8_t)(code | 0x80)) == -low);
        assert_int_equal(e4m3_from_f64(low), code);
        assert_int_equal(e4m3_from_f64(-low), code | 0x80);
        assert_int_equal(e4m3_from_f64(middle), even);
        assert_int_equal(e4m3_from_f64(nextafter(middle, low)), code);
        assert_int_equal(e4m3_from_f64(nextafter(middle, high)), code + 1); /* past 448: the NaN */
    }
    assert_true(e4m3_value(0x7e) == 448);
    assert_true(isnan(e4m3_to_f32(0x7f)) && isnan(e4m3_to_f32(0xff)));
    assert_int_equal(e4m3_from_f64(480), 0x7f);
    assert_int_equal(e4m3_from_f64(-1e300), 0x7f);
    assert_int_equal(e4m3_from_f64(INFINITY), 0x7f);
    assert_int_equal(e4m3_from_f64(-NAN), 0x7f);
    assert_int_equal(e4m3_from_f64(-0x1p-11), 0x80);
}

static void test_e5m2(void **state)
{
    (void)state;
    for (int code = 0; code < 0x7c; code++) {
        double low = (double)f16_to_f32((uint16_t)(code << 8));
        double high = code == 0x7b ? 65536 : (double)f16_to_f32((uint16_t)((code + 1) << 8));
        double middle = (low + high) / 2;

        assert_true((double)e5m2_to_f32((uint8_t)code) == low);
        assert_int_equal(e5m2_from_f64(low), code);
        assert_int_equal(e5m2_from_f64(-low), code | 0x80);
        assert_int_equal(e5m2_from_f64(middle), code % 2 == 0 ? code : code + 1);
        assert_int_equal(e5m2_from_f64(nextafter(middle, low)), code);
        assert_int_equal(e5m2_from_f64(nextafter(middle, high)), code + 1);
    }
    assert_int_equal(e5m2_from_f64(INFINITY), 0x7c);
    assert_int_equal(e5m2_from_f64(-1e300), 0xfc);
    assert_int_equal(e5m2_from_f64(-NAN), 0x7e);
    assert_true(isinf(e5m2_to_f32(0x7c)) && isnan(e5m2_to_f32(0x7d)));
}

static uint32_t float_bits(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void test_float_and_double(void **state)
{
    uint64_t bits;

    (void)state;
    assert_true(f32_from_f64(1.0 + 0x1p-24) == 1.0f); /* a tie, to even */
    assert_true(f32_from_f64(1.0 + 0x3p-24) == 1.0f + 0x1p-22f);
    assert_true(f32_from_f64(0x1.8p-149) == 0x1p-148f);
    assert_true(isinf(f32_from_f64(0x1.ffffffp127)));
    assert_int_equal(float_bits(f32_from_f64(-0.0)), 0x80000000u);
    assert_int_equal(float_bits(f32_from_f64(-NAN)), 0x7fc00000u);
    double nan = f64_from_f64(-NAN);
    memcpy(&bits, &nan, sizeof bits);
    assert_true(bits == 0x7ff8000000000000u);
    assert_true(f64_from_f64(0x1p-1074) == 0x1p-1074);
}

#define FORMAT_ROW(test, i)                              \
    {                                                    \
        .name = #test "/" #i, .test_func = (test),       \
        .initial_state = (void *)(uintptr_t)&formats[i], \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FORMAT_ROW(test_every_code_widens, 0),
        FORMAT_ROW(test_every_code_widens, 1),
        FORMAT_ROW(test_every_midpoint_narrows, 0),
        FORMAT_ROW(test_every_midpoint_narrows, 1),
        FORMAT_ROW(test_the_ends, 0),
        FORMAT_ROW(test_the_ends, 1),
        cmocka_unit_test(test_e4m3),
        cmocka_unit_test(test_e5m2),
        cmocka_unit_test(test_float_and_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
