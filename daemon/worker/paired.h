/*
 * paired - is the difference of two losses more than chance? Mean and standard error of the
 * per-example differences, in float64, in order. Pure. Thread: any.
 */
#ifndef WORKER_PAIRED_H
#define WORKER_PAIRED_H

#include <stdint.h>

/* Of b[i] - a[i]; two passes. The standard error is NaN for n < 2. */
void paired_difference(const float *a, const float *b, int64_t n, double *ret_mean,
                       double *ret_standard_error);

#endif
