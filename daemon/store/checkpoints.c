/*
 * checkpoints - rows of the table checkpoints; layouts.c holds the tensor tables.
 */
#include "store/checkpoints.h"

#include <math.h>
#include <string.h>

#include "base/digest.h"

static const char *const states[CHECKPOINT_STATE_COUNT] = {
    [CHECKPOINT_INCOMPLETE] = "incomplete",
    [CHECKPOINT_COMPLETE] = "complete",
    [CHECKPOINT_CHANGED] = "changed",
    [CHECKPOINT_GONE] = "gone",
};

const char *checkpoint_state_name(enum checkpoint_state s)
{
    return states[s];
}

static const char *const units[STEP_UNIT_COUNT] = {
    [UNIT_STEP] = "step",
    [UNIT_EPOCH] = "epoch",
    [UNIT_NUMBER] = "number",
};

const char *step_unit_name(enum step_unit u)
{
    return units[u];
}

/* NULL is no unit: the row has no step. */
static int unit_from_name(const char *name)
{
    for (int i = 0; name && i < STEP_UNIT_COUNT; i++)
        if (strcmp(units[i], name) == 0)
            return i;
    return -1;
}

int checkpoint_state_from_name(const char *name)
{
    for (int i = 0; i < CHECKPOINT_STATE_COUNT; i++)
        if (strcmp(states[i], name) == 0)
            return i;
    return -1;
}

void checkpoint_row_clear(struct checkpoint_row *r)
{
    free(r->file);
    free(r->step_reason);
    free(r->reason_code);
    free(r->reason);
    free(r->evidence);
    free(r->format);
    free(r->metadata);
    free(r->state_key);
    free(r->labels);
    free(r->metrics);
    memset(r, 0, sizeof *r);
}

/* The columns stand in this order in every SELECT of checkpoints.sql. */
static int read_row(struct stmt *q, struct checkpoint_row *ret, struct sewa_error *err)
{
    struct checkpoint_row r = { 0 };
    bool failed = false;

    r.id = stmt_i64(q, 0);
    stmt_text_into(q, 1, r.uid, sizeof r.uid);
    r.run_id = stmt_i64(q, 2);
    r.file = stmt_text_copy(q, 3, &failed);
    r.has_step = !stmt_is_null(q, 4);
    r.step = stmt_i64(q, 4);
    r.step_reason = stmt_text_copy(q, 5, &failed);
    r.state = (enum checkpoint_state)checkpoint_state_from_name(stmt_text(q, 6));
    r.reason_code = stmt_text_copy(q, 7, &failed);
    r.reason = stmt_text_copy(q, 8, &failed);
    r.evidence = stmt_text_copy(q, 9, &failed);
    r.format = stmt_text_copy(q, 10, &failed);
    r.size = stmt_i64(q, 11);
    r.mtime_ns = stmt_i64(q, 12);
    r.has_header_digest = stmt_digest(q, 13, r.header_digest);
    r.layout_id = stmt_i64(q, 14);
    r.metadata = stmt_text_copy(q, 15, &failed);
    r.has_sha256 = stmt_digest(q, 16, r.sha256);
    r.labels = stmt_text_copy(q, 17, &failed);
    r.metrics = stmt_text_copy(q, 18, &failed);
    r.pinned = stmt_i64(q, 19) != 0;
    r.discovered_ms = stmt_i64(q, 20);
    r.completed_ms = stmt_i64(q, 21);
    r.updated_ms = stmt_i64(q, 22);
    if (!stmt_is_null(q, 23))
        r.state_key = stmt_text_copy(q, 23, &failed);
    int unit = stmt_is_null(q, 24) ? -1 : unit_from_name(stmt_text(q, 24));
    r.step_unit = unit < 0 ? UNIT_STEP : (enum step_unit)unit;
    if (failed) {
        checkpoint_row_clear(&r);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a checkpoint");
    }
    *ret = r;
    return 1;
}

static int read_one(struct stmt *q, struct checkpoint_row *ret, struct sewa_error *err)
{
    int rc = stmt_next(q, err);

    return rc <= 0 ? rc : read_row(q, ret, err);
}

static int read_each(struct stmt *q, checkpoint_each *each, void *arg, struct sewa_error *err)
{
    int rc;

    while ((rc = stmt_next(q, err)) > 0) {
        AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
        rc = read_row(q, &row, err);
        if (rc >= 0)
            rc = each(&row, arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static const char *text_or(const char *text, const char *fallback)
{
    return text ? text : fallback;
}

static void bind_row(struct stmt *q, const struct checkpoint_row *r)
{
    stmt_bind_i64_if(q, ":step", r->has_step, r->step);
    stmt_bind_text(q, ":step_unit", r->has_step ? units[r->step_unit] : NULL);
    stmt_bind_text(q, ":step_reason", text_or(r->step_reason, ""));
    stmt_bind_text(q, ":state", states[r->state]);
    stmt_bind_text(q, ":reason_code", text_or(r->reason_code, ""));
    stmt_bind_text(q, ":reason", text_or(r->reason, ""));
    stmt_bind_text(q, ":evidence", text_or(r->evidence, "{}"));
    stmt_bind_text(q, ":format", text_or(r->format, ""));
    stmt_bind_i64(q, ":size", r->size);
    stmt_bind_i64(q, ":mtime_ns", r->mtime_ns);
    stmt_bind_blob(q, ":header_digest", r->has_header_digest ? r->header_digest : NULL, 32);
    stmt_bind_i64_if(q, ":layout_id", r->layout_id != 0, r->layout_id);
    stmt_bind_text(q, ":metadata", text_or(r->metadata, "{}"));
    stmt_bind_text(q, ":state_key", r->state_key);
    stmt_bind_i64_if(q, ":completed_ms", r->completed_ms != 0, r->completed_ms);
    stmt_bind_i64(q, ":updated_ms", r->updated_ms);
}

int checkpoint_insert(struct db *db, struct checkpoint_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_INSERT);

    id_new("ckpt", row->updated_ms, row->uid);
    bind_row(q, row);
    stmt_bind_text(q, ":uid", row->uid);
    stmt_bind_i64(q, ":run_id", row->run_id);
    stmt_bind_blob(q, ":file", row->file, strlen(row->file));
    stmt_bind_i64(q, ":discovered_ms", row->discovered_ms);
    int rc = stmt_run(q, err);
    if (rc == 0)
        row->id = db_last_id(db);
    return rc;
}

int checkpoint_update(struct db *db, const struct checkpoint_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_UPDATE);

    bind_row(q, row);
    stmt_bind_i64(q, ":id", row->id);
    return stmt_run(q, err);
}

int checkpoint_set_state(struct db *db, int64_t id, enum checkpoint_state s, int64_t now_ms,
                         struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_SET_STATE);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":state", states[s]);
    stmt_bind_i64(q, ":now_ms", now_ms);
    return stmt_run(q, err);
}

static void bind_read_again(struct stmt *q, int64_t run_id, const char *state_key, int64_t now_ms)
{
    stmt_bind_i64(q, ":run_id", run_id);
    stmt_bind_text(q, ":state_key", state_key);
    stmt_bind_i64(q, ":now_ms", now_ms);
}

int checkpoint_read_again(struct db *db, int64_t run_id, const char *state_key, int64_t now_ms,
                          int64_t *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *events = stmt_get(db, SQL_CHECKPOINT_READ_AGAIN_EVENTS);
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_READ_AGAIN);

    bind_read_again(events, run_id, state_key, now_ms);
    int rc = stmt_run(events, err);
    if (rc < 0)
        return rc;
    bind_read_again(q, run_id, state_key, now_ms);
    stmt_bind_text(q, ":reason_code", sewa_code_info(SEWA_E_INCOMPLETE)->slug);
    stmt_bind_text(q, ":reason",
                   "it was read with another state_key or by an older version, and is read again");
    rc = stmt_run(q, err);
    *ret = rc < 0 ? 0 : db_changed_rows(db);
    return rc;
}

int checkpoint_set_labels(struct db *db, int64_t id, const char *labels, int64_t now_ms,
                          struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_SET_LABELS);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":labels", labels);
    stmt_bind_i64(q, ":now_ms", now_ms);
    return stmt_run(q, err);
}

int checkpoint_set_metrics(struct db *db, int64_t id, const char *metrics, int64_t now_ms,
                           struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_SET_METRICS);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":metrics", metrics);
    stmt_bind_i64(q, ":now_ms", now_ms);
    return stmt_run(q, err);
}

int checkpoint_set_pinned(struct db *db, int64_t id, bool pinned, int64_t now_ms,
                          struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_SET_PINNED);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_i64(q, ":pinned", pinned);
    stmt_bind_i64(q, ":now_ms", now_ms);
    return stmt_run(q, err);
}

static int contradiction(const struct checkpoint_row *row, const uint8_t sha256[32],
                         struct sewa_error *err)
{
    char now[SHA256_HEX_SIZE], before[SHA256_HEX_SIZE];

    return sewa_fail(
        err, SEWA_E_CHANGED,
        "checkpoint '%s' has the SHA-256 %s now and had %s: the bytes of '%.120s' were "
        "replaced, although size, time and header are the same",
        row->uid, hex_encode(sha256, 32, now), hex_encode(row->sha256, 32, before), row->file);
}

int checkpoint_set_sha256(struct db *db, int64_t id, const uint8_t sha256[32],
                          struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    int rc = checkpoint_by_id(db, id, &row, err);

    if (rc <= 0)
        return rc;
    if (row.has_sha256)
        return memcmp(row.sha256, sha256, 32) == 0 ? 0 : contradiction(&row, sha256, err);
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_SET_SHA256);
    stmt_bind_i64(q, ":id", id);
    stmt_bind_blob(q, ":sha256", sha256, 32);
    return stmt_run(q, err);
}

int checkpoint_find(struct db *db, const char *uid, struct checkpoint_row *ret,
                    struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_BY_UID);

    stmt_bind_text(q, ":uid", uid);
    return read_one(q, ret, err);
}

int checkpoint_by_id(struct db *db, int64_t id, struct checkpoint_row *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_BY_ID);

    stmt_bind_i64(q, ":id", id);
    return read_one(q, ret, err);
}

int checkpoint_live(struct db *db, int64_t run_id, const char *file, struct checkpoint_row *ret,
                    struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_LIVE);

    stmt_bind_i64(q, ":run_id", run_id);
    stmt_bind_blob(q, ":file", file, strlen(file));
    return read_one(q, ret, err);
}

int checkpoint_former(struct db *db, const struct checkpoint_row *like, struct checkpoint_row *ret,
                      struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_FORMER);

    stmt_bind_i64(q, ":run_id", like->run_id);
    stmt_bind_blob(q, ":file", like->file, strlen(like->file));
    stmt_bind_i64(q, ":step_order", like->has_step ? like->step : -1);
    stmt_bind_text(q, ":step_unit", like->has_step ? units[like->step_unit] : NULL);
    stmt_bind_i64(q, ":size", like->size);
    stmt_bind_i64(q, ":mtime_ns", like->mtime_ns);
    stmt_bind_blob(q, ":header_digest", like->has_header_digest ? like->header_digest : NULL, 32);
    stmt_bind_text(q, ":state_key", like->state_key);
    return read_one(q, ret, err);
}

/* Where a page begins when no place is given: before the first or behind the last possible row. */
static void bind_after(struct stmt *q, const struct checkpoint_filter *f)
{
    int64_t edge = f->descending ? INT64_MAX : INT64_MIN;

    if (f->order == CHECKPOINT_BY_METRIC)
        stmt_bind_f64(q, ":after",
                      f->has_after    ? f->after_value
                      : f->descending ? HUGE_VAL
                                      : -HUGE_VAL);
    else
        stmt_bind_i64(q, ":after", f->has_after ? f->after_number : edge);
    stmt_bind_i64(q, ":after_id", f->has_after ? f->after_id : edge);
}

int checkpoint_list(struct db *db, const struct checkpoint_filter *f, checkpoint_each *each,
                    void *arg, struct sewa_error *err)
{
    static const enum sql_id pages[][2] = {
        [CHECKPOINT_BY_STEP] = { SQL_CHECKPOINT_PAGE_STEP_ASC, SQL_CHECKPOINT_PAGE_STEP_DESC },
        [CHECKPOINT_BY_DISCOVERED] = { SQL_CHECKPOINT_PAGE_DISCOVERED_ASC,
                                       SQL_CHECKPOINT_PAGE_DISCOVERED_DESC },
        [CHECKPOINT_BY_METRIC] = { SQL_CHECKPOINT_PAGE_METRIC_ASC,
                                   SQL_CHECKPOINT_PAGE_METRIC_DESC },
    };
    AUTO(stmt_done) struct stmt *q = stmt_get(db, pages[f->order][f->descending]);

    stmt_bind_i64(q, ":run_id", f->run_id);
    stmt_bind_text(q, ":state", f->state < 0 ? NULL : states[f->state]);
    stmt_bind_i64_if(q, ":min_step", f->has_min_step, f->min_step);
    stmt_bind_i64_if(q, ":max_step", f->has_max_step, f->max_step);
    stmt_bind_text(q, ":label_key", f->label_key);
    stmt_bind_text(q, ":label_value", f->label_value);
    if (f->order == CHECKPOINT_BY_METRIC)
        stmt_bind_text(q, ":metric", f->metric);
    bind_after(q, f);
    stmt_bind_i64(q, ":limit", f->limit);
    return read_each(q, each, arg, err);
}

int checkpoint_metric(struct db *db, int64_t id, const char *name, double *ret,
                      struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_METRIC);

    stmt_bind_i64(q, ":id", id);
    stmt_bind_text(q, ":name", name);
    int rc = stmt_next(q, err);
    *ret = rc > 0 ? stmt_f64(q, 0) : (double)NAN;
    return rc;
}

int checkpoint_candidates(struct db *db, int64_t run_id, enum step_unit unit, int64_t min_step,
                          int64_t max_step, int64_t limit, checkpoint_each *each, void *arg,
                          struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_CANDIDATES);

    stmt_bind_i64(q, ":run_id", run_id);
    stmt_bind_text(q, ":step_unit", units[unit]);
    stmt_bind_i64(q, ":min_step", min_step < 0 ? 0 : min_step);
    stmt_bind_i64(q, ":max_step", max_step);
    stmt_bind_i64(q, ":limit", limit);
    return read_each(q, each, arg, err);
}

int checkpoint_without_step(struct db *db, int64_t run_id, int64_t limit,
                            int (*each)(const char *file, void *arg, struct sewa_error *err),
                            void *arg, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_WITHOUT_STEP);
    int rc;

    stmt_bind_i64(q, ":run_id", run_id);
    stmt_bind_i64(q, ":limit", limit);
    while ((rc = stmt_next(q, err)) > 0) {
        rc = each(stmt_text(q, 0), arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int checkpoint_known(struct db *db, int64_t run_id, checkpoint_each *each, void *arg,
                     struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_KNOWN);

    stmt_bind_i64(q, ":run_id", run_id);
    return read_each(q, each, arg, err);
}

int checkpoint_count_newer(struct db *db, int64_t run_id, int64_t id, int64_t *ret,
                           struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_COUNT_NEWER);

    stmt_bind_i64(q, ":run_id", run_id);
    stmt_bind_i64(q, ":id", id);
    int rc = stmt_next(q, err);
    if (rc > 0)
        *ret = stmt_i64(q, 0);
    return rc < 0 ? rc : 0;
}

static int read_counts(struct stmt *q, int64_t ret[CHECKPOINT_STATE_COUNT], struct sewa_error *err)
{
    int rc;

    memset(ret, 0, CHECKPOINT_STATE_COUNT * sizeof ret[0]);
    while ((rc = stmt_next(q, err)) > 0) {
        int s = checkpoint_state_from_name(stmt_text(q, 0));
        if (s >= 0)
            ret[s] = stmt_i64(q, 1);
    }
    return rc;
}

/* Of rows of one state whose unit is this (NULL: without a step). */
static void add_count(struct checkpoint_counts *c, int state, const char *unit, int64_t n)
{
    int u = unit_from_name(unit);

    if (state >= 0)
        c->states[state] += n;
    if (state == CHECKPOINT_COMPLETE && u >= 0)
        c->units[u] += n;
    else if (state == CHECKPOINT_COMPLETE)
        c->without_step += n;
}

int checkpoint_count(struct db *db, int64_t run_id, struct checkpoint_counts *ret,
                     struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_COUNT);
    int rc;

    memset(ret, 0, sizeof *ret);
    stmt_bind_i64(q, ":run_id", run_id);
    while ((rc = stmt_next(q, err)) > 0)
        add_count(ret, checkpoint_state_from_name(stmt_text(q, 0)),
                  stmt_is_null(q, 1) ? NULL : stmt_text(q, 1), stmt_i64(q, 2));
    return rc;
}

int checkpoint_incomplete(struct db *db, int64_t run_id,
                          int (*each)(const struct checkpoint_waiting *w, void *arg,
                                      struct sewa_error *err),
                          void *arg, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_INCOMPLETE);
    int rc;

    stmt_bind_i64(q, ":run_id", run_id);
    while ((rc = stmt_next(q, err)) > 0) {
        struct checkpoint_waiting w = { .count = stmt_i64(q, 2), .newest_ms = stmt_i64(q, 3) };
        stmt_text_into(q, 0, w.code, sizeof w.code);
        stmt_text_into(q, 1, w.reason, sizeof w.reason);
        rc = each(&w, arg, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int checkpoint_parts(struct db *db, int64_t run_id, int64_t *ret, char **ret_file,
                     struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_PARTS);

    stmt_bind_i64(q, ":run_id", run_id);
    stmt_bind_text(q, ":beginning", CHECKPOINT_PART_BEGINNING);
    int rc = stmt_next(q, err);
    if (rc < 0)
        return rc;
    *ret = stmt_i64(q, 0);
    *ret_file = *ret > 0 ? strdup(stmt_text(q, 1)) : NULL;
    return *ret > 0 && !*ret_file
               ? sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the name of a part")
               : 0;
}

unsigned checkpoint_axes(const struct checkpoint_counts *c)
{
    unsigned n = 0;

    for (int u = 0; u < STEP_UNIT_COUNT; u++)
        n += c->units[u] > 0;
    return n;
}

int checkpoint_count_all(struct db *db, int64_t ret[CHECKPOINT_STATE_COUNT], struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_CHECKPOINT_COUNT_ALL);

    return read_counts(q, ret, err);
}
