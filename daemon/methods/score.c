/*
 * score - hard masks and the leave-one-out baseline.
 */
#include "methods/score.h"

#include "methods/logistic.h"

void score_draw(const double *s, const double *u, size_t k, double *alpha, double *slope)
{
    size_t count = 0;

    for (size_t i = 0; i < k; i++) {
        double h = logistic_logit(s[i]) + logistic_logit(u[i]) > 0 ? 1 : 0;
        count += h > 0;
        alpha[i] = h;
        slope[i] = h - s[i];
    }
    for (size_t i = 0; i < k; i++)
        alpha[i] = count > 0 ? alpha[i] / (double)count : 1.0 / (double)k;
}

size_t score_advantages(double *loss, size_t n)
{
    double sum = 0;
    size_t count = 0;

    for (size_t j = 0; j < n; j++) {
        if (isnan(loss[j]))
            continue;
        sum += loss[j];
        count++;
    }
    for (size_t j = 0; j < n && count >= 2; j++)
        loss[j] -= (sum - loss[j]) / (double)(count - 1);
    return count;
}
