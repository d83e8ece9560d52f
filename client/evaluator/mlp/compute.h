/*
 * compute - loss, accuracy and gradient of a fully connected network on examples.
 *
 * Products are sgemm of OpenBLAS on one thread, over blocks of COMPUTE_BLOCK examples in a fixed
 * order; losses are added in double in the order of the examples. So the same weights give the same
 * bits, whatever else the machine does. (OpenBLAS chooses its kernels by the processor: another
 * kind of processor may round differently.)
 *
 * cross_entropy: mean over examples of -log softmax(output)[label]. mse: mean over examples of the
 * mean over outputs of (output - value)^2. The output is scale * f(last layer).
 */
#ifndef MLP_COMPUTE_H
#define MLP_COMPUTE_H

#include "data.h"
#include "network.h"
#include "settings.h"

enum { COMPUTE_BLOCK = 128 };

struct compute; /* working memory for one network; one thread at a time */

/* network and settings stay the caller's and must outlive it. Sets OpenBLAS to one thread. */
int compute_new(const struct network *network, const struct settings *settings,
                struct compute **ret, struct sewa_error *err);
void compute_free(struct compute *c);
AUTOPTR_DEFINE(compute_free, struct compute);

struct compute_request {
    const struct examples *examples;
    const int64_t *indices;     /* which of them, in this order; NULL: all, in theirs */
    int64_t count;              /* how many; all of them when indices is NULL */
    const float *const *values; /* the network's tensors, by their index */
    float *const *gradients;    /* the same; added to, entries may be NULL; NULL: not wanted */
    float *example_losses;      /* count floats; NULL: not wanted */
};

struct compute_result {
    double loss;    /* the mean */
    double correct; /* share of examples whose largest output is the label's; NaN for values */
};

void compute_run(struct compute *c, const struct compute_request *request,
                 struct compute_result *ret);

#endif
