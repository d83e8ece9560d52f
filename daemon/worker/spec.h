/*
 * spec - what sewad tells a worker about its job when it says hello (proto/worker.md).
 * Immutable once read. Thread: any.
 */
#ifndef WORKER_SPEC_H
#define WORKER_SPEC_H

#include "base/cleanup.h"
#include "engine/candidate.h"
#include "engine/exact.h"
#include "engine/integers.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPEC_BANKS_MAX = 64 };

struct spec_evaluator {
    char *name;
    char **argv;        /* NULL-terminated */
    char **environment; /* NULL-terminated "NAME=value" */
    char *directory;    /* NULL: where the worker runs */
    char *options;      /* text of a JSON object */
    int64_t start_timeout_ms, timeout_ms;
    int64_t memory_mib;
};

struct spec {
    char *worker, *job; /* ids */
    int64_t heartbeat_ms;
    size_t k;
    struct candidate *candidates; /* oldest first; strings are the spec's */
    bool has_evaluator;
    struct spec_evaluator evaluator;
    enum integer_policy integers;
    enum output_dtype output;
    bool allow_nonfinite;
    unsigned threads;
    int64_t memory_bytes;
    bool streams;   /* candidates are streamed, not held in memory */
    unsigned banks; /* averages at a time, for the evaluator */
};

/* SEWA_E_INVALID or SEWA_E_PROTOCOL when something is missing or not what it should be. */
int spec_read(const json_t *message, struct spec **ret, struct sewa_error *err);
void spec_free(struct spec *s); /* NULL is fine */
AUTOPTR_DEFINE(spec_free, struct spec);

#endif
