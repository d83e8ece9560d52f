/*
 * follow - wait for a job, with a bar.
 */
#include "follow.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "../cleanup.h"
#include "interrupt.h"
#include "job_view.h"
#include "progress.h"
#include "record.h"

enum { TICK_MS = 1000, PAUSE_MS = 100, LOSS_MS = 500 };

/* What is drawn beside the job itself: the loss stands in its trace. */
struct watch {
    struct progress progress;
    double loss;
    int64_t loss_iteration; /* that it is of */
    int64_t loss_due_ms;
};

void follow_init(struct follow *f, struct context *c)
{
    int64_t seconds = arguments_number(c->arguments, "timeout", -1);

    f->context = c;
    f->end_ms = seconds < 0 ? INT64_MAX : monotonic_ms() + seconds * 1000;
    interrupt_catch();
}

/* A wish, no need: without it the bar has no loss. */
static void update_loss(struct watch *w, const struct sewa_job *job, int64_t now_ms)
{
    struct sewa_trace trace = { 0 };

    if (job->progress.iteration == w->loss_iteration || now_ms < w->loss_due_ms)
        return;
    if (sewa_job_trace(w->progress.context->client, job->id, 1, &trace, NULL) == 0 &&
        trace.count > 0) {
        w->loss = trace.rows[trace.count - 1].loss;
        w->loss_iteration = job->progress.iteration;
    }
    w->loss_due_ms = now_ms + LOSS_MS;
    sewa_trace_clear(&trace);
}

static void draw(struct watch *w, const struct sewa_job *job)
{
    int64_t now_ms = monotonic_ms();

    if (!progress_is_due(&w->progress, now_ms))
        return;
    update_loss(w, job, now_ms);
    progress_job(&w->progress, job, w->loss, now_ms);
}

/* How long to wait for a change before the bar is drawn again. */
static int64_t slice_ms(const struct follow *f, int64_t now_ms)
{
    int64_t left = f->end_ms - now_ms;

    return left < TICK_MS ? (left > 0 ? left : 0) : TICK_MS;
}

static int watch_job(struct follow *f, struct sewa_job *job, struct sewa_error *err)
{
    struct watch w = { .loss = (double)NAN };
    const struct timespec pause = { 0, PAUSE_MS * 1000000L };
    int rc = 0;

    progress_init(&w.progress, f->context);
    while (rc >= 0 && !sewa_job_state_is_final(job->state)) {
        int64_t now_ms = monotonic_ms();
        draw(&w, job);
        if (now_ms >= f->end_ms)
            rc = sewa_fail(err, SEWA_E_TIMEOUT, "job '%s' is still %s", job->id, job->state_name);
        else
            rc = sewa_job_refresh(f->context->client, job, slice_ms(f, now_ms), err);
        if (rc > 0 && !sewa_job_state_is_final(job->state))
            nanosleep(&pause, NULL); /* a fast job changes many times a second */
    }
    progress_end(&w.progress);
    return rc < 0 ? rc : 0;
}

/* Nobody looks: the service answers once, when the job is finished. */
static int wait_for_job(struct follow *f, struct sewa_job *job, struct sewa_error *err)
{
    int64_t left_ms = f->end_ms - monotonic_ms();
    struct sewa_job finished = { 0 };
    int rc = sewa_job_wait(f->context->client, job->id,
                           f->end_ms == INT64_MAX ? -1
                           : left_ms > 0          ? left_ms
                                                  : 0,
                           &finished, err);

    if (rc < 0)
        return rc;
    sewa_job_clear(job);
    *job = finished;
    return 0;
}

void follow_say(struct context *c, const char *id)
{
    say(c, "the job goes on; come back with: sewactl job watch %s", id);
}

int follow_job(struct follow *f, struct sewa_job *job)
{
    struct context *c = f->context;
    struct progress progress;
    struct sewa_error err;

    if (sewa_job_state_is_final(job->state))
        return EXIT_OK;
    progress_init(&progress, c);
    int rc = progress.mode == PROGRESS_NONE ? wait_for_job(f, job, &err) : watch_job(f, job, &err);
    if (rc == 0)
        return EXIT_OK;
    int status = explain(c, &err);
    if (status == EXIT_INTERRUPTED || status == EXIT_UNREACHABLE)
        follow_say(c, job->id);
    return status;
}

int show_job(struct context *c, const struct sewa_job *job)
{
    AUTO(sewa_text_clear) struct text t = { 0 };

    switch (c->format) {
    case FORMAT_NAME: print_name(c, job->id); return EXIT_OK;
    case FORMAT_JSON:
    case FORMAT_JSONL: print_json(c, job->json); return EXIT_OK;
    default: job_view(&t, job, c->out.width, c->out.color); return record_print(c, &t);
    }
}

int follow_and_show(struct context *c, struct sewa_job *job)
{
    struct follow f;

    follow_init(&f, c);
    int status = follow_job(&f, job);
    if (status == EXIT_OK)
        status = show_job(c, job);
    return status == EXIT_OK ? (int)exit_of_job(job->state) : status;
}
