/*
 * metrics - the cells, and counting. Rendering is render.c.
 */
#include "metrics/metrics.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "metrics/table.h"

enum { METRIC_NONE_COUNT = 1 };

/* Every metric has an array of its own; a label without values counts as one. */
#define COUNTER3(name, wire, set1, set2, set3, help) \
    static metric_cell                               \
        cells_##name[METRIC_##set1##_COUNT * METRIC_##set2##_COUNT * METRIC_##set3##_COUNT];
#define COUNTER(name, wire, set1, set2, help) COUNTER3(name, wire, set1, set2, NONE, help)
#define SECONDS(name, wire, set1, set2, help) COUNTER(name, wire, set1, set2, help)
#define GAUGE(name, wire, set1, set2, help)   COUNTER(name, wire, set1, set2, help)
#define HISTOGRAM(name, wire, help)           static metric_cell cells_##name[HISTOGRAM_CELLS];
#include "metrics/metrics.def"
#undef COUNTER
#undef COUNTER3
#undef SECONDS
#undef GAUGE
#undef HISTOGRAM

#define LABEL_TEXT(set, value, text) text,
#define LABEL_TABLE(set, label)                                                   \
    static const char *const texts_##set[] = { METRIC_LABELS_##set(LABEL_TEXT) }; \
    static const struct metric_labels labels_##set = { label, METRIC_##set##_COUNT, texts_##set };
METRIC_LABEL_SETS(LABEL_TABLE)
static const struct metric_labels labels_NONE = { NULL, 1, NULL };

const struct metric_row metric_table[METRIC_COUNT] = {
#define ROW(type, name, wire, set1, set2, set3, help)                                \
    [METRIC_##name] = { type,           wire,           help,        &labels_##set1, \
                        &labels_##set2, &labels_##set3, cells_##name },
#define COUNTER3(name, wire, set1, set2, set3, help) \
    ROW(TYPE_COUNTER, name, wire, set1, set2, set3, help)
#define COUNTER(name, wire, set1, set2, help) ROW(TYPE_COUNTER, name, wire, set1, set2, NONE, help)
#define SECONDS(name, wire, set1, set2, help) ROW(TYPE_SECONDS, name, wire, set1, set2, NONE, help)
#define GAUGE(name, wire, set1, set2, help)   ROW(TYPE_GAUGE, name, wire, set1, set2, NONE, help)
#define HISTOGRAM(name, wire, help)           ROW(TYPE_HISTOGRAM, name, wire, NONE, NONE, NONE, help)
#include "metrics/metrics.def"
#undef COUNTER
#undef COUNTER3
#undef SECONDS
#undef GAUGE
#undef HISTOGRAM
};

/* One bucket for each, and one for what is above all; in nanoseconds. From half a millisecond,
 * which a request takes, to half a minute, which a scan of a slow file system may take. */
const int64_t histogram_bounds_ns[HISTOGRAM_BOUNDS] = {
    500000,    1000000,   2500000,    5000000,    10000000,   25000000,    50000000,    100000000,
    250000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000, 30000000000,
};

static void add(metric_cell *cell, uint64_t n)
{
    atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

static metric_cell *cell_at3(enum metric m, enum metric_type type, int label1, int label2,
                             int label3)
{
    const struct metric_row *row = &metric_table[m];

    assert(row->type == type);
    assert(label1 >= 0 && label1 < row->labels1->count);
    assert(label2 >= 0 && label2 < row->labels2->count);
    assert(label3 >= 0 && label3 < row->labels3->count);
    (void)type;
    return &row->cells[(label1 * row->labels2->count + label2) * row->labels3->count + label3];
}

static metric_cell *cell_at(enum metric m, enum metric_type type, int label1, int label2)
{
    return cell_at3(m, type, label1, label2, 0);
}

/* Whole nanoseconds, so that a sum is exact and an addition is one instruction. */
static uint64_t nanoseconds(double seconds)
{
    if (!(seconds > 0))
        return 0;
    return seconds < 1e9 ? (uint64_t)(seconds * 1e9) : (uint64_t)1000000000 * 1000000000;
}

void metric_add(enum metric m, uint64_t n)
{
    metric_add_at(m, 0, 0, n);
}

void metric_add_at(enum metric m, int label1, int label2, uint64_t n)
{
    add(cell_at(m, TYPE_COUNTER, label1, label2), n);
}

void metric_add_at3(enum metric m, int label1, int label2, int label3, uint64_t n)
{
    add(cell_at3(m, TYPE_COUNTER, label1, label2, label3), n);
}

void metric_add_seconds(enum metric m, double seconds)
{
    add(cell_at(m, TYPE_SECONDS, 0, 0), nanoseconds(seconds));
}

void metric_set(enum metric m, int64_t value)
{
    metric_set_at(m, 0, 0, value);
}

void metric_set_at(enum metric m, int label1, int label2, int64_t value)
{
    atomic_store_explicit(cell_at(m, TYPE_GAUGE, label1, label2), (uint64_t)value,
                          memory_order_relaxed);
}

void metric_move(enum metric m, int64_t by)
{
    add(cell_at(m, TYPE_GAUGE, 0, 0), (uint64_t)by); /* two's complement: wraps to the right sum */
}

void metric_observe(enum metric m, double seconds)
{
    metric_cell *cells = cell_at(m, TYPE_HISTOGRAM, 0, 0);
    uint64_t ns = nanoseconds(seconds);
    size_t i = 0;

    while (i < HISTOGRAM_BOUNDS && ns > (uint64_t)histogram_bounds_ns[i])
        i++;
    add(&cells[i], 1);
    add(&cells[HISTOGRAM_SUM], ns);
}

int metric_method(const char *method)
{
    for (int i = 0; i < METRIC_METHOD_OTHER; i++)
        if (strcmp(texts_METHOD[i], method) == 0)
            return i;
    return METRIC_METHOD_OTHER;
}

int metric_status(int http_status)
{
    int class = http_status / 100;

    return class >= 1 && class <= 5 ? METRIC_STATUS_1XX + class - 1 : METRIC_STATUS_5XX;
}
