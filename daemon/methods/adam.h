/*
 * adam - Adam (Kingma, Ba: arXiv 1412.6980) with b1 = 0.9, b2 = 0.99, eps = 1e-12, float64.
 * b2 is smaller and eps much smaller than usual: a selection takes some tens of steps on numbers
 * whose scale is that of a loss, which may be anything.
 */
#ifndef METHODS_ADAM_H
#define METHODS_ADAM_H

#include "base/json.h"

#include <stddef.h>

struct adam {
    size_t n;
    double *mean;              /* n: running mean of the gradient */
    double *square;            /* n: running mean of its square */
    double b1_power, b2_power; /* b1^t and b2^t after t steps, by repeated multiplication */
};

int adam_init(struct adam *a, size_t n, struct sewa_error *err);
void adam_clear(struct adam *a);

/* x -= rate * mean' / (sqrt(square') + eps), both corrected for their bias. */
void adam_step(struct adam *a, const double *gradient, double rate, double *x);

/* Its members inside @object: "adam_mean", "adam_square", "adam_powers". 0 or -1. */
int adam_save(const struct adam *a, json_t *object);
void adam_load(struct adam *a, struct json_reader *r);

#endif
