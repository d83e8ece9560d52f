/*
 * say - what an evaluator says to its host. All fail with SEWA_E_NO_MEMORY or as sewa_wire_send()
 * does.
 */
#ifndef EVALUATOR_SAY_H
#define EVALUATOR_SAY_H

#include "model.h"
#include "wire.h"

struct run {
    struct sewa_evaluator_ops *ops;
    struct wire wire;
    struct model model;
    struct sewa_evaluator_traits traits;
    double *metrics;
    bool *changed;
    float *examples; /* mapped; NULL when the host offered none */
    size_t examples_bytes;
};

/* id < 0: the program cannot serve. The message is the failure's text, its kind the code's slug. */
int sewa_say_error(struct run *r, int64_t id, const struct sewa_error *why, struct sewa_error *err);
int sewa_say_ready(struct run *r, struct sewa_error *err);
int sewa_say_result(struct run *r, int64_t id, const struct sewa_evaluator_answer *answer,
                    double seconds, struct sewa_error *err);
int sewa_say_recalibrated(struct run *r, int64_t id, struct sewa_error *err); /* r->changed */

#endif
