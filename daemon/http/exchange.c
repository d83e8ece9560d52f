/*
 * exchange - the life of one request.
 *
 * The library announces its target (begin), hands over the headers (first call of go_on: guard,
 * route, size limit), the body in pieces, and then calls once more: that call runs the handler. A
 * handler that did not answer is suspended; when the answer comes, the library is resumed and calls
 * once more, which queues it. In the end it says that all is over (end).
 */
#include "http/server_body.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "http/observe.h"
#include "http/reply.h"

/* A refused body is read and thrown away up to here: a client that sends before it reads would see
 * a broken connection instead of the answer. */
enum { DISCARD_MAX = 16 << 20 };

void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *con)
{
    struct listener *l = cls;
    struct request *rq = calloc(1, sizeof *rq);
    struct connection *c = connection_of(con);

    if (!rq)
        return NULL;
    rq->listener = l;
    rq->connection = con;
    rq->started_ms = clock_monotonic_ms();
    rq->target_text = strdup(uri);
    ulid_new(clock_now_ms(), rq->id);
    list_append(&l->server->requests, &rq->link);
    if (c) {
        c->request = rq;
        c->had_request = true;
    }
    return rq;
}

/* ---- judging by the headers ---- */

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                 const char *value)
{
    (void)kind;
    guard_header(cls, key, value);
    return MHD_YES;
}

static enum http_method method_of(const char *name, bool *ret_is_head)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {
        { "GET", HTTP_GET },         { "HEAD", HTTP_GET },    { "POST", HTTP_POST },
        { "PUT", HTTP_PUT },         { "PATCH", HTTP_PATCH }, { "DELETE", HTTP_DELETE },
        { "OPTIONS", HTTP_OPTIONS },
    };

    *ret_is_head = strcmp(name, "HEAD") == 0;
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].method;
    return 0;
}

static void allow_header(struct request *rq, unsigned allowed)
{
    static const char *const names[] = { "GET, HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };
    char text[80] = "";

    for (unsigned i = 0; i < COUNT_OF(names); i++)
        if (allowed & 1u << i)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? ", " : "",
                     names[i]);
    reply_header(rq, "Allow", text);
}

/* Who may not ask is not told either what there is. */
static int judge_host(const struct request *rq, const struct guard *g, struct sewa_error *err)
{
    if (rq->listener->side != ROUTE_PUBLIC || !rq->listener->server->o.loopback_only)
        return 0;
    return rq->route && rq->route->flags & ROUTE_ANY_HOST ? 0 : guard_loopback(g, err);
}

static int no_route(struct request *rq, unsigned allowed, struct sewa_error *err)
{
    if (!allowed)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is nothing at this address");
    allow_header(rq, allowed | HTTP_OPTIONS);
    if (rq->method == HTTP_OPTIONS) {
        reply_empty(rq, 204);
        return 0;
    }
    return sewa_fail(err, SEWA_E_METHOD_NOT_ALLOWED, "this address does not know the method");
}

/* What the address and the size say. 0 also when it is answered already. */
static int judge(struct request *rq, const struct guard *g, struct sewa_error *err)
{
    const struct server *s = rq->listener->server;
    unsigned allowed = 0;
    int rc = guard_target(rq->target_text, &rq->target, err);

    if (rc == 0)
        rq->route = router_find(s->o.routes, s->o.route_count, rq->listener->side, rq, &allowed);
    if (rc == 0)
        rc = judge_host(rq, g, err);
    if (rc == 0 && !rq->route)
        rc = no_route(rq, allowed, err);
    if (rc < 0 || rq->status)
        return rc;
    if (s->draining && !(rq->route->flags & ROUTE_WHILE_DRAINING))
        return sewa_fail(err, SEWA_E_UNAVAILABLE, "the service is stopping");
    if (g->content_length > (int64_t)rq->route->body_max)
        return sewa_fail(err, SEWA_E_TOO_LARGE, "the body has %lld bytes, at most %zu are allowed",
                         (long long)g->content_length, rq->route->body_max);
    return request_query_known(rq, rq->route->query, err);
}

/* ---- answering ---- */

static bool has_header(const struct request *rq, const char *name)
{
    for (int i = 0; i < rq->header_count; i++)
        if (strcmp(rq->headers[i].name, name) == 0)
            return true;
    return false;
}

static enum MHD_Result queue_reply(struct request *rq)
{
    if (!rq->reply)
        return MHD_NO; /* there was no memory even for the answer: end the connection */
    /* a shared response has its headers already, and others are sending it */
    if (!rq->reply_is_shared) {
        if (!has_header(rq, "Cache-Control"))
            reply_header(rq, "Cache-Control", "no-store");
        for (int i = 0; i < rq->header_count; i++)
            MHD_add_response_header(rq->reply, rq->headers[i].name, rq->headers[i].value);
    }
    enum MHD_Result ok = MHD_queue_response(rq->connection, rq->status, rq->reply);
    if (!rq->reply_is_shared)
        MHD_destroy_response(rq->reply);
    rq->reply = NULL;
    return ok;
}

/* What follows is not read: the library closes the connection after the answer. */
static enum MHD_Result refuse_at_once(struct request *rq, const struct sewa_error *err)
{
    reply_header(rq, "Connection", "close");
    reply_error(rq, err);
    return queue_reply(rq);
}

static size_t header_size(const struct request *rq)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return info ? info->header_size : 0;
}

static enum MHD_Result await_body(struct request *rq, const struct guard *g)
{
    struct connection *c = connection_of(rq->connection);

    if (c)
        stall_headers(c, header_size(rq), g->content_length, rq->headers_done_ms);
    return MHD_YES;
}

/* The library 1.0 sees to it by itself, and moves the fields. */
static bool leaves_fields_in_place(void)
{
    return MHD_get_version()[0] == '0';
}

static void read_headers(const struct request *rq, const char *method, const char *version,
                         struct guard *g)
{
    if (leaves_fields_in_place()) {
        g->next = version + strlen(version) + 2;
        g->end = method + header_size(rq);
    }
    MHD_get_connection_values(rq->connection, MHD_HEADER_KIND, on_header, g);
}

static enum MHD_Result on_headers(struct request *rq, const char *method, const char *version)
{
    struct guard g = { 0 };
    struct sewa_error err;

    rq->headers_done_ms = rq->moved_ms = clock_monotonic_ms();
    read_headers(rq, method, version, &g);
    rq->method = method_of(method, &rq->is_head);
    if (!rq->target_text) {
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the request");
        return refuse_at_once(rq, &err);
    }
    /* what follows may not be a body of this request */
    if (guard_check(&g, version, &err) < 0)
        return refuse_at_once(rq, &err);
    if (judge(rq, &g, &err) == 0) {
        rq->refused = rq->status != 0;
        return await_body(rq, &g);
    }
    if (g.expects_continue || g.content_length > DISCARD_MAX)
        return refuse_at_once(rq, &err);
    reply_error(rq, &err);
    rq->refused = true;
    return await_body(rq, &g);
}

static enum MHD_Result on_body(struct request *rq, const char *data, size_t *n)
{
    rq->body_seen += (int64_t)*n;
    rq->moved_ms = clock_monotonic_ms();
    if (!rq->refused && rq->body.len + *n > rq->route->body_max) {
        reply_fail(rq, SEWA_E_TOO_LARGE, "the body has more than %zu bytes", rq->route->body_max);
        rq->refused = true;
        buf_clear(&rq->body);
    }
    if (rq->refused && rq->body_seen > DISCARD_MAX)
        return MHD_NO;
    if (!rq->refused)
        buf_append(&rq->body, data, *n);
    *n = 0;
    return MHD_YES;
}

/* Only a request that is still without an answer when its handler returns is suspended. */
static void suspend(struct request *rq)
{
    rq->suspended = true;
    rq->listener->server->held_count++;
    MHD_suspend_connection(rq->connection);
}

static enum MHD_Result on_complete(struct request *rq)
{
    struct connection *c = connection_of(rq->connection);

    rq->body_done = true;
    if (c)
        stall_end(c);
    if (!rq->status && buf_failed(&rq->body))
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the request");
    if (!rq->status && !rq->held) {
        rq->route->handle(rq->listener->server->o.api, rq);
        if (!rq->status && !rq->held)
            reply_fail(rq, SEWA_E_INTERNAL, "the handler gave no answer");
    }
    if (rq->status)
        return queue_reply(rq);
    suspend(rq);
    return MHD_YES;
}

enum MHD_Result exchange_go_on(void *cls, struct MHD_Connection *con, const char *url,
                               const char *method, const char *version, const char *data, size_t *n,
                               void **state)
{
    struct request *rq = *state;

    (void)cls;
    (void)con;
    (void)url;
    if (!rq)
        return MHD_NO; /* no memory when it began */
    if (rq->headers_done_ms == 0)
        return on_headers(rq, method, version);
    return *n > 0 ? on_body(rq, data, n) : on_complete(rq);
}

/* ---- what the library refuses ---- */

void exchange_refused(struct listener *l)
{
    struct sewa_error err;

    sewa_fail(&err, SEWA_E_BAD_REQUEST, "Content-Length is not a number");
    list_for_each(node, &l->server->requests) {
        const struct request *rq = list_entry(node, struct request, link);
        struct connection *c = connection_of(rq->connection);
        struct guard g = { 0 };
        if (rq->listener != l || rq->headers_done_ms || !c || c->timed_out)
            continue;
        MHD_get_connection_values(rq->connection, MHD_HEADER_KIND, on_header, &g);
        if (g.bad_length && !g.transfer_encoding_count)
            connection_refuse(c, &err);
    }
}

/* ---- the end ---- */

static void request_free(struct request *rq)
{
    for (int i = 0; i < rq->header_count; i++) {
        free(rq->headers[i].name);
        free(rq->headers[i].value);
    }
    if (rq->reply && !rq->reply_is_shared)
        MHD_destroy_response(rq->reply);
    buf_clear(&rq->body);
    free(rq->target_text);
    free(rq);
}

void exchange_forget(struct request *rq)
{
    observe_request(rq, clock_monotonic_ms());
    list_remove(&rq->link);
    request_free(rq);
}

void exchange_end(void *cls, struct MHD_Connection *con, void **state,
                  enum MHD_RequestTerminationCode code)
{
    struct request *rq = *state;
    struct connection *c = connection_of(con);

    (void)cls;
    (void)code;
    if (c) {
        stall_end(c);
        c->request = NULL;
        c->idle_since_ms = clock_monotonic_ms();
    }
    *state = NULL;
    if (rq)
        exchange_forget(rq);
}
