/*
 * api_logs - what a job's evaluator printed: the log so far, or as it grows.
 *
 * A log that is followed is a stream: the library asks for more, is paused while there is none, and
 * goes on when the file has grown. It ends when the job is finished and its last words are written,
 * when the client leaves, and when the service stops. The log is a file of our own on the local
 * disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "http/api_body.h"
#include "http/server.h"

struct follower {
    struct list link;
    struct api *api;
    struct request *rq;
    char uid[ID_TEXT_SIZE];
    int fd;
    int64_t offset;
    bool over; /* nothing will be added any more */
};

static ssize_t follow_read(void *cls, uint64_t position, char *data, size_t n)
{
    struct follower *f = cls;
    ssize_t got = pread(f->fd, data, n, (off_t)f->offset);

    (void)position;
    if (got > 0) {
        f->offset += got;
        return got;
    }
    if (got < 0 || f->over || !server_pause(f->rq))
        return MHD_CONTENT_READER_END_OF_STREAM;
    return 0;
}

static void follow_free(void *cls)
{
    struct follower *f = cls;

    list_remove(&f->link);
    close(f->fd);
    free(f);
}

static void on_cancel(struct request *rq)
{
    struct follower *f = rq->user;

    f->over = true;
    server_unpause(rq);
}

void followers_tick(struct api *a)
{
    list_for_each_safe(node, &a->followers) {
        struct follower *f = list_entry(node, struct follower, link);
        struct stat st;
        if (!f->rq->paused)
            continue;
        f->over = jobs_is_over(a->o.jobs, f->uid);
        if (f->over || (fstat(f->fd, &st) == 0 && st.st_size > f->offset))
            server_unpause(f->rq);
    }
}

/* The descriptor becomes the stream's, also on failure. */
static void follow(struct api *a, struct request *rq, const struct job_row *job, int fd)
{
    struct follower *f = calloc(1, sizeof *f);

    if (!f) {
        close(fd);
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory to follow a log");
        return;
    }
    f->api = a;
    f->rq = rq;
    f->fd = fd;
    f->over = jobs_is_over(a->o.jobs, job->uid);
    memcpy(f->uid, job->uid, sizeof f->uid);
    list_append(&a->followers, &f->link);
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, follow_read, f, follow_free);
    if (!r) {
        follow_free(f);
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory to follow a log");
        return;
    }
    rq->streams = true;
    rq->user = f;
    rq->on_cancel = on_cancel;
    reply_header(rq, "X-Accel-Buffering", "no"); /* a proxy that collects it would defeat it */
    reply_response(rq, 200, r);
}

/* *ret_fd stays -1 when there is no log yet. */
static int open_log(struct api *a, const struct job_row *job, bool make, int *ret_fd,
                    struct sewa_error *err)
{
    AUTOFREE char *path = jobs_log_path(a->o.jobs, job->uid);

    if (!path)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0640);
    if (*ret_fd < 0 && (make || errno != ENOENT))
        return sewa_fail_errno(err, SEWA_E_IO, "cannot open '%s'", path);
    return 0;
}

static void send_log(struct request *rq, int fd)
{
    struct stat st = { 0 };
    struct sewa_error err;

    if (fd >= 0 && fstat(fd, &st) < 0) {
        sewa_fail_errno(&err, SEWA_E_IO, "cannot look at the log");
        close(fd);
        reply_error(rq, &err);
        return;
    }
    if (st.st_size == 0) {
        if (fd >= 0)
            close(fd);
        reply_empty(rq, 200);
        return;
    }
    struct MHD_Response *r = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
    if (!r)
        close(fd);
    reply_response(rq, 200, r);
}

void api_jobs_logs(struct api *a, struct request *rq)
{
    AUTO(job_row_clear) struct job_row job = { 0 };
    struct sewa_error err;
    bool following = false;
    int fd = -1;
    int rc = request_query_bool(rq, "follow", false, &following, &err);

    following = following && !rq->is_head;
    if (rc == 0)
        rc = find_job(a, rq, &job, &err);
    if (rc == 0) /* made when it is not there yet, so that it can be followed from the beginning */
        rc = open_log(a, &job, following && !jobs_is_over(a->o.jobs, job.uid), &fd, &err);
    if (rc < 0) {
        reply_error(rq, &err);
        return;
    }
    reply_header(rq, "Content-Type", "text/plain; charset=utf-8");
    reply_header(rq, "X-Content-Type-Options", "nosniff");
    if (following && fd >= 0)
        follow(a, rq, &job, fd);
    else
        send_log(rq, fd);
}
