/*
 * sewa - selective weight averaging: find the subset of the candidates whose average has the least
 * validation loss, by learning for each candidate the probability of being kept (Wang et al.,
 * arXiv 2502.10119).
 *
 * Two phases, each in a file of its own: learning (sewa_learn.h) gives a ranking, searching
 * (sewa_search.h) the set. Where there is nothing to choose (K = k) only the loss of the plain
 * average is asked for.
 */
#include "methods/sewa.h"

#include <inttypes.h>

#include "methods/sewa_search.h"
#include "methods/state.h"

struct sewa {
    struct method base;
    struct sewa_params params;
    bool learns;
    struct sewa_learn learn;
    struct sewa_search *search;
    double *certain; /* k ones: the probabilities where all are averaged */
};

static struct sewa *sewa_of(struct method *m)
{
    return container_of(m, struct sewa, base);
}

static const struct sewa *sewa_of_const(const struct method *m)
{
    return container_of(m, const struct sewa, base);
}

/*
 * The sum of the probabilities. A number that is to be found needs one to learn with: the default
 * of "select", and never more than half of the candidates, because the more of them are kept at
 * once, the less an average tells about each.
 */
static size_t sum_of_probabilities(const struct method *m)
{
    size_t half = (m->k + 1) / 2;

    if (m->select != METHOD_SELECT_AUTO)
        return m->select;
    return half < METHOD_SELECT_DEFAULT ? half : METHOD_SELECT_DEFAULT;
}

static int check(const struct method_setup *setup, struct sewa_error *err)
{
    struct sewa_params p;

    return sewa_params_read(setup->params, setup->evaluator, &p, err);
}

static int learn_open(struct sewa *w, struct sewa_error *err)
{
    struct method *m = &w->base;
    size_t total = sum_of_probabilities(m);

    w->learns = total < m->k;
    if (w->learns) {
        m->progress.iterations = w->params.iterations;
        return sewa_learn_init(&w->learn, &w->params, m->k, total, m->seed, err);
    }
    w->certain = calloc(m->k, sizeof *w->certain);
    if (!w->certain)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu candidates", m->k);
    for (size_t i = 0; i < m->k; i++)
        w->certain[i] = 1;
    return 0;
}

static int sewa_open(struct method *m, const struct method_setup *setup, struct sewa_error *err)
{
    struct sewa *w = sewa_of(m);

    int rc = sewa_params_read(setup->params, setup->evaluator, &w->params, err);
    if (rc == 0)
        rc = learn_open(w, err);
    if (rc == 0)
        rc = sewa_search_new(m->k, m->select, w->params.polish, &w->search, err);
    return rc;
}

static void sewa_close(struct method *m)
{
    struct sewa *w = sewa_of(m);

    sewa_learn_clear(&w->learn);
    sewa_search_free(w->search);
    free(w->certain);
}

static int sewa_params(const struct method *m, json_t *object)
{
    return sewa_params_save(&sewa_of_const(m)->params, object);
}

const double *sewa_probabilities(const struct method *m)
{
    const struct sewa *w = sewa_of_const(m);

    return w->learns ? w->learn.s : w->certain;
}

static bool is_learning(const struct sewa *w)
{
    return w->learns && !sewa_learn_is_done(&w->learn);
}

/* Where probabilities crowd on their bounds, ties decide who is chosen: say so. */
static void note_collapse(struct sewa *w)
{
    const struct sewa_learn *l = &w->learn;
    size_t above = 0, certain = 0;

    for (size_t i = 0; i < l->k; i++) {
        above += l->s[i] > 1.01 * l->epsilon;
        certain += l->s[i] > 0.99;
    }
    if (above < l->total)
        method_note(
            &w->base,
            "the probabilities have collapsed: only %zu of %zu are above their lower bound, "
            "fewer than the %zu to select",
            above, l->k, l->total);
    if (certain > l->total)
        method_note(
            &w->base,
            "the probabilities have collapsed: %zu of %zu are above 0.99, more than the %zu "
            "to select",
            certain, l->k, l->total);
}

static void finish(struct sewa *w)
{
    struct method *m = &w->base;
    double loss;
    size_t count = sewa_search_result(w->search, m->selected, &loss);

    method_choose(m, m->selected, count, loss);
    m->outcome.probability = sewa_probabilities(m);
    if (w->learns)
        note_collapse(w);
    if (m->progress.dropped > 0)
        method_note(m,
                    "%" PRId64 " of %" PRId64
                    " evaluations gave no finite loss or gradient and were left out",
                    m->progress.dropped, m->progress.evaluations);
}

static int sewa_ask(struct method *m, struct sewa_error *err)
{
    struct sewa *w = sewa_of(m);

    if (is_learning(w))
        return sewa_learn_ask(&w->learn, m, err);
    int rc = sewa_search_ask(w->search, sewa_probabilities(m), m, err);
    if (rc == 0)
        finish(w);
    return rc;
}

static int sewa_tell(struct method *m, const struct method_answer *answers, struct sewa_error *err)
{
    struct sewa *w = sewa_of(m);

    if (is_learning(w))
        return sewa_learn_tell(&w->learn, m, answers, err);
    sewa_search_tell(w->search, answers);
    return 0;
}

static int64_t sewa_remaining(const struct method *m)
{
    const struct sewa *w = sewa_of_const(m);
    int64_t n = sewa_search_remaining(w->search);

    return w->learns ? n + sewa_learn_remaining(&w->learn) : n;
}

static int sewa_save(const struct method *m, json_t *object)
{
    const struct sewa *w = sewa_of_const(m);

    if (w->learns && sewa_learn_save(&w->learn, object) < 0)
        return -1;
    return sewa_search_save(w->search, object);
}

static int sewa_load(struct method *m, struct json_reader *r, struct sewa_error *err)
{
    struct sewa *w = sewa_of(m);

    if (w->learns) {
        sewa_learn_load(&w->learn, r);
        m->progress.iteration = w->learn.t;
    }
    return sewa_search_load(w->search, r, err);
}

void sewa_set_uniform(struct method *m, sewa_uniform_fn *uniform, void *arg)
{
    sewa_of(m)->learn.uniform = uniform;
    sewa_of(m)->learn.uniform_arg = arg;
}

void sewa_set_batch(struct method *m, size_t batch)
{
    sewa_search_set_batch(sewa_of(m)->search, batch);
}

const struct method_class method_sewa = {
    .info = { "sewa", "the average of a subset found by learned probabilities (SeWA)",
              METHOD_NEEDS_LOSSES, METHOD_CHOOSES_AUTO, sewa_params_table, SEWA_PARAMS },
    .size = sizeof(struct sewa),
    .check = check,
    .open = sewa_open,
    .close = sewa_close,
    .params = sewa_params,
    .ask = sewa_ask,
    .tell = sewa_tell,
    .remaining = sewa_remaining,
    .save = sewa_save,
    .load = sewa_load,
};
