/*
 * server - libmicrohttpd under the libuv loop: run it, wake it, stop it.
 */
#include "http/server_body.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/reply.h"

enum {
    CONNECTION_MEMORY = 32 * 1024, /* measured: more is slower for small requests */
    IDLE_TIMEOUT_S = 120,          /* the library's own, for connections that do nothing */
    SWEEP_MS = 1000,
};

static const struct server_deadlines usual_deadlines = {
    .first_request_ms = 15000, .next_request_ms = 75000, .headers_ms = 15000, .body_ms = 20000
};

static void on_timer(uv_timer_t *t)
{
    server_pump(container_of(t, struct listener, timer));
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    server_pump(container_of(p, struct listener, poll));
}

static void on_again(uv_idle_t *i)
{
    server_pump(container_of(i, struct listener, again));
}

/*
 * At once means in the next round of the loop, and not by a timer of 0 ms: as long as those come
 * due the loop looks at nothing else (libuv 1.44), and a library that is never content would keep
 * signals and deadlines out for ever. And not from here, because this may be called from within a
 * callback of the library.
 */
static void wake(struct listener *l)
{
    if (!uv_is_closing((uv_handle_t *)&l->again))
        uv_idle_start(&l->again, on_again);
}

static bool rearm(struct listener *l)
{
    MHD_UNSIGNED_LONG_LONG ms;
    bool wants = MHD_get_timeout(l->mhd, &ms) == MHD_YES;

    uv_idle_stop(&l->again);
    uv_timer_stop(&l->timer);
    if (uv_is_closing((uv_handle_t *)&l->timer) || !wants)
        return false;
    if (ms == 0)
        wake(l);
    else
        uv_timer_start(&l->timer, on_timer, ms, 0);
    return ms == 0;
}

void server_pump(struct listener *l)
{
    MHD_run(l->mhd);
    stall_look(l, rearm(l));
}

static void resume(struct request *rq)
{
    rq->listener->server->held_count--;
    MHD_resume_connection(rq->connection);
    wake(rq->listener);
}

void server_resume(struct request *rq)
{
    rq->suspended = false;
    resume(rq);
}

bool server_pause(struct request *rq)
{
    if (rq->listener->server->draining)
        return false;
    rq->paused = true;
    rq->listener->server->held_count++;
    MHD_suspend_connection(rq->connection);
    return true;
}

void server_unpause(struct request *rq)
{
    rq->paused = false;
    resume(rq);
}

static void on_sweep(uv_timer_t *t)
{
    struct server *s = container_of(t, struct server, sweep);

    deadline_sweep(s, clock_monotonic_ms());
    for (size_t i = 0; i < COUNT_OF(s->sides); i++) {
        if (!s->sides[i].mhd)
            continue;
        stall_sweep(&s->sides[i]);
        admit_again(&s->sides[i]);
    }
}

/* ---- starting ---- */

/* Keep targets as they came: guard_target() decodes them, %00 and %2e included. */
static size_t no_unescape(void *cls, struct MHD_Connection *con, char *text)
{
    (void)cls;
    (void)con;
    return strlen(text);
}

static void SEWA_PRINTF(2, 0) on_library_log(void *cls, const char *format, va_list ap)
{
    char text[512];

    if (strstr(format, "Content-Length"))
        exchange_refused(cls);
    vsnprintf(text, sizeof text, format, ap);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http: %s", text);
}

/* An old library that is strict answers a request without Host by itself, with two header sections;
 * the guard sees to that and to the rest. */
static int strictness(void)
{
    return MHD_get_version()[0] == '0' ? 0 : 1;
}

/* Of each listener: the library waits for nobody, and gets its connections from admit.c. */
static struct MHD_Daemon *start_library(struct listener *l, unsigned max)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET, 0,
        NULL, NULL, exchange_go_on, l, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, l,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        max + 1, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_STRICT_FOR_CLIENT, strictness(), MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, l,
        MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, exchange_end,
        l, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, l, MHD_OPTION_END);
}

static int start_listener(struct server *s, struct listener *l, unsigned side, int fd, unsigned max,
                          struct sewa_error *err)
{
    l->server = s;
    l->side = side;
    l->fd = fd;
    list_init(&l->chunked);
    l->mhd = start_library(l, max);
    if (!l->mhd)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "cannot start the HTTP library");
    int epoll = MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_timer_init(s->loop, &l->timer);
    uv_idle_init(s->loop, &l->again);
    l->timer_open = l->again_open = true;
    int rc = uv_poll_init(s->loop, &l->poll, epoll);
    if (rc < 0)
        return sewa_fail(err, SEWA_E_IO, "cannot watch the HTTP library: %s", uv_strerror(rc));
    l->poll_open = true;
    uv_poll_start(&l->poll, UV_READABLE, on_poll);
    rc = admit_start(l, fd, max, err);
    if (rc == 0)
        server_pump(l);
    return rc;
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    log_error("http: the HTTP library gave up at %s:%u: %s", file, line, reason ? reason : "?");
    abort();
}

static int start_workers(struct server *s, struct sewa_error *err)
{
    int fd = -1;

    if (!(s->worker_socket = strdup(s->o.worker_socket)))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the HTTP server");
    /* the state directory is ours alone (it is locked), so a socket that is there is a leftover */
    int rc = listen_unix(s->worker_socket, 0600, &fd, err);
    return rc < 0 ? rc
                  : start_listener(s, &s->sides[1], ROUTE_WORKER, fd, s->places.inner_max, err);
}

/* Nothing depends on it, so a directory that is not there is no reason not to start. */
static int start_administration(struct server *s, struct sewa_error *err)
{
    struct sewa_error why = { 0 };
    int fd = -1;

    if (!s->o.admin_socket || !*s->o.admin_socket)
        return 0;
    if (listen_unix_if_free(s->o.admin_socket, 0660, &fd, &why) < 0) {
        log_warn("http: there is no socket for administration: %s", why.text);
        return 0;
    }
    s->admin_socket = strdup(s->o.admin_socket);
    if (s->admin_socket)
        return start_listener(s, &s->sides[2], ROUTE_PUBLIC, fd, s->places.inner_max, err);
    close(fd);
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the HTTP server");
}

static void plan_places(struct server *s)
{
    struct rlimit limit;
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;

    places_plan(known ? limit.rlim_cur : UINT64_MAX, s->o.connection_max, &s->places);
    if (s->places.public_max < s->o.connection_max)
        log_warn("http: at most %u connections at a time instead of %u: the process may open only "
                 "%llu descriptors (LimitNOFILE, ulimit -n)",
                 s->places.public_max, s->o.connection_max, (unsigned long long)limit.rlim_cur);
}

int server_start(const struct server_options *o, uv_loop_t *loop, struct server **ret,
                 struct sewa_error *err)
{
    struct server *s = calloc(1, sizeof *s);
    int fd = -1;

    if (!s)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the HTTP server");
    s->o = *o;
    if (s->o.deadlines.headers_ms == 0)
        s->o.deadlines = usual_deadlines;
    s->loop = loop;
    list_init(&s->requests);
    list_init(&s->connections);
    for (size_t i = 0; i < COUNT_OF(s->sides); i++)
        s->sides[i].fd = -1;
    plan_places(s);
    MHD_set_panic_func(on_panic, NULL);
    int rc = listen_tcp(s, &fd, err);
    if (rc == 0)
        rc = start_listener(s, &s->sides[0], ROUTE_PUBLIC, fd, s->places.public_max, err);
    if (rc == 0)
        rc = start_workers(s, err);
    if (rc == 0)
        rc = start_administration(s, err);
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
        if ((rq->suspended || rq->paused) && rq->on_cancel)
            rq->on_cancel(rq);
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
    free(s->admin_socket);
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

/*
 * The library aborts the process when it is stopped with a suspended connection. Who holds a
 * request either answers it now or is told to forget it.
 */
static void answer_held(struct server *s)
{
    server_drain(s);
    list_for_each_safe(node, &s->requests) {
        struct request *rq = list_entry(node, struct request, link);
        if (!rq->suspended)
            continue;
        if (rq->on_lost)
            rq->on_lost(rq);
        reply_fail(rq, SEWA_E_UNAVAILABLE, "the service is stopping");
    }
}

static void stop_listener(struct server *s, struct listener *l)
{
    if (l->door_open)
        close_handle(s, (uv_handle_t *)&l->door);
    if (l->fd >= 0)
        close(l->fd);
    if (l->poll_open)
        close_handle(s, (uv_handle_t *)&l->poll);
    if (l->timer_open)
        close_handle(s, (uv_handle_t *)&l->timer);
    if (l->again_open)
        close_handle(s, (uv_handle_t *)&l->again);
    if (!l->mhd)
        return;
    for (int i = 0; i < 4; i++)
        MHD_run(l->mhd); /* send what is there */
    MHD_stop_daemon(l->mhd);
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
    if (s->admin_socket)
        unlink(s->admin_socket);
    if (--s->closing == 0)
        destroy(s);
}
