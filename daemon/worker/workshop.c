/*
 * workshop - read the candidates, start the evaluator, and say what it can do.
 */
#include "worker/workshop_body.h"

#include <string.h>

#include "base/activity.h"
#include "base/json.h"

static void on_output(struct evaluator_listener *listener, const char *bytes, size_t n)
{
    struct workshop *w = container_of(listener, struct workshop, listener);

    pulse_output(w->pulse, bytes, n);
}

int workshop_open(const struct spec *spec, struct pulse *pulse, const atomic_bool *cancel,
                  struct workshop **ret, struct sewa_error *err)
{
    AUTOPTR(workshop_close) struct workshop *w = calloc(1, sizeof *w);

    if (!w)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the worker");
    w->spec = spec;
    w->pulse = pulse;
    w->cancel = cancel;
    w->listener.output = on_output;
    int rc = engine_init(&w->engine, spec->threads, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(w);
    return 0;
}

void workshop_close(struct workshop *w)
{
    if (!w)
        return;
    evaluator_stop(w->evaluator);
    free(w->tensors);
    weights_close(w->weights);
    engine_clear(&w->engine);
    free(w);
}

bool workshop_is_prepared(const struct workshop *w)
{
    return w->weights != NULL && w->evaluator != NULL;
}

int workshop_alpha(const struct workshop *w, const json_t *list, double *alpha,
                   struct sewa_error *err)
{
    if (json_array_size(list) != w->spec->k)
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "a point has %zu coefficients, there are %zu candidates",
                         json_array_size(list), w->spec->k);
    for (size_t i = 0; i < w->spec->k; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_number(value))
            return sewa_fail(err, SEWA_E_PROTOCOL, "coefficient %zu of a point is no number", i);
        alpha[i] = json_number_value(value);
    }
    return 0;
}

/* ---- prepare ---- */

static int read_candidates(struct workshop *w, struct sewa_error *err)
{
    struct weights_options o = { .candidates = w->spec->candidates,
                                 .count = w->spec->k,
                                 .streams = w->spec->streams,
                                 .memory_bytes = w->spec->memory_bytes,
                                 .allow_nonfinite = w->spec->allow_nonfinite,
                                 .cancel = w->cancel };

    return w->weights ? 0 : weights_open(&w->engine, &o, &w->weights, err);
}

static int describe_tensors(struct workshop *w, struct sewa_error *err)
{
    const struct model *m = weights_model(w->weights);

    if (w->tensors)
        return 0;
    w->tensors = calloc(m->count ? m->count : 1, sizeof *w->tensors);
    if (!w->tensors)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tensors", m->count);
    for (size_t i = 0; i < m->count; i++) {
        const struct model_tensor *t = &m->tensors[i];
        w->tensors[i] =
            (struct evaluator_tensor){ .name = t->name,
                                       .dtype = t->bank_dtype,
                                       .rank = t->rank,
                                       .shape = t->shape,
                                       .offset = t->bank_offset,
                                       .gradient_offset = t->is_float ? t->gradient_offset : 0 };
    }
    return 0;
}

int workshop_need_evaluator(struct workshop *w, struct sewa_error *err)
{
    const struct spec_evaluator *e = &w->spec->evaluator;
    const struct model *m = weights_model(w->weights);

    if (w->evaluator && evaluator_is_usable(w->evaluator))
        return 0;
    evaluator_stop(w->evaluator);
    w->evaluator = NULL;
    struct evaluator_options o = { .name = e->name,
                                   .argv = (const char *const *)e->argv,
                                   .directory = e->directory,
                                   .environment = (const char *const *)e->environment,
                                   .options = e->options,
                                   .start_timeout_ms = e->start_timeout_ms,
                                   .timeout_ms = e->timeout_ms,
                                   .memory_mib = e->memory_mib,
                                   .threads = w->spec->threads ? w->spec->threads : 1,
                                   .banks = w->spec->banks,
                                   .bank_bytes = m->bank_bytes,
                                   .gradient_bank_bytes = m->gradient_bank_bytes,
                                   .tensors = w->tensors,
                                   .tensor_count = m->count,
                                   .listener = &w->listener,
                                   .cancel = w->cancel };
    activity_begin(ACTIVITY_START);
    return evaluator_start(&o, &w->evaluator, err);
}

static json_t *splits_json(const struct evaluator_traits *t)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < t->split_count; i++)
        if (json_array_append_new(list, json_pack("{s:s, s:I}", "name", t->splits[i].name,
                                                  "examples", (json_int_t)t->splits[i].examples)) <
            0)
            return NULL;
    return TAKE(list);
}

static json_t *metrics_json(const struct evaluator_traits *t)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < t->metric_count; i++)
        if (json_array_append_new(list,
                                  json_pack("{s:s, s:s}", "name", t->metrics[i].name, "direction",
                                            t->metrics[i].bigger_is_better ? "max" : "min")) < 0)
            return NULL;
    return TAKE(list);
}

/* Which float tensors are not differentiated: the first few by name, for people. */
static json_t *buffers_json(const struct workshop *w, const struct evaluator_traits *t,
                            int64_t *ret_parameters, int64_t *ret_buffers)
{
    enum { SHOWN_MAX = 20 };
    const struct model *m = weights_model(w->weights);
    AUTOJSON json_t *names = json_array();

    *ret_parameters = *ret_buffers = 0;
    for (size_t i = 0; names && i < m->count; i++) {
        if (!m->tensors[i].is_float)
            continue;
        *ret_parameters += t->is_parameter[i];
        if (t->is_parameter[i] || ++*ret_buffers > SHOWN_MAX)
            continue;
        if (json_array_append_new(names, json_string(m->tensors[i].name)) < 0)
            return NULL;
    }
    return TAKE(names);
}

static json_t *traits_json(const struct workshop *w)
{
    const struct evaluator_traits *t = evaluator_traits(w->evaluator);
    int64_t parameters, buffers;
    AUTOJSON json_t *names = buffers_json(w, t, &parameters, &buffers);

    if (!t->gradient)
        buffers = 0; /* without gradients there is no such difference */
    return json_pack("{s:b, s:b, s:o, s:o, s:I, s:I, s:O?, s:i}", "gradient", t->gradient,
                     "recalibrates", t->recalibrates, "splits", splits_json(t), "metrics",
                     metrics_json(t), "parameters", (json_int_t)parameters, "buffers",
                     (json_int_t)buffers, "buffer_names", t->gradient ? names : json_null(),
                     "banks", (int)w->spec->banks);
}

static int prepare(struct workshop *w, json_t **ret, struct sewa_error *err)
{
    activity_begin(ACTIVITY_READ);
    int rc = read_candidates(w, err);
    if (rc == 0)
        rc = describe_tensors(w, err);
    if (rc == 0)
        rc = workshop_need_evaluator(w, err);
    if (rc < 0)
        return rc;
    *ret = json_pack("{s:o}", "traits", traits_json(w));
    return *ret ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the traits");
}

/* ---- tasks ---- */

int workshop_do(struct workshop *w, const json_t *task, json_t **ret, struct sewa_error *err)
{
    const char *kind = json_string_value(json_object_get(task, "kind"));
    int rc;

    *ret = NULL;
    if (kind && strcmp(kind, "prepare") == 0)
        rc = prepare(w, ret, err);
    else if (kind && strcmp(kind, "evaluate") == 0)
        rc = workshop_evaluate(w, task, ret, err);
    else if (kind && strcmp(kind, "average") == 0)
        rc = workshop_average(w, task, ret, err);
    else
        rc = sewa_fail(err, SEWA_E_PROTOCOL, "there is no task of kind '%s'", kind ? kind : "");
    if (rc < 0)
        return rc;
    if (w->weights)
        w->bytes_read += weights_take_bytes_read(w->weights);
    if (json_put(*ret, "bytes_read", json_integer(w->bytes_read)) < 0) {
        json_decref(*ret);
        *ret = NULL;
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a result");
    }
    w->bytes_read = 0;
    return 0;
}
