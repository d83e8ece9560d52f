/*
 * relaxation - Gumbel-Softmax masks of independent Bernoulli variables.
 */
#include "methods/relaxation.h"

#include <math.h>

#include "methods/logistic.h"

/* Below this sum of masks, m / Z would lose digits to underflow. */
static const double tiny_sum = 1e-290;

static double noisy_logit(double s, double u)
{
    return logistic_logit(s) + logistic_logit(u);
}

void relaxation_masks(const double *s, const double *u, double tau, size_t k, double *m)
{
    for (size_t i = 0; i < k; i++)
        m[i] = logistic_sigmoid(noisy_logit(s[i], u[i]) / tau);
}

/* Every m is so small that log m = x / tau to the last bit: a softmax of it is m / Z. */
static void normalise_tiny(const double *s, const double *u, double tau, size_t k, double *alpha)
{
    double max = -INFINITY;
    double sum = 0;

    for (size_t i = 0; i < k; i++) {
        alpha[i] = noisy_logit(s[i], u[i]) / tau;
        max = fmax(max, alpha[i]);
    }
    for (size_t i = 0; i < k; i++) {
        alpha[i] = exp(alpha[i] - max);
        sum += alpha[i];
    }
    for (size_t i = 0; i < k; i++)
        alpha[i] /= sum;
}

/* (m / Z) (1 - m) is written with alpha, so that nothing is divided by a Z near zero. */
void relaxation_soft(const double *s, const double *u, double tau, size_t k, double *alpha,
                     double *slope)
{
    double *m = slope;
    double sum = 0;

    relaxation_masks(s, u, tau, k, m);
    for (size_t i = 0; i < k; i++)
        sum += m[i];
    for (size_t i = 0; i < k; i++)
        alpha[i] = m[i] / sum;
    if (sum < tiny_sum)
        normalise_tiny(s, u, tau, k, alpha);
    for (size_t i = 0; i < k; i++)
        slope[i] = alpha[i] * (1 - m[i]) / (tau * s[i] * (1 - s[i]));
}

void relaxation_hard(const double *s, const double *u, double tau, size_t k, double *alpha,
                     double *slope)
{
    double *m = slope;
    size_t count = 0, closest = 0;
    double closest_logit = -INFINITY;

    relaxation_masks(s, u, tau, k, m);
    for (size_t i = 0; i < k; i++) {
        double x = noisy_logit(s[i], u[i]);
        alpha[i] = x > 0 ? 1 : 0;
        count += x > 0;
        if (x >= closest_logit) {
            closest_logit = x;
            closest = i;
        }
    }
    if (count == 0) {
        alpha[closest] = 1;
        count = 1;
    }
    for (size_t i = 0; i < k; i++) {
        alpha[i] /= (double)count;
        slope[i] = m[i] * (1 - m[i]) / ((double)count * tau * s[i] * (1 - s[i]));
    }
}
