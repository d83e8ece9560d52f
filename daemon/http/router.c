/*
 * router - match segments against the table. The table is short and its rows differ early: a scan
 * is faster than anything clever.
 */
#include "http/router.h"

#include <string.h>

static bool matches(const char *pattern, struct request *rq)
{
    int i = 0, parameters = 0;
    const char *p = pattern + 1;

    memset(rq->parameters, 0, sizeof rq->parameters);
    while (*p) {
        size_t n = strcspn(p, "/");
        if (i == rq->target.segment_count)
            return false;
        const char *segment = rq->target.segments[i++];
        if (*p == '{')
            rq->parameters[parameters++] = segment;
        else if (strlen(segment) != n || memcmp(segment, p, n) != 0)
            return false;
        p += n;
        if (*p == '/')
            p++;
    }
    return i == rq->target.segment_count;
}

const struct route *router_find(const struct route *table, size_t count, unsigned side,
                                struct request *rq, unsigned *ret_allowed)
{
    *ret_allowed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(table[i].flags & side) || !matches(table[i].path, rq))
            continue;
        if (table[i].method == rq->method)
            return &table[i];
        *ret_allowed |= table[i].method;
    }
    return NULL;
}
