/*
 * left_out - what of a run is no candidate, in words: other axes, no step, not complete yet.
 */
#ifndef JOBS_LEFT_OUT_H
#define JOBS_LEFT_OUT_H

#include "base/buf.h"
#include "store/checkpoints.h"
#include "store/runs.h"

/*
 * When complete checkpoints have steps of several units, a sentence with the numbers of each and
 * what to do; nothing is appended otherwise.
 */
void left_out_axes(const struct checkpoint_counts *c, struct buf *ret);

/* Complete checkpoints that have no step: how many, and one of them; nothing when there is none. */
int left_out_note(struct db *db, const struct run_row *run, const struct checkpoint_counts *c,
                  struct buf *ret, struct sewa_error *err);

/* Files that are parts of a checkpoint: how many, and one of them; nothing when there is none. */
int left_out_parts(struct db *db, const struct run_row *run, struct buf *ret,
                   struct sewa_error *err);

/*
 * Why there is nothing to average: what is incomplete and how long it may last, and which pattern
 * would give those a step that have none; of a run without any, which names would count. Begins
 * with
 * "; ", or is nothing.
 */
int left_out_reasons(struct db *db, const struct run_row *run, const struct checkpoint_counts *c,
                     int64_t now_ms, struct buf *ret, struct sewa_error *err);

#endif
