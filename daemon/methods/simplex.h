/*
 * simplex - the capped simplex { lo <= s_i <= hi, sum s = total }: where the probabilities of a
 * selection live. Left free, they collapse onto their bounds and ties decide the result.
 *
 * Both functions move all k numbers by one x, found by 100 bisections: that is past the last bit of
 * a double, needs no sorting, and has one defined order of operations. k * lo <= total <= k * hi.
 */
#ifndef METHODS_SIMPLEX_H
#define METHODS_SIMPLEX_H

#include <stddef.h>

/* The largest bound that leaves room on both sides: min(epsilon, total/2k, (k - total)/2k). */
double simplex_epsilon(size_t k, size_t total, double epsilon);

/* v := clip(v - x, lo, hi), the nearest point of the capped simplex. */
void simplex_project(double *v, size_t k, double total, double lo, double hi);

/* s := clip(sigmoid(theta - x), lo, hi) and theta := logit(s). 0 < lo, hi < 1. */
void simplex_shift_logits(double *theta, double *s, size_t k, double total, double lo, double hi);

/* v -= mean(v): takes the component out that a shift would undo. */
void simplex_center(double *v, size_t k);

#endif
