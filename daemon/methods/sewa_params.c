/*
 * sewa_params - read and judge the parameters of method sewa. The defaults are those with which the
 * method was measured: five samples in each of sixty iterations were as good as one in each of
 * three hundred, at a fifth of the passes over the checkpoints.
 */
#include "methods/sewa_params.h"

#include "methods/params.h"

enum {
    SCORE_SAMPLES = 10,
    SCORE_SAMPLES_MIN = 4 /* with fewer, the mean of the others is no baseline */
};

static const char *const estimators[] = { "auto", "gumbel_softmax", "straight_through",
                                          "score_function", NULL };

enum { ESTIMATOR, ITERATIONS, SAMPLES, TEMPERATURE, LEARNING_RATE, EPSILON, POLISH, BATCH };

const struct method_param sewa_params_table[SEWA_PARAMS] = {
    [ESTIMATOR] = { "estimator", METHOD_PARAM_WORD, .words = estimators, .word = "auto",
                    .summary = "auto is gumbel_softmax when the evaluator gives gradients, else "
                               "score_function" },
    [ITERATIONS] = { "iterations", METHOD_PARAM_INTEGER, 1, 100000, 60,
                     .summary = "steps of Adam" },
    [SAMPLES] = { "samples", METHOD_PARAM_INTEGER, 1, 256, 5,
                  .summary = "masks per step, evaluated at once; score_function needs at least 4 "
                             "and has 10 by default" },
    [TEMPERATURE] = { "temperature", METHOD_PARAM_SCHEDULE, 0.01, 100, 0.5,
                      .summary = "softness of the masks; not for score_function" },
    [LEARNING_RATE] = { "learning_rate", METHOD_PARAM_NUMBER, 1e-6, 10, 0.1,
                        .summary = "falls along half a cosine to a twentieth" },
    [EPSILON] = { "epsilon", METHOD_PARAM_NUMBER, 1e-9, 0.25, 1e-3,
                  .summary = "probabilities stay within epsilon and 1 - epsilon; never more than "
                             "K/2k or (k-K)/2k" },
    [POLISH] = { "polish", METHOD_PARAM_INTEGER, 0, 10000, 100,
                 .summary = "sets that the last step may try after its first; 0 is the plain top "
                            "K" },
    [BATCH] = { "batch", METHOD_PARAM_INTEGER, 0, INT32_MAX, 0,
                .summary = "0: every loss is that of the whole split; N: each is that of one of N "
                           "minibatches, drawn at random" },
};

static enum sewa_estimator_id estimator_resolve(struct json_reader *r, enum sewa_estimator_id named,
                                                const struct method_evaluator *evaluator)
{
    if (!evaluator)
        return named;
    if (named == SEWA_AUTO)
        return evaluator->gradient ? SEWA_GUMBEL_SOFTMAX : SEWA_SCORE_FUNCTION;
    if (named != SEWA_SCORE_FUNCTION && !evaluator->gradient)
        json_reader_fail(r, SEWA_E_UNSUPPORTED, "estimator",
                         "estimator '%s' needs gradients, and the evaluator gives none",
                         estimators[named]);
    return named;
}

static void samples_read(struct json_reader *r, struct sewa_params *p)
{
    bool is_score = p->estimator == SEWA_SCORE_FUNCTION;

    p->samples = param_int(r, &sewa_params_table[SAMPLES]);
    if (is_score && !json_has(r, "samples"))
        p->samples = SCORE_SAMPLES;
    if (is_score && p->samples < SCORE_SAMPLES_MIN)
        json_reader_fail(r, SEWA_E_INVALID, "samples",
                         "'samples' is %d, the estimator 'score_function' needs at least %d",
                         (int)p->samples, SCORE_SAMPLES_MIN);
}

/* Refused only where the caller named the estimator: "auto" may find that it needs none. */
static void temperature_read(struct json_reader *r, enum sewa_estimator_id named,
                             struct sewa_params *p)
{
    const struct method_param *row = &sewa_params_table[TEMPERATURE];

    p->temperature = (struct schedule){ SCHEDULE_CONSTANT, row->fallback, row->fallback };
    schedule_read(r, row->name, row->least, row->most, &p->temperature);
    if (named == SEWA_SCORE_FUNCTION && json_has(r, "temperature"))
        json_reader_fail(r, SEWA_E_INVALID, "temperature",
                         "the estimator 'score_function' has no 'temperature'");
}

int sewa_params_read(const json_t *params, const struct method_evaluator *evaluator,
                     struct sewa_params *ret, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init_optional(&r, params, "/params", err);
    enum sewa_estimator_id named =
        (enum sewa_estimator_id)param_word(&r, &sewa_params_table[ESTIMATOR]);
    ret->estimator = estimator_resolve(&r, named, evaluator);
    samples_read(&r, ret);
    temperature_read(&r, named, ret);
    ret->iterations = param_int(&r, &sewa_params_table[ITERATIONS]);
    ret->learning_rate = param_number(&r, &sewa_params_table[LEARNING_RATE]);
    ret->epsilon = param_number(&r, &sewa_params_table[EPSILON]);
    ret->polish = param_int(&r, &sewa_params_table[POLISH]);
    ret->batch = param_int(&r, &sewa_params_table[BATCH]);
    return json_reader_end(&r);
}

int sewa_params_save(const struct sewa_params *p, json_t *object)
{
    if (json_put(object, "estimator", json_string(estimators[p->estimator])) < 0 ||
        json_put(object, "iterations", json_integer(p->iterations)) < 0 ||
        json_put(object, "samples", json_integer(p->samples)) < 0 ||
        json_put(object, "learning_rate", json_real(p->learning_rate)) < 0 ||
        json_put(object, "epsilon", json_real(p->epsilon)) < 0 ||
        json_put(object, "polish", json_integer(p->polish)) < 0 ||
        json_put(object, "batch", json_integer(p->batch)) < 0)
        return -1;
    if (p->estimator == SEWA_SCORE_FUNCTION)
        return 0;
    return json_put(object, "temperature", schedule_json(&p->temperature));
}
