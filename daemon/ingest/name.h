/*
 * name - what the name of a file says: its step, whether it is one shard of several, and the name
 * of a run that a directory below a root becomes. Names are bytes and need not be UTF-8.
 * Pure. Thread: any.
 */
#ifndef INGEST_NAME_H
#define INGEST_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "sewa/error.h"

enum { NAME_REASON_SIZE = 160, NAME_RUN_SIZE = 64 };

/*
 * The step of a checkpoint from its path relative to the directory of its run.
 *
 * With a pattern (base/pattern.h) the number at {step}. Without one (NULL or ""), the first of
 *   1. the number behind the word step, iter, global_step, checkpoint or ckpt, in this order of
 *      words, with any of "-_=." or nothing between; of the file's name, then of the directories
 *      above it from the nearest on
 *   2. the only number of the file's name that stands alone between separators
 *   3. the nearest directory whose whole name is a number
 * "-00001-of-00002" is the mark of a shard and never a step. Case does not matter for the words.
 *
 * @reason  why there is none: lower case, UTF-8, quotes no bytes of the path. Set when 0 is
 * returned.
 * @return  1 and *ret_step (0 to INT64_MAX), 0 and @reason, or SEWA_E_INVALID for a pattern that
 *          pattern_check() refuses.
 */
int name_step(const char *pattern, const char *path, int64_t *ret_step,
              char reason[NAME_REASON_SIZE], struct sewa_error *err);

/* Whether a file's name says "shard index of count", as in model-00001-of-00002.safetensors. */
bool name_shard(const char *name, int64_t *ret_index, int64_t *ret_count);

/*
 * The name of the run for a directory below a root: "lab" and "exp 1" give "lab.exp_201". Bytes
 * that a name cannot have become '_' and two hexadecimal digits: '%' is no byte of a run's name
 * either. 1, or 0 and @reason when it would be longer than a name may be.
 */
int name_run(const char *root, const char *directory, char ret[NAME_RUN_SIZE],
             char reason[NAME_REASON_SIZE]);

#endif
