/*
 * request - parse and show what a client asks for.
 */
#include "jobs/request.h"

#include <string.h>

#include "base/path.h"
#include "base/ulid.h"
#include "methods/method.h"

static const char *const integer_words[] = { "newest", "oldest", "max", "equal", NULL };
static const char *const baseline_words[] = { "last", "best", "uniform", "lawa", NULL };
static const char *const dtype_words[] = { "input", "F32", "BF16", "F16", NULL };
static const int dtype_values[] = { -1, DTYPE_F32, DTYPE_BF16, DTYPE_F16 };

const char *job_integers_name(enum job_integers i)
{
    return integer_words[i];
}

void job_request_free(struct job_request *r)
{
    if (!r)
        return;
    free(r->run);
    json_decref(r->checkpoints);
    free(r->method);
    json_decref(r->exclude_steps);
    json_decref(r->select);
    free(r->evaluator);
    json_decref(r->params);
    for (int i = 0; i < r->baseline_count; i++)
        free(r->baselines[i]);
    json_decref(r->labels);
    free(r);
}

static char *copy(struct json_reader *r, const char *text)
{
    char *c = text ? strdup(text) : NULL;

    if (text && !c)
        json_reader_fail(r, SEWA_E_NO_MEMORY, NULL, "no memory for the request");
    return c;
}

static json_t *copy_json(struct json_reader *r, const json_t *value)
{
    json_t *c = value ? json_deep_copy(value) : NULL;

    if (value && !c)
        json_reader_fail(r, SEWA_E_NO_MEMORY, NULL, "no memory for the request");
    return c;
}

static void parse_source(struct json_reader *r, struct job_request *q)
{
    const char *run = json_get_string(r, "run", NULL);
    const json_t *ids = json_get_strings(r, "checkpoints", JOB_CANDIDATES_MAX);
    AUTOJSON json_t *seen = json_object();

    if (r->rc < 0)
        return;
    if (run && ids)
        json_reader_fail(r, SEWA_E_INVALID, "checkpoints",
                         "'run' and 'checkpoints' exclude each other");
    else if (run && !path_is_run_name(run))
        json_reader_fail(r, SEWA_E_INVALID, "run", "'%.80s' is no name of a run", run);
    else if (ids && json_array_size(ids) == 0)
        json_reader_fail(r, SEWA_E_INVALID, "checkpoints", "'checkpoints' is empty");
    for (size_t i = 0; r->rc == 0 && i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (!id_is(id, "ckpt"))
            json_reader_fail(r, SEWA_E_INVALID, "checkpoints", "'%.60s' is no id of a checkpoint",
                             id);
        else if (json_object_get(seen, id))
            json_reader_fail(r, SEWA_E_INVALID, "checkpoints", "'%s' is named twice", id);
        else if (!seen || json_object_set_new(seen, id, json_true()) < 0)
            json_reader_fail(r, SEWA_E_NO_MEMORY, NULL, "no memory for the request");
    }
    q->run = copy(r, run);
    q->checkpoints = copy_json(r, ids);
}

static void parse_filters(struct json_reader *r, struct job_request *q)
{
    const json_t *exclude = json_get_array(r, "exclude_steps");

    q->has_min_step = json_has(r, "min_step");
    q->min_step = json_get_int(r, "min_step", 0, INT64_MAX, 0);
    q->has_max_step = json_has(r, "max_step");
    q->max_step = json_get_int(r, "max_step", 0, INT64_MAX, INT64_MAX);
    if (q->has_min_step && q->has_max_step && q->min_step > q->max_step)
        json_reader_fail(r, SEWA_E_INVALID, "max_step", "'max_step' %lld is below 'min_step' %lld",
                         (long long)q->max_step, (long long)q->min_step);
    if (json_array_size(exclude) > 10000)
        json_reader_fail(r, SEWA_E_INVALID, "exclude_steps",
                         "'exclude_steps' has %zu elements, at most 10000 are allowed",
                         json_array_size(exclude));
    for (size_t i = 0; r->rc == 0 && i < json_array_size(exclude); i++) {
        const json_t *step = json_array_get(exclude, i);
        if (!json_is_integer(step) || json_integer_value(step) < 0)
            json_reader_fail(r, SEWA_E_INVALID, "exclude_steps",
                             "element %zu of 'exclude_steps' is no step", i);
    }
    q->exclude_steps = exclude ? copy_json(r, exclude) : json_array();
    q->window = json_get_int(r, "window", 1, JOB_CANDIDATES_MAX, 0);
    if (q->checkpoints &&
        (q->window || q->has_min_step || q->has_max_step || json_array_size(q->exclude_steps) > 0))
        json_reader_fail(r, SEWA_E_INVALID, "checkpoints",
                         "'checkpoints' names the candidates: 'window', 'min_step', 'max_step' and "
                         "'exclude_steps' cannot filter them");
}

static void parse_output(struct json_reader *r, struct job_request *q)
{
    const json_t *output = json_get_object(r, "output");
    struct json_reader o;

    q->output_dtype = -1;
    q->max_shard_bytes = -1;
    if (!output || r->rc < 0)
        return;
    json_reader_init(&o, output, "/output", r->err);
    q->output_dtype = dtype_values[json_get_word(&o, "dtype", dtype_words, 0)];
    q->max_shard_bytes = json_get_int(&o, "max_shard_bytes", 0, INT64_MAX, -1);
    r->rc = json_reader_end(&o);
}

static void add_baseline(struct json_reader *r, struct job_request *q, const char *name)
{
    int i = 0;

    while (baseline_words[i] && strcmp(baseline_words[i], name) != 0)
        i++;
    if (!baseline_words[i])
        json_reader_fail(r, SEWA_E_INVALID, "baselines",
                         "'%.40s' is no baseline, allowed are last, best, uniform, lawa", name);
    for (int j = 0; r->rc == 0 && j < q->baseline_count; j++)
        if (strcmp(q->baselines[j], name) == 0)
            json_reader_fail(r, SEWA_E_INVALID, "baselines", "'%s' is named twice", name);
    if (r->rc == 0) {
        q->baselines[q->baseline_count] = copy(r, name);
        q->baseline_count += q->baselines[q->baseline_count] != NULL;
    }
}

static void parse_baselines(struct json_reader *r, struct job_request *q,
                            const struct method_info *info)
{
    const json_t *names = json_get_strings(r, "baselines", JOB_BASELINES_MAX);

    if (r->rc < 0)
        return;
    if (!names && info && info->needs != METHOD_NEEDS_NOTHING)
        for (int i = 0; baseline_words[i]; i++)
            if (strcmp(baseline_words[i], q->method) != 0)
                add_baseline(r, q, baseline_words[i]);
    for (size_t i = 0; r->rc == 0 && i < json_array_size(names); i++)
        add_baseline(r, q, json_string_value(json_array_get(names, i)));
}

static void parse_method(struct json_reader *r, struct job_request *q,
                         const struct method_info **ret_info)
{
    const char *name = json_get_string(r, "method", "sewa");
    const json_t *select = json_get_any(r, "select");

    *ret_info = method_find(name);
    if (!*ret_info && r->rc == 0)
        r->rc = method_unknown(name, SEWA_E_UNKNOWN_NAME, "/method", r->err);
    q->method = copy(r, name);
    q->select = copy_json(r, select);
    q->evaluator = copy(r, json_get_string(r, "evaluator", NULL));
    const json_t *params = json_get_object(r, "params");
    q->params = params ? copy_json(r, params) : json_object();
}

static void parse_rest(struct json_reader *r, struct job_request *q)
{
    q->seed = (uint64_t)json_get_int(r, "seed", 0, INT64_MAX, 0);
    q->integers = (enum job_integers)json_get_word(r, "integers", integer_words, INTEGERS_NEWEST);
    q->allow_nonfinite = json_get_bool(r, "allow_nonfinite", false);
    q->force = json_get_bool(r, "force", false);
    q->digests = json_get_bool(r, "digests", false);
    q->if_new_checkpoints = json_get_int(r, "if_new_checkpoints", 0, INT64_MAX, 0);
    if (q->if_new_checkpoints && q->checkpoints)
        json_reader_fail(r, SEWA_E_INVALID, "if_new_checkpoints",
                         "'if_new_checkpoints' needs a 'run'");
    q->workers = json_get_int(r, "workers", 1, JOB_WORKERS_MAX, 1);
    const json_t *labels = json_get_labels(r, "labels", false);
    q->labels = labels ? copy_json(r, labels) : json_object();
}

/* After the unknown fields: who has misspelt one shall not be told that it is missing. */
static void check_missing(struct json_reader *r, const struct job_request *q)
{
    const struct method_info *info = method_find(q->method); /* NULL: a check */

    if (!q->run && !q->checkpoints)
        json_reader_fail(r, SEWA_E_INVALID, "run", "'run' or 'checkpoints' is missing");
    else if (info && info->needs != METHOD_NEEDS_NOTHING && !q->evaluator)
        json_reader_fail(r, SEWA_E_INVALID, "evaluator", "method '%s' needs an evaluator",
                         q->method);
    else if (q->baseline_count && !q->evaluator)
        json_reader_fail(r, SEWA_E_INVALID, "baselines",
                         "baselines are compared by an evaluator, and none is named");
}

static int finish(struct json_reader *r, struct job_request **q, struct job_request **ret,
                  struct sewa_error *err)
{
    int rc = json_reader_end(r);

    if (rc == 0) {
        check_missing(r, *q);
        rc = r->rc;
    }
    if (rc < 0)
        return rc;
    if (!(*q)->exclude_steps || !(*q)->params || !(*q)->labels)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    *ret = TAKE(*q);
    return 0;
}

int job_request_parse(const json_t *body, struct job_request **ret, struct sewa_error *err)
{
    AUTOPTR(job_request_free) struct job_request *q = calloc(1, sizeof *q);
    const struct method_info *info;
    struct json_reader r;

    if (!q)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    json_reader_init(&r, body, "", err);
    parse_source(&r, q);
    parse_filters(&r, q);
    parse_method(&r, q, &info);
    parse_baselines(&r, q, info);
    parse_output(&r, q);
    parse_rest(&r, q);
    return finish(&r, &q, ret, err);
}

int job_request_parse_check(const char *evaluator, const json_t *body, struct job_request **ret,
                            struct sewa_error *err)
{
    AUTOPTR(job_request_free) struct job_request *q = calloc(1, sizeof *q);
    struct json_reader r;

    if (!q)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    json_reader_init(&r, body, "", err);
    parse_source(&r, q);
    const json_t *labels = json_get_labels(&r, "labels", false);
    q->labels = labels ? copy_json(&r, labels) : json_object();
    q->method = copy(&r, "check");
    q->evaluator = copy(&r, evaluator);
    q->exclude_steps = json_array();
    q->params = json_object();
    q->max_step = INT64_MAX;
    q->window = q->checkpoints ? 0 : 2;
    q->output_dtype = q->max_shard_bytes = -1;
    q->workers = 1;
    return finish(&r, &q, ret, err);
}

static json_t *baselines_json(const struct job_request *q)
{
    json_t *names = json_array();

    for (int i = 0; names && i < q->baseline_count; i++)
        if (json_array_append_new(names, json_string(q->baselines[i])) < 0) {
            json_decref(names);
            return NULL;
        }
    return names;
}

static bool has_baseline(const struct job_request *q, const char *name)
{
    for (int i = 0; i < q->baseline_count; i++)
        if (strcmp(q->baselines[i], name) == 0)
            return true;
    return false;
}

bool job_baseline_counts(const struct job_request *q, const char *name, size_t k, size_t select)
{
    size_t averaged = strcmp(name, "uniform") == 0 ? k
                      : strcmp(name, "lawa") == 0  ? job_lawa_select(k, select)
                                                   : 0;

    if (strcmp(name, q->method) == 0)
        return false;
    return averaged != 1 || !(has_baseline(q, "last") || strcmp(q->method, "last") == 0);
}

size_t job_lawa_select(size_t k, size_t select)
{
    size_t n = select ? select : METHOD_SELECT_DEFAULT;

    return n < k ? n : k;
}

int job_baseline_count(const struct job_request *q, size_t k, size_t select)
{
    int n = 0;

    for (int i = 0; i < q->baseline_count; i++)
        n += job_baseline_counts(q, q->baselines[i], k, select);
    return n;
}

static json_t *step_or_null(bool given, int64_t step)
{
    return given ? json_integer(step) : json_null();
}

static const char *dtype_word(int dtype)
{
    return dtype < 0 ? "input" : dtype_name((enum dtype)dtype);
}

static json_t *output_json(const struct job_request *q)
{
    json_t *bytes = q->max_shard_bytes < 0 ? json_null() : json_integer(q->max_shard_bytes);

    return json_pack("{s:s, s:o}", "dtype", dtype_word(q->output_dtype), "max_shard_bytes", bytes);
}

json_t *job_request_json(const struct job_request *q)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "run", q->run ? json_string(q->run) : json_null());
    rc |= json_put(o, "checkpoints", q->checkpoints ? json_deep_copy(q->checkpoints) : json_null());
    rc |= json_put(o, "method", json_string(q->method));
    rc |= json_put(o, "min_step", step_or_null(q->has_min_step, q->min_step));
    rc |= json_put(o, "max_step", step_or_null(q->has_max_step, q->max_step));
    rc |= json_put(o, "exclude_steps", json_deep_copy(q->exclude_steps));
    rc |= json_put(o, "window", q->window ? json_integer(q->window) : json_null());
    rc |= json_put(o, "select", q->select ? json_deep_copy(q->select) : json_null());
    rc |= json_put(o, "evaluator", q->evaluator ? json_string(q->evaluator) : json_null());
    rc |= json_put(o, "params", json_deep_copy(q->params));
    rc |= json_put(o, "baselines", baselines_json(q));
    rc |= json_put(o, "seed", json_integer((json_int_t)q->seed));
    rc |= json_put(o, "integers", json_string(integer_words[q->integers]));
    rc |= json_put(o, "allow_nonfinite", json_boolean(q->allow_nonfinite));
    rc |= json_put(o, "force", json_boolean(q->force));
    rc |= json_put(o, "digests", json_boolean(q->digests));
    rc |= json_put(o, "if_new_checkpoints", json_integer(q->if_new_checkpoints));
    rc |= json_put(o, "output", output_json(q));
    rc |= json_put(o, "workers", json_integer(q->workers));
    rc |= json_put(o, "labels", json_deep_copy(q->labels));
    return rc < 0 ? NULL : TAKE(o);
}

int job_request_parse_stored(const json_t *stored, struct job_request **ret, struct sewa_error *err)
{
    const char *method = json_string_value(json_object_get(stored, "method"));

    if (!method || strcmp(method, "check") != 0)
        return job_request_parse(stored, ret, err);
    AUTOJSON json_t *body = json_pack("{s:O?, s:O?, s:O?}", "run", json_object_get(stored, "run"),
                                      "checkpoints", json_object_get(stored, "checkpoints"),
                                      "labels", json_object_get(stored, "labels"));
    const char *evaluator = json_string_value(json_object_get(stored, "evaluator"));
    return job_request_parse_check(evaluator ? evaluator : "", body, ret, err);
}
