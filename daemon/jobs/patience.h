/*
 * patience - how long a worker may stand still, and what a clock is worth that did not run.
 *
 * A heartbeat proves that a thread lives. What the worker does and a number that moves with its
 * work come with it (proto/worker.md), and each kind of work has a time after which it hangs. Pure:
 * the time is a parameter. Thread: any.
 */
#ifndef JOBS_PATIENCE_H
#define JOBS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

enum { PATIENCE_WORD_MAX = 24 };

/* How long each kind of work may stand still. */
struct patience_limits {
    int64_t work_ms;      /* it reads, computes or writes by itself */
    int64_t start_ms;     /* its evaluator is not ready */
    int64_t evaluator_ms; /* its evaluator has been asked */
};

/* What is known of one worker. All zero: nothing, and then it is never judged. */
struct stride {
    char doing[PATIENCE_WORD_MAX];
    int64_t progress;
    int64_t moved_ms; /* when something was new the last time */
};

/* A heartbeat said this. doing is NULL and progress negative when it said nothing of the kind. */
void stride_heard(struct stride *s, const char *doing, int64_t progress, int64_t now_ms);

/* For how long it has stood still when that is too long, else 0. */
int64_t stride_stands(const struct stride *s, const struct patience_limits *l, int64_t now_ms);

/*
 * How long nothing ran at all (the service was stopped, the machine swapped): a clock that comes
 * every period_ms was last there at last_ms. 0 when it is no more late than a busy loop makes it.
 */
int64_t patience_gap(int64_t last_ms, int64_t now_ms, int64_t period_ms);

#endif
