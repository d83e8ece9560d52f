/*
 * sewad - the other side of the worker API for tests: a thread that listens on a unix socket,
 * remembers what it was told, and answers what the test says.
 */
#ifndef TESTS_UNIT_WORKER_SEWAD_H
#define TESTS_UNIT_WORKER_SEWAD_H

#include "support/support.h"

#include <stdbool.h>
#include <stddef.h>

struct sewad;

struct sewad_answer {
    int status; /* 0: 200 */
    const char *body;
};

/* call: "heartbeat", "log" ... number: how many of this call came before. On the server's thread.
 * The body of the answer must stay until the next call. */
typedef struct sewad_answer sewad_handler(const char *call, size_t number, void *arg);

struct sewad *sewad_start(sewad_handler *handler, void *arg);
void sewad_stop(struct sewad *s);

const char *sewad_socket(const struct sewad *s);

/* How many calls of this name there were. */
size_t sewad_count(struct sewad *s, const char *call);

/* Wait until there are so many; fails the test when that takes more than a minute. */
void sewad_wait(struct sewad *s, const char *call, size_t count);

/* A copy of the body of call number `number`, NUL-terminated; its length where ret_length is given.
 */
char *sewad_body(struct sewad *s, const char *call, size_t number, size_t *ret_length);

#endif
