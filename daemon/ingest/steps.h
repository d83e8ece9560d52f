/*
 * steps - what the names of a run's checkpoints say once its pattern is another one. A file is not
 * read again for that: its row gets the step that its name has now.
 */
#ifndef INGEST_STEPS_H
#define INGEST_STEPS_H

#include "store/checkpoints.h"

/* Whether the row has another step than this pattern gives, or another reason for having none. */
bool steps_differ(const struct checkpoint_row *row, const char *pattern);

/*
 * Give the live rows of a run the steps that its pattern says, with an event for each that had
 * another one. *ret: how many. Inside a transaction, on the store thread.
 */
int steps_apply(struct db *db, int64_t run_id, int64_t now_ms, int64_t *ret,
                struct sewa_error *err);

#endif
