/*
 * activity - a word and a counter. Relaxed: nothing else is read because of them.
 */
#include "base/activity.h"

#include <stdatomic.h>
#include <stddef.h>

const char *const activity_names[] = {
    [ACTIVITY_IDLE] = "idle",
    [ACTIVITY_READ] = "read",
    [ACTIVITY_START] = "start",
    [ACTIVITY_MIX] = "mix",
    [ACTIVITY_EVALUATE] = "evaluate",
    [ACTIVITY_RECALIBRATE] = "recalibrate",
    [ACTIVITY_MULTIPLY] = "multiply",
    [ACTIVITY_PUBLISH] = "publish",
    [ACTIVITIES] = NULL,
};

static atomic_int current;
static atomic_int_least64_t steps;

void activity_begin(enum activity a)
{
    atomic_store_explicit(&current, (int)a, memory_order_relaxed);
    activity_moved();
}

enum activity activity_current(void)
{
    return (enum activity)atomic_load_explicit(&current, memory_order_relaxed);
}

void activity_moved(void)
{
    atomic_fetch_add_explicit(&steps, 1, memory_order_relaxed);
}

int64_t activity_progress(void)
{
    return atomic_load_explicit(&steps, memory_order_relaxed);
}
