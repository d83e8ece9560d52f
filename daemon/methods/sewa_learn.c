/*
 * sewa_learn - the learning loop of SeWA, one iteration per ask and tell.
 */
#include "methods/sewa_learn.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "methods/logistic.h"
#include "methods/relaxation.h"
#include "methods/score.h"
#include "methods/simplex.h"
#include "methods/state.h"

enum {
    STREAM_MASKS = 0,
    STREAM_BATCHES = 1,
    USELESS_MAX = 10 /* in a row: the evaluator is broken, or every average is */
};

/* The square of anything larger would overflow inside Adam and stop that candidate for ever. */
static const double usable_max = 1e150;

/*
 * All estimators have one shape: gradient_i = mean over samples j of factor_ij * slope_ij, where
 * slope comes from the draw, and the factor is the centred product c_i or the sample's advantage.
 */
struct estimator {
    bool gradient;  /* asks for c */
    bool on_logits; /* steps on theta = logit s */
    bool has_temperature;
    bool shares_minibatch; /* losses of one iteration are compared with each other */
    void (*draw)(const double *s, const double *u, double tau, size_t k, double *alpha,
                 double *slope);
};

static void draw_score(const double *s, const double *u, double tau, size_t k, double *alpha,
                       double *slope)
{
    (void)tau;
    score_draw(s, u, k, alpha, slope);
}

static const struct estimator estimators[] = {
    [SEWA_GUMBEL_SOFTMAX] = { .gradient = true, .has_temperature = true, .draw = relaxation_soft },
    [SEWA_STRAIGHT_THROUGH] = { .gradient = true,
                                .has_temperature = true,
                                .draw = relaxation_hard },
    [SEWA_SCORE_FUNCTION] = { .on_logits = true, .shares_minibatch = true, .draw = draw_score },
};

static double philox(void *arg, size_t i, size_t j, int64_t t)
{
    const struct sewa_learn *l = arg;

    return rng_uniform(l->seed, (uint32_t)i, (uint32_t)j, (uint32_t)t, STREAM_MASKS);
}

int sewa_learn_init(struct sewa_learn *l, const struct sewa_params *params, size_t k, size_t total,
                    uint64_t seed, struct sewa_error *err)
{
    size_t samples = (size_t)params->samples;

    *l = (struct sewa_learn){
        .estimator = &estimators[params->estimator],
        .params = *params,
        .k = k,
        .total = total,
        .epsilon = simplex_epsilon(k, total, params->epsilon),
        .seed = seed,
        .uniform = philox,
        .uniform_arg = l,
        .s = calloc(k, sizeof(double)),
        .noise = calloc(k, sizeof(double)),
        .gradient = calloc(k, sizeof(double)),
        .slope = calloc(samples * k, sizeof(double)),
        .factor = calloc(samples, sizeof(double)),
        .shown = calloc(k, sizeof(float)),
    };
    if (l->estimator->on_logits)
        l->theta = calloc(k, sizeof(double));
    if (!l->s || !l->noise || !l->gradient || !l->slope || !l->factor || !l->shown ||
        (l->estimator->on_logits && !l->theta))
        return sewa_fail(err, SEWA_E_NO_MEMORY,
                         "no memory to learn from %zu samples of %zu candidates", samples, k);
    for (size_t i = 0; i < k; i++) {
        l->s[i] = (double)total / (double)k;
        if (l->theta)
            l->theta[i] = logistic_logit(l->s[i]);
    }
    return adam_init(&l->adam, k, err);
}

void sewa_learn_clear(struct sewa_learn *l)
{
    free(l->s);
    free(l->theta);
    free(l->noise);
    free(l->gradient);
    free(l->slope);
    free(l->factor);
    free(l->shown);
    adam_clear(&l->adam);
    *l = (struct sewa_learn){ 0 };
}

bool sewa_learn_is_done(const struct sewa_learn *l)
{
    return l->t >= l->params.iterations;
}

int64_t sewa_learn_remaining(const struct sewa_learn *l)
{
    return (l->params.iterations - l->t) * l->params.samples;
}

static double temperature(const struct sewa_learn *l)
{
    return schedule_at(&l->params.temperature, l->t, l->params.iterations);
}

/* Half a cosine from the full rate down to a twentieth of it. */
static double learning_rate(const struct sewa_learn *l)
{
    struct schedule cosine = { SCHEDULE_COSINE, 1, 0 };

    return l->params.learning_rate *
           (0.05 + 0.95 * schedule_at(&cosine, l->t, l->params.iterations));
}

/* Losses that are compared with each other are taken on the same minibatch. */
static int64_t minibatch(const struct sewa_learn *l, size_t j)
{
    if (l->params.batch == 0)
        return -1;
    size_t who = l->estimator->shares_minibatch ? 0 : j;
    double u = rng_uniform(l->seed, 0, (uint32_t)who, (uint32_t)l->t, STREAM_BATCHES);
    int64_t number = (int64_t)(u * (double)l->params.batch);
    return number < l->params.batch ? number : l->params.batch - 1; /* the product may round up */
}

int sewa_learn_ask(struct sewa_learn *l, struct method *m, struct sewa_error *err)
{
    size_t samples = (size_t)l->params.samples;
    double tau = temperature(l);

    int rc = method_points_begin(m, samples, err);
    if (rc < 0)
        return rc;
    for (size_t j = 0; j < samples; j++) {
        for (size_t i = 0; i < l->k; i++)
            l->noise[i] = l->uniform(l->uniform_arg, i, j, l->t);
        double *alpha = method_points_add(m, l->estimator->gradient, minibatch(l, j));
        l->estimator->draw(l->s, l->noise, tau, l->k, alpha, l->slope + j * l->k);
    }
    return 1;
}

static bool is_usable(const struct sewa_learn *l, const struct method_answer *a,
                      const double *slope)
{
    if (!(fabs(a->loss) <= usable_max))
        return false;
    for (size_t i = 0; l->estimator->gradient && i < l->k; i++)
        if (!(fabs(a->c[i] * slope[i]) <= usable_max))
            return false;
    return true;
}

/* factor := the loss of each sample that counts, else NaN. Returns the useless ones in a row. */
static int64_t sort_out(struct sewa_learn *l, const struct method_answer *answers,
                        struct sewa_error *err)
{
    int64_t useless = l->useless_count;

    for (size_t j = 0; j < (size_t)l->params.samples; j++) {
        bool usable = is_usable(l, &answers[j], l->slope + j * l->k);
        l->factor[j] = usable ? answers[j].loss : NAN;
        useless = usable ? 0 : useless + 1;
        if (useless == USELESS_MAX)
            return sewa_fail(err, SEWA_E_EVALUATOR_NONFINITE,
                             "%d evaluations in a row gave no finite loss%s, the last in iteration "
                             "%" PRId64 " of %" PRId64 " with loss %g",
                             USELESS_MAX, l->estimator->gradient ? " and gradient" : "", l->t + 1,
                             l->params.iterations, answers[j].loss);
    }
    return useless;
}

/* The mean of factor_ij * slope_ij over the samples that count, less its mean over i. */
static void fill_gradient(struct sewa_learn *l, const struct method_answer *answers, size_t kept)
{
    memset(l->gradient, 0, l->k * sizeof *l->gradient);
    for (size_t j = 0; j < (size_t)l->params.samples; j++) {
        const double *slope = l->slope + j * l->k;
        const double *c = answers[j].c;
        if (isnan(l->factor[j]))
            continue;
        for (size_t i = 0; i < l->k; i++)
            l->gradient[i] += (l->estimator->gradient ? c[i] : l->factor[j]) * slope[i];
    }
    for (size_t i = 0; i < l->k; i++)
        l->gradient[i] /= (double)kept;
    simplex_center(l->gradient, l->k);
}

static void step(struct sewa_learn *l, double rate)
{
    double lo = l->epsilon, hi = 1 - l->epsilon, total = (double)l->total;

    if (l->estimator->on_logits) {
        adam_step(&l->adam, l->gradient, rate, l->theta);
        simplex_shift_logits(l->theta, l->s, l->k, total, lo, hi);
    } else {
        adam_step(&l->adam, l->gradient, rate, l->s);
        simplex_project(l->s, l->k, total, lo, hi);
    }
}

static double binary_entropy(double s)
{
    double kept = s > 0 ? -s * log(s) : 0;
    double left = s < 1 ? -(1 - s) * log1p(-s) : 0;

    return kept + left;
}

static void describe(struct sewa_learn *l, struct method_trace *trace)
{
    double sum = 0;

    trace->s = l->shown;
    trace->k = l->k;
    trace->min = trace->max = l->s[0];
    trace->entropy = trace->spread = 0;
    for (size_t i = 0; i < l->k; i++) {
        double s = l->s[i];
        l->shown[i] = (float)s;
        trace->min = fmin(trace->min, s);
        trace->max = fmax(trace->max, s);
        trace->entropy += binary_entropy(s);
        trace->spread += s * (1 - s);
        sum += s;
    }
    trace->mean = sum / (double)l->k;
}

static double mean_loss(const struct sewa_learn *l, size_t *kept)
{
    double sum = 0;

    *kept = 0;
    for (size_t j = 0; j < (size_t)l->params.samples; j++) {
        if (isnan(l->factor[j]))
            continue;
        sum += l->factor[j];
        ++*kept;
    }
    return *kept ? sum / (double)*kept : NAN;
}

int sewa_learn_tell(struct sewa_learn *l, struct method *m, const struct method_answer *answers,
                    struct sewa_error *err)
{
    size_t samples = (size_t)l->params.samples;
    size_t kept;

    int64_t useless = sort_out(l, answers, err);
    if (useless < 0)
        return (int)useless;
    double loss = mean_loss(l, &kept);
    m->trace = (struct method_trace){
        .iteration = l->t,
        .loss = loss,
        .temperature = l->estimator->has_temperature ? temperature(l) : NAN,
        .learning_rate = learning_rate(l),
        .dropped = samples - kept,
    };
    bool can_step = kept > 0;
    if (!l->estimator->gradient)
        can_step = score_advantages(l->factor, samples) >= 2;
    if (can_step) {
        fill_gradient(l, answers, kept);
        step(l, m->trace.learning_rate);
    }
    describe(l, &m->trace);
    m->has_trace = true;
    m->progress.dropped += (int64_t)(samples - kept);
    m->progress.iteration = ++l->t;
    l->useless_count = useless;
    return 0;
}

int sewa_learn_save(const struct sewa_learn *l, json_t *object)
{
    if (json_put(object, "iteration", json_integer(l->t)) < 0 ||
        json_put(object, "useless", json_integer(l->useless_count)) < 0 ||
        json_put(object, "s", state_numbers(l->s, l->k)) < 0 ||
        (l->theta && json_put(object, "theta", state_numbers(l->theta, l->k)) < 0))
        return -1;
    return adam_save(&l->adam, object);
}

void sewa_learn_load(struct sewa_learn *l, struct json_reader *r)
{
    l->t = json_need_int(r, "iteration", 0, l->params.iterations);
    l->useless_count = json_need_int(r, "useless", 0, USELESS_MAX - 1);
    state_read_numbers(r, "s", l->epsilon, 1 - l->epsilon, STATE_NULL_REFUSED, l->s, l->k);
    if (l->theta)
        state_read_numbers(r, "theta", -HUGE_VAL, HUGE_VAL, STATE_NULL_REFUSED, l->theta, l->k);
    adam_load(&l->adam, r);
}
