/*
 * jobs - opening, recovery, the queue and the clock of the room.
 */
#include "jobs/jobs_body.h"

#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "jobs/queue.h"
#include "store/service.h"

struct job *jobs_find(struct jobs *j, const char *uid)
{
    list_for_each(node, &j->jobs) {
        struct job *job = list_entry(node, struct job, link);
        if (strcmp(job->uid, uid) == 0)
            return job;
    }
    return NULL;
}

void jobs_limits(const struct jobs *j, struct plan_limits *ret)
{
    *ret = (struct plan_limits){ .artifact_directory = j->artifact_directory,
                                 .worker_memory_bytes = j->o.worker_memory_bytes,
                                 .worker_threads = j->o.worker_threads,
                                 .worker_slots = j->slot_count,
                                 .evaluator = j->o.evaluator,
                                 .arg = j->o.arg };
}

bool jobs_is_over(struct jobs *j, const char *uid)
{
    return jobs_find(j, uid) == NULL;
}

/* ---- what points here ---- */

static void destroy(struct jobs *j)
{
    free(j->log_directory);
    free(j->artifact_directory);
    free(j->slot_taken);
    free(j);
}

void jobs_hold(struct jobs *j, struct job *job)
{
    j->pending++;
    if (job)
        job->pending++;
}

void jobs_let_go(struct jobs *j, struct job *job)
{
    j->pending--;
    if (job) {
        job->pending--;
        job_release(job);
    }
    if (j->pending == 0 && j->tick_closed)
        destroy(j);
}

/* Requests are planned and written at the same time: who is let in counts from then on. */
int jobs_reserve(struct jobs *j, struct sewa_error *err)
{
    int n = j->reserved;

    list_for_each(node, &j->jobs) {
        n++;
    }
    if (n >= j->unfinished_max)
        return sewa_fail(err, SEWA_E_TOO_MANY, "%d jobs are not finished, at most %d are kept", n,
                         j->unfinished_max);
    j->reserved++;
    jobs_hold(j, NULL); /* whoever has reserved gives it back, perhaps after the room was closed */
    return 0;
}

void jobs_unreserve(struct jobs *j)
{
    j->reserved--;
    jobs_let_go(j, NULL);
}

/* ---- watchers ---- */

void jobs_watch(struct jobs *j, struct jobs_watcher *w)
{
    list_append(&j->watchers, &w->link);
}

void jobs_unwatch(struct jobs_watcher *w)
{
    list_remove(&w->link);
}

void jobs_notify(struct jobs *j, const char *uid)
{
    list_for_each_safe(node, &j->watchers) {
        struct jobs_watcher *w = list_entry(node, struct jobs_watcher, link);
        w->changed(w, uid);
    }
}

/* ---- the queue ---- */

static int64_t wanted_workers(const struct job *job)
{
    if (job->finished || job->succeeding || job->state == JOB_CANCELLING || job->publishing)
        return 0;
    if (job->runner && runner_stage(job->runner) == RUNNER_FINISHED)
        return 0;
    /* one worker writes the average: a slot that becomes free now is for somebody else */
    if (job->runner && runner_stage(job->runner) == RUNNER_AVERAGE)
        return 1;
    return job->request->workers;
}

static int64_t running_workers(const struct job *job)
{
    int64_t n = 0;

    list_for_each(node, &job->workers) {
        n++;
    }
    return n;
}

static int64_t free_slots(const struct jobs *j)
{
    int64_t n = 0;

    for (int i = 0; i < j->slot_count; i++)
        n += !j->slot_taken[i];
    return n;
}

static struct job *next_job(struct jobs *j, int64_t now_ms)
{
    enum { LOOK_AT_MAX = 256 };
    struct queue_item items[LOOK_AT_MAX];
    struct job *jobs[LOOK_AT_MAX];
    size_t n = 0;

    list_for_each(node, &j->jobs) {
        struct job *job = list_entry(node, struct job, link);
        int64_t wanted = wanted_workers(job), running = running_workers(job);
        if (wanted <= running || slots_pick(j->slot_taken, job->slots, j->slot_count, now_ms) < 0)
            continue;
        jobs[n] = job;
        items[n++] = (struct queue_item){ wanted, running };
        if (n == LOOK_AT_MAX)
            break;
    }
    int i = queue_next(items, n, free_slots(j));
    return i < 0 ? NULL : jobs[i];
}

void jobs_schedule(struct jobs *j)
{
    int64_t now_ms = clock_monotonic_ms();
    struct job *job;
    struct sewa_error err;

    while (!j->draining && !j->closed && now_ms >= j->starting.until_ms &&
           (job = next_job(j, now_ms)) != NULL) {
        int slot = slots_pick(j->slot_taken, job->slots, j->slot_count, now_ms);
        if (job->state == JOB_QUEUED || !job->runner)
            job_begin(job);
        if (job->finished)
            continue;
        if (worker_start(job, slot, &err) < 0)
            worker_not_started(job, slot, &err);
        else
            j->starting = (struct slot_record){ 0 };
    }
}

/* ---- jobs in memory ---- */

static struct job *job_new(struct jobs *j, const struct job_row *row, struct sewa_error *err)
{
    struct job *job = calloc(1, sizeof *job);
    AUTOFREE struct slot_record *slots = calloc((size_t)j->slot_count, sizeof *slots);
    AUTOJSON json_t *request = json_parse(row->request, strlen(row->request), err);
    AUTOJSON json_t *plan = json_parse(row->plan, strlen(row->plan), err);
    bool no_memory = !job || !slots || failpoint_errno("job_take");
    int rc = !no_memory && request && plan ? 0 : -1;

    if (no_memory)
        sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for job '%s'", row->uid);
    if (rc == 0)
        rc = job_request_parse_stored(request, &job->request, err);
    if (rc == 0)
        rc = job_plan_parse(plan, &job->plan, err);
    if (rc < 0) {
        if (job)
            job_request_free(job->request);
        free(job);
        return NULL;
    }
    job->jobs = j;
    job->slots = TAKE(slots);
    job->id = row->id;
    memcpy(job->uid, row->uid, sizeof job->uid);
    job->state = (enum job_state)job_state_from_name(row->state);
    job->started_ms = row->started_ms;
    list_init(&job->workers);
    list_append(&j->jobs, &job->link);
    return job;
}

/* A row that cannot be understood must not stop the others: it fails. */
static void fail_row(struct jobs *j, const struct job_row *row, const struct sewa_error *err)
{
    struct job_write *w = calloc(1, sizeof *w);

    log_error("job %s: cannot be taken up: %s", row->uid, err->text);
    if (!w) {
        j->missed = true;
        return;
    }
    j->failing++;
    w->jobs = j;
    w->job_id = row->id;
    memcpy(w->uid, row->uid, sizeof w->uid);
    w->now_ms = clock_now_ms();
    w->has_state = true;
    w->state = JOB_FAILED;
    w->finished_ms = w->now_ms;
    snprintf(w->reason_code, sizeof w->reason_code, "%s", sewa_code_info(err->code)->slug);
    snprintf(w->reason, sizeof w->reason, "%s", err->text);
    write_submit(w);
}

/* It was accepted, so it is not given up for want of memory: the clock tries again. */
static struct job *take(struct jobs *j, const struct job_row *row)
{
    struct sewa_error err;
    struct job *job = job_new(j, row, &err);

    if (job)
        return job;
    if (err.code == SEWA_E_NO_MEMORY) {
        log_warn("job %s: %s; it is tried again", row->uid, err.text);
        j->missed = true;
    } else {
        fail_row(j, row, &err);
    }
    return NULL;
}

void jobs_take(struct jobs *j, const struct job_row *row)
{
    if (!jobs_find(j, row->uid)) /* the clock may have been first */
        take(j, row);
    jobs_notify(j, row->uid);
    jobs_schedule(j);
}

static int put_text(json_t *value, char **ret)
{
    *ret = value ? json_canonical(value) : NULL;
    json_decref(value);
    return *ret ? 0 : -1;
}

static int fill_row(const struct job_request *q, const struct job_plan *p, int64_t now_ms,
                    struct job_row *row)
{
    int rc = 0;

    id_new("job", now_ms, row->uid);
    row->run_id = p->run_id;
    row->candidate_newest = p->newest_id;
    row->evaluations_total = p->evaluations;
    row->created_ms = now_ms;
    row->version = 1;
    snprintf(row->state, sizeof row->state, "%s", job_state_name(JOB_QUEUED));
    row->run_name = strdup(p->run_name);
    row->method = strdup(q->method);
    row->reason = strdup("");
    rc |= put_text(job_request_json(q), &row->request);
    rc |= put_text(job_plan_json(p), &row->plan);
    rc |= put_text(json_deep_copy(q->labels), &row->labels);
    return row->run_name && row->method && row->reason ? rc : -1;
}

int jobs_insert(struct db *db, const struct job_request *q, const struct job_plan *p,
                int64_t now_ms, struct job_row *ret, struct sewa_error *err)
{
    AUTOFREE int64_t *ids = calloc(p->k, sizeof *ids);

    if (!ids || fill_row(q, p, now_ms, ret) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the job");
    for (size_t i = 0; i < p->k; i++)
        ids[i] = p->candidates[i].id;
    int rc = job_insert(db, ret, ids, p->k, err);
    return rc < 0 ? rc : event_put(db, now_ms, "job.created", ret->uid, NULL, err);
}

/* ---- after a restart ---- */

static int restore_lease(const struct lease_row *row, void *arg, struct sewa_error *err)
{
    struct job *job = arg;

    (void)err;
    if (row->attempt > job->attempts)
        job->attempts = row->attempt;
    /* its holder has until the deadline to say that it still works on it */
    tasks_restore(&job->tasks, row->task, row->attempt, row->failures, row->worker,
                  clock_monotonic_ms() + job->jobs->times.lease_ms);
    return 0;
}

static int restore_worker(const struct worker_row *row, void *arg, struct sewa_error *err)
{
    struct job *job = arg;
    struct sewa_error ignored;

    (void)err;
    if (worker_adopt(job, row, &ignored) == 0)
        return 0;
    for (int i = tasks_of_worker(&job->tasks, row->uid, 0); i >= 0;
         i = tasks_of_worker(&job->tasks, row->uid, (size_t)i + 1))
        tasks_release(&job->tasks, (size_t)i); /* it died with the service: nobody's fault */
    struct job_write *w = write_new(job);
    if (w) {
        memcpy(w->worker_gone, row->uid, sizeof w->worker_gone);
        write_submit(w);
    }
    return 0;
}

/* Leases whose holder has no row (the service was killed between starting and writing it). */
static void release_orphans(struct job *job)
{
    for (size_t i = 0; i < job->tasks.count; i++) {
        bool held = false;
        list_for_each(node, &job->workers) {
            struct worker *w = list_entry(node, struct worker, link);
            held = held || strcmp(w->uid, job->tasks.items[i].worker) == 0;
        }
        if (!held && job->tasks.items[i].state == TASK_LEASED)
            tasks_release(&job->tasks, i);
    }
}

static int recover_one(const struct job_row *row, void *arg, struct sewa_error *err)
{
    struct jobs *j = arg;
    struct job *job = jobs_find(j, row->uid) ? NULL : take(j, row);
    struct db *db = store_reader(j->o.store);

    if (!job)
        return 0;
    int rc = 0;
    if (job->state != JOB_QUEUED && job->state != JOB_CANCELLING) {
        job_begin(job);
        if (!job->finished)
            rc = lease_list(db, job->id, restore_lease, job, err);
    }
    if (rc >= 0)
        rc = worker_list(db, job->id, restore_worker, job, err);
    if (rc < 0)
        return rc;
    release_orphans(job);
    log_info("job %s: taken up again (%s), %lld workers are alive", job->uid, row->state,
             (long long)running_workers(job));
    if (job->state == JOB_CANCELLING) {
        list_for_each_safe(node, &job->workers) {
            worker_stop(list_entry(node, struct worker, link), false);
        }
        job_release(job); /* without workers it is cancelled now */
    }
    return 0;
}

int jobs_recover(struct jobs *j, struct sewa_error *err)
{
    int rc = clean_sweep(j, err);

    if (rc == 0)
        rc = job_unfinished(store_reader(j->o.store), recover_one, j, err);
    if (rc == 0)
        jobs_schedule(j);
    return rc;
}

/* ---- clock ---- */

/* Rows that nobody here knows of, because they could not be taken up, or not be failed. */
static void take_missed(struct jobs *j)
{
    struct sewa_error err;

    if (!j->missed || j->failing > 0 || j->draining)
        return;
    j->missed = false;
    if (job_unfinished(store_reader(j->o.store), recover_one, j, &err) < 0) {
        log_error("jobs: %s", err.text);
        j->missed = true;
    }
}

static void on_tick(uv_timer_t *t)
{
    struct jobs *j = container_of(t, struct jobs, tick);
    int64_t now_ms = clock_monotonic_ms();

    workers_tick(j, now_ms, patience_gap(j->ticked_ms, now_ms, JOBS_TICK_MS));
    j->ticked_ms = now_ms;
    list_for_each_safe(node, &j->jobs) {
        struct job *job = list_entry(node, struct job, link);
        job_tell_end(job, now_ms);
        if (job->unsaved && job->pending == 0)
            job_write_last(job);
    }
    take_missed(j);
    jobs_schedule(j);
}

/* ---- open, drain, close ---- */

static int make_directories(struct jobs *j, struct sewa_error *err)
{
    j->log_directory = path_join(j->o.state_directory, "jobs");
    j->artifact_directory = strdup(j->o.artifact_directory);
    if (!j->log_directory || !j->artifact_directory)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the jobs");
    int rc = directory_make(j->log_directory, 0750, err);
    return rc < 0 ? rc : directory_make(j->artifact_directory, 0750, err);
}

static void set_times(struct jobs_times *t)
{
    *t = (struct jobs_times){
        .heartbeat_s = failpoint_value("jobs_heartbeat_s", JOBS_HEARTBEAT_S),
        .lease_ms = failpoint_value("jobs_lease_ms", JOBS_LEASE_MS),
        .lease_wait_ms = failpoint_value("jobs_lease_wait_ms", JOBS_LEASE_WAIT_MS),
        .hello_ms = failpoint_value("jobs_hello_ms", JOBS_HELLO_MS),
        .kill_ms = failpoint_value("jobs_kill_ms", JOBS_KILL_MS),
        .rest_ms = failpoint_value("jobs_rest_ms", JOBS_REST_MS),
        .work_ms = failpoint_value("jobs_work_ms", JOBS_WORK_MS),
    };
}

int jobs_open(const struct jobs_options *o, struct jobs **ret, struct sewa_error *err)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (!j)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the jobs");
    j->o = *o;
    set_times(&j->times);
    j->unfinished_max = (int)failpoint_value("jobs_unfinished_max", JOBS_UNFINISHED_MAX);
    list_init(&j->jobs);
    list_init(&j->workers);
    list_init(&j->watchers);
    while (o->devices && o->devices[j->slot_count])
        j->slot_count++;
    if (j->slot_count == 0) {
        j->slot_count = o->local_workers;
        j->o.devices = NULL;
    }
    j->slot_taken = calloc((size_t)j->slot_count, sizeof *j->slot_taken);
    int rc = j->slot_taken ? make_directories(j, err)
                           : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the jobs");
    if (rc < 0) {
        destroy(j);
        return rc;
    }
    j->ticked_ms = clock_monotonic_ms();
    uv_timer_init(o->loop, &j->tick);
    uv_timer_start(&j->tick, on_tick, JOBS_TICK_MS, JOBS_TICK_MS);
    *ret = j;
    return 0;
}

void jobs_drain(struct jobs *j)
{
    j->draining = true;
}

bool jobs_is_drained(const struct jobs *j)
{
    if (j->pending > 0)
        return false;
    list_for_each(node, &j->jobs) {
        const struct job *job = list_entry(node, const struct job, link);
        if (job->tell_by_ms)
            return false;
        for (size_t i = 0; !job->finished && i < job->tasks.count; i++)
            if (job->tasks.items[i].state == TASK_LEASED)
                return false;
    }
    return true;
}

static void on_tick_closed(uv_handle_t *h)
{
    struct jobs *j = container_of((uv_timer_t *)h, struct jobs, tick);

    j->tick_closed = true;
    if (j->pending == 0)
        destroy(j);
}

void jobs_close(struct jobs *j)
{
    j->closed = true;
    list_for_each_safe(node, &j->workers) {
        struct worker *w = list_entry(node, struct worker, all);
        if (w->process) {
            /* of a job that has ended nobody looks for it again: it was asked to end already */
            w->process->launcher->stop(w->process, w->job->finished);
            w->process->launcher->release(w->process);
        }
        worker_free(w);
    }
    list_for_each_safe(node, &j->jobs) {
        job_release(list_entry(node, struct job, link));
    }
    uv_close((uv_handle_t *)&j->tick, on_tick_closed);
}

int jobs_worker_count(const struct jobs *j)
{
    int n = 0;

    list_for_each(node, &j->workers) {
        n++;
    }
    return n;
}
