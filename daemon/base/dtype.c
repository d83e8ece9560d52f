/*
 * dtype - the table of element types.
 */
#include "base/dtype.h"

#include <string.h>

static const struct {
    char name[16]; /* zero behind its end */
    unsigned bits;
    enum dtype_kind kind;
} types[DTYPE_COUNT] = {
    [DTYPE_BOOL] = { "BOOL", 8, DTYPE_INTEGER },
    [DTYPE_F4] = { "F4", 4, DTYPE_CARRIED },
    [DTYPE_F6_E2M3] = { "F6_E2M3", 6, DTYPE_CARRIED },
    [DTYPE_F6_E3M2] = { "F6_E3M2", 6, DTYPE_CARRIED },
    [DTYPE_U8] = { "U8", 8, DTYPE_INTEGER },
    [DTYPE_I8] = { "I8", 8, DTYPE_INTEGER },
    [DTYPE_F8_E5M2] = { "F8_E5M2", 8, DTYPE_FLOAT },
    [DTYPE_F8_E4M3] = { "F8_E4M3", 8, DTYPE_FLOAT },
    [DTYPE_F8_E8M0] = { "F8_E8M0", 8, DTYPE_CARRIED },
    [DTYPE_F8_E4M3FNUZ] = { "F8_E4M3FNUZ", 8, DTYPE_CARRIED },
    [DTYPE_F8_E5M2FNUZ] = { "F8_E5M2FNUZ", 8, DTYPE_CARRIED },
    [DTYPE_I16] = { "I16", 16, DTYPE_INTEGER },
    [DTYPE_U16] = { "U16", 16, DTYPE_INTEGER },
    [DTYPE_F16] = { "F16", 16, DTYPE_FLOAT },
    [DTYPE_BF16] = { "BF16", 16, DTYPE_FLOAT },
    [DTYPE_I32] = { "I32", 32, DTYPE_INTEGER },
    [DTYPE_U32] = { "U32", 32, DTYPE_INTEGER },
    [DTYPE_F32] = { "F32", 32, DTYPE_FLOAT },
    [DTYPE_C64] = { "C64", 64, DTYPE_CARRIED },
    [DTYPE_F64] = { "F64", 64, DTYPE_FLOAT },
    [DTYPE_I64] = { "I64", 64, DTYPE_INTEGER },
    [DTYPE_U64] = { "U64", 64, DTYPE_INTEGER },
};

const char *dtype_name(enum dtype t)
{
    return types[t].name;
}

enum dtype_kind dtype_kind(enum dtype t)
{
    return types[t].kind;
}

unsigned dtype_bits(enum dtype t)
{
    return types[t].bits;
}

int dtype_from_name(const char *name, size_t n)
{
    char padded[sizeof types[0].name] = "";

    if (n == 0 || n >= sizeof padded)
        return -1;
    memcpy(padded, name, n);
    for (int t = 0; t < DTYPE_COUNT; t++) /* whole words: this is asked for every tensor */
        if (memcmp(types[t].name, padded, 8) == 0 && memcmp(types[t].name + 8, padded + 8, 8) == 0)
            return t;
    return -1;
}

int64_t dtype_bytes(enum dtype t, int64_t count)
{
    int64_t bits;

    if (count < 0 || __builtin_mul_overflow(count, (int64_t)types[t].bits, &bits)) {
        /* more than 2^60 bytes is no file, but 2^61 bits may be a legal count of bytes */
        int64_t bytes;
        if (count < 0 || types[t].bits % 8 != 0 ||
            __builtin_mul_overflow(count, (int64_t)types[t].bits / 8, &bytes))
            return -1;
        return bytes;
    }
    return bits % 8 == 0 ? bits / 8 : -1;
}
