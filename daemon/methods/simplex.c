/*
 * simplex - projection by bisection.
 */
#include "methods/simplex.h"

#include <math.h>

#include "methods/logistic.h"

enum { BISECTIONS = 100 };

double simplex_epsilon(size_t k, size_t total, double epsilon)
{
    double below = (double)total / (2.0 * (double)k);
    double above = (double)(k - total) / (2.0 * (double)k);

    return fmin(epsilon, fmin(below, above));
}

static double clip(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static double identity(double x)
{
    return x;
}

/* sum of clip(f(v_i - x)) falls from k * hi to k * lo while x goes from one end to the other. */
static double find_shift(double (*f)(double), const double *v, size_t k, double total, double lo,
                         double hi, double below, double above)
{
    for (int n = 0; n < BISECTIONS; n++) {
        double x = 0.5 * (below + above);
        double sum = 0;
        for (size_t i = 0; i < k; i++)
            sum += clip(f(v[i] - x), lo, hi);
        if (sum >= total)
            below = x;
        else
            above = x;
    }
    return 0.5 * (below + above);
}

static void range(const double *v, size_t k, double *min, double *max)
{
    *min = *max = v[0];
    for (size_t i = 1; i < k; i++) {
        *min = fmin(*min, v[i]);
        *max = fmax(*max, v[i]);
    }
}

void simplex_project(double *v, size_t k, double total, double lo, double hi)
{
    double min, max;

    range(v, k, &min, &max);
    double x = find_shift(identity, v, k, total, lo, hi, min - hi, max - lo);
    for (size_t i = 0; i < k; i++)
        v[i] = clip(v[i] - x, lo, hi);
}

/* theta follows the clipped s: a candidate on its bound can leave it with the next step. */
void simplex_shift_logits(double *theta, double *s, size_t k, double total, double lo, double hi)
{
    double min, max;

    range(theta, k, &min, &max);
    double x = find_shift(logistic_sigmoid, theta, k, total, lo, hi, min - logistic_logit(hi),
                          max - logistic_logit(lo));
    for (size_t i = 0; i < k; i++) {
        double y = logistic_sigmoid(theta[i] - x);
        s[i] = clip(y, lo, hi);
        theta[i] = y == s[i] ? theta[i] - x : logistic_logit(s[i]);
    }
}

void simplex_center(double *v, size_t k)
{
    double sum = 0;

    for (size_t i = 0; i < k; i++)
        sum += v[i];
    double mean = sum / (double)k;
    for (size_t i = 0; i < k; i++)
        v[i] -= mean;
}
