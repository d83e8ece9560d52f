/*
 * relaxation - random masks through which a gradient can be taken: Gumbel-Softmax (Jang, Gu, Poole:
 * arXiv 1611.01144; Maddison, Mnih, Teh: arXiv 1611.00712) and its straight-through variant.
 *
 * A candidate is kept or not: a Bernoulli variable with probability s. Of the two Gumbel variables
 * of its relaxation only the difference counts, which is logistic, so one uniform u is enough:
 *
 *     m_i = sigmoid((logit s_i + logit u_i) / tau),  Z = sum m,  alpha = m / Z
 *
 * With the centred products c_i = <dL/dw, w_i - w>, w = sum alpha_i w_i, the gradient is
 *
 *     dL/ds_i = c_i * slope_i,   slope_i = (1 / Z) * m_i (1 - m_i) / (tau s_i (1 - s_i))
 *
 * All arrays have k elements; 0 < s, u < 1.
 */
#ifndef METHODS_RELAXATION_H
#define METHODS_RELAXATION_H

#include <stddef.h>

/* m alone. */
void relaxation_masks(const double *s, const double *u, double tau, size_t k, double *m);

/* Soft masks: alpha and slope as above. alpha is well defined even where every m underflows. */
void relaxation_soft(const double *s, const double *u, double tau, size_t k, double *alpha,
                     double *slope);

/*
 * Straight-through: the average is that of the hard mask h_i = [logit s_i + logit u_i > 0] and Z
 * its size, the gradient passes through the soft one. An empty mask keeps the candidate that came
 * closest.
 */
void relaxation_hard(const double *s, const double *u, double tau, size_t k, double *alpha,
                     double *slope);

#endif
