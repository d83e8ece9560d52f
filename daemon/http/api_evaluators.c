/*
 * api_evaluators - which evaluators are configured, and a job that tries one. Read-only: evaluators
 * are programs, so they come from the configuration.
 */
#include <stdio.h>
#include <string.h>

#include "base/unknown.h"
#include "http/api_body.h"
#include "jobs/request.h"

/* The environment may hold secrets: only its names are shown. */
static json_t *environment_names(const json_t *environment)
{
    AUTOJSON json_t *names = json_array();

    for (size_t i = 0; names && i < json_array_size(environment); i++) {
        const char *entry = json_string_value(json_array_get(environment, i));
        if (json_array_append_new(names, json_stringn(entry, strcspn(entry, "="))) < 0)
            return NULL;
    }
    return TAKE(names);
}

static json_t *seconds_of(const json_t *spec, const char *name)
{
    return json_integer(json_integer_value(json_object_get(spec, name)) / 1000);
}

static json_t *show(const char *name, const json_t *spec)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "name", json_string(name));
    rc |= json_put(o, "command", json_deep_copy(json_object_get(spec, "command")));
    rc |= json_put(o, "directory", json_deep_copy(json_object_get(spec, "directory")));
    rc |= json_put(o, "environment", environment_names(json_object_get(spec, "environment")));
    rc |= json_put(o, "options", json_deep_copy(json_object_get(spec, "options")));
    rc |= json_put(o, "timeout_seconds", seconds_of(spec, "timeout_ms"));
    rc |= json_put(o, "start_timeout_seconds", seconds_of(spec, "start_timeout_ms"));
    rc |= json_put(o, "memory_mib", json_deep_copy(json_object_get(spec, "memory_mib")));
    return rc < 0 ? NULL : TAKE(o);
}

void api_evaluators_list(struct api *a, struct request *rq)
{
    AUTOJSON json_t *items = json_array();
    const char *name;
    json_t *spec;

    json_object_foreach((json_t *)a->o.evaluators(a->o.arg), name, spec)
    {
        if (!items || json_array_append_new(items, show(name, spec)) < 0) {
            reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for a list");
            return;
        }
    }
    reply_json(rq, 200, json_pack("{s:O, s:n}", "items", items, "next_page_token"));
}

int evaluator_unknown(struct api *a, const char *name, int code, const char *pointer,
                      struct sewa_error *err)
{
    AUTO(unknown_clear) struct unknown u;
    const char *known;
    json_t *spec;

    unknown_begin(&u, name);
    json_object_foreach((json_t *)a->o.evaluators(a->o.arg), known, spec)
    {
        unknown_known(&u, known);
    }
    return sewa_fail_at(err, code, pointer, "there is no evaluator '%.80s' in the configuration%s",
                        name, unknown_words(&u));
}

void api_evaluators_show(struct api *a, struct request *rq)
{
    const char *name = rq->parameters[0];
    const json_t *spec = json_object_get(a->o.evaluators(a->o.arg), name);
    struct sewa_error err;

    if (spec) {
        reply_json(rq, 200, show(name, spec));
    } else {
        evaluator_unknown(a, name, SEWA_E_NOT_FOUND, "", &err);
        reply_error(rq, &err);
    }
}

static int read_check(struct api *a, struct request *rq, struct submission *s,
                      struct sewa_error *err)
{
    const char *name = rq->parameters[0];
    AUTOJSON json_t *body = NULL;

    if (!json_object_get(a->o.evaluators(a->o.arg), name))
        return evaluator_unknown(a, name, SEWA_E_NOT_FOUND, "", err);
    int rc = request_json(rq, false, &body, err);
    return rc < 0 ? rc : job_request_parse_check(name, body, &s->request, err);
}

void api_evaluators_check(struct api *a, struct request *rq)
{
    struct submission *s = submission_begin(a, rq, 202);
    struct sewa_error err;

    if (!s)
        return;
    if (read_check(a, rq, s, &err) < 0)
        api_write_refuse(s->write, &err);
    else
        submission_submit(s);
}
