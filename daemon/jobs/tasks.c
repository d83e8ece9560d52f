/*
 * tasks - leases, attempts and fencing.
 */
#include "jobs/tasks.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

void tasks_clear(struct tasks *t)
{
    free(t->items);
    memset(t, 0, sizeof *t);
}

int tasks_reset(struct tasks *t, int64_t base, size_t count, struct sewa_error *err)
{
    struct task *items = calloc(count ? count : 1, sizeof *items);

    if (!items)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tasks", count);
    free(t->items);
    t->items = items;
    t->base = base;
    t->count = count;
    return 0;
}

void tasks_restore(struct tasks *t, int64_t number, int64_t attempt, int64_t failures,
                   const char *worker, int64_t deadline_ms)
{
    if (number < t->base || number - t->base >= (int64_t)t->count)
        return;
    struct task *task = &t->items[number - t->base];
    task->state = TASK_LEASED;
    task->attempt = attempt;
    task->failures = failures;
    task->deadline_ms = deadline_ms;
    snprintf(task->worker, sizeof task->worker, "%s", worker);
}

int tasks_pending(const struct tasks *t, bool fresh_only)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].state == TASK_PENDING && !(fresh_only && t->items[i].failures > 0))
            return (int)i;
    return -1;
}

bool tasks_all_done(const struct tasks *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].state != TASK_DONE)
            return false;
    return true;
}

int64_t tasks_grant(struct tasks *t, size_t i, const char *worker, int64_t deadline_ms)
{
    struct task *task = &t->items[i];

    task->state = TASK_LEASED;
    task->deadline_ms = deadline_ms;
    snprintf(task->worker, sizeof task->worker, "%s", worker);
    return ++task->attempt;
}

int tasks_find(const struct tasks *t, int64_t number, int64_t attempt, struct sewa_error *err)
{
    if (number < t->base || number - t->base >= (int64_t)t->count)
        return sewa_fail(err, SEWA_E_LEASE_LOST, "task %lld is not open (open are %lld to %lld)",
                         (long long)number, (long long)t->base,
                         (long long)(t->base + (int64_t)t->count - 1));
    const struct task *task = &t->items[number - t->base];
    if (task->state != TASK_LEASED || task->attempt != attempt)
        return sewa_fail(err, SEWA_E_LEASE_LOST,
                         "attempt %lld of task %lld is not live (attempt %lld is %s)",
                         (long long)attempt, (long long)number, (long long)task->attempt,
                         task->state == TASK_DONE     ? "done"
                         : task->state == TASK_LEASED ? "live"
                                                      : "over");
    return (int)(number - t->base);
}

void tasks_done(struct tasks *t, size_t i)
{
    t->items[i].state = TASK_DONE;
}

int64_t tasks_failed(struct tasks *t, size_t i)
{
    t->items[i].state = TASK_PENDING;
    return ++t->items[i].failures;
}

void tasks_release(struct tasks *t, size_t i)
{
    t->items[i].state = TASK_PENDING;
}

void tasks_extend(struct tasks *t, const char *worker, int64_t deadline_ms)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].state == TASK_LEASED && strcmp(t->items[i].worker, worker) == 0)
            t->items[i].deadline_ms = deadline_ms;
}

void tasks_excuse(struct tasks *t, int64_t gap_ms, int64_t most_ms)
{
    for (size_t i = 0; i < t->count; i++) {
        int64_t *deadline_ms = &t->items[i].deadline_ms;
        if (*deadline_ms < most_ms)
            *deadline_ms = *deadline_ms + gap_ms < most_ms ? *deadline_ms + gap_ms : most_ms;
    }
}

int tasks_of_worker(const struct tasks *t, const char *worker, size_t i)
{
    for (; i < t->count; i++)
        if (t->items[i].state == TASK_LEASED && strcmp(t->items[i].worker, worker) == 0)
            return (int)i;
    return -1;
}

int tasks_overdue(const struct tasks *t, const char *worker, int64_t now_ms)
{
    for (int i = tasks_of_worker(t, worker, 0); i >= 0;
         i = tasks_of_worker(t, worker, (size_t)i + 1))
        if (t->items[i].deadline_ms < now_ms)
            return i;
    return -1;
}
