/*
 * fixture - a small model and the options to start an evaluator on it, for the tests of both sides.
 */
#ifndef TESTS_EVALUATOR_FIXTURE_H
#define TESTS_EVALUATOR_FIXTURE_H

#include "support/support.h"

#include <stdatomic.h>

#include "base/buf.h"
#include "host/evaluator.h"

enum { FIXTURE_BANKS = 2, FIXTURE_BANK_BYTES = 4096, FIXTURE_TENSORS = 4 };

/* w F32 [3], d F64 [2, 1], buffer.mean F32 [2], steps I64 [] */
extern const struct evaluator_tensor fixture_tensors[FIXTURE_TENSORS];

struct fixture {
    struct evaluator_listener listener;
    struct buf output; /* the last megabyte of what the evaluator printed */
    size_t output_bytes;
    atomic_bool cancel;
    const char *argv[4];
    struct evaluator_options options;
};

/* Options for PROGRAM MODE (mode may be NULL). Released by fixture_clear(). */
void fixture_init(struct fixture *f, const char *program, const char *mode);
void fixture_clear(struct fixture *f);

/* The evaluator, which must get ready. */
struct evaluator *fixture_start(struct fixture *f);

/* Set w, d and buffer.mean of a bank. */
void fixture_fill(struct evaluator *e, unsigned bank, float w, double d, float buffer);

#endif
