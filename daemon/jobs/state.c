/*
 * state - the table behind the drawing in state.h.
 */
#include "jobs/state.h"

#include <string.h>

#define TO(state) (1u << JOB_##state)

static const struct {
    const char *name;
    unsigned next;
} states[JOB_STATE_COUNT] = {
    [JOB_QUEUED] = { "queued", TO(STARTING) | TO(FAILED) | TO(CANCELLING) },
    [JOB_STARTING] = { "starting", TO(RUNNING) | TO(PUBLISHING) | TO(FAILED) | TO(CANCELLING) },
    [JOB_RUNNING] = { "running", TO(PUBLISHING) | TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLING) },
    [JOB_PUBLISHING] = { "publishing", TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLING) },
    [JOB_SUCCEEDED] = { "succeeded", 0 },
    [JOB_FAILED] = { "failed", 0 },
    [JOB_CANCELLING] = { "cancelling", TO(CANCELLED) },
    [JOB_CANCELLED] = { "cancelled", 0 },
};

const char *job_state_name(enum job_state s)
{
    return states[s].name;
}

int job_state_from_name(const char *name)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        if (strcmp(states[i].name, name) == 0)
            return i;
    return -1;
}

bool job_state_may_follow(enum job_state from, enum job_state to)
{
    return (states[from].next & (1u << to)) != 0;
}

bool job_state_is_final(enum job_state s)
{
    return states[s].next == 0;
}
