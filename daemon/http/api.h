/*
 * api - what the handlers of the API know, and the few things that several of them need. Loop
 * thread only.
 */
#ifndef HTTP_API_H
#define HTTP_API_H

#include "http/reply.h"
#include "http/router.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "store/checkpoints.h"
#include "store/store.h"

#include <uv.h>

struct api_options {
    struct store *store;
    struct jobs *jobs;
    struct ingest *ingest;
    uv_loop_t *loop;
    const char *const *allowed_roots; /* NULL-terminated */
    int64_t settle_ms;                /* for runs that are made over HTTP */
    /* All evaluators by name, as workers are told about them (proto/worker.md); borrowed. */
    const json_t *(*evaluators)(void *arg);
    void *arg;
};

struct api;

int api_open(const struct api_options *o, struct api **ret, struct sewa_error *err);
void api_close(struct api *a);

/* The service is stopping: readyz says so. */
void api_drain(struct api *a);

/* The configuration was read again. */
void api_configure(struct api *a, const char *const *allowed_roots, int64_t settle_ms);

#endif
