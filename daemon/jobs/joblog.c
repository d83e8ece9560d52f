/*
 * joblog - append what an evaluator prints to the job's log, on the pool, one write at a time, up
 * to a limit: a program that prints without end fills neither the memory nor the disk.
 */
#include "jobs/jobs_body.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"

enum { PENDING_MAX = 4 << 20 };

struct append {
    struct work base;
    struct job *job;
    char *path;
};

static void run(struct work *base)
{
    struct append *a = container_of(base, struct append, base);
    AUTOCLOSE int fd = open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

    failpoint("joblog_write");
    /* a log that cannot be written must not end the job */
    if (fd >= 0)
        base->rc = write_full(fd, a->job->log.writing.data, a->job->log.writing.len);
}

static void flush(struct job *job);
static void say_dropped(struct job *job);

static void done(struct work *base)
{
    struct append *a = container_of(base, struct append, base);
    struct job *job = a->job;

    job->log.busy = false;
    buf_reset(&job->log.writing);
    if (job->log.removed)
        unlink(a->path); /* it was made again */
    free(a->path);
    free(a);
    if (!job->jobs->closed && !job->log.removed) {
        say_dropped(job);
        flush(job);
    }
    jobs_let_go(job->jobs, job);
}

static void flush(struct job *job)
{
    struct job_log *log = &job->log;

    if (log->busy || log->pending.len == 0)
        return;
    struct append *a = calloc(1, sizeof *a);
    if (!a || !(a->path = jobs_log_path(job->jobs, job->uid))) {
        free(a);
        return;
    }
    struct buf swap = log->writing;
    log->writing = log->pending;
    log->pending = swap;
    a->job = job;
    a->base.run = run;
    a->base.done = done;
    log->busy = true;
    if (work_submit(job->jobs->o.loop, &a->base, NULL) == 0) {
        jobs_hold(job->jobs, job);
        return;
    }
    log->busy = false;
    free(a->path);
    free(a);
}

/* What an earlier service has written counts too. */
static void count_written(struct job *job)
{
    AUTOFREE char *path = jobs_log_path(job->jobs, job->uid);
    struct stat st;

    job->log.counted = true;
    job->log.written = path && stat(path, &st) == 0 ? st.st_size : 0;
}

static void add(struct job *job, const void *data, size_t n)
{
    static const char note[] = "\n[the log has reached its limit; the rest is not kept]\n";
    struct job_log *log = &job->log;

    if (log->full)
        return;
    if (log->written + (int64_t)n > JOBS_LOG_MAX) {
        log->full = true;
        data = note;
        n = sizeof note - 1;
    }
    log->written += (int64_t)n;
    buf_append(&log->pending, data, n);
}

static void say_dropped(struct job *job)
{
    struct job_log *log = &job->log;
    char note[120];

    if (log->dropped == 0)
        return;
    int n = snprintf(note, sizeof note,
                     "\n[%lld bytes of output came faster than they could be written and are not "
                     "kept]\n",
                     (long long)log->dropped);
    log->dropped = 0;
    add(job, note, (size_t)n);
}

void joblog_append(struct job *job, const void *data, size_t n)
{
    struct job_log *log = &job->log;

    if (log->full || log->removed)
        return;
    if (!log->counted)
        count_written(job);
    if (log->dropped > 0 || log->pending.len + n > PENDING_MAX) {
        log->dropped += (int64_t)n; /* until the disk has taken what waits: then that is said */
        return;
    }
    add(job, data, n);
    flush(job);
}

void joblog_remove(struct jobs *j, struct job *job, const char *uid)
{
    AUTOFREE char *path = jobs_log_path(j, uid);

    if (job)
        job->log.removed = true;
    if (path)
        unlink(path);
}

bool joblog_is_stored(const struct job *job)
{
    return job->log.removed ||
           (!job->log.busy && job->log.pending.len == 0 && job->log.dropped == 0);
}

void joblog_clear(struct job *job)
{
    buf_clear(&job->log.pending);
    buf_clear(&job->log.writing);
}

char *jobs_log_path(const struct jobs *j, const char *uid)
{
    AUTO(buf_clear) struct buf name = { 0 };

    buf_printf(&name, "%s.log", uid);
    return buf_failed(&name) ? NULL : path_join(j->log_directory, buf_cstr(&name));
}
