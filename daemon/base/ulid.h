/*
 * ulid - sortable unique identifiers (github.com/ulid/spec): 48 bits of milliseconds and 80 random
 * bits in 26 characters of Crockford's base 32. Within one process they are strictly increasing,
 * also within one millisecond and when the clock steps back. Thread: any.
 */
#ifndef BASE_ULID_H
#define BASE_ULID_H

#include <stdbool.h>
#include <stdint.h>

#define ULID_TEXT_SIZE 27
#define ID_TEXT_SIZE   40 /* prefix, '_', ULID and NUL, with room */

void ulid_new(int64_t now_ms, char ret[ULID_TEXT_SIZE]);

/* "job" -> "job_01J...". The prefix is at most 10 characters. */
void id_new(const char *prefix, int64_t now_ms, char ret[ID_TEXT_SIZE]);

/* Whether text is "<prefix>_" followed by a canonical ULID. */
bool id_is(const char *text, const char *prefix);

#endif
