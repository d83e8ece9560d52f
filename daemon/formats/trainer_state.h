/*
 * trainer_state - which names are those of a trainer's own state: optimizers, schedulers, samplers,
 * random generators. It is never part of an average, whatever the format: the mean of two moments
 * of Adam is no moment of anything. Pure; thread: any.
 */
#ifndef FORMATS_TRAINER_STATE_H
#define FORMATS_TRAINER_STATE_H

#include "formats/layout.h"

#include <stdbool.h>
#include <stddef.h>

/* Room for what trainer_state_of() says, the NUL included. */
enum { TRAINER_STATE_SIZE = LAYOUT_NAME_MAX + 1 };

/*
 * A key of a dictionary that was saved: "optimizer", "actor_optim", "lr_scheduler", "rng_state".
 * Not for names of modules, among which there may be a "noise_scheduler".
 */
bool trainer_state_is_key(const char *key);

/*
 * The whole name of a tensor, "app.optim.state.w.exp_avg". Whether it is a trainer's state, and
 * which: "app.optim"; "*.exp_avg" where only the end of the name says so. Less is taken for state
 * here than of keys: every module's name may be the first in a tensor's.
 */
bool trainer_state_of(const char *name, char ret[TRAINER_STATE_SIZE]);

/*
 * Take such tensors out of a layout: *l is replaced, with their states among what is left
 * (layout.h), or stays as it is when there are none. SEWA_E_UNSUPPORTED when there is nothing else.
 */
int trainer_state_leave(struct layout **l, struct sewa_error *err);

#endif
