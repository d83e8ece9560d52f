/*
 * plan - what a request comes to: which checkpoints, how much is read, held and written.
 *
 * Made from the index alone: headers were read when the files were found. It decodes the tables of
 * the candidates, though, which takes a second where they have a million tensors, so it is not for
 * the loop. The plan is stored with the job: what a job averages never changes after it was
 * accepted.
 */
#ifndef JOBS_PLAN_H
#define JOBS_PLAN_H

#include "base/ulid.h"
#include "jobs/request.h"
#include "store/checkpoints.h"

enum { JOB_RECALIBRATIONS_MAX = 2 }; /* for the verdict and for the file */

struct job_candidate {
    int64_t id; /* of the checkpoint's row */
    char uid[ID_TEXT_SIZE];
    char *run;       /* name of its run */
    char *root;      /* directory of its run, bytes */
    char *file;      /* relative to root, bytes */
    char *state_key; /* where in a PyTorch file the tensors are; "": looked for */
    bool has_step;
    int64_t step;
    enum step_unit step_unit;
    int64_t size;
    int64_t mtime_ns;
    uint8_t header_digest[32];
    bool has_sha256;
    uint8_t sha256[32];
};

struct job_plan {
    size_t k;
    struct job_candidate *candidates; /* oldest first */
    int64_t run_id;                   /* of the first candidate's run */
    char *run_name;
    size_t select;     /* for method_setup; 0: auto or not used */
    int64_t newest_id; /* largest id of a candidate's row */
    int64_t tensor_count;
    int64_t data_bytes;     /* of one checkpoint */
    int64_t float_elements; /* of one checkpoint */
    int64_t bytes_to_read;
    int64_t peak_memory_bytes; /* estimate for one worker, evaluator not counted */
    bool streams;              /* candidates are read again for every pass, not held in memory */
    unsigned banks;            /* averages that a worker holds at a time; 0: nothing is evaluated */
    int64_t output_bytes;
    int64_t free_disk_bytes;
    int64_t evaluations;     /* estimate; 0 when nothing is evaluated */
    int64_t recalibrations;  /* passes in which the evaluator makes new buffers, at most; negative:
                                no job has told yet whether it can, and none is counted */
    double expected_seconds; /* from the last jobs like it; negative: none was measured */
    json_t *state;           /* which of the files' states is averaged, and which are left; NULL:
                                an older version has made the plan */
    json_t *tensors;         /* what is special about them, as dry_run shows it (needs.c) */
    json_t *warnings;        /* array of sentences */
    json_t *evaluator;       /* the program as it was configured when the job was accepted, or NULL:
                                a job never changes its evaluator half way */
};

void job_plan_free(struct job_plan *p); /* NULL is fine */
AUTOPTR_DEFINE(job_plan_free, struct job_plan);

/* What the service allows and has. */
struct plan_limits {
    const char *artifact_directory;
    int64_t worker_memory_bytes; /* for the candidates and the banks of one worker */
    unsigned worker_threads;     /* numeric threads of one worker */
    int64_t worker_slots;        /* workers at a time; 0: not known */
    /* How to run this evaluator (an object for proto/worker.md, a new reference), or NULL. */
    json_t *(*evaluator)(const char *name, void *arg);
    void *arg;
};

/*
 * Resolve and check. SEWA_E_UNKNOWN_NAME with a pointer (run, checkpoint or evaluator),
 * SEWA_E_INVALID with one (K > k, too much memory, steps of several units, which have no common
 * order), _NO_CANDIDATES, _DUPLICATE_STEP, _MISMATCH (names the first differences, or raw weights
 * and averages of weights), _UNSUPPORTED (a type that cannot be averaged), _NO_SPACE (both
 * numbers).
 */
int job_plan_make(struct db *db, const struct job_request *q, const struct plan_limits *limits,
                  struct job_plan **ret, struct sewa_error *err);

/* As it is stored and read back. */
json_t *job_plan_json(const struct job_plan *p);
int job_plan_parse(const json_t *stored, struct job_plan **ret, struct sewa_error *err);

/* The candidates as workers are told about them (proto/worker.md). */
json_t *job_plan_candidates(const struct job_plan *p);

/* plan.state as it is shown: {"taken": "app.model", "left": ["app.optim"]}, or null. */
json_t *job_plan_state(const struct job_plan *p);

/* What dry_run shows: the same in words that the API documents. */
json_t *job_plan_show(const struct job_plan *p);

/* Refuse the name of a run with this code: which one was meant, perhaps. */
int run_unknown(struct db *db, const char *run, int code, const char *pointer,
                struct sewa_error *err);

#endif
