/*
 * runner_body - the inside of a runner, for the files that are one: runner.c (stages),
 * runner_tasks.c (what workers are told and answer), runner_state.c (save and load),
 * runner_result.c (result and manifest).
 */
#ifndef JOBS_RUNNER_BODY_H
#define JOBS_RUNNER_BODY_H

#include "jobs/check.h"
#include "jobs/runner.h"
#include "methods/method.h"

enum {
    RUNNER_CHUNK_MAX = 16, /* points of one task */
    RUNNER_METRICS_MAX = 32,
    RUNNER_POINTS_MAX = 1 + JOB_BASELINES_MAX, /* of the verdict */
};

/* One evaluated split of one point of the verdict. */
struct split_numbers {
    bool there;
    double loss;
    json_t *metrics; /* object */
    bool has_paired;
    double difference, standard_error;
    int64_t examples;
};

struct verdict_point {
    char name[16]; /* "sewa", "last", ... */
    double *alpha; /* k */
    size_t count;  /* of checkpoints with a weight */
    struct split_numbers selection, report;
};

struct runner {
    const struct job_request *request;
    const struct job_plan *plan;
    enum runner_stage stage;
    int64_t task_base;
    size_t task_count;
    bool *task_done;

    json_t *traits; /* as the worker reported them */
    struct method_metric metrics[RUNNER_METRICS_MAX];
    size_t metric_count;
    bool has_gradient, has_report, recalibrates;
    int64_t selection_examples, report_examples;

    bool traced; /* the last advance finished an iteration */
    struct method *method;
    struct method *best; /* the baseline of that name */

    /* the current batch of points, of the method or of best or of a check */
    const struct method_point *points;
    size_t point_count, chunk;
    struct method_answer *answers;
    double *products; /* point_count * k, for the answers' c */

    double *check_alphas;
    struct method_point *check_points;
    double check_seconds[CHECK_EVALUATIONS];
    json_t *check_result;

    struct verdict_point verdict[RUNNER_POINTS_MAX];
    size_t verdict_count;

    /* Ours once more with recalibrated buffers; not there when nobody can recalibrate. */
    struct verdict_point recalibrated;
    int64_t recalibrated_tensors;

    json_t *written;
    struct runner_cost cost;
};

/* The method whose points are being evaluated, or NULL. */
struct method *runner_current(const struct runner *r);

/* Prepare the answers of a batch of points. */
int runner_open_batch(struct runner *r, const struct method_point *points, size_t count,
                      struct sewa_error *err);

/* What follows when a stage has nothing (more) to ask. */
int runner_enter(struct runner *r, enum runner_stage stage, struct sewa_error *err);

/* Alphas of ours and of the baselines. */
int runner_make_verdict_points(struct runner *r, struct sewa_error *err);

/* Whether ours is measured with recalibrated buffers too. A checkpoint that is not averaged keeps
 * its own: they belong to its weights. Once the verdict has its points. */
bool runner_is_recalibrated(const struct runner *r);

/* Whether the average is published with recalibrated buffers: they were measured, and the selection
 * loss with them is lower. */
bool runner_publishes_recalibrated(const struct runner *r);

/* The numbers of ours as it is published. */
const struct verdict_point *runner_published(const struct runner *r);

/* Read the traits into the fields above. */
int runner_read_traits(struct runner *r, const json_t *traits, struct sewa_error *err);
int runner_make_method(struct runner *r, struct sewa_error *err);

/* The short facts for the safetensors header: strings by name. Nothing that differs between two
 * equal jobs (no id, no time), because equal jobs give equal bytes. */
json_t *runner_metadata(const struct runner *r);

const char *runner_stage_name(enum runner_stage s);

#endif
