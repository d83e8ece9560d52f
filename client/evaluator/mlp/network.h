/*
 * network - a fully connected network, found in a list of named tensors.
 *
 * Layers are `layers.N.weight` F [out, in] and `layers.N.bias` F [out] (which may be missing), in
 * the order of N; gaps are fine, as nn.Sequential leaves them where it has activations. Integer
 * tensors are counters and are passed over; any other float tensor means that this is another kind
 * of model, and is refused by name. Pure. Thread: any.
 */
#ifndef MLP_NETWORK_H
#define MLP_NETWORK_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct network_tensor {
    const char *name;
    bool is_float;
    unsigned rank;
    const int64_t *shape; /* rank numbers */
};

struct network_layer {
    int64_t number;      /* N of its names */
    int inputs, outputs; /* BLAS counts in int */
    size_t weight;       /* which of the tensors */
    size_t bias;         /* NETWORK_NO_BIAS: none */
};

#define NETWORK_NO_BIAS SIZE_MAX

struct network {
    size_t count;
    struct network_layer *layers; /* first to last */
    int widest;                   /* the most outputs of a layer */
};

/* SEWA_E_MISMATCH names the tensor that is missing or wrong, with its shape and the wanted one. */
int network_find(const struct network_tensor *tensors, size_t count, struct network *ret,
                 struct sewa_error *err);
void network_clear(struct network *n);

int network_inputs(const struct network *n);
int network_outputs(const struct network *n);

/* "[48, 64]" */
const char *shape_text(unsigned rank, const int64_t *shape, char ret[96]);

#endif
