/*
 * life - a job from the queue to its last state.
 */
#include "jobs/jobs_body.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/service.h"

static void set_state(struct job *job, enum job_state to)
{
    assert(job_state_may_follow(job->state, to));
    job->state = to;
}

void job_move(struct job *job, enum job_state to)
{
    struct job_write *w;

    set_state(job, to);
    if ((w = write_new(job)) == NULL)
        return;
    write_state(w, job);
    write_submit(w);
}

/* ---- the end ---- */

static void stop_workers(struct job *job)
{
    list_for_each_safe(node, &job->workers) {
        worker_stop(list_entry(node, struct worker, link), false);
    }
}

void job_write_last(struct job *job)
{
    struct job_write *w = calloc(1, sizeof *w);

    job->unsaved = false;
    if (!w) {
        job->unsaved = true; /* the clock tries again */
        return;
    }
    w->job = job;
    w->jobs = job->jobs;
    w->job_id = job->id;
    memcpy(w->uid, job->uid, sizeof w->uid);
    w->now_ms = clock_now_ms();
    write_state(w, job);
    write_submit(w);
}

/*
 * Who hears that a job has ended finds what it printed in its log: the end is written when its
 * workers have ended and their last words are stored. A process that does not end is waited for a
 * little only.
 */
static void decide_end(struct job *job)
{
    int64_t now_ms = clock_monotonic_ms();

    job->tell_by_ms = now_ms + JOBS_LAST_WORDS_MS;
    job_tell_end(job, now_ms);
}

void job_tell_end(struct job *job, int64_t now_ms)
{
    bool complete = list_is_empty(&job->workers) && joblog_is_stored(job);

    if (job->tell_by_ms == 0 || (!complete && now_ms < job->tell_by_ms))
        return;
    job->tell_by_ms = 0;
    job->outlived = !list_is_empty(&job->workers);
    if (job->success) {
        write_submit(TAKE(job->success));
        return;
    }
    clean_job(job->jobs, job->uid, job->attempts, true);
    job_write_last(job);
}

static void forget_success(struct job *job)
{
    struct job_write *w = TAKE(job->success);

    if (w)
        write_drop(w);
}

void job_fail(struct job *job, const struct sewa_error *err)
{
    if (job->finished || job->succeeding || job->state == JOB_CANCELLING)
        return;
    set_state(job, JOB_FAILED);
    job->finished = true;
    snprintf(job->reason_code, sizeof job->reason_code, "%s", sewa_code_info(err->code)->slug);
    snprintf(job->reason, sizeof job->reason, "%s", err->text);
    log_info("job %s: failed: %s", job->uid, job->reason);
    stop_workers(job);
    decide_end(job);
}

static void finish_cancel(struct job *job)
{
    if (job->state != JOB_CANCELLING || !list_is_empty(&job->workers) || job->publishing)
        return;
    set_state(job, JOB_CANCELLED);
    job->finished = true;
    log_info("job %s: cancelled", job->uid);
    decide_end(job);
}

int jobs_write_cancel(struct db *db, const struct job_row *row, int64_t now_ms,
                      struct sewa_error *err)
{
    static const char data[] = "{\"state\":\"cancelling\"}";
    const char *to = job_state_name(JOB_CANCELLING);

    if (strcmp(row->state, to) == 0)
        return 0;
    int rc = job_set_state(db, row->id, to, "", NULL, 0, 0, err);
    return rc < 0 ? rc : event_put(db, now_ms, "job.state", row->uid, data, err);
}

void jobs_cancel(struct jobs *j, const char *uid)
{
    struct job *job = jobs_find(j, uid);

    if (!job || job->state == JOB_CANCELLING || job->state == JOB_CANCELLED)
        return;
    /* past the table: an end that is known here only came too late for the row, which decides */
    job->state = JOB_CANCELLING;
    job->finished = false;
    job->succeeding = false;
    job->unsaved = false;
    job->tell_by_ms = 0;
    forget_success(job);
    job->reason_code[0] = '\0';
    job->reason[0] = '\0';
    stop_workers(job);
    jobs_notify(j, uid);
    job_release(job);
}

void job_free(struct job *job)
{
    list_remove(&job->link);
    runner_free(job->runner);
    job_request_free(job->request);
    job_plan_free(job->plan);
    tasks_clear(&job->tasks);
    joblog_clear(job);
    forget_success(job);
    free(job->slots);
    free(job);
}

void job_release(struct job *job)
{
    if (job->jobs->closed) {
        if (job->pending == 0)
            job_free(job);
        return;
    }
    finish_cancel(job);
    job_tell_end(job, clock_monotonic_ms());
    if (job->tell_by_ms)
        return;
    if (job->unsaved && job->pending == 0 && !job->jobs->draining)
        return; /* the clock writes it again */
    if (!job->finished || job->pending > 0 || !list_is_empty(&job->workers))
        return;
    if (job->outlived && job->state != JOB_SUCCEEDED)
        clean_job(job->jobs, job->uid, job->attempts, true); /* what its worker has made since */
    job_free(job);
}

/* ---- the way ---- */

static int open_tasks(struct job *job, struct sewa_error *err)
{
    return tasks_reset(&job->tasks, runner_task_base(job->runner), runner_task_count(job->runner),
                       err);
}

/* The state that a stage of the runner is shown as. */
static enum job_state shown_state(const struct job *job)
{
    switch (runner_stage(job->runner)) {
    case RUNNER_PREPARE: return JOB_STARTING;
    case RUNNER_AVERAGE: return JOB_PUBLISHING;
    case RUNNER_FINISHED:
        return strcmp(job->request->method, "check") == 0 ? JOB_RUNNING : JOB_PUBLISHING;
    default: return JOB_RUNNING;
    }
}

void feed_workers(struct job *job)
{
    list_for_each_safe(node, &job->workers) {
        worker_feed(list_entry(node, struct worker, link));
    }
}

/* Save what the runner has learned, with the state that follows from it. */
static void save(struct job *job)
{
    enum job_state state = shown_state(job);
    struct job_write *w = write_new(job);
    struct sewa_error err;

    if (!w)
        return;
    if (write_runner(w, job) < 0) {
        write_drop(w);
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory to save the state of the job");
        job_fail(job, &err);
        return;
    }
    if (state != job->state) {
        set_state(job, state);
        write_state(w, job);
    }
    write_submit(w);
}

void job_go_on(struct job *job)
{
    struct sewa_error err;

    if (job->finished || job->state == JOB_CANCELLING)
        return;
    if (open_tasks(job, &err) < 0) {
        job_fail(job, &err);
        return;
    }
    if (runner_stage(job->runner) != RUNNER_FINISHED) {
        save(job);
        failpoint("job_saved");
        if (!job->finished)
            feed_workers(job);
        return;
    }
    /* not saved: a service that is killed now writes the average once more, to the same bytes */
    stop_workers(job);
    if (runner_written(job->runner))
        publish_start(job);
    else
        job_succeed(job);
}

void job_advance(struct job *job)
{
    struct sewa_error err;
    int rc = runner_advance(job->runner, &err);

    if (rc < 0)
        job_fail(job, &err);
    else
        job_go_on(job);
}

static int make_runner(struct job *job, struct sewa_error *err)
{
    AUTOFREE char *text = NULL;
    int rc = runner_new(job->request, job->plan, &job->runner, err);

    if (rc == 0)
        rc = job_load_runner(store_reader(job->jobs->o.store), job->id, &text, err);
    if (rc < 0)
        return rc;
    AUTOJSON json_t *state = text ? json_parse(text, strlen(text), err) : json_object();
    if (!state)
        return err->code;
    rc = runner_load(job->runner, state, err);
    if (rc == 0 && runner_stage(job->runner) == RUNNER_PREPARE && !job->request->evaluator)
        rc = runner_prepared(job->runner, NULL, err);
    return rc;
}

/*
 * How long a job has taken is counted by a clock that nobody sets, so it is kept as a sum: such a
 * clock means nothing to the next service.
 */
void job_spend(struct job *job)
{
    double now_s = clock_monotonic_s();

    runner_spend(job->runner, now_s - job->spent_s);
    job->spent_s = now_s;
}

void job_begin(struct job *job)
{
    struct sewa_error err;

    job->spent_s = clock_monotonic_s();
    if (make_runner(job, &err) < 0 || open_tasks(job, &err) < 0) {
        if (job->state == JOB_QUEUED)
            set_state(
                job,
                JOB_STARTING); /* the table: a queued job may fail too, but say that it began */
        job_fail(job, &err);
        return;
    }
    if (job->state == JOB_QUEUED) {
        job->started_ms = clock_now_ms();
        log_info("job %s: starts (%s on run '%s', %zu candidates)", job->uid, job->request->method,
                 job->plan->run_name, job->plan->k);
        job_move(job, JOB_STARTING);
    }
    if (job->finished || shown_state(job) == job->state)
        return;
    if (job_state_may_follow(job->state, shown_state(job))) {
        save(job);
        return;
    }
    sewa_fail(&err, SEWA_E_CORRUPT, "the stored job is %s, its method is not (%s)",
              job_state_name(job->state), job_state_name(shown_state(job)));
    job_fail(job, &err);
}

/* ---- success ---- */

/* Manifest and index. */
static bool is_json(const char *name)
{
    const char *ending = strrchr(name, '.');

    return ending && strcmp(ending, ".json") == 0;
}

/* What the worker or publish.c said of a file. */
static int put_artifact(struct job_write *w, const char *name, const json_t *file)
{
    struct artifact_row *a = &w->artifacts[w->artifact_count++];

    snprintf(a->name, sizeof a->name, "%s", name);
    snprintf(a->media_type, sizeof a->media_type, "%s",
             is_json(name) ? "application/json" : "application/vnd.safetensors");
    a->size = json_integer_value(json_object_get(file, "size"));
    a->created_ms = w->now_ms;
    return hex_decode(json_string_value(json_object_get(file, "sha256")), a->sha256, 32);
}

static int put_artifacts(struct job_write *w, const struct job *job)
{
    const json_t *o = runner_written(job->runner), *files = json_object_get(o, "files");
    size_t n = json_array_size(files);

    if (!o)
        return 0;
    w->artifacts = calloc(n + 1, sizeof *w->artifacts);
    if (!w->artifacts)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *file = json_array_get(files, i);
        if (put_artifact(w, json_string_value(json_object_get(file, "name")), file) < 0)
            return -1;
    }
    return put_artifact(w, "manifest.json", json_object_get(o, "manifest"));
}

/* Digests of ingredients that a worker has made on the way are worth keeping. */
static int put_digests(struct job_write *w, const struct job *job)
{
    const json_t *digests = json_object_get(runner_written(job->runner), "digests");
    size_t n = json_object_size(digests);

    if (n == 0)
        return 0;
    w->digest_ids = calloc(n, sizeof *w->digest_ids);
    w->digests = calloc(n, sizeof *w->digests);
    if (!w->digest_ids || !w->digests)
        return -1;
    for (size_t i = 0; i < job->plan->k && w->digest_count < n; i++) {
        const char *hex = json_string_value(json_object_get(digests, job->plan->candidates[i].uid));
        if (!hex || hex_decode(hex, w->digests[w->digest_count], 32) < 0)
            continue;
        w->digest_ids[w->digest_count++] = job->plan->candidates[i].id;
    }
    return 0;
}

void job_succeed(struct job *job)
{
    struct job_write *w = write_new(job);
    struct sewa_error err;

    if (!w)
        return;
    job_spend(job);
    AUTOJSON json_t *result = runner_result(job->runner, runner_cost(job->runner)->seconds);
    w->result = result ? json_text(result) : NULL;
    if (!w->result || write_runner(w, job) < 0 || put_artifacts(w, job) < 0 ||
        put_digests(w, job) < 0) {
        write_drop(w);
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the result of the job");
        job_fail(job, &err);
        return;
    }
    job->succeeding = true;
    write_state(w, job);
    w->is_success = true;
    w->state = JOB_SUCCEEDED;
    w->finished_ms = w->now_ms;
    failpoint("job_before_success");
    job->success = w;
    decide_end(job);
}

void job_succeeded(struct job *job, const char *result)
{
    AUTOJSON json_t *o = json_parse(result, strlen(result), NULL);
    const char *verdict = json_string_value(json_object_get(o, "verdict_detail"));
    double seconds = json_number_value(json_object_get(json_object_get(o, "cost"), "seconds"));

    set_state(job, JOB_SUCCEEDED);
    job->succeeding = false;
    job->finished = true;
    log_info("job %s: succeeded in %.1f s%s%s", job->uid, seconds, verdict ? ": " : "",
             verdict ? verdict : "");
    if (job->attempts > 1)
        clean_job(job->jobs, job->uid, job->attempts, false); /* of attempts that were lost */
}
