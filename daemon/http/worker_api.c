/*
 * worker_api - what workers ask, by their token; proto/worker.md describes it. Only on the worker
 * socket.
 */
#include <string.h>
#include <strings.h>

#include "http/api_body.h"

struct open_call {
    struct jobs_call base;
    struct request *rq;
};

static void on_reply(struct jobs_call *base, json_t *body, const struct sewa_error *err)
{
    struct open_call *c = container_of(base, struct open_call, base);
    struct request *rq = c->rq;

    rq->user = NULL;
    rq->on_cancel = NULL;
    free(c);
    if (err)
        reply_error(rq, err);
    else
        reply_json(rq, 200, body);
}

/* The service stops while a worker waits for work: it asks again, and finds the next sewad. Or the
 * worker has left. */
static void on_cancel(struct request *rq)
{
    struct open_call *c = rq->user;

    jobs_abandon(&c->base);
    rq->user = NULL;
    rq->on_cancel = NULL;
    free(c);
    reply_fail(rq, SEWA_E_UNAVAILABLE, "the service is stopping");
}

static struct jobs_call *call_new(struct request *rq)
{
    struct open_call *c = calloc(1, sizeof *c);

    if (!c) {
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the call");
        return NULL;
    }
    c->base.reply = on_reply;
    c->rq = rq;
    rq->user = c;
    rq->on_cancel = on_cancel;
    rq->waited = true;
    request_hold(rq);
    return &c->base;
}

static const char *token_of(const struct request *rq)
{
    const char *value = request_header(rq, "authorization");

    return value && strncasecmp(value, "Bearer ", 7) == 0 ? value + 7 : NULL;
}

typedef void call_function(struct jobs *j, const char *token, const json_t *message,
                           struct jobs_call *c);

static void forward(struct api *a, struct request *rq, call_function *function)
{
    AUTOJSON json_t *message = NULL;
    struct sewa_error err;

    if (request_json(rq, false, &message, &err) < 0) {
        reply_error(rq, &err);
        return;
    }
    struct jobs_call *c = call_new(rq);
    if (c)
        function(a->o.jobs, token_of(rq), message, c);
}

void api_worker_hello(struct api *a, struct request *rq)
{
    forward(a, rq, jobs_hello);
}

void api_worker_lease(struct api *a, struct request *rq)
{
    forward(a, rq, jobs_lease);
}

void api_worker_heartbeat(struct api *a, struct request *rq)
{
    forward(a, rq, jobs_heartbeat);
}

void api_worker_result(struct api *a, struct request *rq)
{
    forward(a, rq, jobs_result);
}

void api_worker_log(struct api *a, struct request *rq)
{
    struct jobs_call *c = call_new(rq);

    if (c)
        jobs_log(a->o.jobs, token_of(rq), buf_cstr(&rq->body), rq->body.len, c);
}
