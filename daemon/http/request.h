/*
 * request - one HTTP request, from its first header to its reply. Loop thread only.
 *
 * A handler answers at once with one of the reply_ functions, or calls request_hold() and returns;
 * whoever holds it answers later, on the loop, exactly once. A held request stays valid until then:
 * the HTTP library neither times it out nor looks whether the client is still there. Who may hold
 * one for long (a long poll) sets on_cancel; who cannot answer before it has heard from another
 * thread sets on_lost.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "base/ulid.h"
#include "http/guard.h"

#include <microhttpd.h>

struct server;
struct listener;
struct route;

enum http_method {
    HTTP_GET = 1 << 0, /* HEAD is answered by the same handler */
    HTTP_POST = 1 << 1,
    HTTP_PUT = 1 << 2,
    HTTP_PATCH = 1 << 3,
    HTTP_DELETE = 1 << 4,
    HTTP_OPTIONS = 1 << 5,
};

enum { REQUEST_PARAMETERS_MAX = 4, REQUEST_REPLY_HEADERS_MAX = 12 };

struct request {
    struct list link; /* all requests of a server */
    struct listener *listener;
    struct MHD_Connection *connection;
    const struct route *route;
    enum http_method method;
    bool is_head;
    char id[ULID_TEXT_SIZE];
    char *target_text; /* owns what target points into */
    struct guard_target target;
    const char *parameters[REQUEST_PARAMETERS_MAX]; /* {run}, {id} of the route, in order */
    struct buf body;
    int64_t body_seen;  /* bytes that arrived, kept or not */
    int64_t started_ms; /* monotonic */
    int64_t headers_done_ms;
    int64_t moved_ms; /* when the headers or the last bytes of the body came */
    bool body_done;
    bool refused; /* the reply is made and the rest of the body is thrown away */

    struct MHD_Response *reply; /* set by reply_ functions */
    bool reply_is_shared;       /* the reference is somebody else's */
    bool streams;               /* the reply goes on until its source ends */
    unsigned status; /* not 0: it is answered, also when there was no memory for a reply */
    struct {
        char *name, *value;
    } headers[REQUEST_REPLY_HEADERS_MAX];
    int header_count;

    bool held;      /* the handler has said that the answer comes later */
    bool suspended; /* the library waits for it */
    bool paused;    /* its reply is a stream that has nothing to send at the moment */
    bool waited;    /* it was held until something happened elsewhere */
    /* The service stops, or the client has left: answer now (or unpause the stream and end it). */
    void (*on_cancel)(struct request *);
    /* The server is closed and answers by itself: forget this request. */
    void (*on_lost)(struct request *);
    void *user; /* the holder's */
};

/* Value of a header field, or NULL. Borrowed until the reply. */
const char *request_header(const struct request *rq, const char *name);

/* Value of a query parameter, or NULL. */
const char *request_query(const struct request *rq, const char *key);

/* Refuse query parameters that are not in the NULL-terminated list (NULL: there are none), and one
 * that is given twice. */
int request_query_known(const struct request *rq, const char *const known[],
                        struct sewa_error *err);

/* A whole number or true/false in the query, or the fallback when it is absent. */
int request_query_int(const struct request *rq, const char *key, int64_t min, int64_t max,
                      int64_t fallback, int64_t *ret, struct sewa_error *err);
int request_query_bool(const struct request *rq, const char *key, bool fallback, bool *ret,
                       struct sewa_error *err);

/*
 * The body as JSON. An empty one gives an empty object when @may_be_empty. Checks Content-Type
 * (application/json, or application/merge-patch+json for PATCH): SEWA_E_MEDIA_TYPE, _BAD_JSON.
 */
int request_json(const struct request *rq, bool may_be_empty, json_t **ret, struct sewa_error *err);

/* For what takes no fields: the body is empty or {}. */
int request_no_fields(const struct request *rq, struct sewa_error *err);

/* Answer later. */
void request_hold(struct request *rq);

#endif
