/*
 * ready - what an evaluator says of itself before the first request. Pure.
 */
#ifndef HOST_READY_H
#define HOST_READY_H

#include "base/json.h"
#include "host/evaluator.h"

/* Zero is empty. traits points into the rest. */
struct ready {
    struct evaluator_traits traits;
    int64_t examples_max; /* of all splits; 0: no per-example losses */
    json_t *message;      /* owns the names */
    struct evaluator_split *splits;
    struct evaluator_metric *metrics;
    bool *is_parameter; /* one per tensor */
};

/*
 * Fields that are not known are ignored. SEWA_E_EVALUATOR_START for a field that is wrong,
 * SEWA_E_EVALUATOR_MISMATCH when it names parameters that are no float tensors.
 */
int ready_parse(json_t *message, const struct evaluator_tensor *tensors, size_t tensor_count,
                struct ready *ret, struct sewa_error *err);
void ready_clear(struct ready *r);

#endif
