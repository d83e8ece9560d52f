/*
 * unfit - checkpoints of which one can be chosen, but of which no average means anything: adapters
 * of low rank, and quantised weights. And buffers that training steers, which are averaged like all
 * others, and are named to whoever asks. By names, types and what is beside a tensor. Thread: any.
 */
#ifndef FORMATS_UNFIT_H
#define FORMATS_UNFIT_H

#include "formats/layout.h"

#include <stdbool.h>

enum { UNFIT_SIZE = 400 };

/* False, or true and a sentence: which tensor, what it is, and what to do instead. */
bool layout_is_unfit(const struct layout *l, char ret[UNFIT_SIZE]);

/*
 * Whether training steers this one by a rule of its own and no gradient: the bias of a router of
 * experts, counts of how often each was chosen, codes of a codebook.
 */
bool tensor_is_steered(const char *name);

#endif
