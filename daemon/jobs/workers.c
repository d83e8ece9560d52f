/*
 * workers - the processes of a job: start, adopt, stop, and what their end means.
 */
#include "jobs/jobs_body.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

static int take_slot(struct jobs *j)
{
    for (int i = 0; i < j->slot_count; i++)
        if (!j->slot_taken[i]) {
            j->slot_taken[i] = true;
            return i;
        }
    return -1;
}

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

static void count_death(struct worker *w, const struct sewa_error *why)
{
    struct job *job = w->job;

    worker_give_up_tasks(w, why);
    job->start_after_ms = clock_monotonic_ms() + 500 * (job->deaths + 1);
    if (++job->deaths >= JOBS_WORKER_DEATHS_MAX) {
        struct sewa_error err = *why;
        sewa_context(&err, err.code, "%d workers in a row ended without a result, the last one",
                     job->deaths);
        job_fail(job, &err);
    }
}

static void forget_row(struct worker *w)
{
    struct job_write *write = write_new(w->job);

    if (!write)
        return;
    memcpy(write->worker_gone, w->uid, sizeof write->worker_gone);
    write_submit(write);
}

static void on_exit_of_worker(struct launched *process, int status, int signal)
{
    struct worker *w = process->owner;
    struct job *job = w->job;
    struct jobs *j = job->jobs;
    struct sewa_error why;
    char text[160];

    w->process = NULL;
    struct jobs_call *open[] = { TAKE(w->waiting), worker_forget_grant(w) };
    for (size_t i = 0; i < COUNT_OF(open); i++)
        if (open[i])
            call_reply_error(open[i], SEWA_E_UNAVAILABLE, "the worker is gone");
    say_how(status, signal, text, sizeof text);
    sewa_fail(&why, SEWA_E_WORKER_DIED, "%s", text);
    if (!w->stopping && !job->finished && job->state != JOB_CANCELLING) {
        log_warn("job %s: %s, another one is started", job->uid, text);
        count_death(w, &why);
    }
    if (!j->closed)
        forget_row(w);
    job->pending++; /* it must not go away under us */
    worker_free(w);
    job->pending--;
    job_release(job);
    jobs_schedule(j);
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

int worker_start(struct job *job, struct sewa_error *err)
{
    struct jobs *j = job->jobs;
    int slot = take_slot(j);
    char token[65];
    AUTOFREE char *log = jobs_log_path(j, job->uid);
    struct worker *w = slot < 0 || !log ? NULL : worker_new(job, slot);

    if (!w) {
        free_slot(j, slot);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a worker");
    }
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

static void give_up_overdue(struct job *job, int64_t now_ms)
{
    struct sewa_error why;
    int i;

    while (!job->finished && (i = tasks_overdue(&job->tasks, now_ms, 0)) >= 0) {
        const char *uid = job->tasks.items[i].worker;
        sewa_fail(&why, SEWA_E_WORKER_DIED, "worker '%s' gave no sign of life for %g s", uid,
                  (double)job->jobs->times.lease_ms / 1000);
        log_warn("job %s: %s, its task goes to another one", job->uid, why.text);
        struct worker *holder = NULL;
        list_for_each(node, &job->workers) {
            struct worker *w = list_entry(node, struct worker, link);
            if (strcmp(w->uid, uid) == 0)
                holder = w;
        }
        if (tasks_failed(&job->tasks, (size_t)i) >= TASK_FAILURES_MAX)
            job_fail(job, &why);
        if (holder)
            worker_stop(holder, true);
    }
}

static void check_worker(struct worker *w, int64_t now_ms)
{
    struct job *job = w->job;

    if (w->stopping) {
        if (w->kill_at_ms && now_ms > w->kill_at_ms)
            worker_stop(w, true);
        return;
    }
    if (w->waiting && now_ms > w->waiting->deadline_ms) {
        struct jobs_call *c = w->waiting;
        w->waiting = NULL;
        c->reply(c, json_pack("{s:n}", "task"), NULL);
    }
    int64_t patience = w->said_hello ? job->jobs->times.lease_ms * 2 : job->jobs->times.hello_ms;
    if (!job->finished && now_ms - w->seen_ms > patience) {
        log_warn("job %s: worker '%s' says nothing and is killed", job->uid, w->uid);
        w->kill_at_ms = now_ms + job->jobs->times.kill_ms;
        w->process->launcher->stop(w->process, true);
    }
}

void workers_tick(struct jobs *j, int64_t now_ms)
{
    list_for_each_safe(node, &j->workers) {
        check_worker(list_entry(node, struct worker, all), now_ms);
    }
    list_for_each_safe(node, &j->jobs) {
        struct job *job = list_entry(node, struct job, link);
        if (!job->finished)
            give_up_overdue(job, now_ms);
    }
}
