/*
 * answer - check what an evaluator answers to a request.
 */
#include "host/answer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/messages.h"
#include "host/names.h"

/*
 * JSON has no NaN and no infinity, and a loss that is not finite is a legal answer: null and three
 * words stand for them. Python's json module writes a bare NaN unless told otherwise, which is no
 * JSON and is refused as such.
 */
static bool parse_real(const json_t *value, double *ret)
{
    static const struct {
        const char *word;
        double value;
    } words[] = { { "nan", NAN }, { "inf", INFINITY }, { "-inf", -INFINITY } };
    const char *text = json_string_value(value);

    *ret = json_is_number(value) ? json_number_value(value) : NAN;
    for (size_t i = 0; text && i < COUNT_OF(words); i++)
        if (strcmp(text, words[i].word) == 0) {
            *ret = words[i].value;
            return true;
        }
    return json_is_number(value) || json_is_null(value);
}

static int broken(struct sewa_error *err, const char *field, const char *rule)
{
    return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL, "'%s' of its answer %s", field, rule);
}

/* A metric that was announced and is missing is NaN: it never ranks first. */
static int parse_values(const json_t *message, const struct evaluator_traits *traits,
                        double *metrics, struct sewa_error *err)
{
    const json_t *object = json_object_get(message, "metrics");

    if (object && !json_is_object(object) && !json_is_null(object))
        return broken(err, "metrics", "must be an object");
    for (size_t i = 0; i < traits->metric_count; i++) {
        const json_t *value = json_object_get(object, traits->metrics[i].name);
        metrics[i] = NAN;
        if (value && !parse_real(value, &metrics[i]))
            return broken(err, "metrics", "must hold numbers, null, 'nan', 'inf' or '-inf'");
    }
    return 0;
}

static int parse_counts(const json_t *message, const struct ready *ready,
                        struct evaluator_result *ret, bool *ret_has_losses, struct sewa_error *err)
{
    const json_t *examples = json_object_get(message, "examples");
    const json_t *losses = json_object_get(message, "example_losses");
    const json_t *seconds = json_object_get(message, "seconds");

    if (examples && (!json_is_integer(examples) || json_integer_value(examples) < 0))
        return broken(err, "examples", "must be a whole number, not negative");
    if (losses && !json_is_boolean(losses))
        return broken(err, "example_losses", "must be true or false");
    if (seconds && !json_is_null(seconds) &&
        (!json_is_number(seconds) || json_number_value(seconds) < 0))
        return broken(err, "seconds", "must be a number, not negative");
    ret->examples = json_integer_value(examples);
    ret->seconds = json_is_number(seconds) ? json_number_value(seconds) : NAN;
    *ret_has_losses = json_is_true(losses);
    if (*ret_has_losses && (ret->examples < 1 || ret->examples > ready->examples_max))
        return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL,
                         "its answer has losses of %" PRId64
                         " examples, there is room for %" PRId64,
                         ret->examples, ready->examples_max);
    return 0;
}

int result_parse(const json_t *message, const struct ready *ready, struct evaluator_result *ret,
                 double *metrics, bool *ret_has_example_losses, struct sewa_error *err)
{
    struct evaluator_result r = { .metrics = metrics };
    const json_t *loss = json_object_get(message, "loss");

    if (!loss)
        return broken(err, "loss", "is missing");
    if (!parse_real(loss, &r.loss))
        return broken(err, "loss", "must be a number, null, 'nan', 'inf' or '-inf'");
    int rc = parse_values(message, &ready->traits, metrics, err);
    if (rc == 0)
        rc = parse_counts(message, ready, &r, ret_has_example_losses, err);
    if (rc == 0)
        *ret = r;
    return rc;
}

int recalibrated_parse(const json_t *message, const struct evaluator_tensor *tensors,
                       size_t tensor_count, bool *ret_changed, struct sewa_error *err)
{
    const json_t *names = json_object_get(message, "tensors");

    if (!names_are_strings(names))
        return broken(err, "tensors", "must be an array of names");
    memset(ret_changed, 0, tensor_count * sizeof *ret_changed);
    return names_mark(names, "its recalibrated tensors", tensors, tensor_count, ret_changed, err);
}

const char *error_text(const json_t *message, char ret[ANSWER_ERROR_SIZE],
                       const char **ret_traceback)
{
    const char *kind = json_string_value(json_object_get(message, "kind"));
    const char *text = json_string_value(json_object_get(message, "message"));
    const char *traceback = json_string_value(json_object_get(message, "traceback"));
    size_t at = 0;

    *ret_traceback = traceback ? traceback : "";
    ret[0] = '\0';
    if (kind && *kind) {
        text_clean(kind, ret, ANSWER_ERROR_SIZE / 4);
        at = strlen(ret);
        at += (size_t)snprintf(ret + at, ANSWER_ERROR_SIZE - at, ": ");
    }
    text_clean(text && *text ? text : "it gave no message", ret + at, ANSWER_ERROR_SIZE - at);
    return ret;
}

bool error_is_mismatch(const json_t *message)
{
    const char *kind = json_string_value(json_object_get(message, "kind"));

    return kind && strcmp(kind, "mismatch") == 0;
}
