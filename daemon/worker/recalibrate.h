/*
 * recalibrate - an average as it is published, and with its data-dependent buffers recomputed.
 *
 * The statistics of batch norm belong to weights that no training step has seen: averaging moves
 * the weights, and the average of the statistics is not the statistics of the average. An evaluator
 * that can recomputes them for the weights in a bank; what it gives replaces the average of these
 * tensors, rounded like everything else that is published.
 */
#ifndef WORKER_RECALIBRATE_H
#define WORKER_RECALIBRATE_H

#include "base/json.h"
#include "worker/workshop_body.h"

struct recalibrated {
    size_t count;         /* tensors that have new values */
    const float **values; /* for each tensor of the model: its new values, or NULL */
    float *block;         /* where they stand */
    double seconds;       /* that the evaluator took */
};

void recalibrated_clear(struct recalibrated *r); /* all zero is fine */

/* The average with these coefficients, as the file will hold it, into a bank. replaced: see
 * exact_options, or NULL. */
int workshop_mix_published(struct workshop *w, const double *alpha, unsigned bank,
                           const float *const *replaced, struct sewa_error *err);

/*
 * Ask the evaluator for the buffers of the average in a bank, and keep what it says: its gradient
 * bank may be written to again. Fails as evaluator_recalibrate(); release *ret in any case.
 */
int workshop_recalibrate(struct workshop *w, unsigned bank, struct recalibrated *ret,
                         struct sewa_error *err);

/* The names of the tensors that have new values; NULL when out of memory. */
json_t *recalibrated_names(const struct workshop *w, const struct recalibrated *r);

#endif
