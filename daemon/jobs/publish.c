/*
 * publish - put a finished average in place.
 *
 * A worker writes the average into a hidden folder of its own attempt. The manifest joins it there,
 * both are synced, and one rename makes the folder the job's: nobody ever sees half of it, and two
 * attempts of one task never write into the same folder.
 */
#include "jobs/jobs_body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"

/* One file of the average. */
struct published {
    char *path;   /* in staging */
    int64_t size; /* that it has, as the worker says */
};

struct publish {
    struct work base;
    struct job *job;
    char *staging, *final, *parent;
    struct published *files;
    size_t file_count;
    char *manifest; /* text */
    uint8_t digest[32];
};

char *jobs_artifact_path(const struct jobs *j, const char *uid)
{
    return path_join(j->artifact_directory, uid);
}

static void publish_free(struct publish *p)
{
    free(p->staging);
    free(p->final);
    free(p->parent);
    for (size_t i = 0; i < p->file_count; i++)
        free(p->files[i].path);
    free(p->files);
    free(p->manifest);
    free(p);
}

/* The worker runs next to user code: what it says is there is looked at. */
static int check_file(const struct published *f, struct sewa_error *err)
{
    struct stat st;

    if (lstat(f->path, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at the average '%s'", f->path);
    if (!S_ISREG(st.st_mode))
        return sewa_fail(err, SEWA_E_CHANGED, "the average '%s' is not a file", f->path);
    if (st.st_size != f->size)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "the average '%s' has %lld bytes, the worker wrote %lld", f->path,
                         (long long)st.st_size, (long long)f->size);
    return 0;
}

static int put_in_place(struct publish *p, struct sewa_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < p->file_count; i++)
        rc = check_file(&p->files[i], err);
    if (rc == 0)
        rc = file_publish(p->staging, "manifest.json", 0640, p->manifest, strlen(p->manifest), err);

    if (rc == 0)
        rc = tree_remove(p->final, err); /* of a service that was killed right after its rename */
    failpoint("publish_before_rename");
    if (rc == 0 && (failpoint_errno("publish_rename") || rename(p->staging, p->final) < 0))
        rc = sewa_fail_errno(err, SEWA_E_IO, "cannot rename '%s' to '%s'", p->staging, p->final);
    failpoint("publish_after_rename");
    return rc == 0 ? directory_sync(p->parent, err) : rc;
}

static void run(struct work *base)
{
    struct publish *p = container_of(base, struct publish, base);

    sha256_of(p->manifest, strlen(p->manifest), p->digest);
    base->rc = put_in_place(p, &base->err);
}

/* What the job's last write needs to know of the manifest. */
static int note_manifest(struct publish *p)
{
    char hex[SHA256_HEX_SIZE];
    json_t *written = (json_t *)runner_written(p->job->runner);

    return json_put(written, "manifest",
                    json_pack("{s:I, s:s}", "size", (json_int_t)strlen(p->manifest), "sha256",
                              hex_encode(p->digest, 32, hex)));
}

static void done(struct work *base)
{
    struct publish *p = container_of(base, struct publish, base);
    struct job *job = p->job;

    job->publishing = false;
    if (base->rc == 0 && note_manifest(p) < 0)
        base->rc = sewa_fail(&base->err, SEWA_E_NO_MEMORY, "no memory for the manifest");
    if (!job->jobs->closed && base->rc < 0)
        job_fail(job, &base->err);
    else if (!job->jobs->closed && job->state == JOB_PUBLISHING)
        job_succeed(job); /* not when it was cancelled meanwhile */
    publish_free(p);
    jobs_let_go(job->jobs, job);
}

static int dump_into(const char *bytes, size_t n, void *b)
{
    buf_append(b, bytes, n);
    return buf_failed(b) ? -1 : 0;
}

/* People read it, so it is indented. Not json_dumps(), which loses a key when memory is short. */
static char *indented(const json_t *value)
{
    struct buf b = { 0 };

    if (json_dump_callback(value, dump_into, &b, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) < 0)
        b.failed = true;
    return buf_take(&b);
}

static char *manifest_text(struct job *job)
{
    char digest[SHA256_HEX_SIZE] = "", now[CLOCK_TEXT_SIZE];
    uint8_t sha[32];
    AUTOFREE char *command = NULL;

    if (job->plan->evaluator) {
        command = json_canonical(json_object_get(job->plan->evaluator, "command"));
        if (!command)
            return NULL;
        sha256_of(command, strlen(command), sha);
        hex_encode(sha, 32, digest);
    }
    AUTOJSON json_t *m =
        runner_manifest(job->runner, job->uid, digest, clock_format(clock_now_ms(), now));
    return m ? indented(m) : NULL;
}

static int list_files(struct publish *p, const json_t *files)
{
    size_t n = json_array_size(files);

    p->files = calloc(n ? n : 1, sizeof *p->files);
    if (!p->files || !p->staging)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *file = json_array_get(files, i);
        struct published *f = &p->files[p->file_count++];
        f->path = path_join(p->staging, json_string_value(json_object_get(file, "name")));
        f->size = json_integer_value(json_object_get(file, "size"));
        if (!f->path)
            return -1;
    }
    return 0;
}

void publish_start(struct job *job)
{
    struct jobs *j = job->jobs;
    struct publish *p = calloc(1, sizeof *p);
    const json_t *files = json_object_get(runner_written(job->runner), "files");
    bool has_files = false;
    struct sewa_error err;

    if (p) {
        p->job = job;
        p->base.run = run;
        p->base.done = done;
        p->staging = clean_staging(j->artifact_directory, job->uid, job->average_attempt);
        p->final = jobs_artifact_path(j, job->uid);
        p->parent = strdup(j->artifact_directory);
        has_files = list_files(p, files) == 0;
        p->manifest = manifest_text(job);
    }
    if (!p || !p->staging || !p->final || !p->parent || !has_files || !p->manifest ||
        work_submit(j->o.loop, &p->base, &err) < 0) {
        if (p)
            publish_free(p);
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory to publish the average");
        job_fail(job, &err);
        return;
    }
    job->publishing = true;
    jobs_hold(j, job);
}
