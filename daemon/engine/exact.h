/*
 * exact - the values of an average as they are published: the one function behind mix_exact() and
 * materialize().
 *
 * Equal coefficients (all that are not zero are the same double): the sum of the K values in
 * float64, oldest first, divided by K. Other coefficients: the sum of alpha_i * x_i, product and
 * sum each rounded to float64, oldest first. Then one conversion to the output type, nearest even.
 * Sums start from -0.0: one ingredient gives itself, signed zeros included. A NaN becomes the
 * positive quiet NaN. Integers and bools come from one ingredient by policy.
 */
#ifndef ENGINE_EXACT_H
#define ENGINE_EXACT_H

#include "engine/engine.h"
#include "engine/integers.h"
#include "engine/source.h"
#include "engine/weights.h"

enum { EXACT_SLICE = 2048 }; /* elements in one call, at most: the sums stay in the cache */

/* The type of float tensors in the output. */
enum output_dtype { OUTPUT_INPUT, OUTPUT_F32, OUTPUT_BF16, OUTPUT_F16 };

/* Their names in a job ("input", "F32" ...), in the order of the enum, NULL behind the last. */
extern const char *const output_dtype_names[];

struct exact_options {
    enum output_dtype output;

    /*
     * For each tensor of the model float32 values (elements of them) to use instead of the average,
     * or NULL: what an evaluator has recalibrated. NULL: none. Float tensors only.
     */
    const float *const *replaced;
};

struct exact {
    const struct kernels *kernels;
    const struct roster *roster;
    const struct weights *weights;
    enum integer_policy integers;
    struct exact_options options;
};

/* The type of this tensor in the output. */
enum dtype exact_dtype(const struct exact_options *o, const struct model_tensor *t);

/*
 * Elements [begin, begin + n) of the piece in average `row`, n <= EXACT_SLICE, into out, which has
 * the output type and its alignment. candidates[u] is the piece in candidate weights.used[u]. Fails
 * as integers_slice().
 */
int exact_slice(const struct exact *x, size_t row, const struct piece *piece,
                const void *const candidates[], size_t begin, size_t n, void *out,
                struct sewa_error *err);

#endif
