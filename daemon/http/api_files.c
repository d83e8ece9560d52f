/*
 * api_files - the artifacts of a job: files under a directory of our own, on the local disk.
 *
 * They are sent by the library with sendfile. Reading from a disk that may hang must never be done
 * that way (measured: one slow file froze every client), but this directory is ours.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/path.h"
#include "http/api_body.h"
#include "http/fields.h"
#include "http/range.h"

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

static int open_artifact(struct api *a, const struct job_row *job, const struct artifact_row *row,
                         int *ret_fd, struct sewa_error *err)
{
    AUTOFREE char *directory = jobs_artifact_path(a->o.jobs, job->uid);
    AUTOFREE char *path = directory ? path_join(directory, row->name) : NULL;
    struct stat st;

    if (!path)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    /* a worker wrote it next to user code: what opens must not block, whatever it is */
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return sewa_fail(err, SEWA_E_CHANGED, "'%s' is not a file any more", path);
    if (st.st_size != row->size)
        return sewa_fail(err, SEWA_E_CHANGED, "'%s' has %lld bytes, it was published with %lld",
                         path, (long long)st.st_size, (long long)row->size);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* The range that is wanted, NULL for all: only GET has ranges, and If-Range must name exactly this
 * content. */
static const char *wanted_range(const struct request *rq, const char *etag)
{
    const char *if_range = request_header(rq, "if-range");

    if (rq->is_head || (if_range && strcmp(if_range, etag) != 0))
        return NULL;
    return request_header(rq, "range");
}

static void artifact_headers(struct request *rq, const struct job_row *job,
                             const struct artifact_row *row, const char *etag)
{
    char base64[64];

    reply_header(rq, "Content-Type", row->media_type);
    reply_header(rq, "ETag", etag);
    reply_header(rq, "Cache-Control", "no-cache");
    reply_header(rq, "X-Content-Type-Options", "nosniff");
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
    if (none_match && fields_name_etag(none_match, etag)) {
        close(fd);
        reply_not_modified(rq, etag);
        return;
    }
    if (range_parse(wanted_range(rq, etag), row->size, &range, &err) < 0) {
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
