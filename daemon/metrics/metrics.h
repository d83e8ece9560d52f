/*
 * metrics - counting what happens, and telling Prometheus.
 *
 * Counting is one relaxed atomic addition: no lock, no allocation, never a failure; any thread may
 * do it, the scan threads and the store thread included. Labels are small fixed sets, so that a
 * metric is an array; names of runs and jobs belong into the API and not here.
 * What there is to count stands in metrics.def.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "base/buf.h"

#include <stdint.h>

/* Sets of labels: S(SET, "name of the label"), and for each its values: L(SET, VALUE, "text"). */
#define METRIC_LABEL_SETS(S) \
    S(METHOD, "method")      \
    S(STATUS, "status")      \
    S(API, "api")            \
    S(JOB_STATE, "state")    \
    S(OUTCOME, "outcome")    \
    S(CHECKPOINT_STATE, "state")

#define METRIC_LABELS_METHOD(L)   \
    L(METHOD, GET, "GET")         \
    L(METHOD, HEAD, "HEAD")       \
    L(METHOD, POST, "POST")       \
    L(METHOD, PUT, "PUT")         \
    L(METHOD, PATCH, "PATCH")     \
    L(METHOD, DELETE, "DELETE")   \
    L(METHOD, OPTIONS, "OPTIONS") \
    L(METHOD, OTHER, "other")

#define METRIC_LABELS_STATUS(L) \
    L(STATUS, 1XX, "1xx")       \
    L(STATUS, 2XX, "2xx")       \
    L(STATUS, 3XX, "3xx")       \
    L(STATUS, 4XX, "4xx")       \
    L(STATUS, 5XX, "5xx")

#define METRIC_LABELS_API(L) \
    L(API, PUBLIC, "public") \
    L(API, WORKER, "worker")

#define METRIC_LABELS_JOB_STATE(L)         \
    L(JOB_STATE, QUEUED, "queued")         \
    L(JOB_STATE, STARTING, "starting")     \
    L(JOB_STATE, RUNNING, "running")       \
    L(JOB_STATE, PUBLISHING, "publishing") \
    L(JOB_STATE, CANCELLING, "cancelling")

#define METRIC_LABELS_OUTCOME(L)       \
    L(OUTCOME, SUCCEEDED, "succeeded") \
    L(OUTCOME, FAILED, "failed")       \
    L(OUTCOME, CANCELLED, "cancelled")

#define METRIC_LABELS_CHECKPOINT_STATE(L)         \
    L(CHECKPOINT_STATE, INCOMPLETE, "incomplete") \
    L(CHECKPOINT_STATE, COMPLETE, "complete")     \
    L(CHECKPOINT_STATE, CHANGED, "changed")       \
    L(CHECKPOINT_STATE, GONE, "gone")

/* METRIC_METHOD_GET ... METRIC_METHOD_COUNT, and so on */
#define METRIC_LABEL_ENUMERATOR(set, value, text) METRIC_##set##_##value,
#define METRIC_LABEL_ENUM(set, label) \
    enum metric_label_##set{ METRIC_LABELS_##set(METRIC_LABEL_ENUMERATOR) METRIC_##set##_COUNT };
METRIC_LABEL_SETS(METRIC_LABEL_ENUM)

/* METRIC_HTTP_REQUESTS ... METRIC_COUNT */
enum metric {
#define COUNTER(name, wire, set1, set2, help)        METRIC_##name,
#define COUNTER3(name, wire, set1, set2, set3, help) METRIC_##name,
#define SECONDS(name, wire, set1, set2, help)        METRIC_##name,
#define GAUGE(name, wire, set1, set2, help)          METRIC_##name,
#define HISTOGRAM(name, wire, help)                  METRIC_##name,
#include "metrics/metrics.def"
#undef COUNTER
#undef COUNTER3
#undef SECONDS
#undef GAUGE
#undef HISTOGRAM
    METRIC_COUNT
};

/*
 * Each function fits some kinds of metrics, with or without labels; using another one is a mistake
 * of ours (assert). label1 to label3 are enumerators of the metric's sets, 0 where it has none.
 */
void metric_add(enum metric m, uint64_t n); /* counter without labels */
void metric_add_at(enum metric m, int label1, int label2, uint64_t n);
void metric_add_at3(enum metric m, int label1, int label2, int label3, uint64_t n);
void metric_add_seconds(enum metric m, double seconds); /* SECONDS without labels; < 0 is ignored */
void metric_set(enum metric m, int64_t value);          /* gauge without labels */
void metric_set_at(enum metric m, int label1, int label2, int64_t value);
void metric_move(enum metric m, int64_t by);        /* gauge without labels */
void metric_observe(enum metric m, double seconds); /* histogram; < 0 counts as 0 */

/* The label of a request's method and of an answer's status. */
int metric_method(const char *method);
int metric_status(int http_status);

/* Once, before the first rendering: the version in sewa_build_info and the start of the process. */
void metrics_start(const char *version, int64_t now_ms);

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * Append the Prometheus text exposition, with what /proc says of this process. Out of memory is
 * buf_failed(). Thread: any; reads small files of /proc.
 */
void metrics_render(struct buf *b);

#endif
