/*
 * spec - read the description of a job.
 */
#include "worker/spec.h"

#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/path.h"

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void spec_free(struct spec *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->k; i++) {
        free((char *)s->candidates[i].id);
        free((char *)s->candidates[i].directory);
        free((char *)s->candidates[i].file);
        free((char *)s->candidates[i].state_key);
    }
    free(s->candidates);
    free_list(s->evaluator.argv);
    free_list(s->evaluator.environment);
    free(s->evaluator.name);
    free(s->evaluator.directory);
    free(s->evaluator.options);
    free(s->worker);
    free(s->job);
    free(s);
}

static char *text(struct json_reader *r, const char *name)
{
    char *copy = strdup(json_need_string(r, name));

    if (!copy)
        json_reader_fail(r, SEWA_E_NO_MEMORY, name, "no memory for the job");
    return copy;
}

static char *path(struct json_reader *r, const char *name)
{
    char *bytes = path_from_text(json_need_string(r, name));

    if (!bytes)
        json_reader_fail(r, SEWA_E_PROTOCOL, name, "'%s' is no path", name);
    return bytes;
}

static int read_candidate(const json_t *o, struct candidate *c, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init(&r, o, "/candidates", err);
    c->id = text(&r, "checkpoint");
    c->directory = path(&r, "root");
    c->file = path(&r, "file");
    c->state_key = text(&r, "state_key");
    c->step = json_get_int(&r, "step", 0, INT64_MAX, -1);
    c->bytes = json_need_int(&r, "size", 0, INT64_MAX);
    c->mtime_ns = json_need_int(&r, "mtime_ns", INT64_MIN, INT64_MAX);
    if (hex_decode(json_need_string(&r, "header_digest"), c->header_digest, 32) < 0)
        json_reader_fail(&r, SEWA_E_PROTOCOL, "header_digest", "'header_digest' is no digest");
    return json_reader_end_lenient(&r);
}

static int read_candidates(struct spec *s, const json_t *list, struct sewa_error *err)
{
    size_t n = json_array_size(list);
    int rc = 0;

    s->candidates = calloc(n ? n : 1, sizeof *s->candidates);
    if (!s->candidates)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu candidates", n);
    for (s->k = 0; rc == 0 && s->k < n; s->k++)
        rc = read_candidate(json_array_get(list, s->k), &s->candidates[s->k], err);
    if (rc == 0 && n == 0)
        rc = sewa_fail(err, SEWA_E_PROTOCOL, "the job has no candidates");
    return rc;
}

static char **read_list(struct json_reader *r, const char *name)
{
    const json_t *list = json_get_strings(r, name, 4096);
    size_t n = json_array_size(list);
    char **texts = calloc(n + 1, sizeof *texts);

    for (size_t i = 0; texts && i < n; i++)
        if (!(texts[i] = strdup(json_string_value(json_array_get(list, i))))) {
            free_list(texts);
            texts = NULL;
        }
    if (!texts)
        json_reader_fail(r, SEWA_E_NO_MEMORY, name, "no memory for the job");
    return texts;
}

static int read_evaluator(struct spec *s, const json_t *o, struct sewa_error *err)
{
    struct spec_evaluator *e = &s->evaluator;
    struct json_reader r;

    json_reader_init(&r, o, "/evaluator", err);
    e->name = text(&r, "name");
    e->argv = read_list(&r, "command");
    e->environment = read_list(&r, "environment");
    const char *directory = json_get_string(&r, "directory", "");
    e->directory = *directory ? strdup(directory) : NULL;
    const json_t *options = json_get_object(&r, "options");
    e->options = options ? json_text(options) : strdup("{}");
    e->start_timeout_ms = json_need_int(&r, "start_timeout_ms", 1, INT64_MAX);
    e->timeout_ms = json_need_int(&r, "timeout_ms", 1, INT64_MAX);
    e->memory_mib = json_get_int(&r, "memory_mib", 0, INT64_MAX >> 20, 0);
    if (r.rc == 0 && !e->argv[0])
        json_reader_fail(&r, SEWA_E_PROTOCOL, "command", "the evaluator has no command");
    if (!e->options || (*directory && !e->directory))
        json_reader_fail(&r, SEWA_E_NO_MEMORY, NULL, "no memory for the job");
    s->has_evaluator = true;
    return json_reader_end_lenient(&r);
}

static void read_choices(struct spec *s, struct json_reader *r)
{
    s->integers = (enum integer_policy)json_get_word(r, "integers", integer_policy_names, 0);
    s->output = (enum output_dtype)json_get_word(r, "output_dtype", output_dtype_names, 0);
    s->allow_nonfinite = json_get_bool(r, "allow_nonfinite", false);
    s->threads = (unsigned)json_get_int(r, "threads", 0, 1024, 0);
    s->memory_bytes = json_get_int(r, "memory_bytes", 0, INT64_MAX, 0);
    s->streams = json_get_bool(r, "streams", false);
    s->banks = (unsigned)json_get_int(r, "banks", 0, SPEC_BANKS_MAX, 1);
    s->banks = s->banks ? s->banks : 1;
    s->heartbeat_ms = json_get_int(r, "heartbeat_seconds", 1, 3600, 5) * 1000;
}

int spec_read(const json_t *message, struct spec **ret, struct sewa_error *err)
{
    AUTOPTR(spec_free) struct spec *s = calloc(1, sizeof *s);
    struct json_reader r;

    if (!s)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the job");
    json_reader_init(&r, message, "", err);
    s->worker = text(&r, "worker");
    s->job = text(&r, "job");
    read_choices(s, &r);
    const json_t *candidates = json_get_array(&r, "candidates");
    const json_t *evaluator = json_get_object(&r, "evaluator");
    int rc = json_reader_end_lenient(&r);
    if (rc == 0)
        rc = read_candidates(s, candidates, err);
    if (rc == 0 && evaluator)
        rc = read_evaluator(s, evaluator, err);
    if (rc < 0)
        return sewa_context(err, rc, "the description of the job");
    *ret = TAKE(s);
    return 0;
}
