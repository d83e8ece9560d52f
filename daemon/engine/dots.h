/*
 * dots - for each average the derivative of its loss along every candidate:
 * c_ij = <g_j, x_i - w_j>, where g_j is the gradient at the average w_j = sum_l alpha_jl x_l.
 *
 * All differences are taken to one candidate r, number count / 2 of the source, before they are
 * rounded: p_ij = <g_j, x_i - r>. Since the coefficients of an average sum to 1,
 * c_ij = p_ij - sum_l alpha_jl p_lj, oldest first, in float64. What all candidates have in common
 * cancels in x_i - r, whatever its size, and one pass serves all averages. The candidate in the
 * middle is at most half a run away from each of the others.
 *
 * p_ij: kernels.h says how a chunk is summed; chunks are added in order within a partition
 * (model.h), partitions in order, in float64. So the bits depend neither on threads nor on kernels.
 */
#ifndef ENGINE_DOTS_H
#define ENGINE_DOTS_H

#include "engine/engine.h"
#include "engine/source.h"

struct dots_request {
    size_t count;                 /* averages, at least 1 */
    const double *alpha;          /* count x candidates, row-major: of the averages */
    const void *const *gradients; /* count banks of model.gradient_bank_bytes each */
    const bool *differentiated;   /* for each tensor of the model; NULL: every float tensor */
    const atomic_bool *cancel;    /* may be NULL */
};

/*
 * ret: count x candidates, row-major. A gradient that is not finite gives results that are not.
 * SEWA_E_INVALID (coefficients), SEWA_E_CANCELLED, SEWA_E_NO_MEMORY, or what the source fails with.
 */
int dots(const struct engine *e, struct source *s, const struct dots_request *r, double *ret,
         struct sewa_error *err);

#endif
