/*
 * pattern - names with "{step}" and "*" in them, such as "step-{step}.safetensors".
 *
 * "{step}" stands for a whole number: a run of decimal digits with no further digit on either side,
 * so that "step_{step}" finds 1000 in "step_1000" and never 100. "*" stands for any bytes but a
 * slash. Everything else stands for itself; there is no escape.
 * Here and not in a room above, because the configuration is checked with it and files are matched
 * with it. Pure. Thread: any.
 */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "sewa/error.h"

enum { PATTERN_BYTES_MAX = 512 };

/*
 * Whether a pattern can be used: exactly one {step}, relative, no empty, "." or ".." component, no
 * control character, no digit beside {step} (it could never match), at most PATTERN_BYTES_MAX
 * bytes. 0 or SEWA_E_INVALID.
 */
int pattern_check(const char *pattern, struct sewa_error *err);

enum pattern_match {
    PATTERN_NO_MATCH,
    PATTERN_STEP,      /* *ret_step is set */
    PATTERN_AMBIGUOUS, /* several numbers fit: step[0] and step[1] are two of them */
    PATTERN_TOO_LARGE, /* the number does not fit into int64 */
};

/*
 * Match a path, relative to the directory of the run, with a pattern that pattern_check() accepts.
 * @step has room for two. Work: length of path times length of pattern for every number in path.
 */
enum pattern_match pattern_match(const char *pattern, const char *path, int64_t step[2]);

/*
 * A pattern that gives most of some names a step, each another one: from a name among the first of
 * them with {step} for one of its whole numbers and "*" for the others. 1 and *ret, or 0 when none
 * gives two names different steps. @ret has PATTERN_BYTES_MAX + 1 bytes. Names are bytes.
 */
int pattern_propose(const char *const *names, size_t count, char *ret);

/*
 * The value of a run of n decimal digits, leading zeros allowed. 0, or -1 when it does not fit into
 * int64.
 */
int pattern_number(const char *digits, size_t n, int64_t *ret);

#endif
