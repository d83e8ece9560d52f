/*
 * mix - both qualities are passes; what differs is what happens to a piece.
 */
#include "engine/mix.h"

#include <stdlib.h>

#include "engine/pass.h"

struct mix_pass {
    struct pass pass;
    const struct engine *engine;
    const struct mix_request *request;
    struct weights weights;
    void **outs; /* request.count for each thread */
    const struct exact_options *options;
};

static void *bank_at(const struct mix_pass *m, size_t row, const struct model_tensor *t,
                     int64_t element)
{
    return (char *)m->request->banks[row] + t->bank_offset +
           element * (int64_t)model_bank_element_bytes(t);
}

static int mix_integers(const struct mix_pass *m, const struct model_tensor *t,
                        const struct piece *piece, const void *const x[], struct sewa_error *err)
{
    const struct mix_request *r = m->request;
    int rc = 0;

    for (size_t j = 0; rc == 0 && j < r->count; j++)
        rc = integers_slice(m->pass.source->roster, &m->weights, j, r->integers, piece, x, 0,
                            piece->count, bank_at(m, j, t, piece->first), err);
    return rc;
}

static int mix_piece(struct pass *p, const struct piece *piece, const void *const x[],
                     size_t partition, unsigned thread, struct sewa_error *err)
{
    const struct mix_pass *m = container_of(p, struct mix_pass, pass);
    const struct model_tensor *t = &p->source->roster->model->tensors[piece->tensor];
    const struct mix_request *r = m->request;
    void **outs = m->outs + thread * r->count;

    (void)partition;
    if (!t->is_float)
        return mix_integers(m, t, piece, x, err);
    for (size_t j = 0; j < r->count; j++)
        outs[j] = bank_at(m, j, t, piece->first);
    kernels_for(m->engine->kernels, t->dtype)
        ->mix(outs, r->count, x, p->which_count, m->weights.alpha, piece->count);
    return 0;
}

/* From what is published to what stands in a bank: exact. */
static void widen(const struct kernels *k, enum dtype from, enum dtype to, void *bank,
                  const void *values, size_t n)
{
    float floats[EXACT_SLICE];

    if (to != DTYPE_F64) {
        kernels_for(k, from)->widen(bank, values, n);
        return;
    }
    kernels_for(k, from)->widen(floats, values, n);
    for (size_t e = 0; e < n; e++)
        ((double *)bank)[e] = (double)floats[e];
}

static int exact_row(const struct mix_pass *m, const struct exact *x, size_t row,
                     const struct piece *piece, const void *const candidates[],
                     struct sewa_error *err)
{
    const struct model_tensor *t = &x->roster->model->tensors[piece->tensor];
    enum dtype published = exact_dtype(&x->options, t);
    char values[EXACT_SLICE * sizeof(double)] __attribute__((aligned(64)));

    for (size_t begin = 0, n; begin < piece->count; begin += n) {
        void *bank = bank_at(m, row, t, piece->first + (int64_t)begin);
        bool is_same = published == t->bank_dtype;
        n = piece->count - begin < EXACT_SLICE ? piece->count - begin : EXACT_SLICE;
        int rc = exact_slice(x, row, piece, candidates, begin, n, is_same ? bank : values, err);
        if (rc < 0)
            return rc;
        if (!is_same)
            widen(m->engine->kernels, published, t->bank_dtype, bank, values, n);
    }
    return 0;
}

static int exact_piece(struct pass *p, const struct piece *piece, const void *const x[],
                       size_t partition, unsigned thread, struct sewa_error *err)
{
    const struct mix_pass *m = container_of(p, struct mix_pass, pass);
    const struct exact exact = {
        .kernels = m->engine->kernels,
        .roster = p->source->roster,
        .weights = &m->weights,
        .integers = m->request->integers,
        .options = *m->options,
    };
    int rc = 0;

    (void)partition;
    (void)thread;
    for (size_t j = 0; rc == 0 && j < m->request->count; j++)
        rc = exact_row(m, &exact, j, piece, x, err);
    return rc;
}

static int run(struct mix_pass *m, struct sewa_error *err)
{
    const struct mix_request *r = m->request;
    AUTOFREE void **outs = calloc(pool_threads(m->engine->pool) * r->count, sizeof *outs);

    if (!outs)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a pass of %zu averages", r->count);
    m->outs = outs;
    int rc = weights_init(&m->weights, r->alpha, r->count, m->pass.source->roster->count, err);
    if (rc == 0) {
        m->pass.which = m->weights.used;
        m->pass.which_count = m->weights.used_count;
        rc = pass_run(&m->pass, m->engine, r->cancel, err);
    }
    weights_clear(&m->weights);
    return rc;
}

int mix(const struct engine *e, struct source *s, const struct mix_request *r,
        struct sewa_error *err)
{
    struct mix_pass m = {
        .pass = { .source = s, .on_piece = mix_piece },
        .engine = e,
        .request = r,
    };

    return run(&m, err);
}

int mix_exact(const struct engine *e, struct source *s, const struct mix_request *r,
              const struct exact_options *o, struct sewa_error *err)
{
    struct mix_pass m = {
        .pass = { .source = s, .on_piece = exact_piece },
        .engine = e,
        .request = r,
        .options = o,
    };

    return run(&m, err);
}
