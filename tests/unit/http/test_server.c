/*
 * test_server - the server with a table of its own and real sockets: who is late, what is held when
 * clients leave and when it stops, and where it cannot listen. Both ends run on one loop.
 */
#include "fake.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "http/reply.h"
#include "http/server.h"

enum {
    PATIENCE_MS = 60000, /* of the test; nothing takes so long */
    HASTE_MS = 500,
    PART = 32768
};

/* What the handlers below have seen. */
static struct {
    struct request *held;
    int cancelled, lost;
} seen;

/* ---- handlers ---- */

static void now(struct api *a, struct request *rq)
{
    (void)a;
    reply_json(rq, 200, json_pack("{s:s}", "it", "works"));
}

static void count(struct api *a, struct request *rq)
{
    (void)a;
    reply_json(rq, 200, json_pack("{s:i}", "bytes", (int)rq->body.len));
}

static void nothing(struct api *a, struct request *rq)
{
    (void)a;
    (void)rq;
}

static void on_cancel(struct request *rq)
{
    seen.cancelled++;
    seen.held = NULL;
    reply_fail(rq, SEWA_E_UNAVAILABLE, "cancelled");
}

static void on_lost(struct request *rq)
{
    (void)rq;
    seen.lost++;
    seen.held = NULL;
}

static void hold(struct api *a, struct request *rq)
{
    (void)a;
    seen.held = rq;
    rq->on_cancel = on_cancel;
    request_hold(rq);
}

/* As a write to the index: it cannot be cancelled. */
static void work(struct api *a, struct request *rq)
{
    (void)a;
    seen.held = rq;
    rq->on_lost = on_lost;
    request_hold(rq);
}

static const struct route table[] = {
    { HTTP_GET, "/now", ROUTE_PUBLIC, now, 0, NULL },
    { HTTP_GET, "/always", ROUTE_PUBLIC | ROUTE_WHILE_DRAINING, now, 0, NULL },
    { HTTP_POST, "/count", ROUTE_PUBLIC, count, 2 * PART, NULL },
    { HTTP_GET, "/nothing", ROUTE_PUBLIC, nothing, 0, NULL },
    { HTTP_GET, "/hold", ROUTE_PUBLIC, hold, 0, NULL },
    { HTTP_GET, "/work", ROUTE_PUBLIC, work, 0, NULL },
    { HTTP_GET, "/inside", ROUTE_WORKER, now, 0, NULL },
};

/* ---- the service ---- */

struct service {
    uv_loop_t loop;
    uv_timer_t ticking; /* so that the loop comes round although nothing happens */
    struct server *server;
    char *dir;
    char *socket;
    bool closed;
};

static void on_ticking(uv_timer_t *t)
{
    (void)t;
}

static struct server_options options_of(struct service *s)
{
    return (struct server_options){ .listen = "127.0.0.1:0",
                                    .loopback_only = true,
                                    .worker_socket = s->socket,
                                    .routes = table,
                                    .route_count = COUNT_OF(table),
                                    .connection_max = 50 };
}

static void prepare(struct service *s)
{
    memset(s, 0, sizeof *s);
    memset(&seen, 0, sizeof seen);
    s->dir = scratch_new();
    assert_true(asprintf(&s->socket, "%s/s", s->dir) > 0);
    uv_loop_init(&s->loop);
    uv_timer_init(&s->loop, &s->ticking);
    uv_timer_start(&s->ticking, on_ticking, 20, 20);
}

static int start_with(void **state, int64_t deadline_ms)
{
    static struct service service;
    struct service *s = *state = &service;
    struct sewa_error err = { 0 };

    prepare(s);
    struct server_options o = options_of(s);
    o.deadlines = (struct server_deadlines){ deadline_ms, deadline_ms, deadline_ms, deadline_ms };
    assert_ok(server_start(&o, &s->loop, &s->server, &err), err);
    return 0;
}

static int start(void **state)
{
    return start_with(state, PATIENCE_MS);
}

/* For the tests of those who are late. */
static int start_hasty(void **state)
{
    return start_with(state, HASTE_MS);
}

static void on_closed(void *arg)
{
    ((struct service *)arg)->closed = true;
}

static void release(struct service *s)
{
    uv_close((uv_handle_t *)&s->ticking, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    free(s->socket);
    scratch_free(s->dir);
}

static void stop(struct service *s)
{
    server_stop(s->server, on_closed, s);
    while (!s->closed)
        uv_run(&s->loop, UV_RUN_ONCE);
}

static int end(void **state)
{
    struct service *s = *state;

    if (!s->closed)
        stop(s);
    release(s);
    return 0;
}

/* ---- clients ---- */

struct client {
    int fd;
    char got[8192];
    size_t n;
    bool ended;
};

static void open_client(struct service *s, struct client *c)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    const char *colon = strrchr(server_address(s->server), ':');

    memset(c, 0, sizeof *c);
    a.sin_port = htons((uint16_t)atoi(colon + 1));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
}

static void say(struct client *c, const char *text)
{
    assert_int_equal(send(c->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void ask(struct client *c, const char *path)
{
    char text[200];

    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    say(c, text);
}

/* Let both sides go on for a moment. */
static void pump(struct service *s, struct client *c)
{
    uv_run(&s->loop, UV_RUN_ONCE);
    if (!c || c->ended)
        return;
    ssize_t n = recv(c->fd, c->got + c->n, sizeof c->got - 1 - c->n, MSG_DONTWAIT);
    if (n > 0)
        c->n += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        c->ended = true;
}

/* Until this text has come, or with NULL until the connection has ended. */
static void expect(struct service *s, struct client *c, const char *text)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (text ? !strstr(c->got, text) : !c->ended) {
        if (clock_monotonic_ms() > end_ms || (text && c->ended))
            fail_msg("'%s' did not come, but: %s", text ? text : "the end", c->got);
        pump(s, c);
    }
}

static void expect_held(struct service *s, bool held)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;

    while ((seen.held != NULL) != held) {
        assert_true(clock_monotonic_ms() < end_ms);
        pump(s, NULL);
    }
}

/* ---- who is late ---- */

static void test_header_that_does_not_come(void **state)
{
    struct service *s = *state;
    struct client c;

    open_client(s, &c);
    say(&c, "GET /now HTTP/1.1\r\nHo");
    expect(s, &c, NULL);
    assert_memory_equal(c.got, "HTTP/1.1 408 ", 13);
    assert_non_null(strstr(c.got, "\"code\":\"request_timeout\""));
    assert_non_null(strstr(c.got, "header section"));
    close(c.fd);
}

static void test_body_that_does_not_come(void **state)
{
    struct service *s = *state;
    struct client c;

    open_client(s, &c);
    say(&c, "POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    expect(s, &c, NULL);
    assert_memory_equal(c.got, "HTTP/1.1 408 ", 13);
    assert_non_null(strstr(c.got, "the body did not arrive"));
    close(c.fd);
}

/* A kilobyte buys a second: what arrives is waited for. */
static void test_body_that_comes_slowly(void **state)
{
    struct service *s = *state;
    char part[PART + 1];
    struct client c;

    memset(part, 'x', sizeof part - 1);
    part[sizeof part - 1] = '\0';
    open_client(s, &c);
    say(&c, "POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n");
    say(&c, part);
    for (int64_t until_ms = clock_monotonic_ms() + 3 * HASTE_MS; clock_monotonic_ms() < until_ms;)
        pump(s, &c); /* longer than the deadline, and the sweep has looked */
    assert_int_equal(c.n, 0);
    say(&c, part);
    expect(s, &c, "{\"bytes\":65536}");
    close(c.fd);
}

static void test_connections_without_a_request(void **state)
{
    struct service *s = *state;
    struct client silent, used;

    open_client(s, &silent);
    open_client(s, &used);
    ask(&used, "/now");
    expect(s, &used, "{\"it\":\"works\"}");
    size_t n = used.n;
    expect(s, &silent, NULL);
    expect(s, &used, NULL);
    assert_true(silent.n == 0 && used.n == n); /* there is nothing to answer */
    for (int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS; server_connections(s->server) > 0;) {
        assert_true(clock_monotonic_ms() < end_ms);
        pump(s, NULL);
    }
    close(silent.fd);
    close(used.fd);
}

/* ---- what is held ---- */

static void test_client_that_leaves(void **state)
{
    struct service *s = *state;
    struct client c;

    open_client(s, &c);
    ask(&c, "/hold");
    expect_held(s, true);
    assert_false(server_is_idle(s->server));
    close(c.fd);
    expect_held(s, false);
    assert_int_equal(seen.cancelled, 1);
    assert_true(server_is_idle(s->server));
}

static void test_draining(void **state)
{
    struct service *s = *state;
    struct client held, fresh, open;

    open_client(s, &held);
    ask(&held, "/hold");
    expect_held(s, true);
    server_drain(s->server);
    assert_int_equal(seen.cancelled, 1);
    expect(s, &held, "\"detail\":\"cancelled\"");
    open_client(s, &fresh);
    ask(&fresh, "/now");
    expect(s, &fresh, "\"code\":\"unavailable\"");
    assert_non_null(strstr(fresh.got, "Retry-After: "));
    open_client(s, &open);
    ask(&open, "/always");
    expect(s, &open, "{\"it\":\"works\"}");
    assert_true(server_is_idle(s->server));
    close(held.fd);
    close(fresh.fd);
    close(open.fd);
}

/* What waits for another thread is answered by the server, and its holder forgets it. */
static void test_stopping(void **state)
{
    struct service *s = *state;
    struct client c;

    open_client(s, &c);
    ask(&c, "/work");
    expect_held(s, true);
    stop(s);
    assert_int_equal(seen.lost, 1);
    assert_int_equal(seen.cancelled, 0);
    expect(s, &c, NULL);
    assert_memory_equal(c.got, "HTTP/1.1 503 ", 13);
    assert_int_equal(access(s->socket, F_OK), -1);
    close(c.fd);
}

static void test_handler_without_an_answer(void **state)
{
    struct service *s = *state;
    struct client c;

    open_client(s, &c);
    ask(&c, "/nothing");
    expect(s, &c, "\"code\":\"internal\"");
    close(c.fd);
}

/* Not even an answer that there is no memory: the connection ends, and the service goes on. */
static void test_no_memory_for_any_answer(void **state)
{
    static const char *const requests[] = {
        "GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS /now HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /now HTTP/1.1\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\n\r\n{}",
    };
    struct service *s = *state;
    struct client c;

    fake_no_memory(true);
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        open_client(s, &c);
        say(&c, requests[i]);
        if (strstr(requests[i], "99999"))
            shutdown(c.fd, SHUT_WR); /* its body is not waited for any longer */
        expect(s, &c, NULL);
        close(c.fd);
    }
    open_client(s, &c);
    ask(&c, "/hold");
    expect_held(s, true);
    seen.held->on_cancel(seen.held);
    expect(s, &c, NULL);
    close(c.fd);
    fake_no_memory(false);
    assert_true(server_is_idle(s->server));
    open_client(s, &c);
    ask(&c, "/now");
    expect(s, &c, "{\"it\":\"works\"}");
    close(c.fd);
}

/* ---- the other socket ---- */

static void test_worker_socket(void **state)
{
    struct service *s = *state;
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct client c = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };

    snprintf(a.sun_path, sizeof a.sun_path, "%s", s->socket);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&a, sizeof a), 0);
    say(&c, "GET /inside HTTP/1.1\r\nHost: anything\r\n\r\n");
    expect(s, &c, "{\"it\":\"works\"}");
    c.n = 0;
    memset(c.got, 0, sizeof c.got);
    ask(&c, "/now");
    expect(s, &c, "\"code\":\"not_found\"");
    close(c.fd);
}

/* ---- who gets a connection ---- */

static unsigned short port_of(const struct service *s)
{
    return (unsigned short)atoi(strrchr(server_address(s->server), ':') + 1);
}

static void expect_connections(struct service *s, unsigned count)
{
    for (int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
         server_connections(s->server) != count;) {
        assert_true(clock_monotonic_ms() < end_ms);
        pump(s, NULL);
    }
}

/* An address of this machine that is not its loopback: who comes from there is a stranger. */
static bool find_own_address(struct sockaddr_in *ret)
{
    struct ifaddrs *all, *a;
    bool found = false;

    if (getifaddrs(&all) < 0)
        return false;
    for (a = all; a && !found; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET)
            continue;
        *ret = *(const struct sockaddr_in *)(const void *)a->ifa_addr;
        found = (ntohl(ret->sin_addr.s_addr) >> 24) != 127;
    }
    freeifaddrs(all);
    return found;
}

/* Of 64 places an address of another machine has 4. */
static void test_too_many_from_one_address(void **state)
{
    struct service s;
    struct sewa_error err = { 0 };
    struct client remote[5], here;
    struct sockaddr_in own;

    (void)state;
    if (!find_own_address(&own)) {
        print_message("skipped: this machine has no address but its loopback\n");
        skip();
    }
    prepare(&s);
    struct server_options o = options_of(&s);
    o.listen = "0.0.0.0:0";
    o.loopback_only = false;
    o.connection_max = 64;
    assert_ok(server_start(&o, &s.loop, &s.server, &err), err);
    own.sin_port = htons(port_of(&s));
    for (size_t i = 0; i < COUNT_OF(remote); i++) {
        memset(&remote[i], 0, sizeof remote[i]);
        remote[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(remote[i].fd, (struct sockaddr *)&own, sizeof own), 0);
    }
    expect(&s, &remote[4], NULL);
    assert_memory_equal(remote[4].got, "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(remote[4].got, "too many connections"));
    expect_connections(&s, 4);
    ask(&remote[3], "/now");
    expect(&s, &remote[3], "{\"it\":\"works\"}");
    open_client(&s, &here);
    ask(&here, "/now");
    expect(&s, &here, "{\"it\":\"works\"}");
    close(here.fd);
    for (size_t i = 0; i < COUNT_OF(remote); i++)
        close(remote[i].fd);
    stop(&s);
    release(&s);
}

/* All places are taken by requests that are held: a newcomer waits until one of them ends. */
static void test_no_place_is_free(void **state)
{
    struct service s;
    struct sewa_error err = { 0 };
    struct client held, fresh;

    (void)state;
    prepare(&s);
    struct server_options o = options_of(&s);
    o.connection_max = 1;
    assert_ok(server_start(&o, &s.loop, &s.server, &err), err);
    open_client(&s, &held);
    ask(&held, "/hold");
    expect_held(&s, true);
    open_client(&s, &fresh);
    ask(&fresh, "/now");
    for (int64_t until_ms = clock_monotonic_ms() + 3 * HASTE_MS; clock_monotonic_ms() < until_ms;)
        pump(&s, &fresh); /* longer than who is silent may be, and the sweep has looked */
    assert_true(seen.held && fresh.n == 0 && server_connections(s.server) == 1);
    close(held.fd);
    expect(&s, &fresh, "{\"it\":\"works\"}");
    close(fresh.fd);
    stop(&s);
    release(&s);
}

/* ---- starting ---- */

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        bool anywhere;
        const char *word; /* or NULL: it starts */
    } rows[] = {
        { "127.0.0.1:0", false, NULL },
        { "localhost:0", false, NULL },
        { "127.1.2.3:0", false, NULL },
        { "0.0.0.0:0", true, NULL },
        { "0.0.0.0:0", false, "not a loopback address" },
        { "192.0.2.1:0", false, "not a loopback address" },
        { "[::]:0", false, "not a loopback address" },
        { "127.0.0.1", false, "is not ADDRESS:PORT" },
        { "127.0.0.1:", false, "is not ADDRESS:PORT" },
        { "127.0.0.1:x", false, "is not ADDRESS:PORT" },
        { "127.0.0.1:65536", false, "is not ADDRESS:PORT" },
        { "127.0.0.1:-1", false, "is not ADDRESS:PORT" },
        { ":8787", false, "is not ADDRESS:PORT" },
        { "example.org:80", false, "'example.org' is not a numeric address" },
        { "", false, "is not ADDRESS:PORT" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct service s;
        struct sewa_error err = { 0 };
        prepare(&s);
        struct server_options o = options_of(&s);
        o.listen = rows[i].listen;
        o.loopback_only = !rows[i].anywhere;
        int rc = server_start(&o, &s.loop, &s.server, &err);
        if (rows[i].word) {
            assert_failed(rc, err, SEWA_E_CONFIG, rows[i].word);
            assert_null(s.server);
        } else {
            assert_ok(rc, err);
            assert_null(strstr(server_address(s.server), ":0"));
            stop(&s);
        }
        release(&s);
    }
}

static void test_places_that_are_taken(void **state)
{
    struct service *first = *state, s;
    struct sewa_error err = { 0 };

    prepare(&s);
    struct server_options o = options_of(&s);
    o.listen = server_address(first->server);
    assert_failed(server_start(&o, &s.loop, &s.server, &err), err, SEWA_E_LOCKED, o.listen);
    char longest[200];
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[199] = '\0';
    o.listen = "127.0.0.1:0";
    o.worker_socket = longest;
    assert_failed(server_start(&o, &s.loop, &s.server, &err), err, SEWA_E_CONFIG,
                  "choose a shorter directory");
    o.worker_socket = "/nowhere/at/all/s";
    assert_failed(server_start(&o, &s.loop, &s.server, &err), err, SEWA_E_IO, "cannot listen");
    release(&s);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, end)
#define WITH_HASTE(test)  cmocka_unit_test_setup_teardown(test, start_hasty, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HASTE(test_header_that_does_not_come),
        WITH_HASTE(test_body_that_does_not_come),
        WITH_HASTE(test_body_that_comes_slowly),
        WITH_HASTE(test_connections_without_a_request),
        WITH_SERVER(test_client_that_leaves),
        WITH_SERVER(test_draining),
        WITH_SERVER(test_stopping),
        WITH_SERVER(test_handler_without_an_answer),
        WITH_SERVER(test_no_memory_for_any_answer),
        WITH_SERVER(test_worker_socket),
        cmocka_unit_test(test_too_many_from_one_address),
        cmocka_unit_test(test_no_place_is_free),
        cmocka_unit_test(test_addresses),
        WITH_SERVER(test_places_that_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
