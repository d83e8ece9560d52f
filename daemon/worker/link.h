/*
 * link - the worker's side of the worker API (proto/worker.md): one JSON message out, one back.
 *
 * A sewad that is being restarted is waited for: calls are tried again until it answers or the
 * patience is over. Local workers dial the unix socket of the state directory, so they find the
 * next sewad whatever its port. Thread: one per link.
 */
#ifndef WORKER_LINK_H
#define WORKER_LINK_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct link;

struct link_options {
    const char *socket; /* path of the unix socket */
    const char *token;
    int64_t patience_ms;       /* how long an unreachable sewad is waited for */
    const atomic_bool *cancel; /* stop waiting */
};

/* Strings are copied. */
int link_open(const struct link_options *o, struct link **ret, struct sewa_error *err);
void link_close(struct link *l); /* NULL is fine */
AUTOPTR_DEFINE(link_close, struct link);

/*
 * POST to /api/v1/worker/<call>. On success *ret is the answer (an object). Failures are what sewad
 * said, by its code; SEWA_E_UNREACHABLE when it did not answer within the patience,
 * SEWA_E_CANCELLED, SEWA_E_PROTOCOL when the answer is not JSON.
 */
int link_call(struct link *l, const char *call, const json_t *message, json_t **ret,
              struct sewa_error *err);

/* The same with bytes as the body, tried once: output that cannot be sent is not worth waiting for.
 */
int link_send(struct link *l, const char *call, const void *data, size_t n, struct sewa_error *err);

#endif
