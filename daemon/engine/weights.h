/*
 * weights - what a matrix of coefficients asks for: which candidates take part at all, and in which
 * average. A candidate takes part in an average when its coefficient is not zero. Pure. Thread:
 * any.
 */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far the coefficients of one average may sum to something else than 1. */
#define WEIGHTS_TOLERANCE 1e-6

struct weights_row {
    size_t count;    /* ingredients */
    uint32_t *at;    /* count indices into weights.used, ascending: oldest first */
    double *weights; /* count coefficients, none 0 */
    bool is_equal;   /* all coefficients are the same double */
};

struct weights {
    size_t rows;
    size_t used_count;
    uint32_t *used; /* candidates that take part in some row, ascending */
    double *alpha;  /* rows x used_count */
    struct weights_row *row;
    void *memory; /* of all the above */
};

/*
 * Only the checks of weights_init(): every coefficient is finite, every row sums to 1.
 */
int weights_check(const double *alpha, size_t rows, size_t candidates, struct sewa_error *err);

/*
 * alpha is rows x candidates, row-major, rows > 0. SEWA_E_INVALID names the row (from 0) when a
 * coefficient is not finite or the sum is not 1.
 */
int weights_init(struct weights *w, const double *alpha, size_t rows, size_t candidates,
                 struct sewa_error *err);
void weights_clear(struct weights *w); /* all zero is fine */

#endif
