/*
 * request - what a client asks for when it posts a job: parsed, checked field by field, defaults
 * filled in where they do not depend on the checkpoints. Pure. Thread: any.
 */
#ifndef JOBS_REQUEST_H
#define JOBS_REQUEST_H

#include "base/cleanup.h"
#include "base/dtype.h"
#include "base/json.h"

#include <stdint.h>

enum {
    JOB_CANDIDATES_MAX = 4096, /* METHOD_CANDIDATES_MAX */
    JOB_WINDOW_DEFAULT = 200,
    JOB_WORKERS_MAX = 256,
    JOB_BASELINES_MAX = 4,
};

enum job_integers { INTEGERS_NEWEST, INTEGERS_OLDEST, INTEGERS_MAX, INTEGERS_EQUAL };

struct job_request {
    char *run;           /* name or id, or NULL when checkpoints are named */
    json_t *checkpoints; /* array of ids, or NULL */
    char *method;        /* one of the registry, or "check" */
    bool has_min_step, has_max_step;
    int64_t min_step, max_step;
    json_t *exclude_steps; /* array of whole numbers */
    int64_t window;        /* 0: the newest JOB_WINDOW_DEFAULT */
    json_t *select;        /* NULL, a number, or "auto" */
    char *evaluator;       /* NULL: none */
    json_t *params;        /* object */
    char *baselines[JOB_BASELINES_MAX];
    int baseline_count;
    uint64_t seed;
    enum job_integers integers;
    bool allow_nonfinite, force, digests;
    int64_t if_new_checkpoints;
    int output_dtype;        /* a dtype, or -1: that of the input */
    int64_t max_shard_bytes; /* of one file of the average; 0: there is one; -1: as the input */
    int64_t workers;
    json_t *labels; /* object of strings */
};

void job_request_free(struct job_request *r); /* NULL is fine */
AUTOPTR_DEFINE(job_request_free, struct job_request);

/*
 * From the body of POST /jobs. Fails with SEWA_E_INVALID or _UNKNOWN_FIELD and a pointer to the
 * field. Whether the run, the evaluator and enough checkpoints exist is plan.h's business.
 */
int job_request_parse(const json_t *body, struct job_request **ret, struct sewa_error *err);

/* A job of method check: which evaluator, on which run's newest checkpoints or on which ones. */
int job_request_parse_check(const char *evaluator, const json_t *body, struct job_request **ret,
                            struct sewa_error *err);

/* All fields with their values, as a job shows them; job_request_parse_stored() reads it again. */
json_t *job_request_json(const struct job_request *r);
int job_request_parse_stored(const json_t *stored, struct job_request **ret,
                             struct sewa_error *err);

const char *job_integers_name(enum job_integers i);

/*
 * Whether this baseline is compared with: neither the method itself, nor the newest of k candidates
 * once more under another name ("lawa" of one). select is the plan's.
 */
bool job_baseline_counts(const struct job_request *q, const char *name, size_t k, size_t select);
int job_baseline_count(const struct job_request *q, size_t k, size_t select);

/* How many the baseline "lawa" averages. */
size_t job_lawa_select(size_t k, size_t select);

#endif
