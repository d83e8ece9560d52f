/*
 * state - arrays of numbers inside a saved state. json_text() writes doubles with 17 digits, so
 * every finite one survives to the bit; what is not finite is null and comes back as NaN.
 */
#ifndef METHODS_STATE_H
#define METHODS_STATE_H

#include "base/json.h"

#include <stddef.h>

/* NULL when out of memory. */
json_t *state_numbers(const double *x, size_t n);

/*
 * Exactly n numbers between min and max, or null where @allow_null. A failure is recorded in r and
 * x is left half-filled.
 */
enum state_null { STATE_NULL_REFUSED, STATE_NULL_ALLOWED };
void state_read_numbers(struct json_reader *r, const char *name, double min, double max,
                        enum state_null null, double *x, size_t n);

#endif
