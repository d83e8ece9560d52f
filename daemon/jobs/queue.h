/*
 * queue - which job gets the next free slot for a worker. Pure. Thread: any.
 *
 * Jobs are served in the order of their submission; one that has no worker yet comes before one
 * that would get a second one, so that a wide job does not keep a narrow one waiting.
 */
#ifndef JOBS_QUEUE_H
#define JOBS_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct queue_item {
    int64_t wanted;  /* workers that the job asked for; 0: it wants none now */
    int64_t running; /* workers that it has */
};

/* Index of the job that gets one more worker, or -1. Items stand in order of submission. */
int queue_next(const struct queue_item *items, size_t n, int64_t free_slots);

#endif
