/*
 * session - ask for work, do it, report.
 */
#include "worker/session.h"

#include <unistd.h>

#include "base/activity.h"
#include "base/json.h"
#include "base/log.h"
#include "sewa/protocol.h"
#include "sewa/version.h"
#include "worker/link.h"
#include "worker/workshop.h"

struct session {
    const struct session_options *o;
    struct link *link;
    struct pulse *pulse;
    struct spec *spec;
    struct workshop *workshop;
};

static int hello(struct session *s, json_t **ret, struct sewa_error *err)
{
    bool prepared = s->workshop && workshop_is_prepared(s->workshop);
    AUTOJSON json_t *message = json_pack("{s:i, s:s, s:i, s:b}", "protocol", WORKER_PROTOCOL,
                                         "version", SEWA_VERSION, "pid", (int)getpid(), "prepared",
                                         prepared);

    if (!message)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to say hello");
    return link_call(s->link, "hello", message, ret, err);
}

static bool says_stop(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "stop"));
}

static json_t *failure_json(const struct sewa_error *err)
{
    return json_pack("{s:s, s:s}", "code", sewa_code_info(err->code)->slug, "detail", err->text);
}

/* 1: go on, 0: stop. A lease that was lost meanwhile is nobody's failure. */
static int report(struct session *s, const json_t *task, json_t *result,
                  const struct sewa_error *failure, struct sewa_error *err)
{
    AUTOJSON json_t *message = json_pack("{s:O?, s:O?}", "task", json_object_get(task, "task"),
                                         "attempt", json_object_get(task, "attempt"));
    AUTOJSON json_t *answer = NULL;
    int rc = message ? 0 : -1;

    if (failure)
        rc |= json_put(message, "error", failure_json(failure));
    else
        rc |= json_put(message, "result", json_incref(result));
    if (rc < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to report a result");
    pulse_flush(s->pulse); /* the job may end with this: what was printed before it comes first */
    rc = link_call(s->link, "result", message, &answer, err);
    if (rc == SEWA_E_LEASE_LOST) {
        log_warn("worker: %s", err->text);
        return 1;
    }
    return rc < 0 ? rc : !says_stop(answer);
}

static int do_task(struct session *s, const json_t *task, struct sewa_error *err)
{
    struct sewa_error failure;
    AUTOJSON json_t *result = NULL;
    int rc = workshop_do(s->workshop, task, &result, &failure);

    activity_begin(ACTIVITY_IDLE);
    if (atomic_load(s->o->stop))
        return 0;
    return report(s, task, result, rc < 0 ? &failure : NULL, err);
}

/* 1: go on, 0: stop. */
static int lease(struct session *s, struct sewa_error *err)
{
    AUTOJSON json_t *message = json_object();
    AUTOJSON json_t *answer = NULL;
    int rc = message ? link_call(s->link, "lease", message, &answer, err)
                     : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to ask for work");

    if (rc == SEWA_E_CONFLICT) { /* another sewad has taken over: it does not know us yet */
        rc = hello(s, &answer, err);
        return rc < 0 ? rc : !says_stop(answer);
    }
    if (rc < 0)
        return rc;
    if (says_stop(answer))
        return 0;
    const json_t *task = json_object_get(answer, "task");
    return json_is_object(task) ? do_task(s, task, err) : 1;
}

static int open_session(struct session *s, struct sewa_error *err)
{
    struct link_options o = { .socket = s->o->socket,
                              .token = s->o->token,
                              .patience_ms = s->o->patience_ms,
                              .cancel = s->o->stop };
    AUTOJSON json_t *answer = NULL;
    int rc = link_open(&o, &s->link, err);

    if (rc == 0)
        rc = hello(s, &answer, err);
    if (rc < 0)
        return rc;
    if (says_stop(answer))
        return 0;
    rc = spec_read(answer, &s->spec, err);
    if (rc == 0)
        rc = pulse_start(s->o->socket, s->o->token, s->spec->heartbeat_ms, s->o->stop, &s->pulse,
                         err);
    if (rc == 0)
        rc = workshop_open(s->spec, s->pulse, s->o->stop, &s->workshop, err);
    return rc < 0 ? rc : 1;
}

int session_run(const struct session_options *o, struct sewa_error *err)
{
    struct session s = { .o = o };
    int rc = open_session(&s, err);

    while (rc > 0 && !atomic_load(o->stop))
        rc = lease(&s, err);
    if (rc < 0 && atomic_load(o->stop))
        rc = 0;
    workshop_close(s.workshop);
    pulse_stop(s.pulse);
    spec_free(s.spec);
    link_close(s.link);
    return rc < 0 ? rc : 0;
}
