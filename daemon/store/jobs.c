/*
 * jobs - rows of the table jobs; job_parts.c holds trace, leases, workers and artifacts.
 */
#include "store/jobs.h"

#include <string.h>

void job_row_clear(struct job_row *r)
{
    free(r->run_name);
    free(r->method);
    free(r->reason);
    free(r->request);
    free(r->plan);
    free(r->labels);
    free(r->result);
    memset(r, 0, sizeof *r);
}

/* The columns stand in this order in every SELECT of jobs.sql. */
static int read_row(struct stmt *q, struct job_row *ret, struct sewa_error *err)
{
    struct job_row r = { 0 };
    bool failed = false;

    r.id = stmt_i64(q, 0);
    stmt_text_into(q, 1, r.uid, sizeof r.uid);
    r.run_id = stmt_i64(q, 2);
    r.run_name = stmt_text_copy(q, 3, &failed);
    r.method = stmt_text_copy(q, 4, &failed);
    stmt_text_into(q, 5, r.state, sizeof r.state);
    stmt_text_into(q, 6, r.reason_code, sizeof r.reason_code);
    r.reason = stmt_text_copy(q, 7, &failed);
    r.request = stmt_text_copy(q, 8, &failed);
    r.plan = stmt_text_copy(q, 9, &failed);
    r.labels = stmt_text_copy(q, 10, &failed);
    r.result = stmt_is_null(q, 11) ? NULL : stmt_text_copy(q, 11, &failed);
    r.iteration = stmt_i64(q, 12);
    r.iterations = stmt_i64(q, 13);
    r.evaluations = stmt_i64(q, 14);
    r.evaluations_total = stmt_i64(q, 15);
    stmt_text_into(q, 16, r.retry_of, sizeof r.retry_of);
    r.candidate_newest = stmt_i64(q, 17);
    r.created_ms = stmt_i64(q, 18);
    r.started_ms = stmt_i64(q, 19);
    r.finished_ms = stmt_i64(q, 20);
    r.version = stmt_i64(q, 21);
    if (failed) {
        job_row_clear(&r);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a job");
    }
    *ret = r;
    return 1;
}

static int read_one(struct stmt *q, struct job_row *ret, struct sewa_error *err)
{
    int rc = stmt_next(q, err);

    return rc <= 0 ? rc : read_row(q, ret, err);
}

static int read_each(struct stmt *q, job_each *each, void *arg, struct sewa_error *err)
{
    int rc;

    while ((rc = stmt_next(q, err)) > 0) {
        AUTO(job_row_clear) struct job_row row = { 0 };
        rc = read_row(q, &row, err);
        if (rc >= 0)
            rc = each(&row, arg, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    return rc;
}

static int insert_row(struct db *db, struct job_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_INSERT);

    stmt_bind_text(q, ":uid", row->uid);
    stmt_bind_i64_if(q, ":run_id", row->run_id != 0, row->run_id);
    stmt_bind_text(q, ":run_name", row->run_name);
    stmt_bind_text(q, ":method", row->method);
    stmt_bind_text(q, ":request", row->request);
    stmt_bind_text(q, ":plan", row->plan);
    stmt_bind_text(q, ":labels", row->labels ? row->labels : "{}");
    stmt_bind_i64(q, ":iterations", row->iterations);
    stmt_bind_i64(q, ":evaluations_total", row->evaluations_total);
    stmt_bind_text(q, ":retry_of", row->retry_of[0] ? row->retry_of : NULL);
    stmt_bind_i64(q, ":candidate_newest", row->candidate_newest);
    stmt_bind_i64(q, ":created_ms", row->created_ms);
    int rc = stmt_run(q, err);
    if (rc == 0)
        row->id = db_last_id(db);
    return rc;
}

static int insert_candidate(struct db *db, int64_t job_id, size_t position, int64_t checkpoint_id,
                            struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_CANDIDATE_INSERT);

    stmt_bind_i64(q, ":job_id", job_id);
    stmt_bind_i64(q, ":position", (int64_t)position);
    stmt_bind_i64(q, ":checkpoint_id", checkpoint_id);
    return stmt_run(q, err);
}

int job_insert(struct db *db, struct job_row *row, const int64_t *candidates,
               size_t candidate_count, struct sewa_error *err)
{
    int rc = insert_row(db, row, err);

    for (size_t i = 0; rc == 0 && i < candidate_count; i++)
        rc = insert_candidate(db, row->id, i, candidates[i], err);
    return rc;
}

int job_find(struct db *db, const char *uid, struct job_row *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_BY_UID);

    stmt_bind_text(q, ":uid", uid);
    return read_one(q, ret, err);
}

int job_by_id(struct db *db, int64_t id, struct job_row *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_BY_ID);

    stmt_bind_i64(q, ":id", id);
    return read_one(q, ret, err);
}

int job_list(struct db *db, const struct job_filter *f, job_each *each, void *arg,
             struct sewa_error *err)
{
    enum sql_id id = f->state    ? SQL_JOB_PAGE_OF_STATE
                     : f->run_id ? SQL_JOB_PAGE_OF_RUN
                                 : SQL_JOB_PAGE;
    AUTO(stmt_done) struct stmt *q = stmt_get(db, id);

    if (f->state)
        stmt_bind_text(q, ":state", f->state);
    if (f->state || f->run_id)
        stmt_bind_i64_if(q, ":run_id", f->run_id != 0, f->run_id);
    stmt_bind_i64(q, ":before", f->before_id ? f->before_id : INT64_MAX);
    stmt_bind_i64(q, ":created_after", f->created_after_ms ? f->created_after_ms : INT64_MIN);
    stmt_bind_text(q, ":label_key", f->label_key);
    stmt_bind_text(q, ":label_value", f->label_value);
    stmt_bind_i64(q, ":limit", f->limit);
    return read_each(q, each, arg, err);
}

int job_unfinished(struct db *db, job_each *each, void *arg, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_UNFINISHED);

    return read_each(q, each, arg, err);
}

int job_set_state(struct db *db, int64_t id, const char *state, const char *reason_code,
                  const char *reason, int64_t started_ms, int64_t finished_ms,
                  struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_SET_STATE);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":state", state);
    stmt_bind_text(q, ":reason_code", reason_code ? reason_code : "");
    stmt_bind_text(q, ":reason", reason ? reason : "");
    stmt_bind_i64_if(q, ":started_ms", started_ms != 0, started_ms);
    stmt_bind_i64_if(q, ":finished_ms", finished_ms != 0, finished_ms);
    return stmt_run(q, err);
}

int job_state(struct db *db, const char *uid, char ret[JOB_STATE_SIZE], struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_STATE);

    stmt_bind_text(q, ":uid", uid);
    int rc = stmt_next(q, err);
    ret[0] = '\0';
    if (rc > 0)
        stmt_text_into(q, 0, ret, JOB_STATE_SIZE);
    return rc < 0 ? rc : 0;
}

int job_save_runner(struct db *db, int64_t id, const char *runner, const struct job_progress *p,
                    struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_SAVE_RUNNER);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":runner", runner);
    stmt_bind_i64(q, ":iteration", p->iteration);
    stmt_bind_i64(q, ":iterations", p->iterations);
    stmt_bind_i64(q, ":evaluations", p->evaluations);
    stmt_bind_i64(q, ":evaluations_total", p->evaluations_total);
    return stmt_run(q, err);
}

int job_load_runner(struct db *db, int64_t id, char **ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_LOAD_RUNNER);
    bool failed = false;

    stmt_bind_i64(q, ":id", id);
    int rc = stmt_next(q, err);
    if (rc <= 0)
        return rc;
    char *text = stmt_text_copy(q, 0, &failed);
    if (failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the state of a job");
    *ret = text;
    return 1;
}

int job_set_result(struct db *db, int64_t id, const char *result, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_SET_RESULT);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":result", result);
    return stmt_run(q, err);
}

int job_delete(struct db *db, int64_t id, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_DELETE);

    stmt_bind_i64(q, ":id", id);
    return stmt_run(q, err);
}

int job_last_success(struct db *db, int64_t run_id, const char *method, int64_t *ret,
                     struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_LAST_SUCCESS);

    stmt_bind_i64(q, ":run_id", run_id);
    stmt_bind_text(q, ":method", method);
    int rc = stmt_next(q, err);
    *ret = rc > 0 ? stmt_i64(q, 0) : 0;
    return rc < 0 ? rc : 0;
}

int job_seconds_each(struct db *db, int64_t run_id, const char *evaluator, double *ret,
                     struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_SECONDS_EACH);

    stmt_bind_i64_if(q, ":run_id", run_id != 0, run_id);
    stmt_bind_text(q, ":evaluator", evaluator);
    stmt_bind_i64(q, ":newest", JOB_NEWEST);
    int rc = stmt_next(q, err);
    if (rc > 0)
        *ret = stmt_f64(q, 0);
    return rc;
}

int job_recalibrates(struct db *db, const char *evaluator, bool *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_RECALIBRATES);

    stmt_bind_null(q, ":run_id");
    stmt_bind_text(q, ":evaluator", evaluator);
    stmt_bind_i64(q, ":newest", JOB_NEWEST_TRAITS);
    int rc = stmt_next(q, err);
    if (rc > 0)
        *ret = stmt_i64(q, 0) != 0;
    return rc;
}

int job_count(struct db *db, int (*each)(const char *state, int64_t count, void *arg), void *arg,
              struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_JOB_COUNT);
    int rc;

    while ((rc = stmt_next(q, err)) > 0) {
        rc = each(stmt_text(q, 0), stmt_i64(q, 1), arg);
        if (rc < 0)
            return rc;
    }
    return rc;
}
