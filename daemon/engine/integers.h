/*
 * integers - what an average does with tensors of integers and bools: nothing is averaged, the
 * value comes from the ingredients by a stated policy. Thread: any, on separate results.
 */
#ifndef ENGINE_INTEGERS_H
#define ENGINE_INTEGERS_H

#include "engine/roster.h"
#include "engine/weights.h"

enum integer_policy {
    INTEGER_NEWEST, /* of the newest ingredient */
    INTEGER_OLDEST,
    INTEGER_MAX,   /* element by element; true is more than false */
    INTEGER_EQUAL, /* all ingredients must have the same */
};

/* Their names in a job, in the order of the enum, NULL behind the last. */
extern const char *const integer_policy_names[];

/*
 * Elements [begin, begin + n) of a piece of an integer tensor in average `row`, into out. x[u] is
 * the piece in candidate weights.used[u]. SEWA_E_MISMATCH names the tensor and both checkpoints
 * when the policy is INTEGER_EQUAL and two ingredients differ.
 */
int integers_slice(const struct roster *roster, const struct weights *w, size_t row,
                   enum integer_policy policy, const struct piece *piece, const void *const x[],
                   size_t begin, size_t n, void *out, struct sewa_error *err);

#endif
