/*
 * server_body - the inside of a server, for the files that are one: server.c (starting, running,
 * stopping), listen.c (sockets), admit.c (who gets a connection), exchange.c (the life of one
 * request), deadline.c (who is late), stall.c (bodies that make the library spin).
 */
#ifndef HTTP_SERVER_BODY_H
#define HTTP_SERVER_BODY_H

#include "http/places.h"
#include "http/server.h"

struct listener {
    struct server *server;
    unsigned side;
    struct MHD_Daemon *mhd;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_idle_t again; /* the library wants to be run at once */
    bool poll_open, timer_open, again_open;

    /* admit.c */
    int fd; /* where clients knock; -1: there is none */
    uv_poll_t door;
    bool door_open; /* the handle is */
    bool is_shut;   /* nobody is let in at the moment */
    unsigned max, count;
    struct list arriving; /* accepted, and not yet announced by the library */

    /* stall.c */
    struct list chunked;    /* connections in the midst of a body in chunks */
    unsigned restless_runs; /* in a row, after each of which the library wanted another at once */
};

/* One connection, so that one that never sends a request has a deadline too. */
struct connection {
    struct list link; /* of the server, or of the listener's arriving */
    struct listener *listener;
    int fd;
    struct client client;
    int64_t idle_since_ms;
    bool had_request;
    bool timed_out; /* its end was announced */
    struct request *request;

    /* stall.c */
    int64_t accounted; /* bytes of requests before the body in chunks that is looked at */
    struct list chunk_link;
    int64_t body_seen; /* when it was looked at last */
    int64_t moved_ms;  /* when more had come */
    int unread_looks;  /* in a row that found bytes which the library does not read */
};

struct server {
    struct server_options o;
    uv_loop_t *loop;
    struct listener sides[3]; /* public, worker, administration */
    struct places places;
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

/* The library has closed the connection without saying that the request is over: 1.0.1 does so
 * where a chunk header is too long. */
void exchange_forget(struct request *rq);

/*
 * The library says in its log that it refuses a Content-Length, not whose. A length that is no
 * number it answers by itself, and up to 0.9.77 with two header sections: so such a request is
 * answered here, and its connection ended before the library gets to send anything.
 */
void exchange_refused(struct listener *l);

/* ---- admit.c ---- */

/* Let clients in through this socket, which is the listener's from now on. */
int admit_start(struct listener *l, int fd, unsigned max, struct sewa_error *err);

/* Try again, when nobody is let in: something may have changed. */
void admit_again(struct listener *l);

/* A callback of the library; cls is the listener. */
void connection_notify(void *cls, struct MHD_Connection *con, void **context,
                       enum MHD_ConnectionNotificationCode code);

struct connection *connection_of(struct MHD_Connection *c);

/* ---- deadline.c ---- */

/* Once a second: end what is late, and answer what nobody waits for any more. */
void deadline_sweep(struct server *s, int64_t now_ms);

/* Since when we wait for bytes of a client, a pause within a body not counted; INT64_MAX: we do
 * not. */
int64_t deadline_waits_since(const struct connection *c);

/* Tell the client why, unless an answer was begun, and end the connection. */
void connection_refuse(struct connection *c, const struct sewa_error *why);

/* ---- stall.c ---- */

/* The header section of a request was read, so long; content_length is -1 where the body comes in
 * chunks. */
void stall_headers(struct connection *c, size_t headers, int64_t content_length, int64_t now_ms);

/* The body is there, or it will not come. */
void stall_end(struct connection *c);

/* Look at them, now and then. */
void stall_sweep(struct listener *l);

/* After each run of the library: @again when it wants to be run at once. */
void stall_look(struct listener *l, bool again);

/* ---- server.c ---- */

/* Run the library, and arrange for its next run. */
void server_pump(struct listener *l);

#endif
