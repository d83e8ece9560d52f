/*
 * tasks - who works on what: leases, attempts and fencing of the tasks of one batch.
 *
 * A task is numbered once and for all (the same number means the same work after a restart).
 * Handing it out raises its attempt number; a result counts only when it names the live attempt, so
 * a worker that was given up and comes back late changes nothing. The third failure of one task
 * ends the job. Pure: the time is a parameter. Thread: one at a time.
 */
#ifndef JOBS_TASKS_H
#define JOBS_TASKS_H

#include "base/ulid.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TASK_FAILURES_MAX = 3 };

enum task_state { TASK_PENDING, TASK_LEASED, TASK_DONE };

struct task {
    enum task_state state;
    int64_t attempt;  /* of the last lease; 0: never handed out */
    int64_t failures; /* attempts that ended badly */
    char worker[ID_TEXT_SIZE];
    int64_t deadline_ms; /* of the lease; a heartbeat moves it */
};

struct tasks {
    int64_t base; /* number of items[0] */
    size_t count;
    struct task *items;
};

void tasks_clear(struct tasks *t);

/* A new batch: all pending. */
int tasks_reset(struct tasks *t, int64_t base, size_t count, struct sewa_error *err);

/* After a restart: a lease that was stored. Numbers outside the batch are ignored. */
void tasks_restore(struct tasks *t, int64_t number, int64_t attempt, int64_t failures,
                   const char *worker, int64_t deadline_ms);

/* The first pending task, or -1. fresh_only: of those that have never failed. */
int tasks_pending(const struct tasks *t, bool fresh_only);
bool tasks_all_done(const struct tasks *t);

/* Hand it out; returns the new attempt number. */
int64_t tasks_grant(struct tasks *t, size_t i, const char *worker, int64_t deadline_ms);

/* Index of the task when this is its live attempt; SEWA_E_LEASE_LOST otherwise. */
int tasks_find(const struct tasks *t, int64_t number, int64_t attempt, struct sewa_error *err);

void tasks_done(struct tasks *t, size_t i);

/* The attempt failed: pending again. Returns how many have failed so far. */
int64_t tasks_failed(struct tasks *t, size_t i);

/* The lease ended without anyone's fault (the service restarted, the worker was told to stop). */
void tasks_release(struct tasks *t, size_t i);

/* Move the deadline of every lease that this worker holds. */
void tasks_extend(struct tasks *t, const char *worker, int64_t deadline_ms);

/* Nothing ran for gap_ms: every deadline is as much later, but not after most_ms. */
void tasks_excuse(struct tasks *t, int64_t gap_ms, int64_t most_ms);

/* The next leased task of this worker from index i on, or -1. */
int tasks_of_worker(const struct tasks *t, const char *worker, size_t i);

/* A leased task of this worker that is over its deadline, or -1. */
int tasks_overdue(const struct tasks *t, const char *worker, int64_t now_ms);

#endif
