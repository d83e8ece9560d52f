/*
 * clock - the time, and how it is written. Logic takes the time as a parameter; only the edges
 * (main, callbacks of the loop, log) read a clock. Thread: any.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT_SIZE 32

int64_t clock_now_ms(void);       /* since 1970-01-01 UTC; may jump */
int64_t clock_monotonic_ms(void); /* never jumps */
double clock_monotonic_s(void);

/* RFC 3339 in UTC with milliseconds: 2026-01-31T12:00:00.000Z. Returns text. */
const char *clock_format(int64_t ms, char text[CLOCK_TEXT_SIZE]);

/* Parse RFC 3339 (any offset, fraction optional); 0, or -1 when it is not one. */
int clock_parse(const char *text, int64_t *ret_ms);

#endif
