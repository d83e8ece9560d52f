/*
 * session - the body of an evaluator, and waiting: what starting, asking and ending have in common.
 *
 * Every wait is session_turn(): poll the socket and the output together, at most SESSION_TICK_MS
 * long. The output must be read while a message is awaited, or a program that prints much would
 * block and never answer; the tick is how a cancellation and the end of the program are noticed (a
 * grandchild can hold both descriptors open, so that their end says nothing).
 */
#ifndef HOST_SESSION_H
#define HOST_SESSION_H

#include "host/block.h"
#include "host/channel.h"
#include "host/evaluator.h"
#include "host/output.h"
#include "host/process.h"
#include "host/ready.h"

enum { SESSION_TICK_MS = 50 };

struct evaluator {
    struct evaluator_options options;
    struct process process; /* pid 0: lost, or never started */
    struct channel channel;
    struct output output;
    struct block weights, gradient, table, examples;
    struct ready ready; /* message is NULL until it is */
    double *metrics;    /* of the last result */
    int64_t last_id;
};

enum session_next { SESSION_NOTHING, SESSION_MESSAGE, SESSION_LOG };

bool session_is_cancelled(const struct evaluator *e);

/* Send, receive and hand output on, waiting at most wait_ms for something to do. */
int session_turn(struct evaluator *e, int wait_ms, struct sewa_error *err);

/* What has arrived: an enum session_next or a failure. Log messages are shown here. */
int session_next(struct evaluator *e, json_t **ret, struct sewa_error *err);

/* Wait for the next message that is no log. when: "before it was ready", for texts. */
int session_await(struct evaluator *e, int64_t timeout_ms, const char *when, json_t **ret,
                  struct sewa_error *err);

/* Put the words of an error message into the output: its traceback, or else its text. */
void session_show_error(struct evaluator *e, const char *text, const char *traceback);

/* The end after a failure: kill what is there, collect what it printed, complete the text by whose
 * failure it was and its last words. Returns rc. */
int session_lose(struct evaluator *e, int rc, struct sewa_error *err);

#endif
