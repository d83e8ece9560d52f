/*
 * functions - what stands between and behind the layers, and its derivatives. Pure. In place where
 * said. Thread: any.
 */
#ifndef MLP_FUNCTIONS_H
#define MLP_FUNCTIONS_H

#include "settings.h"

#include <stddef.h>

/* a[i] = f(z[i]) */
void activation_apply(enum activation f, const float *z, float *a, size_t n);

/* delta[i] *= f'(z[i]), where a[i] = f(z[i]) */
void activation_derive(enum activation f, const float *z, const float *a, float *delta, size_t n);

/* out[i] = scale * f(z[i]) */
void output_apply(enum output_activation f, float scale, const float *z, float *out, size_t n);

/* delta[i] *= d out[i] / d z[i] */
void output_derive(enum output_activation f, float scale, const float *out, float *delta, size_t n);

/*
 * Loss of one example with n outputs, and, when delta is not NULL, weight * dL/d out[i].
 */
double cross_entropy(const float *out, int n, int64_t label, double weight, float *delta);
double squared_error(const float *out, int n, const float *values, double weight, float *delta);

/* The index of the largest, the first of equals. */
int largest(const float *out, int n);

#endif
