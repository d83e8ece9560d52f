/*
 * server - libmicrohttpd under the libuv loop: a TCP listener and the worker socket.
 *
 * The library has no thread of its own: its epoll descriptor is one uv_poll handle, and after every
 * run its timeout re-arms one timer (its epoll is edge-triggered: forgetting this hangs
 * connections). Deadlines for headers and bodies are ours, because the library's only ends idle
 * connections. Loop thread only.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/router.h"

#include <uv.h>

/* All zero: the usual ones (15, 75, 15 and 20 s). */
struct server_deadlines {
    int64_t first_request_ms; /* from the connection to its first request line */
    int64_t next_request_ms;  /* between two requests of one connection */
    int64_t headers_ms;
    int64_t body_ms; /* a body must be there by then, or arrive at 1 KiB/s at least */
};

struct server_options {
    const char *listen; /* "127.0.0.1:8787", "[::1]:0" */
    bool loopback_only; /* no authentication: refuse other addresses, check Host and Origin */
    const char *worker_socket; /* path; its directory exists and is ours alone */
    const char *admin_socket;  /* path of a socket with the routes of listen; NULL or "": none */
    const struct route *routes;
    size_t route_count;
    struct api *api; /* for the handlers */
    unsigned connection_max;
    struct server_deadlines deadlines;
};

struct server;

/* Errors: SEWA_E_CONFIG (address), SEWA_E_LOCKED (in use), SEWA_E_IO. */
int server_start(const struct server_options *o, uv_loop_t *loop, struct server **ret,
                 struct sewa_error *err);

/* "127.0.0.1:41234": what it really listens on. */
const char *server_address(const struct server *s);

/* Connections that are open. */
unsigned server_connections(const struct server *s);

/* The service is stopping: new requests get 503 (but for ROUTE_WHILE_DRAINING), long polls are
 * answered, streams end. */
void server_drain(struct server *s);

/* True once nothing is held any more. */
bool server_is_idle(const struct server *s);

/* Answers what is still held with 503, then closes; on_closed comes on the loop. */
void server_stop(struct server *s, void (*on_closed)(void *arg), void *arg);

/* ---- for request.c and reply.c ---- */

/* A held request has its reply: let the library go on with it. */
void server_resume(struct request *rq);

/*
 * A reply that is a stream has nothing to send now (called from its reader, which then returns 0),
 * and has again. on_cancel of its request must unpause it. False when the service stops: the stream
 * must end.
 */
bool server_pause(struct request *rq);
void server_unpause(struct request *rq);

#endif
