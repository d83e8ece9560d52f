/*
 * say - build what the evaluator says.
 */
#include "say.h"

#include <jansson.h>
#include <math.h>

/* Steals the value, also on failure. */
static int put(json_t *object, const char *key, json_t *value)
{
    return object && value ? json_object_set_new(object, key, value) : (json_decref(value), -1);
}

/* The object when everything could be put into it, or NULL, which sewa_wire_send() reports. */
static json_t *complete(json_t *object, int failures)
{
    if (failures == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *real(double x)
{
    if (isfinite(x))
        return json_real(x);
    return json_string(isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
}

int sewa_say_error(struct run *r, int64_t id, const struct sewa_error *why, struct sewa_error *err)
{
    json_t *m = json_object();
    int failed = put(m, "type", json_string("error")) |
                 put(m, "kind", json_string(sewa_code_info(why->code)->slug)) |
                 put(m, "message", json_string(why->text));

    if (id >= 0)
        failed |= put(m, "id", json_integer(id));
    return sewa_wire_send(&r->wire, complete(m, failed), err);
}

static json_t *splits_json(const struct sewa_evaluator_traits *t)
{
    json_t *list = json_array();
    int failed = list ? 0 : -1;

    for (size_t i = 0; i < t->split_count && !failed; i++)
        failed |= json_array_append_new(list, json_string(t->splits[i].name));
    return complete(list, failed);
}

static json_t *metrics_json(const struct sewa_evaluator_traits *t)
{
    json_t *list = json_array();
    int failed = list ? 0 : -1;

    for (size_t i = 0; i < t->metric_count && !failed; i++) {
        const char *direction = t->metrics[i].bigger_is_better ? "max" : "min";
        failed |= json_array_append_new(
            list, json_pack("{s:s,s:s}", "name", t->metrics[i].name, "direction", direction));
    }
    return complete(list, failed);
}

static json_t *parameters_json(const struct run *r)
{
    if (!r->traits.is_parameter)
        return json_string("all");
    json_t *list = json_array();
    int failed = list ? 0 : -1;
    for (size_t i = 0; i < r->model.shown.count && !failed; i++)
        if (r->traits.is_parameter[i])
            failed |= json_array_append_new(list, json_string(r->model.tensors[i].name));
    return complete(list, failed);
}

int sewa_say_ready(struct run *r, struct sewa_error *err)
{
    const struct sewa_evaluator_traits *t = &r->traits;
    json_t *m = json_object();
    json_t *examples = NULL;
    int failed = put(m, "type", json_string("ready")) |
                 put(m, "protocol", json_integer(EVALUATOR_PROTOCOL)) |
                 put(m, "gradient", json_boolean(t->gradient)) |
                 put(m, "parameters", parameters_json(r)) | put(m, "splits", splits_json(t)) |
                 put(m, "metrics", metrics_json(t)) |
                 put(m, "recalibrates", json_boolean(r->ops->recalibrate != NULL));

    for (size_t i = 0; i < t->split_count; i++)
        if (t->splits[i].examples > 0) {
            if (!examples)
                examples = json_object();
            failed |= put(examples, t->splits[i].name, json_integer(t->splits[i].examples));
        }
    if (examples)
        failed |= put(m, "examples", examples);
    return sewa_wire_send(&r->wire, complete(m, failed), err);
}

int sewa_say_result(struct run *r, int64_t id, const struct sewa_evaluator_answer *a,
                    double seconds, struct sewa_error *err)
{
    json_t *m = json_object();
    json_t *metrics = json_object();
    int failed = put(m, "type", json_string("result")) | put(m, "id", json_integer(id)) |
                 put(m, "loss", real(a->loss)) | put(m, "seconds", json_real(seconds)) |
                 put(m, "example_losses", json_boolean(a->example_losses != NULL));

    for (size_t i = 0; i < r->traits.metric_count; i++)
        failed |= put(metrics, r->traits.metrics[i].name, real(r->metrics[i]));
    failed |= put(m, "metrics", metrics);
    if (a->examples > 0)
        failed |= put(m, "examples", json_integer(a->examples));
    return sewa_wire_send(&r->wire, complete(m, failed), err);
}

static json_t *changed_json(const struct run *r)
{
    json_t *list = json_array();
    int failed = list ? 0 : -1;

    for (size_t i = 0; i < r->model.shown.count && !failed; i++)
        if (r->changed[i])
            failed |= json_array_append_new(list, json_string(r->model.tensors[i].name));
    return complete(list, failed);
}

int sewa_say_recalibrated(struct run *r, int64_t id, struct sewa_error *err)
{
    json_t *m = json_object();
    int failed = put(m, "type", json_string("recalibrated")) | put(m, "id", json_integer(id)) |
                 put(m, "tensors", changed_json(r));

    return sewa_wire_send(&r->wire, complete(m, failed), err);
}
