/*
 * kernels - the loops over elements, each with one meaning and several speeds.
 *
 * kernels_ref.c is the definition. Every other table gives the same bits on the same input, NaNs
 * excepted: all NaNs are equal, and only what from_f64() writes has a defined NaN. So results
 * depend neither on the processor nor on how a caller cuts a tensor into calls, except that dots()
 * sums over the elements of one call.
 *
 * x, g and r may have any alignment; results are aligned to their element. Nothing overlaps.
 * n may be 0. No allocation, no I/O, no global state. Thread: any, on separate results.
 * The processor must round to nearest even and must not flush subnormals (as a process starts).
 */
#ifndef NUMERICS_KERNELS_H
#define NUMERICS_KERNELS_H

#include "base/dtype.h"
#include "sewa/error.h"

#include <stddef.h>

enum {
    /* Most elements in one call of dots(); callers cut every tensor at whole multiples of it. */
    DOTS_CHUNK = 4096,
    /* Bytes of the lanes of one pair in dots(): 16 of float or 8 of double. */
    DOTS_LANES_BYTES = 64,
};

/* The kernels of one element type. "real" is float, and double for F64. */
struct float_kernels {
    /* out[e] = x[e] in real: exact. out is float[n] (F64: double[n]). */
    void (*widen)(void *out, const void *x, size_t n);

    /* out[e] = x[e] rounded once to this type. out has n elements of this type. */
    void (*from_f64)(void *out, const double *x, size_t n);

    /* How many of x are infinite or NaN. */
    size_t (*count_nonfinite)(const void *x, size_t n);

    /* For i = 0 .. k-1 acc[e] = acc[e] + x[i][e] in double: one rounding each. */
    void (*sum)(double *acc, const void *const x[], size_t k, size_t n);

    /*
     * For i = 0 .. k-1 acc[e] = acc[e] + alpha[i] * x[i][e] in double: two roundings each, no fused
     * operation.
     */
    void (*weighted_sum)(double *acc, const void *const x[], const double *alpha, size_t k,
                         size_t n);

    /*
     * m averages of k candidates, each read once. With w = (real)alpha[j * k + i]:
     * out[j][e] starts at -0.0, the neutral element of addition, so that one candidate of weight 1
     * gives itself, signed zero included; then for i = 0 .. k-1 with w != 0
     * out[j][e] = fma(w, x[i][e], out[j][e]) in real: one rounding each.
     */
    void (*mix)(void *const out[], size_t m, const void *const x[], size_t k, const double *alpha,
                size_t n);

    /*
     * sums[i * m + j] += <g[j], x[i] - r> for k candidates and m gradients; n <= DOTS_CHUNK.
     * d = x[i][e] - r[e] is rounded once to real. Element e belongs to lane e % L, L = 16 lanes of
     * float (F64: 8 of double), which start at +0: lane = fma(g[j][e], d, lane) in real, e
     * ascending. The lanes are added in double by halves, l and l + L/2 first, down to one.
     * scratch: k * m * DOTS_LANES_BYTES bytes, aligned to that; contents do not matter.
     */
    void (*dots)(double *sums, const float *const g[], size_t m, const void *const x[],
                 const void *r, size_t k, size_t n, void *scratch);
};

struct kernels {
    const char *name; /* "reference", "avx2", "avx512", "neon" */
    struct float_kernels f32, f64, f16, bf16, f8_e4m3, f8_e5m2;
    void (*divide)(double *acc, double by, size_t n); /* acc[e] = acc[e] / by */
};

/* The row for this type; NULL for types that are not averaged. */
const struct float_kernels *kernels_for(const struct kernels *k, enum dtype t);

/*
 * The table with this name; NULL or "" is the fastest that this processor has. SEWA_E_CONFIG names
 * the choices when the name is not known or the processor lacks what the table needs.
 */
int kernels_select(const char *name, const struct kernels **ret, struct sewa_error *err);

/* kernels_select() by the environment variable SEWA_KERNELS. */
int kernels_from_environment(const struct kernels **ret, struct sewa_error *err);

/* Table i of those that this processor can run, slowest first; NULL past the end. */
const struct kernels *kernels_at(size_t i);

#endif
