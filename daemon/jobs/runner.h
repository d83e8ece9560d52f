/*
 * runner - what a job does next, from the first point of its method to the last average.
 *
 *     prepare   a worker has read the candidates and started the evaluator; its traits arrive
 *     method    the method's points, batch by batch, on the selection split
 *     best      the losses of all candidates, when the baseline "best" is wanted
 *     verdict   ours and the baselines, with the values as published, on all splits; ours a second
 *               time with recalibrated buffers when the evaluator can
 *     average   one worker writes the average
 *     finished
 *
 * A job without an evaluator goes from prepare to average; a check ends after its points. A batch
 * is a row of numbered tasks; the same numbers come again after a restart, with the same work in
 * them. Results may arrive in any order; the state moves when all of a batch are there. Pure: no
 * I/O, no clock. Thread: one at a time.
 */
#ifndef JOBS_RUNNER_H
#define JOBS_RUNNER_H

#include "jobs/plan.h"
#include "store/jobs.h"

struct runner;

enum runner_stage {
    RUNNER_PREPARE,
    RUNNER_METHOD,
    RUNNER_CHECK,
    RUNNER_BEST,
    RUNNER_VERDICT,
    RUNNER_AVERAGE,
    RUNNER_FINISHED,
    RUNNER_STAGE_COUNT
};

/* Request and plan are borrowed for the life of the runner. */
int runner_new(const struct job_request *request, const struct job_plan *plan, struct runner **ret,
               struct sewa_error *err);
void runner_free(struct runner *r); /* NULL is fine */
AUTOPTR_DEFINE(runner_free, struct runner);

enum runner_stage runner_stage(const struct runner *r);

/*
 * The traits that a worker reported (NULL when the job has no evaluator); moves from prepare to the
 * first batch. Errors are the job's: what the method needs and the evaluator does not have.
 */
int runner_prepared(struct runner *r, const json_t *traits, struct sewa_error *err);

/* Bytes of checkpoints that a worker has read while it prepared. */
void runner_count_read(struct runner *r, int64_t bytes);

/* So much more time has passed. The runner has no clock of its own. */
void runner_spend(struct runner *r, double seconds);

/* The tasks of the current batch: numbers base .. base + count - 1. */
int64_t runner_task_base(const struct runner *r);
size_t runner_task_count(const struct runner *r);

/* What a worker is told about task i (proto/worker.md). NULL when out of memory. */
json_t *runner_task(const struct runner *r, size_t i);

/* Take the result of task i. SEWA_E_PROTOCOL when it is not what the task asked for. */
int runner_accept(struct runner *r, size_t i, const json_t *result, struct sewa_error *err);

/*
 * All results are there: move on. 1: there is a new batch; 0: finished. Errors end the job (no
 * finite loss anywhere).
 */
int runner_advance(struct runner *r, struct sewa_error *err);

/* True and filled when the last advance finished an iteration. Valid until the next advance. */
bool runner_trace(const struct runner *r, struct trace_row *ret);

void runner_progress(const struct runner *r, struct job_progress *ret);

/* Everything needed to go on after a restart; NULL when out of memory. */
json_t *runner_save(const struct runner *r);

/* r is fresh. An empty object is the state of a job that has not begun. */
int runner_load(struct runner *r, const json_t *state, struct sewa_error *err);

/* Sums over the whole job. */
struct runner_cost {
    int64_t evaluations, gradients;
    double seconds; /* since it was taken up first, without what it waited for a new service */
    double evaluator_seconds;
    int64_t bytes_read;
};

const struct runner_cost *runner_cost(const struct runner *r);

/* ---- once the method has chosen ---- */

/* "result" of the job in the API. Seconds is the wall time so far. */
json_t *runner_result(const struct runner *r, double seconds);

/* manifest.json; the facts of the artifact come from the worker's last result. */
json_t *runner_manifest(const struct runner *r, const char *job_uid, const char *evaluator_digest,
                        const char *created_at);

/*
 * What the worker reported of the average it wrote: "files" (each "name", "size", "sha256"; of
 * several, the index is the last). After RUNNER_AVERAGE.
 */
const json_t *runner_written(const struct runner *r);

#endif
