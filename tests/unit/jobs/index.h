/*
 * index - a real database in a scratch directory, with runs and checkpoints to plan on.
 */
#ifndef TESTS_UNIT_JOBS_INDEX_H
#define TESTS_UNIT_JOBS_INDEX_H

#include "support/support.h"

#include "base/json.h"
#include "base/ulid.h"
#include "jobs/plan.h"
#include "store/checkpoints.h"
#include "store/runs.h"

struct index {
    char *dir; /* also that of the artifacts */
    struct db *db;
    struct plan_limits limits; /* 1 GiB; an evaluator "digits" */
};

void index_open(struct index *ix);
void index_close(struct index *ix);

/* Tables of a fresh database, opened by somebody else. */
int64_t index_run(struct db *db, const char *name);

/* "weight:F32:4x3 bias:F32:3 steps:I64:"; 4x3' lies transposed in its file; "!word" is a
 * note of the reader, "@word" the state key, "-word" what was left. */
int64_t index_layout(struct db *db, const char *text);

/* A row of a run; step -1: it has none. ret_uid may be NULL. */
int64_t index_checkpoint(struct db *db, int64_t run_id, int64_t layout_id, int64_t step,
                         enum checkpoint_state state, char ret_uid[ID_TEXT_SIZE]);

/* A job that is over, or not; what is NULL is empty, "result" not there, "state" succeeded. */
struct index_job {
    int64_t run_id;
    const char *state, *request, *plan, *runner, *result;
};

void index_job(struct db *db, const struct index_job *job);

/* The spec of an evaluator, as the service tells about it; NULL but for "digits". */
json_t *index_evaluator(const char *name, void *arg);

/* A request from the text of its body; must be a good one. */
struct job_request *index_request(const char *body);

#endif
