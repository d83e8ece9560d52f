/*
 * target_bench - a watched directory on a test's bench: real files, a clock that the test moves,
 * and a log of what has been told and not been asked about yet.
 */
#ifndef TESTS_WATCH_TARGET_BENCH_H
#define TESTS_WATCH_TARGET_BENCH_H

#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "watch/target.h"

#include "files.h"

enum { SETTLE_MS = 5000, INTERVAL_MS = 30000, UTC_MS = 1700000000 };

struct bench {
    char *directory;
    struct target *t;
    struct report_sink sink;
    struct report *log;
    size_t count, next;
    struct report done; /* the last SCAN_DONE; these do not stand in the log */
};

extern int64_t clock_ms; /* monotonic; UTC is UTC_MS more */
extern struct target_rules rules;

struct moment test_clock(void);

int bench_setup(void **state);
int bench_teardown(void **state);

/* Watch the directory of the bench, with id 7 and SETTLE_MS, or as a spec says. */
struct target_spec spec_of(const struct bench *b);
void watch_spec(struct bench *b, const struct target_spec *spec, const struct target_known *known,
                size_t count);
void watch(struct bench *b);
void watch_marker(struct bench *b, const char *marker);

/* With one complete file in it; the log is empty afterwards. */
void watch_one(struct bench *b, const char *name);

/* Everything that is due now. */
void run(struct bench *b);

/* Let time pass; what becomes due is done at its time. */
void pass(struct bench *b, int64_t ms);

/* A scan now, and everything that is due. */
void scan(struct bench *b);

/* Empty the log. */
void forget(struct bench *b);

/* The next thing told is this, with this word in its text (NULL: any). */
struct report *expect_at(struct bench *b, enum report_kind kind, const char *name, const char *word,
                         int line);
#define expect(b, kind, name, word) expect_at(b, REPORT_##kind, name, word, __LINE__)

void expect_nothing_at(struct bench *b, int line);
#define expect_nothing(b) expect_nothing_at(b, __LINE__)

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

#endif
