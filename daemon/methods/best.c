/*
 * best - the single candidate with the least selection loss, or with the best value of one of the
 * evaluator's metrics. All k are asked for at once. Ties go to the later step. A candidate whose
 * loss is not finite is never chosen, even if its metric is: the accuracy of a model that answers
 * NaN is the share of whatever class NaN compares to.
 */
#include "methods/class.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "methods/params.h"
#include "methods/state.h"

enum direction { DIRECTION_MIN, DIRECTION_MAX, DIRECTION_OWN };

static const char *const directions[] = { "min", "max", NULL };

enum { METRIC, DIRECTION, PARAMS };

static const struct method_param params_table[PARAMS] = {
    [METRIC] = { "metric", METHOD_PARAM_TEXT, .word = "loss",
                 .summary = "what decides: one of the evaluator's metrics, or the loss" },
    [DIRECTION] = { "direction", METHOD_PARAM_WORD, .words = directions,
                    .summary = "default: the metric's own; for the loss only min" },
};

struct best {
    struct method base;
    char *metric; /* NULL: the loss decides */
    bool larger_is_better;
    bool answered;
    double *loss;  /* k */
    double *value; /* k: what decides */
    int64_t first_step, last_step;
};

struct best_params {
    const char *metric; /* borrowed; NULL: the loss */
    enum direction direction;
};

static int params_read(const json_t *params, struct best_params *ret, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init_optional(&r, params, "/params", err);
    ret->metric = param_text(&r, &params_table[METRIC]);
    if (ret->metric && !*ret->metric)
        json_reader_fail(&r, SEWA_E_INVALID, "metric", "'metric' is empty");
    if (ret->metric && strcmp(ret->metric, "loss") == 0)
        ret->metric = NULL;
    int direction = param_word(&r, &params_table[DIRECTION]);
    ret->direction = direction < 0 ? DIRECTION_OWN : (enum direction)direction;
    if (!ret->metric && ret->direction == DIRECTION_MAX)
        json_reader_fail(&r, SEWA_E_INVALID, "direction",
                         "'direction' is 'max', but the loss decides, whose direction is 'min'");
    return json_reader_end(&r);
}

static int check(const struct method_setup *setup, struct sewa_error *err)
{
    struct best_params p;

    return params_read(setup->params, &p, err);
}

static const struct method_metric *metric_find(const struct method_evaluator *e, const char *name,
                                               struct sewa_error *err)
{
    AUTO(buf_clear) struct buf known = { 0 };

    for (size_t i = 0; i < e->metric_count; i++) {
        if (strcmp(e->metrics[i].name, name) == 0)
            return &e->metrics[i];
        buf_printf(&known, ", %s", e->metrics[i].name);
    }
    sewa_fail_at(err, SEWA_E_INVALID, "/params/metric",
                 "the evaluator reports no metric '%.60s', it has: loss%s", name, buf_cstr(&known));
    return NULL;
}

static int metric_open(struct best *b, const struct best_params *p,
                       const struct method_evaluator *e, struct sewa_error *err)
{
    const struct method_metric *metric = metric_find(e, p->metric, err);
    AUTO(buf_clear) struct buf name = { 0 };

    if (!metric)
        return SEWA_E_INVALID;
    buf_text(&name, p->metric);
    b->metric = buf_take(&name);
    if (!b->metric)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the name of a metric");
    b->base.metric = b->metric;
    b->larger_is_better = p->direction == DIRECTION_OWN ? metric->larger_is_better
                                                        : p->direction == DIRECTION_MAX;
    return 0;
}

static int best_open(struct method *m, const struct method_setup *setup, struct sewa_error *err)
{
    struct best *b = container_of(m, struct best, base);
    struct best_params p;

    int rc = params_read(setup->params, &p, err);
    if (rc == 0 && p.metric)
        rc = metric_open(b, &p, setup->evaluator, err);
    if (rc < 0)
        return rc;
    b->first_step = setup->steps[0];
    b->last_step = setup->steps[m->k - 1];
    b->loss = calloc(m->k, sizeof *b->loss);
    b->value = calloc(m->k, sizeof *b->value);
    if (!b->loss || !b->value)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu losses", m->k);
    return 0;
}

static void best_close(struct method *m)
{
    struct best *b = container_of(m, struct best, base);

    free(b->metric);
    free(b->loss);
    free(b->value);
}

/* The losses are finite where the value is: tell() saw to it. Equal values: the later one. */
static int choose(struct best *b, struct sewa_error *err)
{
    struct method *m = &b->base;
    size_t best = m->k;

    for (size_t i = 0; i < m->k; i++) {
        if (isnan(b->value[i]))
            continue;
        if (best == m->k ||
            (b->larger_is_better ? b->value[i] >= b->value[best] : b->value[i] <= b->value[best]))
            best = i;
    }
    if (best == m->k)
        return sewa_fail(err, SEWA_E_EVALUATOR_NONFINITE,
                         "none of the %zu candidates (steps %" PRId64 " to %" PRId64
                         ") has a finite loss%s%s",
                         m->k, b->first_step, b->last_step, b->metric ? " and a finite " : "",
                         b->metric ? b->metric : "");
    method_choose(m, &best, 1, b->loss[best]);
    m->outcome.metric = b->metric ? b->value[best] : NAN;
    return 0;
}

static int best_params(const struct method *m, json_t *object)
{
    const struct best *b = container_of(m, const struct best, base);

    if (json_put(object, "metric", json_string(b->metric ? b->metric : "loss")) < 0)
        return -1;
    return json_put(object, "direction", json_string(b->larger_is_better ? "max" : "min"));
}

static int best_ask(struct method *m, struct sewa_error *err)
{
    struct best *b = container_of(m, struct best, base);

    if (b->answered)
        return choose(b, err);
    int rc = method_points_begin(m, m->k, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < m->k; i++)
        method_points_add(m, false, -1)[i] = 1.0;
    return 1;
}

static int best_tell(struct method *m, const struct method_answer *answers, struct sewa_error *err)
{
    struct best *b = container_of(m, struct best, base);

    (void)err;
    for (size_t i = 0; i < m->k; i++) {
        double value = b->metric ? answers[i].metric : answers[i].loss;
        bool usable = isfinite(answers[i].loss) && isfinite(value);
        b->loss[i] = usable ? answers[i].loss : NAN;
        b->value[i] = usable ? value : NAN;
        m->progress.dropped += !usable;
    }
    b->answered = true;
    return 0;
}

static int64_t best_remaining(const struct method *m)
{
    return container_of(m, const struct best, base)->answered ? 0 : (int64_t)m->k;
}

static int best_save(const struct method *m, json_t *object)
{
    const struct best *b = container_of(m, const struct best, base);

    if (!b->answered)
        return 0;
    if (json_put(object, "losses", state_numbers(b->loss, m->k)) < 0)
        return -1;
    return json_put(object, "values", state_numbers(b->value, m->k));
}

static int best_load(struct method *m, struct json_reader *r, struct sewa_error *err)
{
    struct best *b = container_of(m, struct best, base);

    (void)err;
    if (!json_has(r, "losses"))
        return 0;
    state_read_numbers(r, "losses", -INFINITY, INFINITY, STATE_NULL_ALLOWED, b->loss, m->k);
    state_read_numbers(r, "values", -INFINITY, INFINITY, STATE_NULL_ALLOWED, b->value, m->k);
    b->answered = true;
    return 0;
}

const struct method_class method_best = {
    .info = { "best", "the single checkpoint with the best selection loss or metric",
              METHOD_NEEDS_LOSSES, METHOD_CHOOSES_ONE, params_table, PARAMS },
    .size = sizeof(struct best),
    .check = check,
    .open = best_open,
    .close = best_close,
    .params = best_params,
    .ask = best_ask,
    .tell = best_tell,
    .remaining = best_remaining,
    .save = best_save,
    .load = best_load,
};
