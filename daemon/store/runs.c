/*
 * runs - rows of the table runs.
 */
#include "store/runs.h"

#include <string.h>

#include "store/checkpoints.h"

static const char *const origins[] = {
    [RUN_FROM_CONFIGURATION] = "configuration",
    [RUN_FROM_ROOT] = "root",
    [RUN_FROM_API] = "api",
};

const char *run_origin_name(enum run_origin o)
{
    return origins[o];
}

static enum run_origin origin_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(origins); i++)
        if (strcmp(origins[i], name) == 0)
            return (enum run_origin)i;
    return RUN_FROM_API;
}

void run_row_clear(struct run_row *r)
{
    free(r->name);
    free(r->path);
    free(r->pattern);
    free(r->state_key);
    free(r->marker);
    free(r->labels);
    memset(r, 0, sizeof *r);
}

static int copy_text(const char *from, char **ret)
{
    *ret = strdup(from ? from : "");
    return *ret ? 0 : -1;
}

int run_row_copy(const struct run_row *from, struct run_row *ret, struct sewa_error *err)
{
    struct run_row r = *from;

    r.name = r.path = r.pattern = r.state_key = r.marker = r.labels = NULL;
    if (copy_text(from->name, &r.name) < 0 || copy_text(from->path, &r.path) < 0 ||
        copy_text(from->pattern, &r.pattern) < 0 || copy_text(from->state_key, &r.state_key) < 0 ||
        copy_text(from->marker, &r.marker) < 0 || copy_text(from->labels, &r.labels) < 0) {
        run_row_clear(&r);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for run '%s'", from->name);
    }
    *ret = r;
    return 0;
}

static int read_row(struct stmt *q, struct run_row *ret, struct sewa_error *err)
{
    struct run_row r = { 0 };
    bool failed = false;

    r.id = stmt_i64(q, 0);
    stmt_text_into(q, 1, r.uid, sizeof r.uid);
    r.name = stmt_text_copy(q, 2, &failed);
    r.origin = origin_of(stmt_text(q, 3));
    r.watched = stmt_i64(q, 4) != 0;
    r.path = stmt_text_copy(q, 5, &failed);
    r.pattern = stmt_text_copy(q, 6, &failed);
    r.state_key = stmt_text_copy(q, 7, &failed);
    r.marker = stmt_text_copy(q, 8, &failed);
    r.settle_ms = stmt_i64(q, 9);
    r.labels = stmt_text_copy(q, 10, &failed);
    r.created_ms = stmt_i64(q, 11);
    r.updated_ms = stmt_i64(q, 12);
    if (failed) {
        run_row_clear(&r);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a run");
    }
    *ret = r;
    return 1;
}

static void bind_row(struct stmt *q, const struct run_row *r)
{
    stmt_bind_text(q, ":origin", origins[r->origin]);
    stmt_bind_i64(q, ":watched", r->watched);
    stmt_bind_blob(q, ":path", r->path, strlen(r->path));
    stmt_bind_text(q, ":pattern", r->pattern ? r->pattern : "");
    stmt_bind_text(q, ":state_key", r->state_key ? r->state_key : "");
    stmt_bind_text(q, ":marker", r->marker ? r->marker : "");
    stmt_bind_i64(q, ":settle_ms", r->settle_ms);
    stmt_bind_i64(q, ":now_ms", r->updated_ms);
}

static int insert(struct db *db, struct run_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_INSERT);

    id_new("run", row->updated_ms, row->uid);
    row->created_ms = row->updated_ms;
    bind_row(q, row);
    stmt_bind_text(q, ":uid", row->uid);
    stmt_bind_text(q, ":name", row->name);
    stmt_bind_text(q, ":labels", row->labels && *row->labels ? row->labels : "{}");
    int rc = stmt_run(q, err);
    if (rc == 0)
        row->id = db_last_id(db);
    return rc;
}

static int update(struct db *db, const struct run_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_UPDATE);

    bind_row(q, row);
    stmt_bind_i64(q, ":id", row->id);
    return stmt_run(q, err);
}

int run_put(struct db *db, struct run_row *row, bool fail_if_there, struct sewa_error *err)
{
    AUTO(run_row_clear) struct run_row there = { 0 };
    int rc = run_find(db, row->name, &there, err);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return insert(db, row, err);
    if (fail_if_there)
        return sewa_fail_at(err, SEWA_E_CONFLICT, "/name", "a run named '%s' exists", row->name);
    row->id = there.id;
    memcpy(row->uid, there.uid, sizeof row->uid);
    row->created_ms = there.created_ms;
    rc = update(db, row, err);
    if (rc < 0)
        return rc;
    return checkpoint_read_again(db, row->id, row->state_key ? row->state_key : "", row->updated_ms,
                                 &row->read_again, err);
}

int run_find(struct db *db, const char *name_or_uid, struct run_row *ret, struct sewa_error *err)
{
    bool is_uid = id_is(name_or_uid, "run");
    AUTO(stmt_done) struct stmt *q = stmt_get(db, is_uid ? SQL_RUN_BY_UID : SQL_RUN_BY_NAME);

    stmt_bind_text(q, is_uid ? ":uid" : ":name", name_or_uid);
    int rc = stmt_next(q, err);
    return rc <= 0 ? rc : read_row(q, ret, err);
}

int run_by_id(struct db *db, int64_t id, struct run_row *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_BY_ID);

    stmt_bind_i64(q, ":id", id);
    int rc = stmt_next(q, err);
    return rc <= 0 ? rc : read_row(q, ret, err);
}

int run_list(struct db *db, const char *after, int64_t limit,
             int (*each)(const struct run_row *row, void *arg, struct sewa_error *err), void *arg,
             struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_LIST);
    int rc;

    stmt_bind_text(q, ":after", after ? after : "");
    stmt_bind_i64(q, ":limit", limit);
    while ((rc = stmt_next(q, err)) > 0) {
        AUTO(run_row_clear) struct run_row row = { 0 };
        rc = read_row(q, &row, err);
        if (rc >= 0)
            rc = each(&row, arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int run_set_labels(struct db *db, int64_t id, const char *labels, int64_t now_ms,
                   struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_SET_LABELS);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":labels", labels);
    stmt_bind_i64(q, ":now_ms", now_ms);
    return stmt_run(q, err);
}

int run_set_watched(struct db *db, int64_t id, bool watched, int64_t now_ms, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_SET_WATCHED);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_i64(q, ":watched", watched);
    stmt_bind_i64(q, ":now_ms", now_ms);
    return stmt_run(q, err);
}

static int refuse_active(struct db *db, int64_t id, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_ACTIVE_JOB);

    stmt_bind_i64(q, ":run_id", id);
    int rc = stmt_next(q, err);
    if (rc > 0)
        return sewa_fail(err, SEWA_E_CONFLICT, "job '%s' uses this run and is not finished",
                         stmt_text(q, 0));
    return rc;
}

int run_delete(struct db *db, int64_t id, struct sewa_error *err)
{
    int rc = refuse_active(db, id, err);

    if (rc < 0)
        return rc;
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_RUN_DELETE);
    stmt_bind_i64(q, ":id", id);
    return stmt_run(q, err);
}
