/*
 * nonfinite - values of candidates that are infinite or NaN, and the sentence that refuses them.
 * Thread: any.
 */
#ifndef ENGINE_NONFINITE_H
#define ENGINE_NONFINITE_H

#include "engine/roster.h"

/* A tensor with infinities or NaNs. */
struct nonfinite {
    uint32_t candidate, tensor;
    int64_t count; /* of such values */
};

/* How many of these bytes' values in a tensor are not finite; 0 for integers. */
size_t nonfinite_count(const struct kernels *k, const struct model_tensor *t, const void *values,
                       size_t bytes);

/* SEWA_E_NONFINITE: names checkpoint, tensor, count, and how many more tensors have such values. */
int nonfinite_refuse(const struct roster *r, const struct nonfinite *first, size_t others,
                     struct sewa_error *err);

#endif
