/*
 * recalibrate - ask for new buffers, and mix averages as they are published.
 */
#include "worker/recalibrate.h"

#include <string.h>

#include "base/activity.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "engine/mix.h"

void recalibrated_clear(struct recalibrated *r)
{
    free(r->values);
    free(r->block);
    *r = (struct recalibrated){ 0 };
}

int workshop_mix_published(struct workshop *w, const double *alpha, unsigned bank,
                           const float *const *replaced, struct sewa_error *err)
{
    void *banks[] = { evaluator_bank(w->evaluator, bank) };
    struct mix_request r = { .count = 1,
                             .alpha = alpha,
                             .banks = banks,
                             .integers = w->spec->integers,
                             .cancel = w->cancel };
    struct exact_options o = { .output = w->spec->output, .replaced = replaced };

    activity_begin(ACTIVITY_MIX);
    return mix_exact(&w->engine, weights_source(w->weights), &r, &o, err);
}

/* A copy: the evaluator may write to the shared memory at any time. */
static int keep_values(struct workshop *w, unsigned bank, const bool *changed,
                       struct recalibrated *r, struct sewa_error *err)
{
    const struct model *m = weights_model(w->weights);
    const char *from = evaluator_gradient(w->evaluator, bank);
    int64_t elements = 0;

    for (size_t i = 0; i < m->count; i++)
        elements += changed[i] ? m->tensors[i].elements : 0;
    r->values = calloc(m->count ? m->count : 1, sizeof *r->values);
    r->block = calloc(elements ? (size_t)elements : 1, sizeof *r->block);
    if (!r->values || !r->block)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %lld recalibrated values",
                         (long long)elements);
    float *to = r->block;
    for (size_t i = 0; i < m->count; i++) {
        const struct model_tensor *t = &m->tensors[i];
        if (!changed[i])
            continue;
        memcpy(to, from + t->gradient_offset, (size_t)t->elements * sizeof *to);
        r->values[i] = to;
        to += t->elements;
        r->count++;
    }
    return 0;
}

int workshop_recalibrate(struct workshop *w, unsigned bank, struct recalibrated *ret,
                         struct sewa_error *err)
{
    size_t count = weights_model(w->weights)->count;
    AUTOFREE bool *changed = calloc(count ? count : 1, sizeof *changed);
    double started = clock_monotonic_s();

    if (!changed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tensors", count);
    activity_begin(ACTIVITY_RECALIBRATE);
    failpoint("worker_recalibrate");
    int rc = evaluator_recalibrate(w->evaluator, bank, changed, err);
    if (rc < 0)
        return sewa_context(err, rc, "recalibration");
    ret->seconds = clock_monotonic_s() - started;
    return keep_values(w, bank, changed, ret, err);
}

json_t *recalibrated_names(const struct workshop *w, const struct recalibrated *r)
{
    const struct model *m = weights_model(w->weights);
    AUTOJSON json_t *names = json_array();

    for (size_t i = 0; names && i < m->count; i++)
        if (r->values[i] && json_array_append_new(names, json_string(m->tensors[i].name)) < 0)
            return NULL;
    return TAKE(names);
}
