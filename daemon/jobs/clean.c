/*
 * clean - take away files that nobody owns any more: folders of attempts, averages of jobs that did
 * not succeed, logs of jobs that were deleted.
 *
 * What a job may have left is known by name, so that its end costs the same however many others
 * there are. Only the start looks through the directories, for what a killed service has left.
 */
#include "jobs/jobs_body.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "store/jobs.h"

static const char partial_ending[] = ".partial", log_ending[] = ".log";

char *clean_staging(const char *directory, const char *uid, int64_t attempt)
{
    char *path = NULL;

    if (asprintf(&path, "%s/.%s.%lld%s", directory, uid, (long long)attempt, partial_ending) < 0)
        return NULL;
    return path;
}

static void remove_path(const char *path)
{
    struct sewa_error err;

    if (path && tree_remove(path, &err) < 0)
        log_warn("jobs: %s; it can be removed by hand", err.text);
}

/* ---- of one job ---- */

struct clean {
    struct work base;
    struct jobs *jobs;
    char *directory;
    char uid[ID_TEXT_SIZE];
    int64_t attempts;
    bool all;
};

static void clean_run(struct work *base)
{
    struct clean *c = container_of(base, struct clean, base);

    for (int64_t n = 1; n <= c->attempts; n++) {
        AUTOFREE char *staging = clean_staging(c->directory, c->uid, n);
        remove_path(staging);
    }
    AUTOFREE char *published = c->all ? path_join(c->directory, c->uid) : NULL;
    remove_path(published);
}

static void clean_done(struct work *base)
{
    struct clean *c = container_of(base, struct clean, base);

    jobs_let_go(c->jobs, NULL);
    free(c->directory);
    free(c);
}

void clean_job(struct jobs *j, const char *uid, int64_t attempts, bool all)
{
    struct clean *c = calloc(1, sizeof *c);

    if (!c || !(c->directory = strdup(j->artifact_directory))) {
        free(c);
        return; /* the next start sweeps */
    }
    c->base.run = clean_run;
    c->base.done = clean_done;
    c->jobs = j;
    c->attempts = attempts;
    c->all = all;
    snprintf(c->uid, sizeof c->uid, "%s", uid);
    jobs_hold(j, NULL);
    if (work_submit(j->o.loop, &c->base, NULL) < 0)
        clean_done(&c->base);
}

void jobs_remove_files(struct jobs *j, const char *uid)
{
    struct job *job = jobs_find(j, uid);

    joblog_remove(j, job, uid);
    clean_job(j, uid, job ? job->attempts : 0, true);
}

/* ---- at start ---- */

/* ".job_X.3.partial" -> "job_X" */
static bool is_partial(const char *name, char uid[ID_TEXT_SIZE])
{
    const char *dot = name[0] == '.' ? strchr(name + 1, '.') : NULL;
    size_t n = dot ? (size_t)(dot - name - 1) : 0;

    if (!dot || n >= ID_TEXT_SIZE)
        return false;
    size_t digits = strspn(dot + 1, "0123456789");
    memcpy(uid, name + 1, n);
    uid[n] = '\0';
    return digits > 0 && strcmp(dot + 1 + digits, partial_ending) == 0 && id_is(uid, "job");
}

/* "job_X.log" -> "job_X" */
static bool is_log(const char *name, char uid[ID_TEXT_SIZE])
{
    const char *dot = strchr(name, '.');
    size_t n = dot ? (size_t)(dot - name) : 0;

    if (!dot || n >= ID_TEXT_SIZE || strcmp(dot, log_ending) != 0)
        return false;
    memcpy(uid, name, n);
    uid[n] = '\0';
    return id_is(uid, "job");
}

/* 1: it is somebody's, or none of our names; 0: nobody's. */
static int is_owned_artifact(struct db *db, const char *name, struct sewa_error *err)
{
    char uid[ID_TEXT_SIZE], word[JOB_STATE_SIZE];
    bool partial = is_partial(name, uid);

    if (!partial && !id_is(name, "job"))
        return 1;
    int rc = job_state(db, partial ? uid : name, word, err);
    if (rc < 0 || !*word)
        return rc;
    int state = job_state_from_name(word);
    bool unfinished = state >= 0 && !job_state_is_final((enum job_state)state);
    return unfinished || (!partial && state == JOB_SUCCEEDED);
}

static int is_owned_log(struct db *db, const char *name, struct sewa_error *err)
{
    char uid[ID_TEXT_SIZE], word[JOB_STATE_SIZE];

    if (!is_log(name, uid))
        return 1;
    int rc = job_state(db, uid, word, err);
    return rc < 0 ? rc : *word != '\0';
}

static int sweep(struct db *db, const char *directory,
                 int (*is_owned)(struct db *db, const char *name, struct sewa_error *err),
                 struct sewa_error *err)
{
    DIR *d = opendir(directory);
    int rc = 0;

    if (!d)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot list '%s'", directory);
    for (struct dirent *e; rc >= 0 && (e = readdir(d)) != NULL;) {
        rc = is_owned(db, e->d_name, err);
        if (rc == 0) {
            AUTOFREE char *path = path_join(directory, e->d_name);
            remove_path(path);
        }
    }
    closedir(d);
    return rc < 0 ? rc : 0;
}

int clean_sweep(struct jobs *j, struct sewa_error *err)
{
    struct db *db = store_reader(j->o.store);
    int rc = sweep(db, j->artifact_directory, is_owned_artifact, err);

    return rc < 0 ? rc : sweep(db, j->log_directory, is_owned_log, err);
}
