/*
 * admit - who gets a connection.
 *
 * We accept ourselves and hand the descriptor to the library. Its own accept takes the listening
 * socket out of its epoll at its limit of connections and when there are no descriptors, and puts
 * it back only when it happens to be run with room again: nobody could connect any more.
 *
 * Where all places are taken, whoever has kept us waiting for the longest time makes room: a client
 * that says nothing must not keep out one that does. Where nobody has, and where there are no
 * descriptors, the door is shut until a connection ends, or until the next look a second later.
 */
#include "http/server_body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/reply.h"
#include "metrics/metrics.h"

enum {
    AT_ONCE_MAX = 16,   /* then others get their turn */
    PATIENCE_MS = 1000, /* who says nothing for less is not thrown out */
};

/* ---- connections ---- */

struct connection *connection_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void opened(struct listener *l, struct MHD_Connection *con, void **context)
{
    struct server *s = l->server;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(con, MHD_CONNECTION_INFO_CONNECTION_FD);

    list_for_each_safe(node, &l->arriving) {
        struct connection *c = list_entry(node, struct connection, link);
        if (!info || c->fd != info->connect_fd)
            continue;
        list_remove(&c->link);
        list_append(&s->connections, &c->link);
        s->connection_count++;
        metric_move(METRIC_HTTP_CONNECTIONS, 1);
        *context = c;
        return;
    }
}

static void forget(struct connection *c)
{
    c->listener->count--;
    list_remove(&c->link);
    stall_end(c);
    free(c);
}

void connection_notify(void *cls, struct MHD_Connection *con, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    struct listener *l = cls;
    struct connection *c = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        opened(l, con, context);
    } else if (c) {
        l->server->connection_count--;
        metric_move(METRIC_HTTP_CONNECTIONS, -1);
        if (c->request)
            exchange_forget(c->request);
        forget(c);
        *context = NULL;
        admit_again(l);
    }
}

/* ---- letting in ---- */

/* Whoever has kept us waiting longest, or NULL. */
static struct connection *longest_waiting(const struct listener *l, int64_t now_ms)
{
    struct connection *found = NULL;
    int64_t since_ms = now_ms - PATIENCE_MS;

    list_for_each(node, &l->server->connections) {
        struct connection *c = list_entry(node, struct connection, link);
        if (c->listener != l || c->timed_out || deadline_waits_since(c) > since_ms)
            continue;
        since_ms = deadline_waits_since(c);
        found = c;
    }
    return found;
}

/* True when there is a free place. */
static bool make_room(struct listener *l)
{
    struct sewa_error err;

    if (l->count < l->max)
        return true;
    struct connection *c = longest_waiting(l, clock_monotonic_ms());
    if (!c)
        return false;
    sewa_fail(&err, SEWA_E_REQUEST_TIMEOUT, "others wait for a connection, all %u are in use",
              l->max);
    connection_refuse(c, &err);
    server_pump(l); /* the library sees the end, and says so */
    return l->count < l->max;
}

static bool may_come(const struct listener *l, const struct client *client)
{
    unsigned by_network = 0, by_remote = 0;

    list_for_each(node, &l->server->connections) {
        const struct connection *c = list_entry(node, struct connection, link);
        by_network += client_is_same(&c->client, client);
        by_remote += c->client.kind == CLIENT_REMOTE;
    }
    list_for_each(node, &l->arriving) {
        const struct connection *c = list_entry(node, struct connection, link);
        by_network += client_is_same(&c->client, client);
        by_remote += c->client.kind == CLIENT_REMOTE;
    }
    return places_allow(&l->server->places, client, by_network, by_remote);
}

/* There is no request yet, and the library knows nothing of this connection. */
static void turn_away(int fd)
{
    struct request none = { 0 };
    struct connection c = { .fd = fd, .request = &none };
    struct sewa_error err;

    ulid_new(clock_now_ms(), none.id);
    sewa_fail(&err, SEWA_E_UNAVAILABLE, "this address has too many connections");
    connection_refuse(&c, &err);
    close(fd);
}

static void admit(struct listener *l, int fd, const struct sockaddr_storage *address,
                  socklen_t length)
{
    struct client client;

    client_of(address, &client);
    if (client.kind == CLIENT_REMOTE && !may_come(l, &client)) {
        turn_away(fd);
        return;
    }
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->listener = l;
    c->fd = fd;
    c->client = client;
    c->idle_since_ms = clock_monotonic_ms();
    list_append(&l->arriving, &c->link);
    l->count++;
    /* what it does not take it closes, and it may do so later: see drop_lost() */
    MHD_add_connection(l->mhd, fd, (const struct sockaddr *)address, length);
}

/* What the library did not announce when it was run, it has closed for want of memory. */
static void drop_lost(struct listener *l)
{
    list_for_each_safe(node, &l->arriving)
        forget(list_entry(node, struct connection, link));
}

static void shut(struct listener *l)
{
    uv_poll_stop(&l->door);
    l->is_shut = true;
}

/* False: nobody waits, or nobody can be let in. */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage address = { 0 };
    socklen_t length = sizeof address;

    if (!make_room(l)) {
        shut(l);
        return false;
    }
    int fd = accept4(l->fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        admit(l, fd, &address, length);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
        return true; /* the client has left already, or a signal came */
    log_debug("http: cannot accept a connection: %s, trying again", strerror(errno));
    shut(l);
    return false;
}

static void on_door(uv_poll_t *p, int status, int events)
{
    struct listener *l = container_of(p, struct listener, door);

    (void)status;
    (void)events;
    for (int i = 0; i < AT_ONCE_MAX && accept_one(l); i++)
        ;
    server_pump(l);
    drop_lost(l);
}

int admit_start(struct listener *l, int fd, unsigned max, struct sewa_error *err)
{
    l->fd = fd;
    l->max = max;
    list_init(&l->arriving);
    int rc = uv_poll_init(l->server->loop, &l->door, fd);
    if (rc < 0)
        return sewa_fail(err, SEWA_E_IO, "cannot watch a socket: %s", uv_strerror(rc));
    l->door_open = true;
    uv_poll_start(&l->door, UV_READABLE, on_door);
    return 0;
}

void admit_again(struct listener *l)
{
    if (!l->is_shut || uv_is_closing((uv_handle_t *)&l->door))
        return;
    l->is_shut = false;
    uv_poll_start(&l->door, UV_READABLE, on_door);
}
