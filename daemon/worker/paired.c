/*
 * paired - mean and standard error of paired differences.
 */
#include "worker/paired.h"

#include <math.h>

void paired_difference(const float *a, const float *b, int64_t n, double *ret_mean,
                       double *ret_standard_error)
{
    double sum = 0, squares = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)b[i] - (double)a[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)b[i] - (double)a[i] - mean;
        squares += d * d;
    }
    *ret_mean = mean;
    *ret_standard_error = n < 2 ? (double)NAN : sqrt(squares / (double)(n - 1) / (double)n);
}
