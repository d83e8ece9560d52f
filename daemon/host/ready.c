/*
 * ready - check an evaluator's account of itself.
 */
#include "host/ready.h"

#include <string.h>

#include "host/messages.h"
#include "host/names.h"

enum { SPLITS_MAX = 64, METRICS_MAX = 256, NAME_MAX_BYTES = 255 };

/* A million examples have 4 MB of losses; past this number somebody has made a mistake. */
#define EXAMPLES_MAX INT64_C(1000000000)

void ready_clear(struct ready *r)
{
    json_decref(r->message);
    free(r->splits);
    free(r->metrics);
    free(r->is_parameter);
    *r = (struct ready){ 0 };
}

static int wrong(struct sewa_error *err, const char *field, const char *rule)
{
    return sewa_fail(err, SEWA_E_EVALUATOR_START, "'%s' of its ready message %s", field, rule);
}

/* A name that may become a key in JSON, a column and a label. */
static bool is_good_name(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && *text && strlen(text) <= NAME_MAX_BYTES &&
           strcspn(text, "\n\r\t") == strlen(text);
}

static int parse_protocol(const json_t *message, struct sewa_error *err)
{
    const json_t *protocol = json_object_get(message, "protocol");

    if (!json_is_integer(protocol))
        return wrong(err, "protocol", "is not a whole number");
    if (json_integer_value(protocol) != EVALUATOR_PROTOCOL)
        return sewa_fail(err, SEWA_E_EVALUATOR_START,
                         "it speaks protocol %" JSON_INTEGER_FORMAT " and this host speaks %d",
                         json_integer_value(protocol), EVALUATOR_PROTOCOL);
    return 0;
}

static int64_t examples_of(const json_t *message, const char *split)
{
    const json_t *n = json_object_get(json_object_get(message, "examples"), split);

    if (!n || json_is_null(n))
        return 0;
    return json_is_integer(n) && json_integer_value(n) > 0 && json_integer_value(n) <= EXAMPLES_MAX
               ? json_integer_value(n)
               : -1;
}

static bool has_split(const struct evaluator_traits *t, const char *name)
{
    for (size_t i = 0; i < t->split_count; i++)
        if (strcmp(t->splits[i].name, name) == 0)
            return true;
    return false;
}

static int add_split(struct ready *r, const json_t *message, const json_t *value,
                     struct sewa_error *err)
{
    const char *name = json_string_value(value);

    if (!is_good_name(value) || has_split(&r->traits, name))
        return wrong(err, "splits", "must be different names of 1 to 255 bytes");
    int64_t examples = examples_of(message, name);
    if (examples < 0)
        return wrong(err, "examples", "must be whole numbers from 1 to 1000000000");
    r->splits[r->traits.split_count++] = (struct evaluator_split){ name, examples };
    if (examples > r->examples_max)
        r->examples_max = examples;
    return 0;
}

static int parse_splits(const json_t *message, struct ready *r, struct sewa_error *err)
{
    const json_t *list = json_object_get(message, "splits");
    const json_t *examples = json_object_get(message, "examples");
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n == 0 || n > SPLITS_MAX)
        return wrong(err, "splits", "must be an array of 1 to 64 names");
    if (examples && !json_is_object(examples) && !json_is_null(examples))
        return wrong(err, "examples", "must be an object");
    r->traits.splits = r->splits = calloc(n, sizeof *r->splits);
    if (!r->splits)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the splits");
    for (size_t i = 0; i < n; i++) {
        int rc = add_split(r, message, json_array_get(list, i), err);
        if (rc < 0)
            return rc;
    }
    if (!has_split(&r->traits, "selection"))
        return wrong(err, "splits", "must contain 'selection'");
    return 0;
}

static int add_metric(struct ready *r, const json_t *value, struct sewa_error *err)
{
    const json_t *name = json_object_get(value, "name");
    const char *direction = json_string_value(json_object_get(value, "direction"));
    const char *text = json_string_value(name);

    if (!is_good_name(name))
        return wrong(err, "metrics", "must have names of 1 to 255 bytes");
    for (size_t i = 0; i < r->traits.metric_count; i++)
        if (strcmp(r->metrics[i].name, text) == 0)
            return wrong(err, "metrics", "must have different names");
    if (!direction || (strcmp(direction, "max") != 0 && strcmp(direction, "min") != 0))
        return wrong(err, "metrics", "must have a direction, 'max' or 'min'");
    r->metrics[r->traits.metric_count++] =
        (struct evaluator_metric){ text, strcmp(direction, "max") == 0 };
    return 0;
}

static int parse_metrics(const json_t *message, struct ready *r, struct sewa_error *err)
{
    const json_t *list = json_object_get(message, "metrics");
    size_t n = json_array_size(list);

    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list) || n > METRICS_MAX)
        return wrong(err, "metrics", "must be an array of at most 256 objects");
    r->traits.metrics = r->metrics = calloc(n ? n : 1, sizeof *r->metrics);
    if (!r->metrics)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the metrics");
    for (size_t i = 0; i < n; i++) {
        int rc = add_metric(r, json_array_get(list, i), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_flag(const json_t *message, const char *name, bool *ret, struct sewa_error *err)
{
    const json_t *value = json_object_get(message, name);

    if (value && !json_is_boolean(value))
        return wrong(err, name, "must be true or false");
    *ret = json_is_true(value);
    return 0;
}

static int parse_parameters(const json_t *message, const struct evaluator_tensor *tensors,
                            size_t count, struct ready *r, struct sewa_error *err)
{
    const json_t *parameters = json_object_get(message, "parameters");
    const char *word = json_string_value(parameters);
    bool any = false;

    r->traits.is_parameter = r->is_parameter = calloc(count ? count : 1, sizeof *r->is_parameter);
    if (!r->is_parameter)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tensors", count);
    if (!r->traits.gradient)
        return 0;
    if (word ? strcmp(word, "all") != 0 : parameters && !names_are_strings(parameters))
        return wrong(err, "parameters", "must be \"all\" or an array of names");
    if (json_is_array(parameters)) {
        int rc = names_mark(parameters, "its parameters", tensors, count, r->is_parameter, err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < count; i++) {
        if (!json_is_array(parameters))
            r->is_parameter[i] = dtype_kind(tensors[i].dtype) == DTYPE_FLOAT;
        any |= r->is_parameter[i];
    }
    return any ? 0 : wrong(err, "parameters", "names nothing, but it promises a gradient");
}

static int parse_ready(const json_t *message, const struct evaluator_tensor *tensors, size_t count,
                       struct ready *r, struct sewa_error *err)
{
    int rc = parse_protocol(message, err);

    if (rc == 0)
        rc = parse_flag(message, "gradient", &r->traits.gradient, err);
    if (rc == 0)
        rc = parse_flag(message, "recalibrates", &r->traits.recalibrates, err);
    if (rc == 0)
        rc = parse_splits(message, r, err);
    if (rc == 0)
        rc = parse_metrics(message, r, err);
    if (rc == 0)
        rc = parse_parameters(message, tensors, count, r, err);
    return rc;
}

int ready_parse(json_t *message, const struct evaluator_tensor *tensors, size_t tensor_count,
                struct ready *ret, struct sewa_error *err)
{
    struct ready r = { .message = json_incref(message) };
    int rc = parse_ready(message, tensors, tensor_count, &r, err);

    if (rc < 0)
        ready_clear(&r);
    else
        *ret = r;
    return rc;
}
