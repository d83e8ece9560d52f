/*
 * transport - one request and its answer over libcurl: HTTP to a TCP address or a unix socket.
 *
 * Redirects are not followed and loopback addresses never go through a proxy. Whatever is not a
 * 2xx answer (or a 304, when it was asked for) is a failure here already: nobody above looks at a
 * status to find out whether something went wrong. Thread: one at a time per client.
 */
#ifndef CLIENT_TRANSPORT_H
#define CLIENT_TRANSPORT_H

#include <curl/curl.h>

#include "address.h"
#include "sewa/client.h"
#include "text.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    TIMEOUT_MS = 30000,
    ANSWER_MAX = 64 << 20,       /* bytes that are kept; what may be more has a sink */
    PROBLEM_MAX = 1 << 20,       /* of an answer that says what is wrong */
    HEADERS_MAX = 256 << 10,     /* of all header fields of one answer */
    STREAM_BUFFER = 512 << 10,   /* curl's own is 16 KiB */
    LOST_SERVICE_MS = 60 * 1000, /* how long a service that was there may be away */
};

struct sewa_client {
    CURL *curl;
    struct address address;
    char *socket; /* path, or NULL */
    char *shown;  /* for messages */
    char *bearer; /* "Authorization: Bearer ...", or NULL */
    char *user_agent;
    int64_t timeout_ms;
    bool was_there;        /* the service has answered a question of ours */
    int64_t lost_since_ms; /* monotonic; 0: the last call reached the service */
    bool (*interrupted)(void *arg);
    void *arg;
};

struct call {
    /* the question */
    const char *method; /* "GET" */
    const char *path;   /* below the address, escaped, with its query */
    const char *json;   /* body; NULL: none */
    bool is_patch;      /* it is a merge patch */
    const char *key;    /* Idempotency-Key */
    const char *if_none_match;
    const char *if_range;
    int64_t range_from;     /* 0: everything */
    int64_t wait_ms;        /* the service may keep us waiting for so long */
    bool streams;           /* may take any time; its silence is limited instead */
    bool may_be_silent;     /* nor that: a log that is followed */
    struct sewa_sink *sink; /* where the body of a 2xx answer goes; NULL: into answer */
    int (*began)(struct call *self, struct sewa_error *err); /* a 2xx is about to be delivered */

    /* the answer */
    long status;
    struct text answer;
    char etag[160];
    char media_type[80];
    char repr_digest[256];
    char content_range[80];
    int64_t content_length; /* -1: not said */
    bool replayed;

    /* while it runs */
    struct sewa_client *client;
    struct sewa_error *err;
    size_t header_bytes;
    int64_t heard_ms; /* when the last byte came, or when it began */
    bool has_begun;
    int rc; /* of a callback, which curl can only tell to stop */
};

/* 0: a 2xx or a 304 is in call->status. Failures of the service are what its problem+json says. */
int sewa_call(struct sewa_client *c, struct call *call, struct sewa_error *err);
void sewa_call_clear(struct call *call);

/* Milliseconds that only go forward. */
int64_t sewa_clock_ms(void);

/* Sleep, but end early when the caller of the library is interrupted: SEWA_E_CANCELLED. */
int sewa_nap(struct sewa_client *c, int64_t ms, struct sewa_error *err);

/* Whether it may go away by itself: the service is not there, or says that it cannot just now. */
bool sewa_is_passing(int code);

#endif
