/*
 * sewa - what the tests of method sewa may reach that the rest of the program may not.
 * The method itself is used through method.h.
 */
#ifndef METHODS_SEWA_H
#define METHODS_SEWA_H

#include "methods/sewa_learn.h"

/* Take the noise from somewhere else than Philox, to compare with runs of other programs. */
void sewa_set_uniform(struct method *m, sewa_uniform_fn *uniform, void *arg);

/* How many sets are evaluated ahead in the last step. */
void sewa_set_batch(struct method *m, size_t batch);

/* The k probabilities as they are now, float64. */
const double *sewa_probabilities(const struct method *m);

#endif
