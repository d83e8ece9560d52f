/*
 * answer - what an evaluator answers to a request. Pure.
 *
 * Fields that are not known are ignored: the protocol grows by new fields. A known one of the wrong
 * kind is SEWA_E_EVALUATOR_PROTOCOL.
 */
#ifndef HOST_ANSWER_H
#define HOST_ANSWER_H

#include "host/ready.h"

/* The longest text of an evaluator's error that is kept: kind and message. */
enum { ANSWER_ERROR_SIZE = 400 };

/*
 * metrics: room for one per metric of the traits. seconds is NaN when it was not said.
 * example_losses is left NULL; *ret_has_example_losses tells whether there are any.
 */
int result_parse(const json_t *message, const struct ready *ready, struct evaluator_result *ret,
                 double *metrics, bool *ret_has_example_losses, struct sewa_error *err);

/* Also SEWA_E_EVALUATOR_MISMATCH: a name that is no float tensor. */
int recalibrated_parse(const json_t *message, const struct evaluator_tensor *tensors,
                       size_t tensor_count, bool *ret_changed, struct sewa_error *err);

/* "ValueError: no such file", clean; *ret_traceback is borrowed, "" when there is none. */
const char *error_text(const json_t *message, char ret[ANSWER_ERROR_SIZE],
                       const char **ret_traceback);

/* Whether the error's kind says that the tensors do not fit the model. */
bool error_is_mismatch(const json_t *message);

#endif
