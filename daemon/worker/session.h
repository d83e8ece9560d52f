/*
 * session - one worker's life: hello, then lease, work, report, until told to stop.
 */
#ifndef WORKER_SESSION_H
#define WORKER_SESSION_H

#include "sewa/error.h"

#include <stdatomic.h>
#include <stdint.h>

struct session_options {
    const char *socket;
    const char *token;
    int64_t patience_ms; /* how long a sewad that does not answer is waited for */
    atomic_bool *stop;   /* becomes true on SIGTERM, and when sewad says so */
};

/* 0: told to stop. Otherwise why it cannot go on. Blocks until then. Thread: main. */
int session_run(const struct session_options *o, struct sewa_error *err);

#endif
