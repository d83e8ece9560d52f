/*
 * names - which tensors a list of names in a message means. Pure.
 */
#ifndef HOST_NAMES_H
#define HOST_NAMES_H

#include "base/json.h"
#include "host/evaluator.h"

bool names_are_strings(const json_t *value); /* an array of nothing but strings */

/*
 * Set is_named (count bools) for each float tensor that stands in the array.
 * SEWA_E_EVALUATOR_MISMATCH when names are unknown or belong to integers: the text begins with
 * what, shows the first five and counts all.
 */
int names_mark(const json_t *names, const char *what, const struct evaluator_tensor *tensors,
               size_t count, bool *is_named, struct sewa_error *err);

#endif
