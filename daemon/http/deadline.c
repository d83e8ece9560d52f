/*
 * deadline - connections, and how long they may take.
 *
 * The library's own timeout ends connections that do nothing; one byte a second keeps them alive
 * for ever. And it does not watch what is suspended: a client that has left would hold its place
 * until the answer comes, which for a followed log may be days. So once a second all are looked at.
 */
#include "http/server_body.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/reply.h"

enum {
    BODY_BYTES_PER_SECOND = 1024,
    BODY_PAUSE_MS = 4000, /* longer than of others: a network may lose a packet more than once */
};

/* ---- who is late ---- */

static bool is_late(const struct connection *c, const struct server_deadlines *d, int64_t now_ms)
{
    const struct request *rq = c->request;

    if (!rq)
        return now_ms - c->idle_since_ms >
               (c->had_request ? d->next_request_ms : d->first_request_ms);
    if (rq->headers_done_ms == 0)
        return now_ms - rq->started_ms > d->headers_ms;
    if (rq->body_done)
        return false;
    return now_ms - rq->headers_done_ms > d->body_ms + rq->body_seen * 1000 / BODY_BYTES_PER_SECOND;
}

int64_t deadline_waits_since(const struct connection *c)
{
    const struct request *rq = c->request;

    if (!rq)
        return c->idle_since_ms;
    if (rq->headers_done_ms == 0)
        return rq->started_ms;
    return rq->body_done ? INT64_MAX : rq->moved_ms + BODY_PAUSE_MS;
}

/*
 * Behind the back of the library: it knows no answer to half a request. Nothing of an answer was
 * sent yet. Whether it gets there does not matter.
 */
static void say(const struct connection *c, const struct sewa_error *why)
{
    const struct sewa_code_info *info = sewa_code_info(why->code);
    AUTOFREE char *body = reply_problem_text(c->request, why);
    AUTO(buf_clear) struct buf b = { 0 };

    if (!body)
        return;
    buf_printf(&b, "HTTP/1.1 %d %s\r\nConnection: close\r\nCache-Control: no-store\r\n",
               info->http_status, MHD_get_reason_phrase_for((unsigned)info->http_status));
    buf_printf(&b, "Content-Type: application/problem+json\r\nContent-Length: %zu\r\n\r\n%s",
               strlen(body), body);
    send(c->fd, buf_cstr(&b), b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Where bytes are unread when a connection is closed, the other side may lose what we have said. */
static void throw_away(int fd)
{
    char bytes[4096];

    for (int i = 0; i < 64 && recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0; i++)
        ;
}

void connection_refuse(struct connection *c, const struct sewa_error *why)
{
    c->timed_out = true;
    if (c->request && !c->request->status)
        say(c, why);
    throw_away(c->fd);
    shutdown(c->fd, SHUT_RDWR); /* the library sees the end and cleans up */
}

static void end_late(struct server *s, int64_t now_ms)
{
    struct sewa_error err;

    list_for_each(node, &s->connections) {
        struct connection *c = list_entry(node, struct connection, link);
        if (c->timed_out || !is_late(c, &s->o.deadlines, now_ms))
            continue;
        sewa_fail(&err, SEWA_E_REQUEST_TIMEOUT, "the %s did not arrive in time",
                  c->request && c->request->headers_done_ms ? "body" : "header section");
        connection_refuse(c, &err);
    }
}

/* ---- who has left ---- */

static bool waits_for_us(const struct connection *c)
{
    const struct request *rq = c->request;

    return rq && (rq->suspended || rq->paused) && rq->on_cancel;
}

static bool waits_for_client(const struct connection *c)
{
    return !c->request || !c->request->body_done;
}

/*
 * The client has closed its side, or the connection is broken. Nobody reads an answer that is held.
 * And where we wait for bytes, none will come: the library learns that by itself, but for an end
 * that arrived together with the last bytes (its epoll is edge-triggered).
 */
static void end_of_client(struct connection *c)
{
    char byte;

    if (waits_for_us(c))
        c->request->on_cancel(c->request);
    else if (waits_for_client(c) && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        shutdown(c->fd, SHUT_RDWR);
}

static void end_gone(struct server *s)
{
    AUTOFREE struct pollfd *fds = calloc(s->connection_count + 1, sizeof *fds);
    size_t n = 0, i = 0;

    if (!fds)
        return; /* in a second again */
    list_for_each(node, &s->connections) {
        struct connection *c = list_entry(node, struct connection, link);
        fds[n++] = (struct pollfd){ .fd = c->fd, .events = POLLRDHUP };
    }
    if (n == 0 || poll(fds, n, 0) <= 0)
        return;
    /* nothing below adds or removes a connection: the library does that when it runs next */
    list_for_each(node, &s->connections) {
        if (fds[i++].revents)
            end_of_client(list_entry(node, struct connection, link));
    }
}

void deadline_sweep(struct server *s, int64_t now_ms)
{
    end_late(s, now_ms);
    end_gone(s);
}
