/*
 * calls - what workers ask and report: hello, lease, heartbeat, result, log (proto/worker.md).
 *
 * A worker proves itself by its token; everything it sends is checked as if a stranger had sent it,
 * because it runs next to user code.
 */
#include "jobs/jobs_body.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/path.h"
#include "metrics/metrics.h"
#include "sewa/protocol.h"

static void reply_error(struct jobs_call *c, const struct sewa_error *err)
{
    c->reply(c, NULL, err);
}

void call_reply_error(struct jobs_call *c, int code, const char *text)
{
    struct sewa_error err;

    sewa_fail(&err, code, "%s", text);
    reply_error(c, &err);
}

static void reply_stop(struct jobs_call *c)
{
    c->reply(c, json_pack("{s:b}", "stop", 1), NULL);
}

void jobs_abandon(struct jobs_call *c)
{
    struct worker *w = c->owner;

    if (w && w->waiting == c)
        w->waiting = NULL;
    if (w && w->granting && w->granting->arg == c)
        worker_forget_grant(w);
}

/* Nobody is there to be told of the lease that is being written: it is taken back then. */
struct jobs_call *worker_forget_grant(struct worker *w)
{
    struct job_write *write = TAKE(w->granting);
    struct jobs_call *c = write ? write->arg : NULL;

    if (write)
        write->arg = NULL;
    return c;
}

/* The worker with this token, or NULL and the call is answered. */
static struct worker *authenticate(struct jobs *j, const char *token, struct jobs_call *c)
{
    uint8_t hash[32];

    if (token) {
        sha256_of(token, strlen(token), hash);
        list_for_each(node, &j->workers) {
            struct worker *w = list_entry(node, struct worker, all);
            if (memcmp(w->token_hash, hash, sizeof hash) == 0) {
                w->seen_ms = clock_monotonic_ms();
                return w;
            }
        }
    }
    call_reply_error(c, SEWA_E_UNAUTHORIZED, "this token belongs to no worker");
    return NULL;
}

static bool is_over(const struct worker *w)
{
    return w->job->finished || w->job->state == JOB_CANCELLING || w->stopping;
}

/* ---- hello ---- */

static json_t *job_for_worker(const struct worker *w)
{
    const struct job *job = w->job;
    const struct jobs_options *o = &job->jobs->o;
    const struct job_request *q = job->request;
    AUTOJSON json_t *spec = json_object();
    int rc = spec ? 0 : -1;

    rc |= json_put(spec, "protocol", json_integer(WORKER_PROTOCOL));
    rc |= json_put(spec, "worker", json_string(w->uid));
    rc |= json_put(spec, "job", json_string(job->uid));
    rc |= json_put(spec, "heartbeat_seconds", json_integer(job->jobs->times.heartbeat_s));
    rc |= json_put(spec, "candidates", job_plan_candidates(job->plan));
    rc |= json_put(spec, "evaluator",
                   job->plan->evaluator ? json_incref(job->plan->evaluator) : json_null());
    rc |= json_put(spec, "integers", json_string(job_integers_name(q->integers)));
    rc |= json_put(spec, "allow_nonfinite", json_boolean(q->allow_nonfinite));
    rc |= json_put(spec, "output_dtype",
                   q->output_dtype < 0 ? json_null()
                                       : json_string(dtype_name((enum dtype)q->output_dtype)));
    rc |= json_put(spec, "threads", json_integer(o->worker_threads));
    rc |= json_put(spec, "memory_bytes", json_integer(o->worker_memory_bytes));
    rc |= json_put(spec, "streams", json_boolean(job->plan->streams));
    rc |= json_put(spec, "banks", json_integer(job->plan->banks));
    return rc < 0 ? NULL : TAKE(spec);
}

/* A lease survives a restart of the service when its holder says that it still works on it. */
static void confirm_leases(struct worker *w, const json_t *holding, int64_t now_ms)
{
    struct tasks *t = &w->job->tasks;
    int64_t number = json_integer_value(json_object_get(holding, "task"));
    int64_t attempt = json_integer_value(json_object_get(holding, "attempt"));

    for (int i = tasks_of_worker(t, w->uid, 0); i >= 0;
         i = tasks_of_worker(t, w->uid, (size_t)i + 1)) {
        if (holding && t->base + i == number && t->items[i].attempt == attempt)
            t->items[i].deadline_ms = now_ms + w->job->jobs->times.lease_ms;
        else
            tasks_release(t, (size_t)i);
    }
}

void jobs_hello(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c)
{
    struct worker *w = authenticate(j, token, c);
    struct json_reader r;
    struct sewa_error err;

    if (!w)
        return;
    json_reader_init(&r, message, "", &err);
    int64_t protocol = json_need_int(&r, "protocol", 0, INT64_MAX);
    json_need_string(&r, "version");
    bool prepared = json_get_bool(&r, "prepared", false);
    const json_t *holding = json_get_object(&r, "holding");
    if (json_reader_end_lenient(&r) < 0) {
        reply_error(c, &err);
        return;
    }
    if (protocol != WORKER_PROTOCOL) {
        sewa_fail(&err, SEWA_E_PROTOCOL, "the worker speaks protocol %lld, this sewad speaks %d",
                  (long long)protocol, WORKER_PROTOCOL);
        log_error("job %s: %s", w->job->uid, err.text);
        reply_error(c, &err);
        return;
    }
    w->said_hello = true;
    /* until somebody's traits are known, even a worker that is ready tells them once more */
    if (prepared && w->job->runner && runner_stage(w->job->runner) != RUNNER_PREPARE)
        w->prepared = w->proved = true;
    w->preparing = false;
    confirm_leases(w, holding, clock_monotonic_ms());
    if (is_over(w))
        reply_stop(c);
    else
        c->reply(c, job_for_worker(w), NULL);
}

/* ---- lease ---- */

static json_t *task_json(const struct worker *w, size_t i, int64_t attempt)
{
    const struct job *job = w->job;
    json_t *task = runner_task(job->runner, i);
    int rc = task ? 0 : -1;

    rc |= json_put(task, "task", json_integer(job->tasks.base + (int64_t)i));
    rc |= json_put(task, "attempt", json_integer(attempt));
    if (rc == 0 && runner_stage(job->runner) == RUNNER_AVERAGE) {
        AUTOFREE char *staging = clean_staging(job->jobs->artifact_directory, job->uid, attempt);
        AUTOFREE char *text = staging ? path_to_text(staging) : NULL;
        rc = json_put(task, "directory", text ? json_string(text) : NULL);
    }
    if (rc < 0) {
        json_decref(task);
        return NULL;
    }
    return json_pack("{s:o}", "task", task);
}

/* The lease is durable: now the worker may be told, if it is still there. */
static void on_lease_written(struct job_write *write)
{
    struct jobs_call *c = write->arg;
    struct job *job = write->job;
    struct sewa_error err;
    int i = tasks_find(&job->tasks, write->lease.task, write->lease.attempt, &err);

    struct worker *w = c ? c->owner : NULL;
    bool lost = !w || write->op.rc < 0 || is_over(w);

    if (i >= 0 && lost)
        tasks_release(&job->tasks, (size_t)i);
    if (w) {
        w->granting = NULL;
        if (write->op.rc < 0)
            reply_error(c, &write->op.err);
        else if (i < 0 || lost)
            reply_stop(c);
        else
            c->reply(c, task_json(w, (size_t)i, write->lease.attempt), NULL);
    }
    if (lost)
        feed_workers(job); /* others may wait for what was taken back */
}

static void grant(struct worker *w, size_t i, struct jobs_call *c)
{
    struct job *job = w->job;
    int64_t deadline = clock_monotonic_ms() + job->jobs->times.lease_ms;
    struct job_write *write = write_new(job);

    if (!write) {
        call_reply_error(c, SEWA_E_NO_MEMORY, "no memory for a lease");
        return;
    }
    write->has_lease = true;
    write->lease.attempt = tasks_grant(&job->tasks, i, w->uid, deadline);
    if (write->lease.attempt > job->attempts)
        job->attempts = write->lease.attempt;
    write->lease.task = job->tasks.base + (int64_t)i;
    write->lease.failures = job->tasks.items[i].failures;
    write->lease.granted_ms = write->now_ms;
    memcpy(write->lease.worker, w->uid, sizeof write->lease.worker);
    write->done = on_lease_written;
    write->arg = c;
    c->owner = w;
    w->granting = write;
    write_submit(write);
}

static void give_prepare(struct worker *w, struct jobs_call *c)
{
    w->preparing = true;
    c->reply(c,
             json_pack("{s:{s:s, s:i, s:i}}", "task", "kind", "prepare", "task", JOBS_PREPARE_TASK,
                       "attempt", 1),
             NULL);
}

/* Something to do for this call, or it waits. */
static void offer(struct worker *w, struct jobs_call *c)
{
    struct job *job = w->job;
    int i = -1;

    if (is_over(w)) {
        reply_stop(c);
        return;
    }
    if (!job->jobs->draining && !w->prepared) {
        give_prepare(w, c);
        return;
    }
    if (!job->jobs->draining)
        i = tasks_pending(&job->tasks, worker_is_doubtful(w));
    if (i >= 0) {
        grant(w, (size_t)i, c);
        return;
    }
    c->owner = w;
    c->deadline_ms = clock_monotonic_ms() + job->jobs->times.lease_wait_ms;
    w->waiting = c;
}

void worker_feed(struct worker *w)
{
    struct jobs_call *c = w->waiting;

    if (!c)
        return;
    w->waiting = NULL;
    offer(w, c);
}

/*
 * Who asks for work has none. An answer that it did not wait for has nobody who reads it, and a
 * lease that it was never told of would be kept alive by its heartbeats for ever.
 */
static void take_back(struct worker *w)
{
    struct tasks *t = &w->job->tasks;
    struct jobs_call *before[] = { TAKE(w->waiting), worker_forget_grant(w) };

    for (size_t i = 0; i < COUNT_OF(before); i++)
        if (before[i])
            call_reply_error(before[i], SEWA_E_CONFLICT, "another question took its place");
    for (int i = tasks_of_worker(t, w->uid, 0); i >= 0;
         i = tasks_of_worker(t, w->uid, (size_t)i + 1))
        tasks_release(t, (size_t)i);
}

void jobs_lease(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c)
{
    struct worker *w = authenticate(j, token, c);

    (void)message;
    if (!w)
        return;
    if (!w->said_hello) {
        call_reply_error(c, SEWA_E_CONFLICT, "say hello first");
        return;
    }
    take_back(w);
    offer(w, c);
}

/* ---- heartbeat ---- */

void jobs_heartbeat(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c)
{
    struct worker *w = authenticate(j, token, c);
    const json_t *progress = json_object_get(message, "progress");

    if (!w)
        return;
    stride_heard(&w->stride, json_string_value(json_object_get(message, "doing")),
                 json_is_integer(progress) ? json_integer_value(progress) : -1,
                 clock_monotonic_ms());
    tasks_extend(&w->job->tasks, w->uid, clock_monotonic_ms() + j->times.lease_ms);
    c->reply(c, json_pack("{s:b}", "stop", is_over(w)), NULL);
}

/* ---- result ---- */

/*
 * After these the worker itself is all right: its evaluator has failed, and it starts another one.
 * After all others that are a worker's it is replaced, by one in another slot if there is one.
 */
static bool may_go_on(int code)
{
    switch (code) {
    case SEWA_E_EVALUATOR_DIED:
    case SEWA_E_EVALUATOR_TIMEOUT:
    case SEWA_E_EVALUATOR_PROTOCOL:
    case SEWA_E_EVALUATOR_ERROR:
    case SEWA_E_CANCELLED:
    case SEWA_E_INTERNAL: return true;
    default: return false;
    }
}

static void read_failure(const json_t *o, struct sewa_error *ret)
{
    const char *slug = json_string_value(json_object_get(o, "code"));
    const char *detail = json_string_value(json_object_get(o, "detail"));
    int code = sewa_code_from_slug(slug);

    sewa_fail(ret, code ? code : SEWA_E_INTERNAL, "%s", detail ? detail : "the worker failed");
}

static void task_failed(struct worker *w, int i, const struct sewa_error *why)
{
    struct job *job = w->job;
    struct sewa_error err = *why;

    if (sewa_code_blame(err.code) != SEWA_BLAME_WORKER) {
        job_fail(job, &err);
        return;
    }
    int64_t failures = tasks_failed(&job->tasks, (size_t)i);
    if (failures >= TASK_FAILURES_MAX) {
        sewa_context(&err, err.code, "task %lld failed %lld times, the last time",
                     (long long)(job->tasks.base + i), (long long)failures);
        job_fail(job, &err);
        return;
    }
    log_warn("job %s: task %lld failed (%s), it is tried again", job->uid,
             (long long)(job->tasks.base + i), err.text);
    if (!may_go_on(err.code))
        worker_failed(w, &err);
}

static void count_read(struct job *job, int64_t bytes)
{
    runner_count_read(job->runner, bytes);
    metric_add(METRIC_WORKER_READ, bytes > 0 ? (uint64_t)bytes : 0);
}

static void prepare_result(struct worker *w, const json_t *message, const json_t *failure)
{
    struct job *job = w->job;
    struct sewa_error err;

    w->preparing = false;
    if (failure) {
        read_failure(failure, &err);
        if (sewa_code_blame(err.code) == SEWA_BLAME_WORKER)
            worker_failed(w, &err);
        else
            job_fail(job, &err);
        return;
    }
    w->prepared = true;
    worker_proved(w);
    count_read(job, json_integer_value(json_object_get(message, "bytes_read")));
    if (runner_stage(job->runner) != RUNNER_PREPARE)
        return; /* another worker was first */
    if (runner_prepared(job->runner, json_object_get(message, "traits"), &err) < 0)
        job_fail(job, &err);
    else
        job_go_on(job);
}

static void count_cost(const struct runner_cost *before, const struct runner_cost *after)
{
    metric_add(METRIC_EVALUATIONS, (uint64_t)(after->evaluations - before->evaluations));
    metric_add_seconds(METRIC_EVALUATOR, after->evaluator_seconds - before->evaluator_seconds);
    metric_add(METRIC_WORKER_READ, (uint64_t)(after->bytes_read - before->bytes_read));
}

static int task_result(struct worker *w, int i, const json_t *result, const json_t *failure,
                       struct sewa_error *err)
{
    struct job *job = w->job;

    if (failure) {
        struct sewa_error why;
        read_failure(failure, &why);
        task_failed(w, i, &why);
        return 0;
    }
    struct runner_cost before = *runner_cost(job->runner);
    int rc = runner_accept(job->runner, (size_t)i, result, err);
    count_cost(&before, runner_cost(job->runner));
    if (rc < 0) {
        task_failed(w, i, err);
        return rc;
    }
    if (runner_stage(job->runner) == RUNNER_AVERAGE)
        job->average_attempt = job->tasks.items[i].attempt;
    tasks_done(&job->tasks, (size_t)i);
    worker_succeeded(w);
    if (tasks_all_done(&job->tasks))
        job_advance(job);
    return 0;
}

static int handle_result(struct worker *w, const json_t *message, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init(&r, message, "", err);
    int64_t number = json_need_int(&r, "task", JOBS_PREPARE_TASK, INT64_MAX);
    int64_t attempt = json_need_int(&r, "attempt", 1, INT64_MAX);
    const json_t *failure = json_get_object(&r, "error");
    const json_t *result = json_get_object(&r, "result");
    if (json_reader_end_lenient(&r) < 0)
        return r.rc;
    if (!failure && !result)
        return sewa_fail(err, SEWA_E_INVALID, "neither 'result' nor 'error' is there");
    if (is_over(w))
        return 0;
    if (number == JOBS_PREPARE_TASK) {
        if (!w->preparing)
            return sewa_fail(err, SEWA_E_LEASE_LOST, "this worker is not preparing");
        prepare_result(w, result, failure);
        return 0;
    }
    int i = tasks_find(&w->job->tasks, number, attempt, err);
    return i < 0 ? i : task_result(w, i, result, failure, err);
}

void jobs_result(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c)
{
    struct worker *w = authenticate(j, token, c);
    struct sewa_error err;

    if (!w)
        return;
    failpoint("jobs_result");
    /* the job may be over after this, but the worker lives until its process ends */
    if (handle_result(w, message, &err) < 0)
        reply_error(c, &err);
    else
        c->reply(c, json_pack("{s:b}", "stop", is_over(w)), NULL);
}

void jobs_log(struct jobs *j, const char *token, const void *data, size_t n, struct jobs_call *c)
{
    struct worker *w = authenticate(j, token, c);

    if (!w)
        return;
    joblog_append(w->job, data, n);
    c->reply(c, json_object(), NULL);
}
