/*
 * exact - sums in float64 over a slice short enough to stay in the first-level cache.
 */
#include "engine/exact.h"

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

static const void *element(const void *x, size_t e, size_t bytes)
{
    return (const char *)x + e * bytes;
}

/*
 * Ask for the slice of the ingredient after this one: a few KiB of each file are too short a run
 * for the processor's own prefetching.
 */
static void prefetch(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)from + i, 0, 2);
}

static void sum_ingredients(const struct exact *x, const struct weights_row *row,
                            const struct model_tensor *t, const void *const candidates[],
                            size_t begin, size_t n, double *sums)
{
    const struct float_kernels *k = kernels_for(x->kernels, t->dtype);
    size_t size = model_element_bytes(t);

    for (size_t i = 0; i < row->count; i++) {
        const void *values = element(candidates[row->at[i]], begin, size);
        if (i + 1 < row->count)
            prefetch(element(candidates[row->at[i + 1]], begin, size), n * size);
        if (row->is_equal)
            k->add(sums, values, n);
        else
            k->add_scaled(sums, values, row->weights[i], n);
    }
    if (row->is_equal)
        x->kernels->divide(sums, (double)row->count, n);
}

int exact_slice(const struct exact *x, size_t row, const struct piece *piece,
                const void *const candidates[], size_t begin, size_t n, void *out,
                struct sewa_error *err)
{
    const struct model_tensor *t = &x->roster->model->tensors[piece->tensor];
    const float *replaced = x->options.replaced ? x->options.replaced[piece->tensor] : NULL;
    double sums[EXACT_SLICE] __attribute__((aligned(64)));

    if (!t->is_float)
        return integers_slice(x->roster, x->weights, row, x->integers, piece, candidates, begin, n,
                              out, err);
    for (size_t e = 0; e < n; e++)
        sums[e] = -0.0;
    if (replaced)
        x->kernels->f32.add(sums, replaced + piece->first + begin, n);
    else
        sum_ingredients(x, &x->weights->row[row], t, candidates, begin, n, sums);
    kernels_for(x->kernels, exact_dtype(&x->options, t))->from_f64(out, sums, n);
    return 0;
}
