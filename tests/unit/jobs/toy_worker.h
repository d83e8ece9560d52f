/*
 * toy_worker - a worker without a process: it answers the tasks of a runner on a quadratic, so that
 * whole jobs run in microseconds.
 */
#ifndef TESTS_UNIT_JOBS_TOY_WORKER_H
#define TESTS_UNIT_JOBS_TOY_WORKER_H

#include "support/support.h"

#include "base/buf.h"
#include "base/json.h"
#include "jobs/runner.h"

enum { TOY_K_MAX = 64, TOY_P = 6 };

/* Standard error of differences to the recalibrated average; 0.001 to the other. */
#define TOY_FRESH_ERROR 0.002

struct toy {
    size_t k;
    double w[TOY_K_MAX][TOY_P];
    double selection[TOY_P], report[TOY_P]; /* where the losses have their valleys */
    bool gradient, has_report, paired;
    int64_t examples; /* of the selection split */

    /* With recalibrated buffers every loss is this much higher; the average has other buffers. */
    bool recalibrates;
    double recalibrated_adds, recalibrated_adds_report;
    size_t recalibrated_tensors, written_tensors;
};

/* Candidates along a path to a valley. */
void toy_init(struct toy *t, size_t k);

double toy_loss(const struct toy *t, const double *alpha, const double *valley, double *c);

/* A plan of k candidates, steps 10, 20, ...; select as method_check() gives it. */
struct job_plan *toy_plan(const struct job_request *q, size_t k);

/* What a worker that has prepared reports. */
json_t *toy_traits(const struct toy *t);

/* The result of a task. */
json_t *toy_result(const struct toy *t, const json_t *task);

/* A whole job. */
struct toy_job {
    struct toy toy;
    struct job_request *request;
    struct job_plan *plan;
    struct runner *runner;
    struct buf story; /* every task and every row of the trace, in words that keep all bits */
};

enum toy_order { TOY_IN_ORDER, TOY_BACKWARDS, TOY_SHUFFLED };

/* The body is that of POST /jobs. */
void toy_job_open(struct toy_job *j, const char *body, size_t k);
void toy_job_close(struct toy_job *j);

/* From prepare to the end. @save: after every step the runner is saved, freed and loaded again. */
void toy_job_run(struct toy_job *j, enum toy_order order, bool save);

/* One batch; what runner_advance() returned. */
int toy_job_step(struct toy_job *j, enum toy_order order, struct sewa_error *err);

/* Save, free, load. */
void toy_job_restart(struct toy_job *j);

#endif
