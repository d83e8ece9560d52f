/*
 * functions - activations and losses.
 */
#include "functions.h"

#include <math.h>

static const float half_root = 0.70710678118654752f;    /* 1 / sqrt(2) */
static const float normal_scale = 0.39894228040143268f; /* 1 / sqrt(2 pi) */

/* The exact one, x times the normal distribution's share below x, not its tanh approximation. */
static float gelu(float z)
{
    return 0.5f * z * (1.0f + erff(z * half_root));
}

static float gelu_derivative(float z)
{
    return 0.5f * (1.0f + erff(z * half_root)) + z * normal_scale * expf(-0.5f * z * z);
}

void activation_apply(enum activation f, const float *z, float *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = f == ACTIVATION_TANH   ? tanhf(z[i])
               : f == ACTIVATION_GELU ? gelu(z[i])
               : z[i] <= 0            ? 0.0f
                                      : z[i]; /* a NaN stays one */
}

void activation_derive(enum activation f, const float *z, const float *a, float *delta, size_t n)
{
    for (size_t i = 0; i < n; i++)
        delta[i] *= f == ACTIVATION_TANH   ? 1.0f - a[i] * a[i]
                    : f == ACTIVATION_GELU ? gelu_derivative(z[i])
                    : z[i] <= 0            ? 0.0f
                                           : 1.0f;
}

void output_apply(enum output_activation f, float scale, const float *z, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = scale * (f == OUTPUT_TANH ? tanhf(z[i]) : z[i]);
}

/* d/dz s tanh(z) = s (1 - tanh^2) = s - out^2 / s; a scale of zero has no way to go. */
void output_derive(enum output_activation f, float scale, const float *out, float *delta, size_t n)
{
    for (size_t i = 0; i < n; i++)
        delta[i] *= f == OUTPUT_TANH && scale != 0 ? scale - out[i] * out[i] / scale : scale;
}

double cross_entropy(const float *out, int n, int64_t label, double weight, float *delta)
{
    double most = out[0], sum = 0;

    for (int i = 1; i < n; i++)
        most = out[i] > most ? (double)out[i] : most;
    for (int i = 0; i < n; i++)
        sum += exp((double)out[i] - most);
    for (int i = 0; delta && i < n; i++)
        delta[i] = (float)(weight * (exp((double)out[i] - most) / sum - (i == label)));
    return log(sum) + most - (double)out[label];
}

double squared_error(const float *out, int n, const float *values, double weight, float *delta)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        double d = (double)out[i] - (double)values[i];
        sum += d * d;
        if (delta)
            delta[i] = (float)(weight * 2 * d / n);
    }
    return sum / n;
}

int largest(const float *out, int n)
{
    int at = 0;

    for (int i = 1; i < n; i++)
        if (out[i] > out[at])
            at = i;
    return at;
}
