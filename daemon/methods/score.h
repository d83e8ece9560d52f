/*
 * score - the gradient of an expected loss without a gradient of the loss: the score function
 * (REINFORCE; Williams 1992) on hard masks, with the mean of the other samples as the baseline
 * (Kool, van Hoof, Welling 2019).
 *
 *     h_i = [logit s_i + logit u_i > 0],  s = sigmoid(theta)
 *     dL/dtheta = mean_j (L_j - mean_{l != j} L_l) (h_j - s)
 *
 * For evaluators that can only say how good an average is: returns of rollouts, BLEU, error rates.
 */
#ifndef METHODS_SCORE_H
#define METHODS_SCORE_H

#include <stddef.h>

/*
 * One hard mask: alpha = h / |h| and slope = h - s. An empty mask is evaluated as the average of
 * all candidates: that depends on the mask alone, so the estimate stays unbiased.
 */
void score_draw(const double *s, const double *u, size_t k, double *alpha, double *slope);

/*
 * advantage_j = loss_j - mean of the other losses, in place. NaN is a sample that does not count
 * and stays NaN. Returns how many count; with fewer than two nothing is changed.
 */
size_t score_advantages(double *loss, size_t n);

#endif
