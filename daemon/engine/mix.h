/*
 * mix - averages of the candidates into banks, in two qualities.
 *
 * mix() is for averages that are made only to be evaluated: all of them in one pass over the
 * candidates, float32 with one rounding for each product and sum (kernels.h says the order).
 * mix_exact() makes what would be published: the same float64 sums as the file, rounded once to the
 * output type and then widened into the bank, so that the evaluator sees the values of the file.
 * Both give the same bits for any number of threads and any kernels. Thread: one pass at a time.
 */
#ifndef ENGINE_MIX_H
#define ENGINE_MIX_H

#include "engine/engine.h"
#include "engine/exact.h"
#include "engine/integers.h"
#include "engine/source.h"

struct mix_request {
    size_t count;        /* averages, at least 1 */
    const double *alpha; /* count x candidates, row-major; each row sums to 1 */
    void *const *banks;  /* count of them, model.bank_bytes each, aligned to MODEL_ALIGNMENT */
    enum integer_policy integers;
    const atomic_bool *cancel; /* may be NULL */
};

/*
 * SEWA_E_INVALID (coefficients), SEWA_E_MISMATCH (integers that must be equal and are not),
 * SEWA_E_CANCELLED, SEWA_E_NO_MEMORY, or what the source fails with. Banks are then undefined.
 * Padding between tensors in a bank is never written.
 */
int mix(const struct engine *e, struct source *s, const struct mix_request *r,
        struct sewa_error *err);

int mix_exact(const struct engine *e, struct source *s, const struct mix_request *r,
              const struct exact_options *o, struct sewa_error *err);

#endif
