/*
 * steps - the step of each live row, from the pattern of its run.
 */
#include "ingest/steps.h"

#include <string.h>

#include "ingest/name.h"
#include "store/runs.h"
#include "store/service.h"

/* What the name says; a pattern that is none changes nothing. */
static bool name_says(const struct checkpoint_row *row, const char *pattern, struct name_step *ret)
{
    struct sewa_error err;

    return name_step(pattern, row->file, ret, &err) >= 0;
}

bool steps_differ(const struct checkpoint_row *row, const char *pattern)
{
    struct name_step says;

    if (!name_says(row, pattern, &says))
        return false;
    if (row->has_step != says.has_step)
        return true;
    return says.has_step ? row->step != says.step || row->step_unit != says.unit
                         : strcmp(row->step_reason, says.reason) != 0;
}

/* Ids, because rows are not changed while they are listed. */
struct differing {
    const char *pattern;
    int64_t *ids;
    size_t count, room;
};

static void differing_clear(struct differing *d)
{
    free(d->ids);
}

static int note(const struct checkpoint_row *row, void *arg, struct sewa_error *err)
{
    struct differing *d = arg;

    if (!steps_differ(row, d->pattern))
        return 0;
    if (d->count == d->room) {
        size_t room = d->room ? d->room * 2 : 64;
        int64_t *ids = realloc(d->ids, room * sizeof *ids);
        if (!ids)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the steps of a run");
        d->ids = ids;
        d->room = room;
    }
    d->ids[d->count++] = row->id;
    return 0;
}

static int write_step(struct db *db, int64_t id, const char *pattern, int64_t now_ms,
                      struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    struct name_step says;
    int rc = checkpoint_by_id(db, id, &row, err);

    if (rc <= 0 || !name_says(&row, pattern, &says))
        return rc < 0 ? rc : 0;
    row.has_step = says.has_step;
    row.step = says.step;
    row.step_unit = says.unit;
    free(row.step_reason);
    row.step_reason = strdup(says.reason);
    row.updated_ms = now_ms;
    if (!row.step_reason)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a checkpoint");
    rc = checkpoint_update(db, &row, err);
    return rc < 0 ? rc : event_put(db, now_ms, "checkpoint.changed", row.uid, NULL, err);
}

int steps_apply(struct db *db, int64_t run_id, int64_t now_ms, int64_t *ret, struct sewa_error *err)
{
    AUTO(run_row_clear) struct run_row run = { 0 };
    AUTO(differing_clear) struct differing d = { 0 };
    int rc = run_by_id(db, run_id, &run, err);

    *ret = 0;
    if (rc <= 0)
        return rc;
    d.pattern = run.pattern;
    rc = checkpoint_known(db, run_id, note, &d, err);
    for (size_t i = 0; rc == 0 && i < d.count; i++)
        rc = write_step(db, d.ids[i], run.pattern, now_ms, err);
    *ret = (int64_t)d.count;
    return rc;
}
