/*
 * parse - numbers in text, whole or not at all: "12abc", " 12" and "" are no numbers.
 * Pure. Thread: any. All return 0, or -1 when the text is no number or out of range.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret);
int parse_f64(const char *text, double *ret); /* finite only, "." whatever the locale says */

#endif
