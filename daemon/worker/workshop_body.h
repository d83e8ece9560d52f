/*
 * workshop_body - the inside of a workshop, for the files that are one: workshop.c (opening,
 * preparing), evaluate.c, average.c.
 */
#ifndef WORKER_WORKSHOP_BODY_H
#define WORKER_WORKSHOP_BODY_H

#include "engine/engine.h"
#include "host/evaluator.h"
#include "worker/weights.h"
#include "worker/workshop.h"

struct workshop {
    const struct spec *spec;
    struct pulse *pulse;
    const atomic_bool *cancel;
    struct engine engine;
    struct weights *weights;          /* all candidates, once prepared */
    struct evaluator_tensor *tensors; /* of its model, for the evaluator */
    struct evaluator_listener listener;
    struct evaluator *evaluator;
    int64_t bytes_read; /* not yet reported */
};

/* Start the evaluator when there is none that can be used. */
int workshop_need_evaluator(struct workshop *w, struct sewa_error *err);

int workshop_evaluate(struct workshop *w, const json_t *task, json_t **ret, struct sewa_error *err);
int workshop_average(struct workshop *w, const json_t *task, json_t **ret, struct sewa_error *err);

/* k coefficients of a task into alpha. SEWA_E_PROTOCOL when there are not k numbers. */
int workshop_alpha(const struct workshop *w, const json_t *list, double *alpha,
                   struct sewa_error *err);

#endif
