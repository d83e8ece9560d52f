/*
 * integers - pick, compare, take the greater.
 */
#include "engine/integers.h"

#include <stdint.h>
#include <string.h>

const char *const integer_policy_names[] = { "newest", "oldest", "max", "equal", NULL };

#define DEFINE_MAX(name, type)                                 \
    static void max_##name(void *out, const void *x, size_t n) \
    {                                                          \
        type *to = out;                                        \
        const type *from = x;                                  \
        for (size_t e = 0; e < n; e++)                         \
            to[e] = from[e] > to[e] ? from[e] : to[e];         \
    }

DEFINE_MAX(i8, int8_t)
DEFINE_MAX(i16, int16_t)
DEFINE_MAX(i32, int32_t)
DEFINE_MAX(i64, int64_t)
DEFINE_MAX(u8, uint8_t)
DEFINE_MAX(u16, uint16_t)
DEFINE_MAX(u32, uint32_t)
DEFINE_MAX(u64, uint64_t)

static void max_of(enum dtype t, void *out, const void *x, size_t n)
{
    switch (t) {
    case DTYPE_I8: max_i8(out, x, n); break;
    case DTYPE_I16: max_i16(out, x, n); break;
    case DTYPE_I32: max_i32(out, x, n); break;
    case DTYPE_I64: max_i64(out, x, n); break;
    case DTYPE_U16: max_u16(out, x, n); break;
    case DTYPE_U32: max_u32(out, x, n); break;
    case DTYPE_U64: max_u64(out, x, n); break;
    default: max_u8(out, x, n); break; /* U8, and BOOL, which is 0 or 1 */
    }
}

static int differ(const struct roster *roster, const struct weights *w, size_t row, size_t i,
                  const struct model_tensor *t, struct sewa_error *err)
{
    const uint32_t *at = w->row[row].at;

    return sewa_fail(err, SEWA_E_MISMATCH,
                     "tensor '%s' has other values in %s than in %s, and they must be equal",
                     t->name, roster->names[w->used[at[i]]], roster->names[w->used[at[0]]]);
}

int integers_slice(const struct roster *roster, const struct weights *w, size_t row,
                   enum integer_policy policy, const struct piece *piece, const void *const x[],
                   size_t begin, size_t n, void *out, struct sewa_error *err)
{
    const struct model_tensor *t = &roster->model->tensors[piece->tensor];
    const struct weights_row *r = &w->row[row];
    size_t size = model_element_bytes(t);
    size_t chosen = policy == INTEGER_NEWEST ? r->count - 1 : 0;

    memcpy(out, (const char *)x[r->at[chosen]] + begin * size, n * size);
    for (size_t i = 1; i < r->count; i++) {
        const char *values = (const char *)x[r->at[i]] + begin * size;
        if (policy == INTEGER_MAX)
            max_of(t->dtype, out, values, n);
        else if (policy == INTEGER_EQUAL && memcmp(out, values, n * size) != 0)
            return differ(roster, w, row, i, t, err);
    }
    return 0;
}
