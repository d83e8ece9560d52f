/*
 * job_parts - what belongs to a job: trace, leases, workers, artifacts.
 */
#include "store/jobs.h"

#include <string.h>

int trace_put(struct db *db, int64_t job_id, const struct trace_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_TRACE_PUT);
    static const char none[1];

    stmt_bind_i64(q, ":job_id", job_id);
    stmt_bind_i64(q, ":iteration", row->iteration);
    stmt_bind_f64(q, ":loss", row->loss);
    stmt_bind_f64(q, ":temperature", row->temperature);
    stmt_bind_f64(q, ":learning_rate", row->learning_rate);
    stmt_bind_i64(q, ":dropped", row->dropped);
    stmt_bind_blob(q, ":probabilities", row->probabilities ? row->probabilities : none,
                   row->probability_count * 4);
    return stmt_run(q, err);
}

int trace_list(struct db *db, int64_t job_id, int64_t stride,
               int (*each)(const struct trace_row *row, void *arg, struct sewa_error *err),
               void *arg, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_TRACE_LIST);
    int rc;

    stmt_bind_i64(q, ":job_id", job_id);
    stmt_bind_i64(q, ":stride", stride);
    while ((rc = stmt_next(q, err)) > 0) {
        struct trace_row row = {
            .iteration = stmt_i64(q, 0),
            .loss = stmt_f64(q, 1),
            .temperature = stmt_f64(q, 2),
            .learning_rate = stmt_f64(q, 3),
            .dropped = stmt_i64(q, 4),
        };
        size_t n;
        row.probabilities = stmt_blob(q, 5, &n);
        row.probability_count = n / 4;
        rc = each(&row, arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int trace_count(struct db *db, int64_t job_id, int64_t *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_TRACE_COUNT);

    stmt_bind_i64(q, ":job_id", job_id);
    int rc = stmt_next(q, err);
    *ret = rc > 0 ? stmt_i64(q, 0) : 0;
    return rc < 0 ? rc : 0;
}

int lease_put(struct db *db, int64_t job_id, const struct lease_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_LEASE_PUT);

    stmt_bind_i64(q, ":job_id", job_id);
    stmt_bind_i64(q, ":task", row->task);
    stmt_bind_i64(q, ":attempt", row->attempt);
    stmt_bind_i64(q, ":failures", row->failures);
    stmt_bind_text(q, ":worker", row->worker);
    stmt_bind_i64(q, ":granted_ms", row->granted_ms);
    return stmt_run(q, err);
}

int lease_list(struct db *db, int64_t job_id,
               int (*each)(const struct lease_row *row, void *arg, struct sewa_error *err),
               void *arg, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_LEASE_LIST);
    int rc;

    stmt_bind_i64(q, ":job_id", job_id);
    while ((rc = stmt_next(q, err)) > 0) {
        struct lease_row row = { .task = stmt_i64(q, 0),
                                 .attempt = stmt_i64(q, 1),
                                 .failures = stmt_i64(q, 2),
                                 .granted_ms = stmt_i64(q, 4) };
        stmt_text_into(q, 3, row.worker, sizeof row.worker);
        rc = each(&row, arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int lease_delete_below(struct db *db, int64_t job_id, int64_t task, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_LEASE_DELETE_BELOW);

    stmt_bind_i64(q, ":job_id", job_id);
    stmt_bind_i64(q, ":task", task);
    return stmt_run(q, err);
}

int worker_put(struct db *db, const struct worker_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_WORKER_PUT);

    stmt_bind_text(q, ":uid", row->uid);
    stmt_bind_i64(q, ":job_id", row->job_id);
    stmt_bind_blob(q, ":token_hash", row->token_hash, 32);
    stmt_bind_i64(q, ":pid", row->pid);
    stmt_bind_i64(q, ":start_ticks", row->start_ticks);
    stmt_bind_i64(q, ":slot", row->slot);
    stmt_bind_i64(q, ":started_ms", row->started_ms);
    return stmt_run(q, err);
}

int worker_delete(struct db *db, const char *uid, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_WORKER_DELETE);

    stmt_bind_text(q, ":uid", uid);
    return stmt_run(q, err);
}

int worker_list(struct db *db, int64_t job_id,
                int (*each)(const struct worker_row *row, void *arg, struct sewa_error *err),
                void *arg, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_WORKER_LIST);
    int rc;

    stmt_bind_i64(q, ":job_id", job_id);
    while ((rc = stmt_next(q, err)) > 0) {
        struct worker_row row = { .job_id = stmt_i64(q, 1),
                                  .pid = stmt_i64(q, 3),
                                  .start_ticks = stmt_i64(q, 4),
                                  .slot = stmt_i64(q, 5),
                                  .started_ms = stmt_i64(q, 6) };
        stmt_digest(q, 2, row.token_hash);
        stmt_text_into(q, 0, row.uid, sizeof row.uid);
        rc = each(&row, arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int artifact_put(struct db *db, int64_t job_id, struct artifact_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_ARTIFACT_PUT);

    id_new("art", row->created_ms, row->uid);
    stmt_bind_text(q, ":uid", row->uid);
    stmt_bind_i64(q, ":job_id", job_id);
    stmt_bind_text(q, ":name", row->name);
    stmt_bind_i64(q, ":size", row->size);
    stmt_bind_blob(q, ":sha256", row->sha256, 32);
    stmt_bind_text(q, ":media_type", row->media_type);
    stmt_bind_i64(q, ":created_ms", row->created_ms);
    return stmt_run(q, err);
}

static void read_artifact(struct stmt *q, struct artifact_row *r)
{
    memset(r, 0, sizeof *r);
    r->id = stmt_i64(q, 0);
    stmt_text_into(q, 1, r->uid, sizeof r->uid);
    stmt_text_into(q, 2, r->name, sizeof r->name);
    r->size = stmt_i64(q, 3);
    stmt_digest(q, 4, r->sha256);
    stmt_text_into(q, 5, r->media_type, sizeof r->media_type);
    r->created_ms = stmt_i64(q, 6);
}

int artifact_list(struct db *db, int64_t job_id,
                  int (*each)(const struct artifact_row *row, void *arg, struct sewa_error *err),
                  void *arg, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_ARTIFACT_LIST);
    int rc;

    stmt_bind_i64(q, ":job_id", job_id);
    while ((rc = stmt_next(q, err)) > 0) {
        struct artifact_row row;
        read_artifact(q, &row);
        rc = each(&row, arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int artifact_find(struct db *db, int64_t job_id, const char *name, struct artifact_row *ret,
                  struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_ARTIFACT_FIND);

    stmt_bind_i64(q, ":job_id", job_id);
    stmt_bind_text(q, ":name", name);
    int rc = stmt_next(q, err);
    if (rc > 0)
        read_artifact(q, ret);
    return rc;
}
