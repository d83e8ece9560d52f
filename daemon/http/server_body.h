/*
 * server_body - the inside of a server, for the files that are one: server.c (starting, running,
 * stopping), listen.c (sockets), exchange.c (the life of one request), deadline.c (connections and
 * who is late).
 */
#ifndef HTTP_SERVER_BODY_H
#define HTTP_SERVER_BODY_H

#include "http/server.h"

struct listener {
    struct server *server;
    unsigned side;
    struct MHD_Daemon *mhd;
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
    bool timed_out; /* its end was announced */
    struct request *request;
};

struct server {
    struct server_options o;
    uv_loop_t *loop;
    struct listener sides[3]; /* public, worker, administration */
    struct list requests;
    struct list connections;
    unsigned connection_count;
    unsigned held_count; /* requests without a reply yet, and streams without anything to send */
    uv_timer_t sweep;
    bool sweep_open;
    bool draining;
    char address[128];
    char *worker_socket;
    char *admin_socket; /* while it is ours */
    int closing;        /* handles that are being closed */
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* ---- listen.c ---- */

int listen_tcp(struct server *s, int *ret_fd, struct sewa_error *err);

/* Remove what is left of a socket at this path, and listen there. The path must stay. */
int listen_unix(const char *path, mode_t mode, int *ret_fd, struct sewa_error *err);

/* The same, but SEWA_E_LOCKED when somebody answers there. */
int listen_unix_if_free(const char *path, mode_t mode, int *ret_fd, struct sewa_error *err);

/* ---- exchange.c: callbacks of the library; cls is the listener ---- */

void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *con);
enum MHD_Result exchange_go_on(void *cls, struct MHD_Connection *con, const char *url,
                               const char *method, const char *version, const char *data, size_t *n,
                               void **state);
void exchange_end(void *cls, struct MHD_Connection *con, void **state,
                  enum MHD_RequestTerminationCode code);

/* ---- deadline.c ---- */

/* A callback of the library; cls is the listener. */
void connection_notify(void *cls, struct MHD_Connection *con, void **context,
                       enum MHD_ConnectionNotificationCode code);

struct connection *connection_of(struct MHD_Connection *c);

/* Once a second: end what is late, and answer what nobody waits for any more. */
void deadline_sweep(struct server *s, int64_t now_ms);

#endif
