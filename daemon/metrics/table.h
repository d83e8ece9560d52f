/*
 * table - metrics.def as a table. For this room only.
 */
#ifndef METRICS_TABLE_H
#define METRICS_TABLE_H

#include "metrics/metrics.h"

#include <stdatomic.h>

typedef _Atomic uint64_t metric_cell; /* a gauge's is an int64_t in two's complement */

enum metric_type { TYPE_COUNTER, TYPE_SECONDS, TYPE_GAUGE, TYPE_HISTOGRAM };

/* A histogram is one cell for each bound, one for what is above all, and the sum in nanoseconds. */
enum { HISTOGRAM_BOUNDS = 15, HISTOGRAM_SUM = HISTOGRAM_BOUNDS + 1, HISTOGRAM_CELLS };

struct metric_labels {
    const char *name; /* NULL for no label */
    int count;
    const char *const *texts;
};

struct metric_row {
    enum metric_type type;
    const char *name;
    const char *help;
    const struct metric_labels *labels1, *labels2, *labels3;
    metric_cell *cells; /* (label1 * labels2->count + label2) * labels3->count + label3 */
};

extern const struct metric_row metric_table[METRIC_COUNT];
extern const int64_t histogram_bounds_ns[HISTOGRAM_BOUNDS];

#endif
