/*
 * stall - bodies in chunks that make the library spin.
 *
 * libmicrohttpd before 1.0 keeps a chunk header that does not fit into the buffer of its
 * connection, reads no more, and wants to be run again at once, for ever and whether or not the
 * client is still there. It tells nobody; 1.0 forgets to close some of them. So the connections in
 * the midst of such a body are looked at each second, and at once where the library is restless.
 * One is stuck when bytes wait for it, look after look, and nothing of the body comes. A header
 * that fills the buffer to the last byte leaves no bytes waiting: then one is stuck of which much
 * more was received than can be framing, and that has been silent for a second. What neither finds
 * (a client that hides it behind many small chunks) the deadline ends. Slow clients are left alone.
 */
#include "http/server_body.h"

#include <sys/ioctl.h>

#include "base/clock.h"
#include "http/received.h"

enum {
    LOOK_RUNS = 32,   /* between two looks */
    UNREAD_LOOKS = 4, /* no client sends framing for so long, byte by byte and each in time */
    SILENT_MS = 1000,
    FRAMING = 1024, /* that a client may send ahead of the next bytes of a body */
    FRAMING_PER_BYTE = 16,
};

void stall_headers(struct connection *c, size_t headers, int64_t content_length, int64_t now_ms)
{
    c->accounted += (int64_t)headers + (content_length > 0 ? content_length : 0);
    if (content_length >= 0)
        return;
    list_append(&c->listener->chunked, &c->chunk_link);
    c->body_seen = 0;
    c->moved_ms = now_ms;
    c->unread_looks = 0;
}

void stall_end(struct connection *c)
{
    if (!list_is_linked(&c->chunk_link))
        return;
    list_remove(&c->chunk_link);
    /* what the framing took is not known; what has come of the next request counts for it as well
     */
    int64_t received = received_bytes(c->fd);
    c->accounted = received < 0 ? c->accounted : received;
}

static bool is_unread(struct connection *c)
{
    int waiting = 0;

    if (ioctl(c->fd, FIONREAD, &waiting) < 0 || waiting == 0)
        c->unread_looks = 0;
    else
        c->unread_looks++;
    return c->unread_looks >= UNREAD_LOOKS;
}

static bool is_overlong(const struct connection *c, int64_t now_ms)
{
    return now_ms - c->moved_ms > SILENT_MS &&
           received_bytes(c->fd) > c->accounted + FRAMING + FRAMING_PER_BYTE * c->body_seen;
}

static bool is_stuck(struct connection *c, int64_t now_ms)
{
    int64_t seen = c->request ? c->request->body_seen : 0;

    if (seen == c->body_seen)
        return is_unread(c) || is_overlong(c, now_ms);
    c->body_seen = seen;
    c->moved_ms = now_ms;
    c->unread_looks = 0;
    return false;
}

void stall_sweep(struct listener *l)
{
    int64_t now_ms = clock_monotonic_ms();
    struct sewa_error err;

    sewa_fail(&err, SEWA_E_BAD_REQUEST, "the size of a chunk with its extensions is too long");
    list_for_each(node, &l->chunked) {
        struct connection *c = list_entry(node, struct connection, chunk_link);
        if (!c->timed_out && is_stuck(c, now_ms))
            connection_refuse(c, &err);
    }
}

void stall_look(struct listener *l, bool again)
{
    l->restless_runs = again ? l->restless_runs + 1 : 0;
    if (l->restless_runs > 0 && l->restless_runs % LOOK_RUNS == 0)
        stall_sweep(l);
}
