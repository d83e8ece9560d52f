/*
 * support - what several test programs need: cmocka with the headers that it wants first, a
 * scratch directory, and assertions on struct sewa_error.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sewa/error.h"

/* Make an empty directory under $TMPDIR or /tmp; the path is heap memory. */
char *scratch_new(void);

/* Remove it with all that is in it, and free the path. */
void scratch_free(char *path);

/* Write a file, for tests that need one. */
void scratch_write(const char *directory, const char *name, const void *data, size_t n);

/* How many names stand in it, hidden ones too. */
size_t scratch_entries(const char *directory);

/* rc and err.code are this code, and the text contains this word. */
#define assert_failed(rc, err, wanted, word) \
    support_assert_failed((rc), &(err), (wanted), (word), __FILE__, __LINE__)
void support_assert_failed(int rc, const struct sewa_error *err, int wanted, const char *word,
                           const char *file, int line);

/* rc is not negative; otherwise the test fails and shows err.text. */
#define assert_ok(rc, err) support_assert_ok((rc), &(err), __FILE__, __LINE__)
void support_assert_ok(int rc, const struct sewa_error *err, const char *file, int line);

/* Leave this test out and say why: tests/run.sh counts such lines and shows them. */
#define skip_because(reason)                                    \
    do {                                                        \
        print_message("skipped: %s: %s\n", __func__, (reason)); \
        skip();                                                 \
    } while (0)

#endif
