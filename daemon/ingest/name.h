/*
 * name - what the name of a file says: its step, whether it is one part of several, and the name
 * of a run that a directory below a root becomes. Names are bytes and need not be UTF-8.
 * Pure. Thread: any.
 */
#ifndef INGEST_NAME_H
#define INGEST_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "sewa/error.h"
#include "store/checkpoints.h"

enum { NAME_REASON_SIZE = 160, NAME_RUN_SIZE = 64 };

struct name_step {
    bool has_step;
    int64_t step; /* 0 to INT64_MAX */
    enum step_unit unit;
    bool is_copy; /* it has a step by the rule, and a name such as "best" that takes it away */
    char reason[NAME_REASON_SIZE]; /* why there is none: lower case, UTF-8, no bytes of the path */
};

/*
 * The step of a checkpoint from its path relative to the directory of its run.
 *
 * With a pattern (base/pattern.h) the number at {step}. Without one (NULL or ""), a name is words
 * and whole numbers (token.h): digits of a fraction, an exponent, a date with its time or a hash
 * are none, nor are those that stand in a word (resnet50, 100k). A number belongs to the word
 * before it, with nothing or any of "-_=.:#" and blanks between, if the table (word.c) knows that
 * word; else to a word of steps or epochs behind it, as in 1000_steps. The step is the first of
 *   1. the number of a word of steps: step, iter, update...
 *   2. that of a word of epochs: epoch, ep
 *   3. that of checkpoint or ckpt, whose unit nobody knows; of two numbers behind it
 *      (checkpoint_EPOCH_UPDATE) the second, which is one of steps
 *   4. the only other number of the file's name, again without a unit. Numbers of metrics, settings
 *      and versions (loss, seed, v...) do not count
 *   5. the nearest directory whose whole name is a number
 * 1 to 3 are also looked for in the names of directories above, from the nearest on, before 4.
 * Two different numbers in one place are no step. A name with best, last, final, ema, average...
 * is that of a copy and has none. Case does not matter; "-00001-of-00002" is the mark of a shard.
 *
 * @return  1, 0 and ret->reason, or SEWA_E_INVALID for a pattern that pattern_check() refuses.
 */
int name_step(const char *pattern, const char *path, struct name_step *ret, struct sewa_error *err);

/* Whether a file's name says "shard index of count", as in model-00001-of-00002.safetensors. */
bool name_shard(const char *name, int64_t *ret_index, int64_t *ret_count);

/*
 * Whether a name is that of a part of a checkpoint in several files or directories, which is no
 * checkpoint by itself: consolidated.00.pth, mp_rank_00_model_states.pt, pytorch_model_fsdp_0,
 * model_world_size_8_rank_3.pt, model-00001-of-00002.safetensors. @reason: which, "rank 3 of
 * several". Rank 0 alone is none: it often writes for all.
 */
bool name_part(const char *name, char reason[NAME_REASON_SIZE]);

/*
 * Whether a name begins as that of the state of an optimizer or the like, and has no model. Of
 * "cosine_scheduler_epoch_1" only its content says what it is.
 */
bool name_is_state(const char *name);

/*
 * The name of the run for a directory below a root: "lab" and "exp 1" give "lab.exp_201". Bytes
 * that a name cannot have become '_' and two hexadecimal digits: '%' is no byte of a run's name
 * either. 1, or 0 and @reason when it would be longer than a name may be.
 */
int name_run(const char *root, const char *directory, char ret[NAME_RUN_SIZE],
             char reason[NAME_REASON_SIZE]);

#endif
