/*
 * workers - the processes of a job: start, adopt, stop, and what their end means.
 */
#include "jobs/jobs_body.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

static void free_slot(struct jobs *j, int slot)
{
    if (slot >= 0 && slot < j->slot_count)
        j->slot_taken[slot] = false;
}

void worker_free(struct worker *w)
{
    free_slot(w->job->jobs, w->slot);
    list_remove(&w->link);
    list_remove(&w->all);
    free(w);
}

/* ---- the end of a process ---- */

static void say_how(int status, int signal, char *text, size_t size)
{
    if (signal < 0)
        snprintf(text, size, "the worker ended");
    else if (signal > 0)
        snprintf(text, size, "the worker was killed by signal %d (%s)%s", signal, strsignal(signal),
                 signal == SIGKILL ? ", perhaps for want of memory" : "");
    else
        snprintf(text, size, "the worker exited with status %d", status);
}

void worker_give_up_tasks(struct worker *w, const struct sewa_error *why)
{
    struct job *job = w->job;

    for (int i = tasks_of_worker(&job->tasks, w->uid, 0); i >= 0;
         i = tasks_of_worker(&job->tasks, w->uid, (size_t)i + 1)) {
        if (tasks_failed(&job->tasks, (size_t)i) < TASK_FAILURES_MAX)
            continue;
        struct sewa_error err = *why;
        sewa_context(&err, err.code, "task %lld failed %d times, the last time",
                     (long long)(job->tasks.base + i), TASK_FAILURES_MAX);
        job_fail(job, &err);
        return;
    }
}

static void release_tasks(struct worker *w)
{
    struct tasks *t = &w->job->tasks;

    for (int i = tasks_of_worker(t, w->uid, 0); i >= 0;
         i = tasks_of_worker(t, w->uid, (size_t)i + 1))
        tasks_release(t, (size_t)i);
}

static void forget_row(struct worker *w)
{
    struct job_write *write = write_new(w->job);

    if (!write)
        return;
    memcpy(write->worker_gone, w->uid, sizeof write->worker_gone);
    write_submit(write);
}

/* Nothing is heard of it any more: forget it, and go on without it. */
static void bury(struct worker *w)
{
    struct job *job = w->job;
    struct jobs *j = job->jobs;

    struct jobs_call *open[] = { TAKE(w->waiting), worker_forget_grant(w) };
    for (size_t i = 0; i < COUNT_OF(open); i++)
        if (open[i])
            call_reply_error(open[i], SEWA_E_UNAVAILABLE, "the worker is gone");
    release_tasks(w);
    if (!j->closed)
        forget_row(w);
    job->pending++; /* it must not go away under us */
    worker_free(w);
    feed_workers(job); /* what it held is for those who wait */
    job->pending--;
    job_release(job);
    jobs_schedule(j);
}

static void on_exit_of_worker(struct launched *process, int status, int signal)
{
    struct worker *w = process->owner;
    struct sewa_error why;
    char text[160];

    w->process = NULL;
    if (!w->stopping) {
        say_how(status, signal, text, sizeof text);
        sewa_fail(&why, SEWA_E_WORKER_DIED, "%s", text);
        worker_give_up_tasks(w, &why);
        worker_failed(w, &why);
    }
    bury(w);
}

/* ---- start, adopt, stop ---- */

static struct worker *worker_new(struct job *job, int slot)
{
    struct worker *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->job = job;
    w->slot = slot;
    w->seen_ms = clock_monotonic_ms();
    w->prepared = !job->request->evaluator; /* there is nothing to prepare for an average alone */
    list_append(&job->workers, &w->link);
    list_append(&job->jobs->workers, &w->all);
    return w;
}

static int make_token(char text[65], uint8_t hash[32], struct sewa_error *err)
{
    uint8_t random[32];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return sewa_fail_errno(err, SEWA_E_INTERNAL, "no random numbers for a token");
    hex_encode(random, sizeof random, text);
    sha256_of(text, 64, hash);
    return 0;
}

static void write_worker(struct worker *w)
{
    struct job_write *write = write_new(w->job);

    if (!write)
        return;
    write->has_worker = true;
    write->worker = (struct worker_row){ .job_id = w->job->id,
                                         .pid = w->process->pid,
                                         .start_ticks = w->process->start_ticks,
                                         .slot = w->slot,
                                         .started_ms = write->now_ms };
    memcpy(write->worker.uid, w->uid, sizeof write->worker.uid);
    memcpy(write->worker.token_hash, w->token_hash, 32);
    write_submit(write);
}

int worker_start(struct job *job, int slot, struct sewa_error *err)
{
    struct jobs *j = job->jobs;
    char token[65];
    AUTOFREE char *log = jobs_log_path(j, job->uid);
    struct worker *w = log ? worker_new(job, slot) : NULL;

    if (!w)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a worker");
    j->slot_taken[slot] = true;
    id_new("wrk", clock_now_ms(), w->uid);
    struct launch_spec spec = { .token = token,
                                .device = j->o.devices ? j->o.devices[slot] : NULL,
                                .log_path = log,
                                .on_exit = on_exit_of_worker,
                                .owner = w };
    int rc = make_token(token, w->token_hash, err);
    if (rc == 0)
        rc = j->o.launcher->start(j->o.launcher, &spec, &w->process, err);
    explicit_bzero(token, sizeof token);
    if (rc < 0) {
        worker_free(w);
        return rc;
    }
    write_worker(w);
    return 0;
}

int worker_adopt(struct job *job, const struct worker_row *row, struct sewa_error *err)
{
    struct jobs *j = job->jobs;
    AUTOFREE char *log = jobs_log_path(j, job->uid);
    /* fewer slots may be configured now: then it occupies none of them */
    int slot = row->slot >= 0 && row->slot < j->slot_count ? (int)row->slot : -1;
    struct worker *w = log ? worker_new(job, slot) : NULL;

    if (!w)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a worker");
    if (slot >= 0)
        j->slot_taken[slot] = true;
    memcpy(w->uid, row->uid, sizeof w->uid);
    memcpy(w->token_hash, row->token_hash, 32);
    struct launch_spec spec = { .log_path = log, .on_exit = on_exit_of_worker, .owner = w };
    int rc =
        j->o.launcher->adopt(j->o.launcher, row->pid, row->start_ticks, &spec, &w->process, err);
    if (rc < 0)
        worker_free(w);
    return rc;
}

void worker_stop(struct worker *w, bool now)
{
    w->stopping = true;
    worker_feed(w); /* whoever waits for work hears at once that there is none */
    if (!w->process)
        return;
    if (w->kill_at_ms == 0)
        w->kill_at_ms = clock_monotonic_ms() + w->job->jobs->times.kill_ms;
    w->process->launcher->stop(w->process, now);
}

/* ---- the clock ---- */

/* It says nothing or gets on with nothing: killed, and counted as failed. */
static void give_up(struct worker *w, const struct sewa_error *why)
{
    worker_give_up_tasks(w, why);
    worker_failed(w, why);
    worker_stop(w, true);
}

static void check_lease(struct worker *w, int64_t now_ms)
{
    struct sewa_error why;

    if (tasks_overdue(&w->job->tasks, w->uid, now_ms) < 0)
        return;
    sewa_fail(&why, SEWA_E_WORKER_DIED, "worker '%s' gave no sign of life for %g s", w->uid,
              (double)w->job->jobs->times.lease_ms / 1000);
    give_up(w, &why);
}

static void check_silence(struct worker *w, int64_t now_ms)
{
    const struct jobs_times *times = &w->job->jobs->times;
    int64_t patience_ms = w->said_hello ? times->lease_ms * 2 : times->hello_ms;
    struct sewa_error why;

    if (now_ms - w->seen_ms <= patience_ms)
        return;
    sewa_fail(&why, SEWA_E_WORKER_DIED, "worker '%s' %s for %g s", w->uid,
              w->said_hello ? "said nothing" : "did not say hello", (double)patience_ms / 1000);
    give_up(w, &why);
}

static int64_t evaluator_time(const struct job *job, const char *name)
{
    return json_integer_value(json_object_get(job->plan->evaluator, name)) + JOBS_GRACE_MS;
}

static void check_progress(struct worker *w, int64_t now_ms)
{
    struct patience_limits limits = { .work_ms = w->job->jobs->times.work_ms,
                                      .start_ms = evaluator_time(w->job, "start_timeout_ms"),
                                      .evaluator_ms = evaluator_time(w->job, "timeout_ms") };
    int64_t stands_ms = stride_stands(&w->stride, &limits, now_ms);
    struct sewa_error why;

    if (stands_ms == 0)
        return;
    sewa_fail(&why, SEWA_E_TIMEOUT, "worker '%s' hangs: in '%s' nothing has moved for %.0f s",
              w->uid, w->stride.doing, (double)stands_ms / 1000);
    give_up(w, &why);
}

/*
 * A process that hangs in a file system may not even end when it is killed. Its slot and its job
 * do not wait for it; it ends when the file system answers.
 */
static void check_end(struct worker *w, int64_t now_ms)
{
    struct launched *process = w->process;

    if (!process || w->kill_at_ms == 0 || now_ms <= w->kill_at_ms)
        return;
    if (now_ms <= w->kill_at_ms + JOBS_KILLS * w->job->jobs->times.kill_ms) {
        process->launcher->stop(process, true);
        return;
    }
    log_error("job %s: worker '%s' (process %lld) was killed and does not end; it is left behind",
              w->job->uid, w->uid, (long long)process->pid);
    w->process = NULL;
    process->launcher->release(process);
    bury(w);
}

static void check_worker(struct worker *w, int64_t now_ms)
{
    if (w->waiting && now_ms > w->waiting->deadline_ms) {
        struct jobs_call *c = TAKE(w->waiting);
        c->reply(c, json_pack("{s:n}", "task"), NULL);
    }
    if (!w->stopping)
        check_lease(w, now_ms);
    if (!w->stopping)
        check_silence(w, now_ms);
    if (!w->stopping)
        check_progress(w, now_ms);
    if (w->stopping)
        check_end(w, now_ms);
}

static void excuse(struct jobs *j, int64_t now_ms, int64_t gap_ms)
{
    log_warn("jobs: nothing ran for %.1f s, workers have so much longer", (double)gap_ms / 1000);
    list_for_each(node, &j->workers) {
        struct worker *w = list_entry(node, struct worker, all);
        int64_t *times[] = { &w->seen_ms, &w->stride.moved_ms };
        for (size_t i = 0; i < COUNT_OF(times); i++)
            *times[i] = *times[i] + gap_ms < now_ms ? *times[i] + gap_ms : now_ms;
        if (w->kill_at_ms)
            w->kill_at_ms += gap_ms;
    }
    list_for_each(node, &j->jobs) {
        struct job *job = list_entry(node, struct job, link);
        tasks_excuse(&job->tasks, gap_ms, now_ms + j->times.lease_ms);
    }
}

void workers_tick(struct jobs *j, int64_t now_ms, int64_t gap_ms)
{
    if (gap_ms > 0)
        excuse(j, now_ms, gap_ms);
    list_for_each_safe(node, &j->workers) {
        check_worker(list_entry(node, struct worker, all), now_ms);
    }
}
