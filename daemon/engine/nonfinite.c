/*
 * nonfinite - one sentence for all sources.
 */
#include "engine/nonfinite.h"

#include <inttypes.h>
#include <stdio.h>

size_t nonfinite_count(const struct kernels *k, const struct model_tensor *t, const void *values,
                       size_t bytes)
{
    return t->is_float
               ? kernels_for(k, t->dtype)->count_nonfinite(values, bytes / model_element_bytes(t))
               : 0;
}

int nonfinite_refuse(const struct roster *r, const struct nonfinite *first, size_t others,
                     struct sewa_error *err)
{
    const struct model_tensor *t = &r->model->tensors[first->tensor];
    char more[64] = "";

    if (others > 0)
        snprintf(more, sizeof more, ", and %zu more tensor%s such values", others,
                 others == 1 ? " has" : "s have");
    return sewa_fail(err, SEWA_E_NONFINITE,
                     "%s: tensor '%s' has %" PRId64 " of %" PRId64 " values that are not finite%s",
                     r->names[first->candidate], t->name, first->count, t->elements, more);
}
