/*
 * logistic - the logistic function and its inverse, without overflow and without 0/0 at the ends.
 * exp, log and log1p are the C library's: their last bit may differ between two machines.
 */
#ifndef METHODS_LOGISTIC_H
#define METHODS_LOGISTIC_H

#include <math.h>

static inline double logistic_sigmoid(double x)
{
    if (x >= 0)
        return 1 / (1 + exp(-x));
    double e = exp(x);
    return e / (1 + e);
}

static inline double logistic_logit(double p) /* 0 < p < 1 */
{
    return log(p) - log1p(-p);
}

#endif
