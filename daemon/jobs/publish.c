/*
 * publish - put a finished average in place, and take away what nobody owns.
 *
 * A worker writes the average into a hidden folder of its own attempt. The manifest joins it there,
 * both are synced, and one rename makes the folder the job's: nobody ever sees half of it, and two
 * attempts of one task never write into the same folder.
 */
#include "jobs/jobs_body.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "store/jobs.h"

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

char *publish_staging(const struct jobs *j, const char *uid, int64_t attempt)
{
    char *path = NULL;

    if (asprintf(&path, "%s/.%s.%lld.partial", j->artifact_directory, uid, (long long)attempt) < 0)
        return NULL;
    return path;
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
        p->staging = publish_staging(j, job->uid, job->average_attempt);
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

/* ---- taking away ---- */

struct clean {
    struct work base;
    struct jobs *jobs;
    char *directory;
    char uid[ID_TEXT_SIZE];
    bool all;
};

/* ".job_X.3.partial" -> "job_X" */
static bool is_partial(const char *name, char uid[ID_TEXT_SIZE])
{
    const char *dot = name[0] == '.' ? strchr(name + 1, '.') : NULL;
    size_t n = dot ? (size_t)(dot - name - 1) : 0;

    if (!dot || n >= ID_TEXT_SIZE || !strstr(dot, ".partial"))
        return false;
    memcpy(uid, name + 1, n);
    uid[n] = '\0';
    return id_is(uid, "job");
}

static void remove_entry(const char *directory, const char *name)
{
    AUTOFREE char *path = path_join(directory, name);
    struct sewa_error err;

    if (path && tree_remove(path, &err) < 0)
        log_warn("jobs: %s; it can be removed by hand", err.text);
}

static void clean_run(struct work *base)
{
    struct clean *c = container_of(base, struct clean, base);
    DIR *d = opendir(c->directory);
    char uid[ID_TEXT_SIZE];

    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        bool partial = is_partial(e->d_name, uid) && strcmp(uid, c->uid) == 0;
        if (partial || (c->all && strcmp(e->d_name, c->uid) == 0))
            remove_entry(c->directory, e->d_name);
    }
    if (d)
        closedir(d);
}

static void clean_done(struct work *base)
{
    struct clean *c = container_of(base, struct clean, base);

    jobs_let_go(c->jobs, NULL);
    free(c->directory);
    free(c);
}

void publish_clean(struct jobs *j, const char *uid, bool all)
{
    struct clean *c = calloc(1, sizeof *c);

    if (!c || !(c->directory = strdup(j->artifact_directory))) {
        free(c);
        return; /* the next start sweeps */
    }
    c->base.run = clean_run;
    c->base.done = clean_done;
    c->jobs = j;
    c->all = all;
    snprintf(c->uid, sizeof c->uid, "%s", uid);
    jobs_hold(j, NULL);
    if (work_submit(j->o.loop, &c->base, NULL) < 0)
        clean_done(&c->base);
}

void jobs_remove_files(struct jobs *j, const char *uid)
{
    AUTOFREE char *log = jobs_log_path(j, uid);

    if (log)
        unlink(log);
    publish_clean(j, uid, true);
}

static int is_kept(struct jobs *j, const char *uid, bool partial, struct sewa_error *err)
{
    AUTO(job_row_clear) struct job_row row = { 0 };
    int rc = job_find(store_reader(j->o.store), uid, &row, err);

    if (rc <= 0)
        return rc;
    int state = job_state_from_name(row.state);
    bool unfinished = state >= 0 && !job_state_is_final((enum job_state)state);
    return unfinished || (!partial && state == JOB_SUCCEEDED);
}

int publish_sweep(struct jobs *j, struct sewa_error *err)
{
    DIR *d = opendir(j->artifact_directory);
    char uid[ID_TEXT_SIZE];
    int rc = 0;

    if (!d)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot list '%s'", j->artifact_directory);
    for (struct dirent *e; rc >= 0 && (e = readdir(d)) != NULL;) {
        bool partial = is_partial(e->d_name, uid);
        if (!partial && !id_is(e->d_name, "job"))
            continue;
        rc = is_kept(j, partial ? uid : e->d_name, partial, err);
        if (rc == 0)
            remove_entry(j->artifact_directory, e->d_name);
    }
    closedir(d);
    return rc < 0 ? rc : 0;
}
