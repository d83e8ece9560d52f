/*
 * sewa_params - what a job may say in "params" for method sewa, with defaults and ranges.
 * README.md says where the defaults come from.
 */
#ifndef METHODS_SEWA_PARAMS_H
#define METHODS_SEWA_PARAMS_H

#include "methods/method.h"
#include "methods/schedule.h"

enum sewa_estimator_id {
    SEWA_AUTO, /* only in a request: gumbel_softmax with gradients, else score_function */
    SEWA_GUMBEL_SOFTMAX,
    SEWA_STRAIGHT_THROUGH,
    SEWA_SCORE_FUNCTION
};

enum { SEWA_PARAMS = 8 };

extern const struct method_param sewa_params_table[SEWA_PARAMS];

struct sewa_params {
    enum sewa_estimator_id estimator;
    int64_t iterations;
    int64_t samples;
    struct schedule temperature;
    double learning_rate;
    double epsilon;
    int64_t polish; /* evaluations */
    int64_t batch;  /* minibatches that the split is cut into, 0: always the whole split */
};

/*
 * @evaluator NULL: not known yet, "auto" stays as it is. Errors: INVALID and UNKNOWN_FIELD at
 * "/params/...", UNSUPPORTED at "/params/estimator" when the evaluator gives no gradients.
 */
int sewa_params_read(const json_t *params, const struct method_evaluator *evaluator,
                     struct sewa_params *ret, struct sewa_error *err);

/* Write them as a request would: 0, or -1 when out of memory. */
int sewa_params_save(const struct sewa_params *p, json_t *object);

#endif
