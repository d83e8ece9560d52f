/*
 * log - what the evaluator of a job prints.
 *
 * A log that is followed ends when the job is finished, but also when the service is restarted.
 * Then it is asked for again from the beginning, and what was delivered already is left out.
 */
#include "ask.h"
#include "cleanup.h"
#include "wait.h"

struct tail {
    struct sewa_sink sink;
    struct sewa_sink *to;
    int64_t delivered;
    int64_t to_skip; /* of this answer */
};

static int deliver(struct sewa_sink *self, const void *data, size_t n, struct sewa_error *err)
{
    struct tail *t = container_of(self, struct tail, sink);
    size_t skip = t->to_skip < (int64_t)n ? (size_t)t->to_skip : n;

    t->to_skip -= (int64_t)skip;
    if (skip == n)
        return 0;
    t->delivered += (int64_t)(n - skip);
    return t->to->write(t->to, (const char *)data + skip, n - skip, err);
}

static int read_log(struct sewa_client *c, const struct text *path, bool follow, struct tail *t,
                    struct sewa_error *err)
{
    AUTO(sewa_call_clear)
    struct call call = { .method = "GET",
                         .path = sewa_text_get(path),
                         .streams = true,
                         .may_be_silent = follow,
                         .sink = &t->sink };

    t->to_skip = t->delivered;
    return path->failed ? sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a request")
                        : sewa_call(c, &call, err);
}

/* 1: there may be more to come. */
static int may_go_on(struct sewa_client *c, const char *id, struct sewa_error *err)
{
    struct sewa_job job = { 0 };
    int rc = sewa_job_show(c, id, &job, err);

    if (rc < 0)
        return rc;
    c->lost_since_ms = 0;
    rc = !sewa_job_state_is_final(job.state);
    sewa_job_clear(&job);
    return rc;
}

int sewa_job_logs(struct sewa_client *c, const char *id, bool follow, struct sewa_sink *sink,
                  struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct tail tail = { .sink.write = deliver, .to = sink };
    bool was_final = false;

    sewa_path(&path, "jobs", id, "logs");
    sewa_text_query(&path, "follow", follow ? "true" : NULL);
    for (;;) {
        int rc = read_log(c, &path, follow, &tail, err);
        if (!follow || (rc == 0 && was_final))
            return rc;
        if (rc == 0)
            rc = may_go_on(c, id, err);
        was_final = rc == 0; /* then one more look: a restart may have cut off the last lines */
        if (rc > 0)
            rc = sewa_nap(c, 100, err);
        else if (rc < 0 && c->was_there)
            rc = sewa_endure(c, rc, err);
        if (rc < 0)
            return rc;
    }
}
