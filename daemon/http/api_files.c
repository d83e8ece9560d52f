/*
 * api_files - artifacts and logs of a job: files under directories of our own, on the local disk.
 *
 * They are sent by the library with sendfile. Reading from a disk that may hang must never be done
 * that way (measured: one slow file froze every client), but these directories are ours.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/parse.h"
#include "base/path.h"
#include "http/api_body.h"
#include "http/server.h"
#include "jobs/state.h"

static int find_job(struct api *a, struct request *rq, struct job_row *ret, struct sewa_error *err)
{
    int rc = job_find(store_reader(a->o.store), rq->parameters[0], ret, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no job '%s'", rq->parameters[0]);
    return rc < 0 ? rc : 0;
}

void api_jobs_artifacts(struct api *a, struct request *rq)
{
    AUTO(job_row_clear) struct job_row job = { 0 };
    struct sewa_error err;
    json_t *list = NULL;

    if (find_job(a, rq, &job, &err) == 0)
        list = view_artifacts(store_reader(a->o.store), &job, &err);
    if (list)
        reply_json(rq, 200, json_pack("{s:o, s:n}", "items", list, "next_page_token"));
    else
        reply_error(rq, &err);
}

/* ---- ranges (RFC 9110, section 14) ---- */

struct range {
    bool given;
    int64_t first, length;
};

/* "bytes=a-b", "bytes=a-", "bytes=-n"; anything else is ignored as the RFC allows. */
static int parse_range(const char *text, int64_t size, struct range *ret, struct sewa_error *err)
{
    char copy[64];
    int64_t a = 0, b = size - 1;

    *ret = (struct range){ .length = size };
    if (!text || strncmp(text, "bytes=", 6) != 0 || strlen(text) >= sizeof copy ||
        strchr(text, ','))
        return 0;
    snprintf(copy, sizeof copy, "%s", text + 6);
    char *dash = strchr(copy, '-');
    if (!dash)
        return 0;
    *dash++ = '\0';
    bool has_a = parse_i64(copy, 0, INT64_MAX, &a) == 0;
    bool has_b = parse_i64(dash, 0, INT64_MAX, &b) == 0;
    if ((*copy && !has_a) || (*dash && !has_b) || (!has_a && !has_b) || (has_a && has_b && b < a))
        return 0;
    if (!has_a) {
        a = b < size ? size - b : 0;
        b = has_b && b == 0 ? -1 : size - 1;
    }
    if (a >= size || b < a)
        return sewa_fail(err, SEWA_E_RANGE, "range '%.40s' lies outside the %lld bytes", text,
                         (long long)size);
    *ret = (struct range){ true, a, (b < size ? b : size - 1) - a + 1 };
    return 0;
}

static int open_artifact(struct api *a, const struct job_row *job, const struct artifact_row *row,
                         int *ret_fd, struct sewa_error *err)
{
    AUTOFREE char *directory = jobs_artifact_path(a->o.jobs, job->uid);
    AUTOFREE char *path = directory ? path_join(directory, row->name) : NULL;
    struct stat st;

    if (!path)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot open '%s'", path);
    if (st.st_size != row->size)
        return sewa_fail(err, SEWA_E_CHANGED, "'%s' has %lld bytes, it was published with %lld",
                         path, (long long)st.st_size, (long long)row->size);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Whether the client's copy is still good: If-Range must name exactly this content. */
static bool range_applies(struct request *rq, const char *etag)
{
    const char *if_range = request_header(rq, "if-range");

    return !if_range || strcmp(if_range, etag) == 0;
}

static void artifact_headers(struct request *rq, const struct job_row *job,
                             const struct artifact_row *row, const char *etag)
{
    char base64[64];

    reply_header(rq, "Content-Type", row->media_type);
    reply_header(rq, "ETag", etag);
    reply_header(rq, "Accept-Ranges", "bytes");
    reply_headerf(rq, "Repr-Digest", "sha-256=:%s:", base64_encode(row->sha256, 32, base64));
    reply_headerf(rq, "Content-Disposition", "attachment; filename=\"%s-%s\"", job->uid, row->name);
}

static void send_artifact(struct request *rq, const struct job_row *job,
                          const struct artifact_row *row, int fd)
{
    char hex[SHA256_HEX_SIZE], etag[SHA256_HEX_SIZE + 16];
    struct sewa_error err;
    struct range range;

    snprintf(etag, sizeof etag, "\"sha256-%s\"", hex_encode(row->sha256, 32, hex));
    const char *none_match = request_header(rq, "if-none-match");
    if (none_match && strcmp(none_match, etag) == 0) {
        close(fd);
        reply_header(rq, "ETag", etag);
        reply_empty(rq, 304);
        return;
    }
    const char *wanted = range_applies(rq, etag) ? request_header(rq, "range") : NULL;
    if (parse_range(wanted, row->size, &range, &err) < 0) {
        close(fd);
        reply_headerf(rq, "Content-Range", "bytes */%lld", (long long)row->size);
        reply_error(rq, &err);
        return;
    }
    artifact_headers(rq, job, row, etag);
    if (range.given)
        reply_headerf(rq, "Content-Range", "bytes %lld-%lld/%lld", (long long)range.first,
                      (long long)(range.first + range.length - 1), (long long)row->size);
    struct MHD_Response *r =
        MHD_create_response_from_fd_at_offset64((uint64_t)range.length, fd, (uint64_t)range.first);
    if (!r)
        close(fd);
    reply_response(rq, range.given ? 206 : 200, r);
}

void api_jobs_artifact(struct api *a, struct request *rq)
{
    AUTO(job_row_clear) struct job_row job = { 0 };
    struct artifact_row row;
    struct sewa_error err;
    int fd = -1;
    int rc = find_job(a, rq, &job, &err);

    if (rc == 0)
        rc = artifact_find(store_reader(a->o.store), job.id, rq->parameters[1], &row, &err);
    if (rc == 0)
        rc = sewa_fail(&err, SEWA_E_NOT_FOUND, "job '%s' has no artifact '%.80s'", job.uid,
                       rq->parameters[1]);
    if (rc > 0)
        rc = open_artifact(a, &job, &row, &fd, &err);
    if (rc < 0)
        reply_error(rq, &err);
    else
        send_artifact(rq, &job, &row, fd);
}

/* ---- logs ---- */

/*
 * A log that is followed: the library asks for more, is suspended while there is none, and is woken
 * when the file has grown or the job is finished.
 */
struct follower {
    struct list link;
    struct api *api;
    struct MHD_Connection *connection;
    struct listener *listener;
    char uid[ID_TEXT_SIZE];
    int fd;
    int64_t offset;
    bool asleep;
    bool over;
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
    if (got < 0 || f->over || f->api->draining)
        return MHD_CONTENT_READER_END_OF_STREAM;
    f->asleep = true;
    MHD_suspend_connection(f->connection);
    return 0;
}

static void follow_free(void *cls)
{
    struct follower *f = cls;

    list_remove(&f->link);
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

static bool job_is_final(struct api *a, const char *uid)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    struct sewa_error err;

    return job_find(store_reader(a->o.store), uid, &row, &err) <= 0 ||
           job_state_is_final((enum job_state)job_state_from_name(row.state));
}

void followers_tick(struct api *a)
{
    list_for_each_safe(node, &a->followers) {
        struct follower *f = list_entry(node, struct follower, link);
        struct stat st;
        if (!f->asleep)
            continue;
        f->over = job_is_final(a, f->uid);
        bool grown = fstat(f->fd, &st) == 0 && st.st_size > f->offset;
        if (grown || f->over || a->draining) {
            f->asleep = false;
            MHD_resume_connection(f->connection);
            server_wake(f->listener);
        }
    }
}

static void follow(struct api *a, struct request *rq, const struct job_row *job, int fd)
{
    struct follower *f = calloc(1, sizeof *f);
    struct MHD_Response *r = NULL;

    if (f) {
        f->api = a;
        f->fd = fd;
        f->connection = rq->connection;
        f->listener = rq->listener;
        memcpy(f->uid, job->uid, sizeof f->uid);
        f->over = job_state_is_final((enum job_state)job_state_from_name(job->state));
        list_append(&a->followers, &f->link);
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, follow_read, f, follow_free);
        if (!r)
            follow_free(f);
    } else {
        close(fd);
    }
    rq->streams = r != NULL;
    reply_header(rq, "Content-Type", "text/plain; charset=utf-8");
    reply_header(rq, "X-Accel-Buffering", "no");
    reply_response(rq, 200, r);
}

void api_jobs_logs(struct api *a, struct request *rq)
{
    static const char *const known[] = { "follow", NULL };
    AUTO(job_row_clear) struct job_row job = { 0 };
    struct sewa_error err;
    struct stat st = { 0 };
    bool following = false;
    int rc = request_query_known(rq, known, &err);

    if (rc == 0)
        rc = request_query_bool(rq, "follow", false, &following, &err);
    if (rc == 0)
        rc = find_job(a, rq, &job, &err);
    AUTOFREE char *path = rc == 0 ? jobs_log_path(a->o.jobs, job.uid) : NULL;
    if (rc < 0) {
        reply_error(rq, &err);
        return;
    }
    /* made when it is not there yet, so that it can be followed from the beginning */
    AUTOCLOSE int fd =
        path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (following ? O_CREAT : 0), 0640) : -1;
    if (fd >= 0 && following) {
        follow(a, rq, &job, take_fd(&fd));
        return;
    }
    reply_header(rq, "Content-Type", "text/plain; charset=utf-8");
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
        reply_empty(rq, 200);
        return;
    }
    struct MHD_Response *r = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
    if (r)
        take_fd(&fd);
    reply_response(rq, 200, r);
}
