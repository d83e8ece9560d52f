/*
 * queue - first come, first served; one worker each before a second one for anybody.
 */
#include "jobs/queue.h"

int queue_next(const struct queue_item *items, size_t n, int64_t free_slots)
{
    if (free_slots <= 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (items[i].wanted > 0 && items[i].running == 0)
            return (int)i;
    for (size_t i = 0; i < n; i++)
        if (items[i].running < items[i].wanted)
            return (int)i;
    return -1;
}
