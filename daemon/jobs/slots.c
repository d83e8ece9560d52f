/*
 * slots - rest after a failure, doubled up to some minutes.
 */
#include "jobs/slots.h"

enum { DOUBLED_MAX = 8 }; /* half a second becomes two minutes */

int slots_pick(const bool *taken, const struct slot_record *records, int count, int64_t now_ms)
{
    int best = -1;

    for (int i = 0; i < count; i++) {
        if (taken[i] || now_ms < records[i].until_ms)
            continue;
        if (best < 0 || records[i].failures < records[best].failures)
            best = i;
    }
    return best;
}

int64_t slots_failed(struct slot_record *r, int64_t rest_ms, int64_t now_ms)
{
    int64_t ms = rest_ms << (r->failures < DOUBLED_MAX ? r->failures : DOUBLED_MAX);

    r->failures++;
    r->until_ms = now_ms + ms;
    return ms;
}
