/*
 * rows - from reports to rows.
 *
 * A row is one identity of a file. While a file is not proven its row follows it; once proven, a
 * file that is another one gets a new row and the old one says "changed". A file that comes back as
 * it was gets its old row back, with its labels, metrics and id. A file that is read again, with
 * another state_key, is not proven meanwhile but has an identity: its row is not another file's.
 */
#include "ingest/rows.h"

#include <string.h>

#include "ingest/inspect.h"
#include "store/runs.h"
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
    row->has_step = c->step.has_step;
    row->step = c->step.step;
    row->step_unit = c->step.unit;
    row->updated_ms = now_ms;
    set_text(&row->step_reason, c->step.reason, failed);
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

/* A row that has been proven, whose file is another one now: it keeps its history under its id. */
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

/* Whether the row is one of a file that is read again, and the file still looks as it did then. */
static bool is_read_again(const struct checkpoint_row *row, const struct row_change *c)
{
    return row->id && row->state == CHECKPOINT_INCOMPLETE && row->has_header_digest &&
           row->size == c->report.look.size && row->mtime_ns == c->report.look.mtime_ns;
}

static int put_incomplete(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                          struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    bool failed = false;
    int rc = live_or_new(db, run_id, c, &row, now_ms, err);

    if (rc == 0 && row.has_header_digest && !is_read_again(&row, c))
        rc = supersede(db, c, &row, now_ms, err);
    if (rc < 0)
        return rc;
    bool is_new = row.id == 0;
    row.state = CHECKPOINT_INCOMPLETE;
    row.layout_id = 0;
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
    set_text(&row->state_key, f->state_key, &failed);
    set_text(&row->evidence, buf_cstr(&evidence), &failed);
    return failed || buf_failed(&evidence) ? no_memory(err) : 0;
}

static bool is_same(const struct checkpoint_row *row, const struct row_change *c,
                    const struct finding *f)
{
    return row->size == c->report.look.size && row->mtime_ns == c->report.look.mtime_ns &&
           row->has_header_digest && memcmp(row->header_digest, f->base.header_digest, 32) == 0;
}

/*
 * The same file may have been here before: then it is that checkpoint again. 1 and *former, for
 * whom row (that of its time as an incomplete file) has made room; 0 when there is none.
 */
static int find_former(struct db *db, const struct checkpoint_row *row, int64_t now_ms,
                       struct checkpoint_row *former, struct sewa_error *err)
{
    int rc = checkpoint_former(db, row, former, err);

    if (rc > 0 && row->id)
        rc = checkpoint_set_state(db, row->id, CHECKPOINT_GONE, now_ms, err);
    return rc < 0 ? rc : former->id != 0;
}

static int write_complete(struct db *db, struct row_change *c, struct checkpoint_row *row,
                          struct finding *f, int64_t now_ms, struct sewa_error *err)
{
    bool failed = false;

    set_look(row, c, now_ms, &failed);
    int rc = failed ? no_memory(err) : set_finding(db, row, c, f, err);
    if (rc < 0)
        return rc;
    row->state = CHECKPOINT_COMPLETE;
    if (row->completed_ms == 0)
        row->completed_ms = now_ms;
    rc = store_row(db, row, err);
    return rc < 0 ? rc : tell(db, c, row, "checkpoint.complete", now_ms, err);
}

/* By its identity alone: what was read of it with another key is replaced. */
static int find_former_of(struct db *db, const struct checkpoint_row *row,
                          const struct row_change *c, const struct finding *f, int64_t now_ms,
                          struct checkpoint_row *former, struct sewa_error *err)
{
    struct checkpoint_row like = { .id = row->id,
                                   .run_id = row->run_id,
                                   .file = row->file,
                                   .has_step = c->step.has_step,
                                   .step = c->step.step,
                                   .step_unit = c->step.unit,
                                   .size = c->report.look.size,
                                   .mtime_ns = c->report.look.mtime_ns,
                                   .has_header_digest = true };

    memcpy(like.header_digest, f->base.header_digest, 32);
    return find_former(db, &like, now_ms, former, err);
}

/*
 * Whether it was read with the key that the run has now: 1, or 0. Where it was not, the run has
 * been changed since and is watched anew, from what the index knew: the file is reported again.
 */
static int has_key_of_run(struct db *db, int64_t run_id, const char *state_key,
                          struct sewa_error *err)
{
    AUTO(run_row_clear) struct run_row run = { 0 };
    int rc = run_by_id(db, run_id, &run, err);

    return rc > 0 ? strcmp(run.state_key, state_key) == 0 : rc;
}

static int put_complete(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                        struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 }, former = { 0 };
    struct finding *f = finding_of(c->report.inspection);

    if (!f)
        return sewa_fail(err, SEWA_E_INTERNAL, "a proven file without a finding");
    int rc = has_key_of_run(db, run_id, f->state_key, err);
    if (rc <= 0)
        return rc;
    rc = live_or_new(db, run_id, c, &row, now_ms, err);
    if (rc < 0)
        return rc;
    bool same = row.id && is_same(&row, c, f);
    if (same && row.state == CHECKPOINT_COMPLETE)
        return 0; /* told twice */
    if (!same && row.has_header_digest)
        rc = supersede(db, c, &row, now_ms, err);
    if (rc == 0 && !same)
        rc = find_former_of(db, &row, c, f, now_ms, &former, err);
    return rc < 0 ? rc : write_complete(db, c, rc > 0 ? &former : &row, f, now_ms, err);
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

/*
 * The scan thread has looked whether it is the same and keeps nothing of what it saw: the row must
 * have what the run's key gives.
 */
static int put_back(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                    struct sewa_error *err)
{
    AUTO(run_row_clear) struct run_row run = { 0 };
    AUTO(checkpoint_row_clear) struct checkpoint_row former = { 0 };
    int rc = run_by_id(db, run_id, &run, err);

    if (rc <= 0)
        return rc;
    struct checkpoint_row like = { .run_id = run_id,
                                   .file = c->report.name,
                                   .has_step = c->step.has_step,
                                   .step = c->step.step,
                                   .step_unit = c->step.unit,
                                   .size = c->report.look.size,
                                   .mtime_ns = c->report.look.mtime_ns,
                                   .state_key = run.state_key };
    rc = find_former(db, &like, now_ms, &former, err);
    if (rc > 0)
        rc = checkpoint_set_state(db, former.id, CHECKPOINT_COMPLETE, now_ms, err);
    else if (rc == 0)
        return 0;
    return rc < 0 ? rc : tell(db, c, &former, "checkpoint.complete", now_ms, err);
}

/* Its identity is that of its weights; size and time are what the next look is compared with. */
static int put_beside(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
                      struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    int rc = checkpoint_live(db, run_id, c->report.name, &row, err);

    if (rc <= 0)
        return rc;
    row.size = c->report.look.size;
    row.mtime_ns = c->report.look.mtime_ns;
    row.updated_ms = now_ms;
    return checkpoint_update(db, &row, err);
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
    case REPORT_BESIDE: return put_beside(db, run_id, c, now_ms, err);
    default: return 0;
    }
}
