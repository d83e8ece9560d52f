/*
 * jobs - rows of the table jobs and of what belongs to one: trace, leases, workers, artifacts.
 * Thread: that of the db. The states and which may follow which are jobs/state.h's business; here
 * they are words.
 */
#ifndef STORE_JOBS_H
#define STORE_JOBS_H

#include "base/ulid.h"
#include "store/db.h"

/* How many jobs are looked at to find one like the next: for what does not change with the load of
 * the machine, further back. */
enum { JOB_NEWEST = 20, JOB_NEWEST_TRAITS = 200 };

enum { JOB_STATE_SIZE = 16 };

struct job_row {
    int64_t id;
    char uid[ID_TEXT_SIZE];
    int64_t run_id; /* 0: the run was deleted */
    char *run_name;
    char *method;
    char state[JOB_STATE_SIZE];
    char reason_code[40];
    char *reason;
    char *request; /* JSON, canonical */
    char *plan;    /* JSON */
    char *labels;  /* JSON */
    char *result;  /* JSON or NULL */
    int64_t iteration, iterations;
    int64_t evaluations, evaluations_total;
    char retry_of[ID_TEXT_SIZE]; /* "" when it is no retry */
    int64_t candidate_newest;
    int64_t created_ms, started_ms, finished_ms; /* 0: not yet */
    int64_t version;                             /* grows with every change that a client can see */
};

void job_row_clear(struct job_row *r);

/*
 * Insert a queued job with its candidates (ids of checkpoints, oldest first). Fills id; uid and
 * created_ms are given.
 */
int job_insert(struct db *db, struct job_row *row, const int64_t *candidates,
               size_t candidate_count, struct sewa_error *err);

/* 1 found, 0 none. ret is cleared by the caller. */
int job_find(struct db *db, const char *uid, struct job_row *ret, struct sewa_error *err);
int job_by_id(struct db *db, int64_t id, struct job_row *ret, struct sewa_error *err);

/* 0 to go on, 1 when the rest does not matter, or a failure, which the walk returns. */
typedef int job_each(const struct job_row *row, void *arg, struct sewa_error *err);

struct job_filter {
    const char *state; /* NULL: all */
    int64_t run_id;    /* 0: all */
    const char *label_key, *label_value;
    int64_t created_after_ms; /* 0: no bound; later than this */
    int64_t before_id;        /* keyset: 0 for the first page */
    int64_t limit;
};

/* Newest first. */
int job_list(struct db *db, const struct job_filter *f, job_each *each, void *arg,
             struct sewa_error *err);

/* All that are not finished, oldest first: what a restarted sewad takes up again. */
int job_unfinished(struct db *db, job_each *each, void *arg, struct sewa_error *err);

/* Bumps the version. Reason may be NULL. Sets started_ms or finished_ms when not 0. */
int job_set_state(struct db *db, int64_t id, const char *state, const char *reason_code,
                  const char *reason, int64_t started_ms, int64_t finished_ms,
                  struct sewa_error *err);

/* The word for the state, "" when there is no such job. */
int job_state(struct db *db, const char *uid, char ret[JOB_STATE_SIZE], struct sewa_error *err);

struct job_progress {
    int64_t iteration, iterations, evaluations, evaluations_total;
};

/* The state of the method and of what follows it, with the progress that it stands for. */
int job_save_runner(struct db *db, int64_t id, const char *runner, const struct job_progress *p,
                    struct sewa_error *err);
/* 1 and heap text, 0 when there is no such job. */
int job_load_runner(struct db *db, int64_t id, char **ret, struct sewa_error *err);

int job_set_result(struct db *db, int64_t id, const char *result, struct sewa_error *err);

/* Only of a finished job (the caller has checked): with trace, artifacts' rows and all. */
int job_delete(struct db *db, int64_t id, struct sewa_error *err);

/* candidate_newest of the newest succeeded job of this run and method; 0 when there is none. */
int job_last_success(struct db *db, int64_t run_id, const char *method, int64_t *ret,
                     struct sewa_error *err);

/*
 * What the newest job with this evaluator (NULL: with none) took that succeeded in this run (0: in
 * any) and measured something: seconds for an evaluation (a pass that recalibrates is one), or for
 * a byte that was read when there is no evaluator. 1 found, 0 none among the newest JOB_NEWEST.
 */
int job_seconds_each(struct db *db, int64_t run_id, const char *evaluator, double *ret,
                     struct sewa_error *err);

/*
 * Whether this evaluator recalibrates, by the newest job that succeeded with it. 1 it is known, 0
 * none among the newest JOB_NEWEST_TRAITS has told.
 */
int job_recalibrates(struct db *db, const char *evaluator, bool *ret, struct sewa_error *err);

/* How many jobs are in each state: each(state, count). */
int job_count(struct db *db, int (*each)(const char *state, int64_t count, void *arg), void *arg,
              struct sewa_error *err);

/* ---- trace ---- */

struct trace_row {
    int64_t iteration;
    double loss;                       /* NaN when it was not finite */
    double temperature, learning_rate; /* NaN where the method has none */
    int64_t dropped;
    const void *probabilities; /* float32, little endian, any alignment */
    size_t probability_count;
};

int trace_put(struct db *db, int64_t job_id, const struct trace_row *row, struct sewa_error *err);

/* Every stride-th row (0: none) and the last one, in order. */
int trace_list(struct db *db, int64_t job_id, int64_t stride,
               int (*each)(const struct trace_row *row, void *arg, struct sewa_error *err),
               void *arg, struct sewa_error *err);
int trace_count(struct db *db, int64_t job_id, int64_t *ret, struct sewa_error *err);

/* ---- leases ---- */

struct lease_row {
    int64_t task;
    int64_t attempt;
    int64_t failures;
    char worker[ID_TEXT_SIZE];
    int64_t granted_ms;
};

int lease_put(struct db *db, int64_t job_id, const struct lease_row *row, struct sewa_error *err);
int lease_list(struct db *db, int64_t job_id,
               int (*each)(const struct lease_row *row, void *arg, struct sewa_error *err),
               void *arg, struct sewa_error *err);
/* All leases of tasks below this number: their results are stored. */
int lease_delete_below(struct db *db, int64_t job_id, int64_t task, struct sewa_error *err);

/* ---- workers ---- */

struct worker_row {
    char uid[ID_TEXT_SIZE];
    int64_t job_id;
    uint8_t token_hash[32];
    int64_t pid;
    int64_t start_ticks;
    int64_t slot;
    int64_t started_ms;
};

/* SEWA_E_CONFLICT when the id or the token is there already. */
int worker_put(struct db *db, const struct worker_row *row, struct sewa_error *err);
int worker_delete(struct db *db, const char *uid, struct sewa_error *err);
int worker_list(struct db *db, int64_t job_id,
                int (*each)(const struct worker_row *row, void *arg, struct sewa_error *err),
                void *arg, struct sewa_error *err);

/* ---- artifacts ---- */

struct artifact_row {
    int64_t id;
    char uid[ID_TEXT_SIZE];
    char name[128];
    int64_t size;
    uint8_t sha256[32];
    char media_type[64];
    int64_t created_ms;
};

/* Replaces a row of the same job and name. */
int artifact_put(struct db *db, int64_t job_id, struct artifact_row *row, struct sewa_error *err);
int artifact_list(struct db *db, int64_t job_id,
                  int (*each)(const struct artifact_row *row, void *arg, struct sewa_error *err),
                  void *arg, struct sewa_error *err);
/* 1 found, 0 none. */
int artifact_find(struct db *db, int64_t job_id, const char *name, struct artifact_row *ret,
                  struct sewa_error *err);

#endif
