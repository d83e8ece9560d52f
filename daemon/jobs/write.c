/*
 * write - one transaction about one job. Writes are run in the order of submission, so the rows
 * tell the story in the order in which it happened.
 *
 * A cancellation is written by the request that asks for it, and only then does this room hear of
 * it: what was decided here meanwhile finds the row cancelling, and changes its state no more.
 */
#include "jobs/jobs_body.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "metrics/metrics.h"
#include "store/checkpoints.h"
#include "store/service.h"

static int apply_progress(struct job_write *w, struct db *db, struct sewa_error *err)
{
    int rc = 0;

    if (w->runner)
        rc = job_save_runner(db, w->job_id, w->runner, &w->progress, err);
    if (rc == 0 && w->leases_below)
        rc = lease_delete_below(db, w->job_id, w->leases_below, err);
    if (rc == 0 && w->has_trace)
        rc = trace_put(db, w->job_id, &w->trace, err);
    if (rc == 0 && w->has_lease)
        rc = lease_put(db, w->job_id, &w->lease, err);
    if (rc == 0 && w->has_worker)
        rc = worker_put(db, &w->worker, err);
    if (rc == 0 && w->worker_gone[0])
        rc = worker_delete(db, w->worker_gone, err);
    return rc;
}

static int apply_outcome(struct job_write *w, struct db *db, struct sewa_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < w->artifact_count; i++)
        rc = artifact_put(db, w->job_id, &w->artifacts[i], err);
    for (size_t i = 0; rc == 0 && i < w->digest_count; i++)
        rc = checkpoint_set_sha256(db, w->digest_ids[i], w->digests[i], err);
    if (rc == 0 && w->result)
        rc = job_set_result(db, w->job_id, w->result, err);
    return rc;
}

static int apply_state(struct job_write *w, struct db *db, struct sewa_error *err)
{
    char data[160];

    if (!w->has_state || w->is_overruled)
        return 0;
    int rc = job_set_state(db, w->job_id, job_state_name(w->state), w->reason_code, w->reason,
                           w->started_ms, w->finished_ms, err);
    snprintf(data, sizeof data, "{\"state\":\"%s\"}", job_state_name(w->state));
    return rc < 0 ? rc : event_put(db, w->now_ms, "job.state", w->uid, data, err);
}

static int look_for_cancel(struct job_write *w, struct db *db, struct sewa_error *err)
{
    char name[JOB_STATE_SIZE];

    if (!w->job || !w->has_state || w->state == JOB_CANCELLED)
        return 0;
    int rc = job_state(db, w->uid, name, err);
    w->is_overruled = rc == 0 && strcmp(name, job_state_name(JOB_CANCELLING)) == 0;
    return rc;
}

static int run(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct job_write *w = container_of(op, struct job_write, op);
    int rc = look_for_cancel(w, db, err);

    if (rc < 0 || (w->is_overruled && w->is_success))
        return rc; /* a cancelled job has no result */
    rc = apply_progress(w, db, err);
    if (rc == 0)
        rc = apply_outcome(w, db, err);
    return rc < 0 ? rc : apply_state(w, db, err);
}

void write_drop(struct job_write *w)
{
    free(w->runner);
    free(w->probabilities);
    free(w->result);
    free(w->artifacts);
    free(w->digest_ids);
    free(w->digests);
    free(w);
}

/*
 * A write that failed: a full disk, an I/O error. The job cannot go on without what it has learned;
 * it fails, and that state is written again and again until it can be.
 */
static void handle_failure(struct job_write *w)
{
    struct job *job = w->job;

    if (w->op.err.code != SEWA_E_CHANGED) /* digests that contradict the index are the job's end */
        log_error("job %s: cannot write to the database: %s", w->uid, w->op.err.text);
    if (!job) {
        w->jobs->missed = true;
        return;
    }
    if (w->is_success)
        job->succeeding = false; /* without the row the job has no result: it failed at that */
    if (job->finished)
        job->unsaved = true;
    else
        job_fail(job, &w->op.err);
}

static void count_end(const struct job_write *w)
{
    static const int outcomes[JOB_STATE_COUNT] = {
        [JOB_SUCCEEDED] = METRIC_OUTCOME_SUCCEEDED,
        [JOB_FAILED] = METRIC_OUTCOME_FAILED,
        [JOB_CANCELLED] = METRIC_OUTCOME_CANCELLED,
    };

    if (w->has_state && !w->is_overruled && job_state_is_final(w->state))
        metric_add_at(METRIC_JOBS_FINISHED, outcomes[w->state], 0, 1);
}

static void done(struct store_op *op)
{
    struct job_write *w = container_of(op, struct job_write, op);
    struct job *job = w->job;
    struct jobs *j = w->jobs;

    if (!job)
        j->failing--;
    if (!j->closed) {
        if (w->op.rc < 0)
            handle_failure(w);
        else
            count_end(w);
        if (w->op.rc >= 0 && w->is_success && !w->is_overruled)
            job_succeeded(job, w->result);
        if (w->done)
            w->done(w);
        if (w->op.rc >= 0 && (w->has_state || w->runner || w->result))
            jobs_notify(j, w->uid);
    }
    write_drop(w);
    jobs_let_go(j, job);
}

struct job_write *write_new(struct job *job)
{
    struct job_write *w = calloc(1, sizeof *w);

    if (!w) {
        struct sewa_error err;
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory to write the state of the job");
        if (!job->finished)
            job_fail(job, &err);
        return NULL;
    }
    w->job = job;
    w->jobs = job->jobs;
    w->job_id = job->id;
    memcpy(w->uid, job->uid, sizeof w->uid);
    w->now_ms = clock_now_ms();
    return w;
}

void write_state(struct job_write *w, struct job *job)
{
    w->has_state = true;
    w->state = job->state;
    memcpy(w->reason_code, job->reason_code, sizeof w->reason_code);
    memcpy(w->reason, job->reason, sizeof w->reason);
    w->started_ms = job->started_ms;
    w->finished_ms = job_state_is_final(job->state) ? w->now_ms : 0;
}

int write_runner(struct job_write *w, struct job *job)
{
    job_spend(job);
    AUTOJSON json_t *state = runner_save(job->runner);

    w->runner = state ? json_text(state) : NULL;
    runner_progress(job->runner, &w->progress);
    w->leases_below = runner_task_base(job->runner);
    if (runner_trace(job->runner, &w->trace)) {
        size_t bytes = w->trace.probability_count * sizeof *w->probabilities;
        w->probabilities = malloc(bytes ? bytes : 1);
        if (!w->probabilities)
            return -1;
        memcpy(w->probabilities, w->trace.probabilities, bytes);
        w->trace.probabilities = w->probabilities;
        w->has_trace = true;
        metric_add(METRIC_ITERATIONS, 1);
    }
    return w->runner ? 0 : -1;
}

void write_submit(struct job_write *w)
{
    w->op.run = run;
    w->op.done = done;
    jobs_hold(w->jobs, w->job);
    store_submit(w->jobs->o.store, &w->op);
}
