/*
 * server - libmicrohttpd under the libuv loop.
 *
 * Life of a request: the library announces its target (on_uri), hands over the headers (first call
 * of on_access: guard, route, size limit), the body in pieces, and then calls once more: that call
 * runs the handler. A handler that did not answer is suspended; when the answer comes, the library
 * is resumed and calls on_access again, which queues it.
 */
#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "http/observe.h"
#include "http/reply.h"
#include "metrics/metrics.h"

enum {
    CONNECTION_MEMORY = 32 * 1024, /* measured: more is slower for small requests */
    IDLE_TIMEOUT_S = 120,          /* the library's own, for connections that do nothing */
    FIRST_REQUEST_MS = 15000,      /* from the connection to its first request line */
    NEXT_REQUEST_MS = 75000,       /* between two requests of one connection */
    HEADERS_MS = 15000,
    BODY_GRACE_MS = 20000,        /* a body must be there by then, or arrive at */
    BODY_BYTES_PER_SECOND = 1024, /* this rate at least */
    DRAIN_BODY_MAX = 16 << 20,    /* a refused body is read and thrown away up to here */
    SWEEP_MS = 1000,
};

struct listener {
    struct server *server;
    unsigned side;
    struct MHD_Daemon *mhd;
    int fd;
    uv_poll_t poll;
    uv_timer_t timer;
    bool poll_open, timer_open;
};

/* One connection, so that one that never sends a request has a deadline too. */
struct connection {
    struct list link;
    int fd;
    int64_t idle_since_ms;
    bool had_request;
    struct request *request;
};

struct server {
    struct server_options o;
    uv_loop_t *loop;
    struct listener sides[2];
    struct list requests;
    struct list connections;
    unsigned connection_count;
    unsigned held_count;
    uv_timer_t sweep;
    bool sweep_open;
    bool draining;
    char address[128];
    char *worker_socket;
    int closing; /* handles that are being closed */
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

static void rearm(struct listener *l);

static void pump(struct listener *l)
{
    MHD_run(l->mhd);
    rearm(l);
}

static void on_timer(uv_timer_t *t)
{
    pump(container_of(t, struct listener, timer));
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    pump(container_of(p, struct listener, poll));
}

static void rearm(struct listener *l)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (uv_is_closing((uv_handle_t *)&l->timer))
        return;
    if (MHD_get_timeout(l->mhd, &ms) == MHD_YES)
        uv_timer_start(&l->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&l->timer);
}

void server_wake(struct listener *l)
{
    /* the library's timeout does not count what is being resumed; and not pump() at once, because
     * this may be called from within a callback of the library */
    if (!uv_is_closing((uv_handle_t *)&l->timer))
        uv_timer_start(&l->timer, on_timer, 0, 0);
}

void server_resume(struct request *rq)
{
    struct listener *l = rq->listener;

    rq->suspended = false;
    l->server->held_count--;
    MHD_resume_connection(rq->connection);
    server_wake(l);
}

/* Only a request that is still without an answer when its handler returns is suspended. */
void request_hold(struct request *rq)
{
    rq->held = true;
}

static void suspend(struct request *rq)
{
    rq->suspended = true;
    rq->listener->server->held_count++;
    MHD_suspend_connection(rq->connection);
}

/* ---- one request ---- */

static struct connection *connection_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *con)
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

static int find_route(struct request *rq, struct sewa_error *err)
{
    struct listener *l = rq->listener;
    unsigned allowed;

    rq->route = router_find(l->server->o.routes, l->server->o.route_count, l->side, rq, &allowed);
    if (rq->route)
        return 0;
    if (!allowed)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is nothing at this address");
    allow_header(rq, allowed);
    return sewa_fail(err, SEWA_E_METHOD_NOT_ALLOWED, "this address does not know the method");
}

/* Everything that can be judged by the headers alone. */
static int judge(struct request *rq, const char *method, const char *version,
                 struct sewa_error *err)
{
    struct listener *l = rq->listener;
    struct guard g = { 0 };

    MHD_get_connection_values(rq->connection, MHD_HEADER_KIND, on_header, &g);
    rq->method = method_of(method, &rq->is_head);
    int rc = guard_check(&g, version, err);
    if (rc == 0 && l->side == ROUTE_PUBLIC && l->server->o.loopback_only)
        rc = guard_loopback(&g, err);
    if (rc == 0 && !rq->target_text)
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    if (rc == 0)
        rc = guard_target(rq->target_text, &rq->target, err);
    if (rc == 0)
        rc = find_route(rq, err);
    if (rc == 0 && l->server->draining && !(rq->route->flags & ROUTE_WHILE_DRAINING))
        rc = sewa_fail(err, SEWA_E_UNAVAILABLE, "the service is stopping");
    if (rc == 0 && g.content_length > (int64_t)rq->route->body_max)
        rc = sewa_fail(err, SEWA_E_TOO_LARGE, "the body has %lld bytes, at most %zu are allowed",
                       (long long)g.content_length, rq->route->body_max);
    return rc;
}

static enum MHD_Result queue_reply(struct request *rq)
{
    for (int i = 0; i < rq->header_count; i++)
        MHD_add_response_header(rq->reply, rq->headers[i].name, rq->headers[i].value);
    enum MHD_Result ok = MHD_queue_response(rq->connection, rq->status, rq->reply);
    if (!rq->reply_is_shared)
        MHD_destroy_response(rq->reply);
    rq->reply = NULL;
    return ok;
}

static enum MHD_Result on_body(struct request *rq, const char *data, size_t *n)
{
    rq->body_seen += (int64_t)*n;
    if (!rq->refused && rq->body.len + *n > rq->route->body_max) {
        /* chunked: the library drops the connection when it is answered before the end of the body
         */
        rq->refused = true;
        buf_clear(&rq->body);
    }
    if (rq->refused && rq->body_seen > DRAIN_BODY_MAX)
        return MHD_NO;
    if (!rq->refused)
        buf_append(&rq->body, data, *n);
    *n = 0;
    return MHD_YES;
}

static enum MHD_Result on_complete(struct request *rq)
{
    struct server *s = rq->listener->server;

    rq->body_done = true;
    if (!rq->reply && rq->refused)
        reply_fail(rq, SEWA_E_TOO_LARGE, "the body has more than %zu bytes", rq->route->body_max);
    else if (!rq->reply && buf_failed(&rq->body))
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the request");
    if (!rq->reply && !rq->held) {
        rq->route->handle(s->o.api, rq);
        if (!rq->reply && !rq->held)
            reply_fail(rq, SEWA_E_INTERNAL, "the handler gave no answer");
    }
    if (rq->reply)
        return queue_reply(rq);
    suspend(rq);
    return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *con, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *n, void **state)
{
    struct request *rq = *state;
    struct sewa_error err;

    (void)cls;
    (void)con;
    (void)url;
    if (!rq)
        return MHD_NO; /* no memory when it began */
    if (rq->headers_done_ms == 0) {
        rq->headers_done_ms = clock_monotonic_ms();
        if (judge(rq, method, version, &err) == 0)
            return MHD_YES;
        /* what follows may not be a body of this request: answer and close */
        reply_header(rq, "Connection", "close");
        reply_error(rq, &err);
        return queue_reply(rq);
    }
    if (*n > 0)
        return on_body(rq, data, n);
    return on_complete(rq);
}

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

static void on_completed(void *cls, struct MHD_Connection *con, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct request *rq = *state;
    struct connection *c = connection_of(con);

    (void)cls;
    (void)code;
    if (c) {
        c->request = NULL;
        c->idle_since_ms = clock_monotonic_ms();
    }
    if (!rq)
        return;
    *state = NULL;
    observe_request(rq, clock_monotonic_ms());
    if (rq->on_end)
        rq->on_end(rq);
    list_remove(&rq->link);
    request_free(rq);
}

/* ---- connections and deadlines ---- */

static void on_connection(void *cls, struct MHD_Connection *con, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct listener *l = cls;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct connection *c = *context;
        if (c) {
            list_remove(&c->link);
            l->server->connection_count--;
            metric_move(METRIC_HTTP_CONNECTIONS, -1);
        }
        free(c);
        *context = NULL;
        return;
    }
    struct connection *c = calloc(1, sizeof *c);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(con, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!c || !info) {
        free(c);
        return;
    }
    c->fd = info->connect_fd;
    c->idle_since_ms = clock_monotonic_ms();
    list_append(&l->server->connections, &c->link);
    l->server->connection_count++;
    metric_move(METRIC_HTTP_CONNECTIONS, 1);
    *context = c;
}

static bool is_late(const struct connection *c, int64_t now_ms)
{
    const struct request *rq = c->request;

    if (!rq)
        return now_ms - c->idle_since_ms > (c->had_request ? NEXT_REQUEST_MS : FIRST_REQUEST_MS);
    if (rq->headers_done_ms == 0)
        return now_ms - rq->started_ms > HEADERS_MS;
    if (rq->body_done)
        return false;
    return now_ms - rq->headers_done_ms >
           BODY_GRACE_MS + rq->body_seen * 1000 / BODY_BYTES_PER_SECOND;
}

static void on_sweep(uv_timer_t *t)
{
    struct server *s = container_of(t, struct server, sweep);
    int64_t now_ms = clock_monotonic_ms();

    list_for_each(node, &s->connections) {
        struct connection *c = list_entry(node, struct connection, link);
        if (is_late(c, now_ms))
            shutdown(c->fd, SHUT_RDWR); /* the library sees the end and cleans up */
    }
}

/* ---- listening ---- */

static int split_address(const char *listen_text, char *host, size_t size, int64_t *ret_port)
{
    const char *colon = strrchr(listen_text, ':');

    if (!colon || parse_i64(colon + 1, 0, 65535, ret_port) < 0)
        return -1;
    size_t n = (size_t)(colon - listen_text);
    if (n >= 2 && listen_text[0] == '[' && listen_text[n - 1] == ']') {
        listen_text++;
        n -= 2;
    }
    if (n == 0 || n >= size)
        return -1;
    memcpy(host, listen_text, n);
    host[n] = '\0';
    return 0;
}

static bool address_is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    if (a->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
    return false;
}

static void remember_address(struct server *s, int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";

    if (getsockname(fd, (struct sockaddr *)&a, &n) == 0)
        getnameinfo((struct sockaddr *)&a, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(s->address, sizeof s->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int open_tcp(struct server *s, int *ret_fd, struct sewa_error *err)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char host[64], port[8];
    int64_t number;
    int one = 1;

    if (split_address(s->o.listen, host, sizeof host, &number) < 0)
        return sewa_fail(err, SEWA_E_CONFIG, "listen = '%s' is not ADDRESS:PORT", s->o.listen);
    snprintf(port, sizeof port, "%d", (int)number);
    if (getaddrinfo(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, port, &hints, &found) != 0)
        return sewa_fail(err, SEWA_E_CONFIG, "listen = '%s': '%s' is not a numeric address",
                         s->o.listen, host);
    bool loopback = address_is_loopback(found->ai_addr);
    AUTOCLOSE int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = -1;
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        rc = loopback || !s->o.loopback_only ? bind(fd, found->ai_addr, found->ai_addrlen) : 0;
    }
    freeaddrinfo(found);
    if (!loopback && s->o.loopback_only)
        return sewa_fail(err, SEWA_E_CONFIG,
                         "listen = '%s' is not a loopback address, and without authentication "
                         "only those are allowed",
                         s->o.listen);
    if (rc < 0)
        return sewa_fail_errno(err, errno == EADDRINUSE ? SEWA_E_LOCKED : SEWA_E_IO,
                               "cannot listen on '%s'", s->o.listen);
    if (listen(fd, 1024) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot listen on '%s'", s->o.listen);
    remember_address(s, fd);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* The state directory is ours alone (it is locked), so a socket that is there is a leftover. */
static int open_unix(struct server *s, int *ret_fd, struct sewa_error *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t n = strlen(s->worker_socket);

    if (n >= sizeof a.sun_path)
        return sewa_fail(err, SEWA_E_CONFIG,
                         "the socket path '%s' has %zu bytes, at most %zu are possible: choose a "
                         "shorter state directory",
                         s->worker_socket, n, sizeof a.sun_path - 1);
    memcpy(a.sun_path, s->worker_socket, n + 1);
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(s->worker_socket);
    mode_t was = umask(0177);
    int rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof a);
    umask(was);
    if (rc < 0 || listen(fd, 128) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot listen on '%s'", s->worker_socket);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Keep targets as they came: guard_target() decodes them, %00 and %2e included. */
static size_t no_unescape(void *cls, struct MHD_Connection *con, char *text)
{
    (void)cls;
    (void)con;
    return strlen(text);
}

static void on_library_log(void *cls, const char *format, va_list ap)
{
    char text[512];

    (void)cls;
    vsnprintf(text, sizeof text, format, ap);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http: %s", text);
}

static int start_listener(struct server *s, struct listener *l, unsigned side, int fd,
                          struct sewa_error *err)
{
    l->server = s;
    l->side = side;
    l->fd = fd;
    l->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_access, l,
        MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        s->o.connection_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_uri, l,
        MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_END);
    if (!l->mhd) {
        close(fd);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "cannot start the HTTP library");
    }
    int epoll = MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_timer_init(s->loop, &l->timer);
    l->timer_open = true;
    int rc = uv_poll_init(s->loop, &l->poll, epoll);
    if (rc < 0)
        return sewa_fail(err, SEWA_E_IO, "cannot watch the HTTP library: %s", uv_strerror(rc));
    l->poll_open = true;
    uv_poll_start(&l->poll, UV_READABLE, on_poll);
    pump(l);
    return 0;
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    log_error("http: the HTTP library gave up at %s:%u: %s", file, line, reason ? reason : "?");
    abort();
}

int server_start(const struct server_options *o, uv_loop_t *loop, struct server **ret,
                 struct sewa_error *err)
{
    struct server *s = calloc(1, sizeof *s);
    int fd = -1;

    if (!s)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the HTTP server");
    s->o = *o;
    s->loop = loop;
    list_init(&s->requests);
    list_init(&s->connections);
    MHD_set_panic_func(on_panic, NULL);
    int rc = 0;
    if (!(s->worker_socket = strdup(o->worker_socket)))
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the HTTP server");
    if (rc == 0)
        rc = open_tcp(s, &fd, err);
    if (rc == 0)
        rc = start_listener(s, &s->sides[0], ROUTE_PUBLIC, fd, err);
    if (rc == 0)
        rc = open_unix(s, &fd, err);
    if (rc == 0)
        rc = start_listener(s, &s->sides[1], ROUTE_WORKER, fd, err);
    if (rc < 0) {
        server_stop(s, NULL, NULL);
        return rc;
    }
    uv_timer_init(loop, &s->sweep);
    s->sweep_open = true;
    uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *ret = s;
    return 0;
}

const char *server_address(const struct server *s)
{
    return s->address;
}

unsigned server_connections(const struct server *s)
{
    return s->connection_count;
}

/* ---- stopping ---- */

void server_drain(struct server *s)
{
    s->draining = true;
    list_for_each_safe(node, &s->requests) {
        struct request *rq = list_entry(node, struct request, link);
        if (rq->suspended && rq->on_drain)
            rq->on_drain(rq);
    }
}

bool server_is_idle(const struct server *s)
{
    return s->held_count == 0;
}

static void destroy(struct server *s)
{
    void (*on_closed)(void *) = s->on_closed;
    void *arg = s->on_closed_arg;

    free(s->worker_socket);
    free(s);
    if (on_closed)
        on_closed(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct server *s = h->data;

    if (--s->closing == 0)
        destroy(s);
}

static void close_handle(struct server *s, uv_handle_t *h)
{
    h->data = s;
    s->closing++;
    uv_close(h, on_handle_closed);
}

/* The library aborts the process when it is stopped with a suspended connection. */
static void answer_held(struct server *s)
{
    list_for_each_safe(node, &s->requests) {
        struct request *rq = list_entry(node, struct request, link);
        if (rq->suspended)
            reply_fail(rq, SEWA_E_UNAVAILABLE, "the service is stopping");
    }
}

static void stop_listener(struct server *s, struct listener *l)
{
    if (!l->mhd)
        return;
    if (l->poll_open)
        close_handle(s, (uv_handle_t *)&l->poll);
    if (l->timer_open)
        close_handle(s, (uv_handle_t *)&l->timer);
    for (int i = 0; i < 4; i++)
        MHD_run(l->mhd);     /* send what is there */
    MHD_stop_daemon(l->mhd); /* closes the listening socket */
    l->mhd = NULL;
}

void server_stop(struct server *s, void (*on_closed)(void *arg), void *arg)
{
    s->on_closed = on_closed;
    s->on_closed_arg = arg;
    s->closing = 1; /* this function */
    answer_held(s);
    for (size_t i = 0; i < COUNT_OF(s->sides); i++)
        stop_listener(s, &s->sides[i]);
    if (s->sweep_open)
        close_handle(s, (uv_handle_t *)&s->sweep);
    if (s->worker_socket)
        unlink(s->worker_socket);
    if (--s->closing == 0)
        destroy(s);
}
