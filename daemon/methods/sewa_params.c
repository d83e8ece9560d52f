/*
 * sewa_params - read and judge the parameters of method sewa. The defaults are those with which the
 * method was measured: five samples in each of sixty iterations were as good as one in each of
 * three hundred, at a fifth of the passes over the checkpoints.
 */
#include "methods/sewa_params.h"

enum {
    ITERATIONS_MAX = 100000,
    SAMPLES_MAX = 256,
    SAMPLES = 5,
    SCORE_SAMPLES = 10,
    SCORE_SAMPLES_MIN = 4, /* with fewer, the mean of the others is no baseline */
    POLISH_MAX = 10000
};

static const char *const estimators[] = { "auto", "gumbel_softmax", "straight_through",
                                          "score_function", NULL };

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

    p->samples = json_get_int(r, "samples", 1, SAMPLES_MAX, is_score ? SCORE_SAMPLES : SAMPLES);
    if (is_score && p->samples < SCORE_SAMPLES_MIN)
        json_reader_fail(r, SEWA_E_INVALID, "samples",
                         "'samples' is %d, the estimator 'score_function' needs at least %d",
                         (int)p->samples, SCORE_SAMPLES_MIN);
}

/* Refused only where the caller named the estimator: "auto" may find that it needs none. */
static void temperature_read(struct json_reader *r, enum sewa_estimator_id named,
                             struct sewa_params *p)
{
    p->temperature = (struct schedule){ SCHEDULE_CONSTANT, 0.5, 0.5 };
    schedule_read(r, "temperature", 0.01, 100, &p->temperature);
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
        (enum sewa_estimator_id)json_get_word(&r, "estimator", estimators, SEWA_AUTO);
    ret->estimator = estimator_resolve(&r, named, evaluator);
    samples_read(&r, ret);
    temperature_read(&r, named, ret);
    ret->iterations = json_get_int(&r, "iterations", 1, ITERATIONS_MAX, 60);
    ret->learning_rate = json_get_number(&r, "learning_rate", 1e-6, 10, 0.1);
    ret->epsilon = json_get_number(&r, "epsilon", 1e-9, 0.25, 1e-3);
    ret->polish = json_get_int(&r, "polish", 0, POLISH_MAX, 100);
    ret->batch = json_get_int(&r, "batch", 0, INT32_MAX, 0);
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
