/*
 * rows - what a report of the scan threads means for the index. Called inside a transaction, on the
 * store thread. Sees the database and its arguments only.
 */
#ifndef INGEST_ROWS_H
#define INGEST_ROWS_H

#include "ingest/name.h"
#include "store/db.h"
#include "watch/report.h"

#include "base/ulid.h"

/* A report about a file, with the step that its name says. */
struct row_change {
    struct report report;
    struct name_step step;
    char uid[ID_TEXT_SIZE]; /* out: of the checkpoint that changed; "" when nothing did */
};

int rows_apply(struct db *db, int64_t run_id, struct row_change *c, int64_t now_ms,
               struct sewa_error *err);

#endif
