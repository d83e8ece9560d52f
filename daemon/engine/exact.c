/*
 * exact - sums in float64 over a slice short enough to stay in the first-level cache.
 */
#include "engine/exact.h"

#include <string.h>

const char *const output_dtype_names[] = { "input", "F32", "BF16", "F16", NULL };

enum dtype exact_dtype(const struct exact_options *o, const struct model_tensor *t)
{
    if (!t->is_float)
        return t->dtype;
    switch (o->output) {
    case OUTPUT_F32: return DTYPE_F32;
    case OUTPUT_BF16: return DTYPE_BF16;
    case OUTPUT_F16: return DTYPE_F16;
    default: return t->dtype;
    }
}

/* Where sums begin. A copy is a vector loop with any compiler's settings. */
static const double start[EXACT_SLICE] = { [0 ... EXACT_SLICE - 1] = -0.0 };

/* Ingredients in one call of a kernel, which asks for the data of the next few while it adds. */
enum { TOGETHER = 64 };

static void sum_ingredients(const struct exact *x, const struct weights_row *row,
                            const struct model_tensor *t, const void *const candidates[],
                            size_t begin, size_t n, double *sums)
{
    const struct float_kernels *k = kernels_for(x->kernels, t->dtype);
    const void *values[TOGETHER];

    for (size_t i = 0, count; i < row->count; i += count) {
        count = row->count - i < TOGETHER ? row->count - i : TOGETHER;
        for (size_t c = 0; c < count; c++)
            values[c] = (const char *)candidates[row->at[i + c]] + begin * model_element_bytes(t);
        if (row->is_equal)
            k->sum(sums, values, count, n);
        else
            k->weighted_sum(sums, values, row->weights + i, count, n);
    }
    if (row->is_equal)
        x->kernels->divide(sums, (double)row->count, n);
}

int exact_slice(const struct exact *x, size_t row, const struct piece *piece,
                const void *const candidates[], size_t begin, size_t n, void *out,
                struct sewa_error *err)
{
    const struct model_tensor *t = &x->roster->model->tensors[piece->tensor];
    const void *replaced = x->options.replaced ? x->options.replaced[piece->tensor] : NULL;
    double sums[EXACT_SLICE] __attribute__((aligned(64)));

    if (!t->is_float)
        return integers_slice(x->roster, x->weights, row, x->integers, piece, candidates, begin, n,
                              out, err);
    memcpy(sums, start, n * sizeof sums[0]);
    if (replaced) {
        replaced = (const float *)replaced + piece->first + begin;
        x->kernels->f32.sum(sums, &replaced, 1, n);
    } else {
        sum_ingredients(x, &x->weights->row[row], t, candidates, begin, n, sums);
    }
    kernels_for(x->kernels, exact_dtype(&x->options, t))->from_f64(out, sums, n);
    return 0;
}
