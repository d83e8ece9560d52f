/*
 * wait - wait for a job: long polling, and patience with a service that is restarted.
 *
 * The service holds a question for up to a minute. An answer that comes early although nothing has
 * changed is one of a service that is stopping: asking again at once would be a busy loop.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ask.h"
#include "cleanup.h"
#include "job_call.h"
#include "wait.h"

enum {
    WAIT_MOST_S = 60, /* that the service allows */
    PAUSE_MS = 200,
    ROUND_MS = 50, /* 999 ms that are left of a second are a second, and not many short questions */
};

int sewa_endure(struct sewa_client *c, int rc, struct sewa_error *err)
{
    int64_t now_ms = sewa_clock_ms();

    if (!sewa_is_passing(rc))
        return rc;
    if (c->lost_since_ms == 0)
        c->lost_since_ms = now_ms;
    if (now_ms - c->lost_since_ms > LOST_SERVICE_MS)
        return rc;
    return sewa_nap(c, PAUSE_MS, err);
}

/* A question to the service that it may keep for so long. */
static int ask(struct sewa_client *c, const char *id, const char *etag, int64_t left_ms,
               struct sewa_job *ret, struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { .if_none_match = etag };
    AUTO(sewa_text_clear) struct text path = { 0 };
    int64_t whole = (left_ms + ROUND_MS) / 1000;
    int64_t seconds = whole < WAIT_MOST_S ? whole : WAIT_MOST_S;
    int64_t asked_ms = sewa_clock_ms();
    char number[24];

    snprintf(number, sizeof number, "%" PRId64, seconds);
    sewa_path(&path, "jobs", id, NULL);
    sewa_text_query(&path, "wait", seconds > 0 ? number : NULL);
    call.wait_ms = seconds * 1000;
    int rc = sewa_job_call(c, &call, &path, ret, err);
    if (rc < 0)
        return rc;
    c->lost_since_ms = 0;
    bool settled = rc > 0 && (etag || sewa_job_state_is_final(ret->state));
    bool kept = sewa_clock_ms() - asked_ms >= seconds * 1000;
    if (settled || left_ms <= 0 || (seconds > 0 && kept))
        return rc;
    int nap = sewa_nap(c, left_ms < PAUSE_MS ? left_ms : PAUSE_MS, err);
    if (nap < 0)
        sewa_job_clear(ret);
    return nap < 0 ? nap : rc;
}

int sewa_job_refresh(struct sewa_client *c, struct sewa_job *job, int64_t timeout_ms,
                     struct sewa_error *err)
{
    int64_t end_ms = sewa_clock_ms() + timeout_ms;
    struct sewa_job fresh = { 0 };

    for (;;) {
        int64_t left_ms = job->etag ? end_ms - sewa_clock_ms() : 0;
        int rc = ask(c, job->id, job->etag, left_ms, &fresh, err);
        if (rc > 0) {
            sewa_job_clear(job);
            *job = fresh;
            return 1;
        }
        if (rc < 0 && (rc = sewa_endure(c, rc, err)) < 0)
            return rc;
        if (left_ms <= 0)
            return 0;
    }
}

static int64_t left_of(int64_t end_ms, int64_t timeout_ms)
{
    return timeout_ms < 0 ? (int64_t)WAIT_MOST_S * 1000 : end_ms - sewa_clock_ms();
}

int sewa_job_wait(struct sewa_client *c, const char *id, int64_t timeout_ms, struct sewa_job *ret,
                  struct sewa_error *err)
{
    int64_t end_ms = sewa_clock_ms() + timeout_ms;
    struct sewa_job job = { 0 };

    *ret = job;
    for (;;) {
        int64_t left_ms = left_of(end_ms, timeout_ms);
        /* a service that was never there is not waited for, so the first question is a short one */
        int rc = ask(c, id, NULL, c->was_there ? left_ms : 0, &job, err);
        if (rc < 0 && c->was_there)
            rc = sewa_endure(c, rc, err);
        if (rc < 0)
            return rc;
        if (sewa_job_state_is_final(job.state)) {
            *ret = job;
            return 0;
        }
        if (left_ms <= 0) {
            rc = sewa_fail(err, SEWA_E_TIMEOUT, "job '%s' is %s after %" PRId64 " ms", id,
                           job.state_name ? job.state_name : "out of reach", timeout_ms);
            sewa_job_clear(&job);
            return rc;
        }
        sewa_job_clear(&job);
    }
}
