/*
 * state - the states of a job, and which may follow which.
 *
 *     queued -> starting -> running -> publishing -> succeeded
 *        |         |           |           |
 *        +---------+-----------+-----------+--> failed
 *        |         |           |           |
 *        +---------+-----------+-----------+--> cancelling -> cancelled
 *
 * A job that only copies or averages by rule needs no evaluation: it goes from starting to
 * publishing. A job of method check publishes nothing: it goes from running to succeeded. Pure.
 * Thread: any.
 */
#ifndef JOBS_STATE_H
#define JOBS_STATE_H

#include <stdbool.h>

enum job_state {
    JOB_QUEUED,
    JOB_STARTING,
    JOB_RUNNING,
    JOB_PUBLISHING,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLING,
    JOB_CANCELLED,
    JOB_STATE_COUNT
};

const char *job_state_name(enum job_state s);
int job_state_from_name(const char *name); /* -1 when there is no such state */
bool job_state_may_follow(enum job_state from, enum job_state to);
bool job_state_is_final(enum job_state s);

#endif
