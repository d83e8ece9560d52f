/*
 * trace_text - rows of a job's trace as JSON or as a table, with what sums them up. Pure.
 * Thread: any.
 */
#ifndef HTTP_TRACE_TEXT_H
#define HTTP_TRACE_TEXT_H

#include "base/buf.h"
#include "store/jobs.h"

#include <jansson.h>

struct trace_statistics {
    double min, mean, max;
    double entropy; /* of the masks, in nats */
    double spread;  /* sum of p (1 - p): the variance of the number of chosen ones */
};

/* All NaN when there are no probabilities. */
struct trace_statistics trace_summarise(const struct trace_row *row);

/* One object; numbers that are not finite are null. */
void trace_put_object(struct buf *b, const struct trace_row *row);

/*
 * The first line of the table: columns of candidates are named by their step, or by their place
 * where they have none. @candidates: of the job's plan.
 */
void trace_put_heading(struct buf *b, const json_t *candidates);

/* One line (RFC 4180); numbers that are not finite are empty. */
void trace_put_line(struct buf *b, const struct trace_row *row);

#endif
