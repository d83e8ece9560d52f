/*
 * schedule - a number that changes from the first iteration to the last: temperature and rate.
 * Pure. Thread: any.
 */
#ifndef METHODS_SCHEDULE_H
#define METHODS_SCHEDULE_H

#include "base/json.h"

#include <stdint.h>

enum schedule_kind {
    SCHEDULE_CONSTANT,
    SCHEDULE_LINEAR,      /* equal differences */
    SCHEDULE_EXPONENTIAL, /* equal ratios */
    SCHEDULE_COSINE       /* half a cosine: slow at both ends */
};

struct schedule {
    enum schedule_kind kind;
    double start, end;
};

/* Value in iteration t of 0 .. iterations - 1; the start when there is only one. */
double schedule_at(const struct schedule *s, int64_t t, int64_t iterations);

/*
 * Read field @name of r: a number, or {"start", "end", "schedule"} with "schedule" one of constant,
 * linear (the default once there is an end), exponential, cosine. Absent: *ret stays as it is.
 */
void schedule_read(struct json_reader *r, const char *name, double min, double max,
                   struct schedule *ret);

/* What schedule_read() would read; NULL when out of memory. */
json_t *schedule_json(const struct schedule *s);

#endif
