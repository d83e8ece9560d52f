/*
 * slots - which free slot a job's next worker gets, and which must rest first.
 *
 * A slot stands for a device or a place of this machine, so it may be what is wrong: after a
 * failure it rests for this job (others may use it), longer with each failure that follows, and one
 * without failures is taken before it. A result from it forgets them. Pure: the time is a
 * parameter. Thread: any.
 */
#ifndef JOBS_SLOTS_H
#define JOBS_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

/* What one job knows of one slot. All zero: nothing against it. */
struct slot_record {
    int failures;     /* of its workers there, in a row */
    int64_t until_ms; /* it rests until then */
};

/* The free slot to use now, or -1. */
int slots_pick(const bool *taken, const struct slot_record *records, int count, int64_t now_ms);

/* One more failure: it rests for rest_ms, twice that, four times ... Returns for how long. */
int64_t slots_failed(struct slot_record *r, int64_t rest_ms, int64_t now_ms);

#endif
