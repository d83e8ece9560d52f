/*
 * params - read the members of "params" as the table of a method says.
 */
#ifndef METHODS_PARAMS_H
#define METHODS_PARAMS_H

#include "base/json.h"
#include "methods/method.h"

/* The kind of the row is the caller's to know. A failure is recorded in the reader. */
int64_t param_int(struct json_reader *r, const struct method_param *p);
double param_number(struct json_reader *r, const struct method_param *p);
int param_word(struct json_reader *r, const struct method_param *p); /* index; -1: no fallback */
const char *param_text(struct json_reader *r, const struct method_param *p); /* borrowed */

#endif
