/*
 * setback - a worker has failed, or could not be started: what it means for its job.
 *
 * A failure of one worker is not the job's as long as somebody is left who could do better: a
 * worker that has brought something and lives, or one in a slot where none has failed yet. The
 * failed one is ended, its slot rests, and another one is started. Failures with nobody left are
 * counted, and any result starts the count again: a job whose only worker cannot work ends after
 * JOBS_TRIES_MAX of them, with what the last one said.
 */
#include "jobs/jobs_body.h"

#include "base/log.h"

static struct slot_record *record_of(const struct worker *w)
{
    return w->slot >= 0 ? &w->job->slots[w->slot] : NULL;
}

static bool has_failures(const struct worker *w)
{
    const struct slot_record *r = record_of(w);

    return r && r->failures > 0;
}

/* Somebody other than w who may do what it could not. */
static bool has_other(const struct job *job, const struct worker *w, bool may_be_proved)
{
    list_for_each(node, &job->workers) {
        const struct worker *other = list_entry(node, const struct worker, link);
        if (other != w && !other->stopping && other->process &&
            (!has_failures(other) || (may_be_proved && other->proved)))
            return true;
    }
    return false;
}

/* Never two that leave it to each other: whom a task is left to is not doubtful. */
bool worker_is_doubtful(const struct worker *w)
{
    return has_failures(w) && has_other(w->job, w, false);
}

void worker_proved(struct worker *w)
{
    w->proved = true;
    w->job->setbacks = 0;
}

void worker_succeeded(struct worker *w)
{
    struct slot_record *r = record_of(w);

    worker_proved(w);
    if (r)
        *r = (struct slot_record){ 0 };
}

/* w is NULL when it could not even be started. */
static void count(struct job *job, int slot, const struct worker *w, const struct sewa_error *why)
{
    struct sewa_error err = *why;
    int64_t rest_ms = 0;

    if (slot >= 0)
        rest_ms = slots_failed(&job->slots[slot], job->jobs->times.rest_ms, clock_monotonic_ms());
    if (!has_other(job, w, true) && ++job->setbacks >= JOBS_TRIES_MAX) {
        sewa_context(&err, err.code, "no worker is left after %d tries, the last one",
                     job->setbacks);
        job_fail(job, &err);
        return;
    }
    log_warn("job %s: %s; another worker is started, in slot %d not before %.1f s", job->uid,
             why->text, slot, (double)rest_ms / 1000);
}

void worker_failed(struct worker *w, const struct sewa_error *why)
{
    struct job *job = w->job;

    if (job->finished || job->state == JOB_CANCELLING || w->stopping)
        return;
    count(job, w->slot, w, why);
    worker_stop(w, false);
}

/*
 * Without descriptors or processes nobody can be started, for any job: that is not the job's
 * failure and passes, so it is tried until it does.
 */
void worker_not_started(struct job *job, int slot, const struct sewa_error *why)
{
    struct jobs *j = job->jobs;

    if (why->code != SEWA_E_UNAVAILABLE) {
        count(job, slot, NULL, why);
        return;
    }
    int64_t rest_ms = slots_failed(&j->starting, j->times.rest_ms, clock_monotonic_ms());
    log_warn("job %s: %s; tried again in %.1f s", job->uid, why->text, (double)rest_ms / 1000);
}
