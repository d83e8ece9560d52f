/*
 * adam - one step of Adam, and its state.
 */
#include "methods/adam.h"

#include <math.h>
#include <stdlib.h>

#include "methods/state.h"

static const double b1 = 0.9, b2 = 0.99, tiny = 1e-12;

int adam_init(struct adam *a, size_t n, struct sewa_error *err)
{
    *a = (struct adam){ .n = n, .b1_power = 1, .b2_power = 1 };
    a->mean = calloc(n, sizeof *a->mean);
    a->square = calloc(n, sizeof *a->square);
    if (!a->mean || !a->square)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for an optimizer of %zu numbers", n);
    return 0;
}

void adam_clear(struct adam *a)
{
    free(a->mean);
    free(a->square);
    *a = (struct adam){ 0 };
}

void adam_step(struct adam *a, const double *gradient, double rate, double *x)
{
    a->b1_power *= b1;
    a->b2_power *= b2;
    for (size_t i = 0; i < a->n; i++) {
        double g = gradient[i];
        a->mean[i] = b1 * a->mean[i] + (1 - b1) * g;
        a->square[i] = b2 * a->square[i] + (1 - b2) * g * g;
        double mean = a->mean[i] / (1 - a->b1_power);
        double square = a->square[i] / (1 - a->b2_power);
        x[i] -= rate * mean / (sqrt(square) + tiny);
    }
}

int adam_save(const struct adam *a, json_t *object)
{
    double powers[] = { a->b1_power, a->b2_power };

    if (json_put(object, "adam_mean", state_numbers(a->mean, a->n)) < 0 ||
        json_put(object, "adam_square", state_numbers(a->square, a->n)) < 0)
        return -1;
    return json_put(object, "adam_powers", state_numbers(powers, 2));
}

void adam_load(struct adam *a, struct json_reader *r)
{
    double powers[2] = { 1, 1 };

    state_read_numbers(r, "adam_mean", -HUGE_VAL, HUGE_VAL, STATE_NULL_REFUSED, a->mean, a->n);
    state_read_numbers(r, "adam_square", 0, HUGE_VAL, STATE_NULL_REFUSED, a->square, a->n);
    state_read_numbers(r, "adam_powers", 0, 1, STATE_NULL_REFUSED, powers, 2);
    a->b1_power = powers[0];
    a->b2_power = powers[1];
}
