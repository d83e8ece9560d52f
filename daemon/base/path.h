/*
 * path - names of files: joining, judging, and showing them in text that must be UTF-8.
 * Pure. Thread: any.
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* "a" and "b" -> "a/b" (heap, NULL when out of memory). An absolute b is taken as it is. */
char *path_join(const char *a, const char *b);

/* Everything behind the last slash. */
const char *path_base(const char *path);

/* Absolute, no empty, "." or ".." component, no control character, no trailing slash but "/". */
bool path_is_clean(const char *path);

/* Whether path is root itself or lies below it. Both are clean. */
bool path_is_under(const char *path, const char *root);

/* One component that is no ".", "..", has no slash and no control character. */
bool path_is_name(const char *name);

/* The name of a run: [A-Za-z0-9][A-Za-z0-9._-]{0,62} */
bool path_is_run_name(const char *name);

/*
 * The path as UTF-8 for JSON (heap): bytes that are no UTF-8, control characters and '%' become
 * %XX, so that the text says exactly which bytes the name has.
 */
char *path_to_text(const char *path);

/* The bytes that path_to_text() was given (heap); NULL for a bad escape, %00 or no memory. */
char *path_from_text(const char *text);

/* Whether n bytes are well-formed UTF-8 (no surrogates, no overlong forms). */
bool utf8_is_valid(const char *text, size_t n);

/* Length of the well-formed UTF-8 sequence at text (1..4), 0 when there is none within n bytes. */
size_t utf8_sequence(const char *text, size_t n);

#endif
