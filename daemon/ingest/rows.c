/*
 * rows - from reports to rows.
 *
 * A row is one identity of a file. While a file is not proven its row follows it; once proven, a
 * file that is another one gets a new row and the old one says "changed". A file that comes back as
 * it was gets its old row back, with its labels, metrics and id.
 */
#include "ingest/rows.h"

#include <string.h>

#include "ingest/inspect.h"
#include "store/service.h"

static char *copy(const char *text, bool *failed)
{
    char *c = strdup(text ? text : "");

    *failed = *failed || !c;
    return c;
}

/* Replace a text of the row. */
static void set_text(char **row, const char *text, bool *failed)
{
    free(*row);
    *row = copy(text, failed);
}

static const char *slug_of(const struct report *r)
{
    return r->code ? sewa_code_info(r->code)->slug : "";
}

/* What every report about a file says. */
static void set_look(struct checkpoint_row *row, const struct row_change *c, int64_t now_ms,
                     bool *failed)
{
    const struct report *r = &c->report;

    row->size = r->look.size;
    row->mtime_ns = r->look.mtime_ns;
    row->has_step = c->has_step;
    row->step = c->step;
    row->updated_ms = now_ms;
    set_text(&row->step_reason, c->step_reason, failed);
    set_text(&row->reason_code, slug_of(r), failed);
    set_text(&row->reason, r->text, failed);
}

static int store_row(struct db *db, struct checkpoint_row *row, struct sewa_error *err)
{
    return row->id ? checkpoint_update(db, row, err) : checkpoint_insert(db, row, err);
}

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a checkpoint");
}

static int tell(struct db *db, struct row_change *c, const struct checkpoint_row *row,
                const char *kind, int64_t now_ms, struct sewa_error *err)
{
    memcpy(c->uid, row->uid, sizeof c->uid);
    return event_put(db, now_ms, kind, row->uid, NULL, err);
}

/* The live row, or a new one that is not stored yet. */
static int live_or_new(struct db *db, int64_t run_id, const struct row_change *c,
                       struct checkpoint_row *row, int64_t now_ms, struct sewa_error *err)
{
    bool failed = false;
    int rc = checkpoint_live(db, run_id, c->report.name, row, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    row->run_id = run_id;
    row->file = copy(c->report.name, &failed);
    row->discovered_ms = now_ms;
    return failed ? no_memory(err) : 0;
}

/* A complete row whose file is another one now: it keeps its history under its id. */
static int supersede(struct db *db, struct row_change *c, struct checkpoint_row *row,
                     int64_t now_ms, struct sewa_error *err)
{
    int64_t run_id = row->run_id;
    int rc = checkpoint_set_state(db, row->id, CHECKPOINT_CHANGED, now_ms, err);

    if (rc == 0)
        rc = tell(db, c, row, "checkpoint.changed", now_ms, err);
    checkpoint_row_clear(row);
    return rc < 0 ? rc : live_or_new(db, run_id, c, row, now_ms, err);
}

static int put_incomplete(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                          struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    bool failed = false;
    int rc = live_or_new(db, run_id, c, &row, now_ms, err);

    if (rc == 0 && row.state == CHECKPOINT_COMPLETE && row.id)
        rc = supersede(db, c, &row, now_ms, err);
    if (rc < 0)
        return rc;
    bool is_new = row.id == 0;
    row.state = CHECKPOINT_INCOMPLETE;
    row.layout_id = 0;
    row.has_header_digest = false;
    row.completed_ms = 0;
    set_text(&row.evidence, "{}", &failed);
    set_look(&row, c, now_ms, &failed);
    rc = failed ? no_memory(err) : store_row(db, &row, err);
    if (rc < 0)
        return rc;
    return tell(db, c, &row, is_new ? "checkpoint.found" : "checkpoint.incomplete", now_ms, err);
}

static int set_finding(struct db *db, struct checkpoint_row *row, struct row_change *c,
                       struct finding *f, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf evidence = { 0 };
    bool failed = false;
    int rc = layout_put(db, &f->layout, err);

    if (rc < 0)
        return rc;
    proof_text(&c->report.proof, &evidence);
    row->layout_id = f->layout.id;
    row->has_header_digest = true;
    memcpy(row->header_digest, f->base.header_digest, 32);
    set_text(&row->format, f->format, &failed);
    set_text(&row->metadata, f->metadata, &failed);
    set_text(&row->evidence, buf_cstr(&evidence), &failed);
    return failed || buf_failed(&evidence) ? no_memory(err) : 0;
}

static bool is_same(const struct checkpoint_row *row, const struct row_change *c,
                    const struct finding *f)
{
    return row->size == c->report.look.size && row->mtime_ns == c->report.look.mtime_ns &&
           row->has_header_digest && memcmp(row->header_digest, f->base.header_digest, 32) == 0;
}

/* The same file may have been here before: then it is that checkpoint again. */
static int restore_former(struct db *db, struct checkpoint_row *row, struct row_change *c,
                          int64_t now_ms, struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row former = { 0 };
    int rc = checkpoint_former(db, row, &former, err);

    if (rc <= 0)
        return rc;
    if (row->id) /* the row of its time as an incomplete file has done its duty */
        rc = checkpoint_set_state(db, row->id, CHECKPOINT_GONE, now_ms, err);
    if (rc >= 0)
        rc = checkpoint_set_state(db, former.id, CHECKPOINT_COMPLETE, now_ms, err);
    if (rc >= 0)
        rc = tell(db, c, &former, "checkpoint.complete", now_ms, err);
    return rc < 0 ? rc : 1;
}

static int put_complete(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                        struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    struct finding *f = finding_of(c->report.inspection);
    bool failed = false;
    int rc = live_or_new(db, run_id, c, &row, now_ms, err);

    if (!f)
        return sewa_fail(err, SEWA_E_INTERNAL, "a proven file without a finding");
    if (rc == 0 && row.id && row.state == CHECKPOINT_COMPLETE) {
        if (is_same(&row, c, f))
            return 0; /* told twice */
        rc = supersede(db, c, &row, now_ms, err);
    }
    if (rc == 0)
        set_look(&row, c, now_ms, &failed);
    if (rc == 0)
        rc = failed ? no_memory(err) : set_finding(db, &row, c, f, err);
    if (rc == 0)
        rc = restore_former(db, &row, c, now_ms, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    row.state = CHECKPOINT_COMPLETE;
    row.completed_ms = now_ms;
    rc = store_row(db, &row, err);
    return rc < 0 ? rc : tell(db, c, &row, "checkpoint.complete", now_ms, err);
}

static int put_gone(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                    struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    int rc = checkpoint_live(db, run_id, c->report.name, &row, err);

    if (rc <= 0)
        return rc;
    rc = checkpoint_set_state(db, row.id, CHECKPOINT_GONE, now_ms, err);
    return rc < 0 ? rc : tell(db, c, &row, "checkpoint.gone", now_ms, err);
}

/* The scan thread has not looked inside: size and time are what it knows it by. */
static int put_back(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                    struct sewa_error *err)
{
    bool failed = false;
    AUTO(checkpoint_row_clear)
    struct checkpoint_row like = {
        .run_id = run_id,
        .file = copy(c->report.name, &failed),
        .has_step = c->has_step,
        .step = c->step,
        .size = c->report.look.size,
        .mtime_ns = c->report.look.mtime_ns,
    };
    if (failed)
        return no_memory(err);
    int rc = restore_former(db, &like, c, now_ms, err);
    return rc < 0 ? rc : 0;
}

int rows_apply(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
               struct sewa_error *err)
{
    switch (c->report.kind) {
    case REPORT_FOUND:
    case REPORT_NOT_PROVEN:
    case REPORT_CHANGED: return put_incomplete(db, run_id, c, now_ms, err);
    case REPORT_PROVEN: return put_complete(db, run_id, c, now_ms, err);
    case REPORT_GONE: return put_gone(db, run_id, c, now_ms, err);
    case REPORT_BACK: return put_back(db, run_id, c, now_ms, err);
    default: return 0;
    }
}
