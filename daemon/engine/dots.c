/*
 * dots - partial sums for each partition, then the centring.
 */
#include "engine/dots.h"

#include <stdlib.h>
#include <string.h>

#include "engine/pass.h"
#include "engine/weights.h"

/* Scratch memory of one thread. */
struct dots_thread {
    const void **x;  /* candidates, at a chunk */
    const float **g; /* gradients, at a chunk */
    char *memory;    /* of the lanes */
    void *lanes;     /* of the kernels, aligned */
};

struct dots_pass {
    struct pass pass;
    const struct engine *engine;
    const struct dots_request *request;
    size_t candidates;
    double *partial; /* partitions x candidates x count */
    struct dots_thread *threads;
    uint32_t *which; /* all candidates */
};

static bool is_wanted(const struct pass *p, const struct model_tensor *t, size_t tensor)
{
    const bool *differentiated = container_of(p, struct dots_pass, pass)->request->differentiated;

    return t->is_float && (!differentiated || differentiated[tensor]);
}

static int dots_piece(struct pass *p, const struct piece *piece, const void *const x[],
                      size_t partition, unsigned thread, struct sewa_error *err)
{
    const struct dots_pass *d = container_of(p, struct dots_pass, pass);
    const struct dots_request *r = d->request;
    const struct model_tensor *t = &p->source->roster->model->tensors[piece->tensor];
    const struct float_kernels *k = kernels_for(d->engine->kernels, t->dtype);
    const struct dots_thread *mine = &d->threads[thread];
    double *sums = d->partial + partition * d->candidates * r->count;

    (void)err;
    for (size_t begin = 0; begin < piece->count; begin += DOTS_CHUNK) {
        size_t left = piece->count - begin;
        for (size_t i = 0; i < d->candidates; i++)
            mine->x[i] = (const char *)x[i] + begin * model_element_bytes(t);
        for (size_t j = 0; j < r->count; j++)
            mine->g[j] =
                (const float *)(const void *)((const char *)r->gradients[j] + t->gradient_offset) +
                piece->first + begin;
        k->dots(sums, mine->g, r->count, mine->x, mine->x[d->candidates / 2], d->candidates,
                left < DOTS_CHUNK ? left : DOTS_CHUNK, mine->lanes);
    }
    return 0;
}

/* p_ij of all partitions in order, then c_ij = p_ij - sum_l alpha_jl p_lj. */
static void centre(const struct dots_pass *d, size_t partitions, double *ret)
{
    const struct dots_request *r = d->request;
    size_t k = d->candidates, pairs = k * r->count;
    double *p = d->partial; /* the sums gather in partition 0 */

    for (size_t n = 1; n < partitions; n++)
        for (size_t i = 0; i < pairs; i++)
            p[i] += d->partial[n * pairs + i];
    for (size_t j = 0; j < r->count; j++) {
        double common = 0;
        for (size_t l = 0; l < k; l++)
            if (r->alpha[j * k + l] != 0)
                common += r->alpha[j * k + l] * p[l * r->count + j];
        for (size_t i = 0; i < k; i++)
            ret[j * k + i] = p[i * r->count + j] - common;
    }
}

static void release(struct dots_pass *d)
{
    for (unsigned t = 0; d->threads && t < pool_threads(d->engine->pool); t++) {
        free(d->threads[t].x);
        free(d->threads[t].g);
        free(d->threads[t].memory);
    }
    free(d->threads);
    free(d->partial);
    free(d->which);
}

static int allocate(struct dots_pass *d, size_t partitions, struct sewa_error *err)
{
    size_t m = d->request->count, k = d->candidates;
    unsigned threads = pool_threads(d->engine->pool);
    bool is_short = false;

    /* a model without elements has no partition and still gets its zeros */
    d->partial = calloc((partitions + !partitions) * k * m, sizeof *d->partial);
    d->which = calloc(k, sizeof *d->which);
    d->threads = calloc(threads, sizeof *d->threads);
    for (unsigned t = 0; d->threads && t < threads; t++) {
        struct dots_thread *mine = &d->threads[t];
        mine->x = calloc(k, sizeof *mine->x);
        mine->g = calloc(m, sizeof *mine->g);
        mine->memory = malloc((k * m + 1) * DOTS_LANES_BYTES);
        mine->lanes = mine->memory + -(uintptr_t)mine->memory % DOTS_LANES_BYTES;
        is_short = is_short || !mine->x || !mine->g || !mine->memory;
    }
    if (is_short || !d->partial || !d->which || !d->threads)
        return sewa_fail(err, SEWA_E_NO_MEMORY,
                         "no memory for the products of %zu gradients and %zu checkpoints", m, k);
    for (size_t i = 0; i < k; i++)
        d->which[i] = (uint32_t)i;
    return 0;
}

static int run(struct dots_pass *d, double *ret, struct sewa_error *err)
{
    size_t partitions = model_partitions(d->pass.source->roster->model);
    int rc = allocate(d, partitions, err);

    if (rc < 0)
        return rc;
    d->pass.which = d->which;
    d->pass.which_count = d->candidates;
    rc = pass_run(&d->pass, d->engine, d->request->cancel, err);
    if (rc == 0)
        centre(d, partitions, ret);
    return rc;
}

int dots(const struct engine *e, struct source *s, const struct dots_request *r, double *ret,
         struct sewa_error *err)
{
    struct dots_pass d = {
        .pass = { .source = s, .is_wanted = is_wanted, .on_piece = dots_piece },
        .engine = e,
        .request = r,
        .candidates = s->roster->count,
    };
    int rc = weights_check(r->alpha, r->count, d.candidates, err);

    if (rc == 0)
        rc = run(&d, ret, err);
    release(&d);
    return rc;
}
