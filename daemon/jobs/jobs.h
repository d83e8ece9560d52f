/*
 * jobs - run jobs: hand their tasks to workers, take the results, write the outcome.
 *
 * This room decides; it starts processes through a launcher, keeps rows through the store, and is
 * called by http for clients and for workers. What a job does next is runner.h's business, who
 * works on what is tasks.h's. Every change goes to the database in the order in which it happened;
 * what is told to a client or handed to a worker was committed before. Loop thread only.
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "base/list.h"
#include "jobs/plan.h"
#include "launch/launcher.h"
#include "store/jobs.h"
#include "store/store.h"

struct jobs;

struct jobs_options {
    struct store *store;
    struct launcher *launcher;
    uv_loop_t *loop;
    const char *state_directory;    /* job logs live in <state>/jobs */
    const char *artifact_directory; /* one folder per job */
    const char *const *devices;     /* NULL-terminated: one worker slot each; NULL or empty: */
    int local_workers;              /* this many slots */
    unsigned worker_threads;        /* numeric threads of each worker; at least 1 */
    int64_t worker_memory_bytes;
    /* How to run an evaluator (new reference), or NULL when it is not configured. */
    json_t *(*evaluator)(const char *name, void *arg);
    void *arg;
};

int jobs_open(const struct jobs_options *o, struct jobs **ret, struct sewa_error *err);

/* Take up what was not finished when the service ended, and remove what nobody owns. */
int jobs_recover(struct jobs *j, struct sewa_error *err);

/*
 * Room for one more job: 0, or SEWA_E_TOO_MANY because too many are unfinished, those included that
 * are on their way. Give it back, once the job was taken or will not come.
 */
int jobs_reserve(struct jobs *j, struct sewa_error *err);
void jobs_unreserve(struct jobs *j);

/* What plans are checked against. */
void jobs_limits(const struct jobs *j, struct plan_limits *ret);

/*
 * Insert a job that was planned; called inside a store op of the caller. Fills ret (cleared by the
 * caller).
 */
int jobs_insert(struct db *db, const struct job_request *q, const struct job_plan *p,
                int64_t now_ms, struct job_row *ret, struct sewa_error *err);

/* A job was inserted and committed: queue it. */
void jobs_take(struct jobs *j, const struct job_row *row);

/*
 * Cancel, in two steps: an unfinished job's row is written inside a store op of the caller, and
 * once that is committed its workers are stopped. Between the two the row overrules whatever the
 * job comes to by itself.
 */
int jobs_write_cancel(struct db *db, const struct job_row *row, int64_t now_ms,
                      struct sewa_error *err);
void jobs_cancel(struct jobs *j, const char *uid);

/* Whether nothing of this job goes on any more: it has ended, its workers too, and what they
 * printed is in its log. */
bool jobs_is_over(struct jobs *j, const char *uid);

/* The row of a finished job was deleted: its artifacts and its log go too. */
void jobs_remove_files(struct jobs *j, const char *uid);

/* Where the log of a job is (heap), NULL when out of memory. */
char *jobs_log_path(const struct jobs *j, const char *uid);

/* Directory of a job's artifacts (heap). */
char *jobs_artifact_path(const struct jobs *j, const char *uid);

/* Told about every committed change of a job. Embed it. */
struct jobs_watcher {
    struct list link;
    void (*changed)(struct jobs_watcher *w, const char *uid);
};

void jobs_watch(struct jobs *j, struct jobs_watcher *w);
void jobs_unwatch(struct jobs_watcher *w);

/* Somebody else changed the row of a job (deleted it): tell the watchers. */
void jobs_notify(struct jobs *j, const char *uid);

/* ---- workers: proto/worker.md ---- */

/* One call of a worker, answered exactly once, at once or later. body is stolen; err is NULL on
 * success. */
struct jobs_call {
    void (*reply)(struct jobs_call *c, json_t *body, const struct sewa_error *err);
    void *owner;         /* private: the worker that asked, while the call is open */
    int64_t deadline_ms; /* private */
};

void jobs_hello(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c);
void jobs_lease(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c);
void jobs_heartbeat(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c);
void jobs_result(struct jobs *j, const char *token, const json_t *message, struct jobs_call *c);
void jobs_log(struct jobs *j, const char *token, const void *data, size_t n, struct jobs_call *c);

/* The caller answers by itself: a waiting call is forgotten. */
void jobs_abandon(struct jobs_call *c);

/* ---- the end ---- */

/* Hand out nothing more; true from jobs_is_drained() once no task is under way. */
void jobs_drain(struct jobs *j);
bool jobs_is_drained(const struct jobs *j);

/* Stop the workers, forget everything. Rows stay as they are: unfinished jobs are resumable. What
 * is under way ends by itself, and the memory is freed with the last of it: the loop must run on.
 */
void jobs_close(struct jobs *j);

/* For metrics: workers that live, jobs in memory per state. */
int jobs_worker_count(const struct jobs *j);

#endif
