/*
 * shop - a workshop for tests: four small checkpoints, an evaluator (judge.h), and the values of
 * both by definition, from which a test computes what should come out.
 *
 * Tensors are longer than the slices in which averages are computed (EXACT_SLICE), one than a piece
 * (MODEL_PIECE), three buffers are recalibrated, one is not, and integers differ between
 * checkpoints. Values are multiples of 1/8: in the averages of the tests nothing is rounded.
 */
#ifndef TESTS_UNIT_WORKER_SHOP_H
#define TESTS_UNIT_WORKER_SHOP_H

#include "support/support.h"

#include <jansson.h>

#include "worker/workshop.h"

enum { SHOP_K = 4, SHOP_TENSORS = 8 };

struct shop_tensor {
    const char *name;
    enum dtype dtype;
    uint8_t rank;
    int64_t length; /* of its one axis */
    bool is_parameter, is_recalibrated;
};

extern const struct shop_tensor shop_tensors[SHOP_TENSORS];

/* Element e of tensor t in candidate i. */
double shop_value(size_t i, size_t t, int64_t e);
int64_t shop_elements(size_t t);

/* The average of floats with k coefficients; the value of an integer by policy. */
double shop_average(const double *alpha, size_t t, int64_t e);
double shop_integer(enum integer_policy policy, const double *alpha, size_t t, int64_t e);

struct shop {
    char *directory, *self;
    struct candidate candidates[SHOP_K];
    char *names[2 * SHOP_K];
    char *argv[3];
    struct spec spec;
    struct sewad *sewad;
    struct pulse *pulse;
    atomic_bool cancel;
    struct workshop *workshop;
};

/* banks: averages at a time. options: JSON for the judge. */
void shop_open(struct shop *s, unsigned banks, const char *options, enum integer_policy integers);
void shop_close(struct shop *s);

/* Do a task, which this takes over, and return its result. */
json_t *shop_do(struct shop *s, json_t *task);

/* {"kind": "prepare"} has been done. */
void shop_prepare(struct shop *s);

/* {"alpha": [...], ...more}: a point of a task; more is taken over, or NULL. */
json_t *shop_point(const double *alpha, json_t *more);

/* Element e of a tensor in bytes of its type. */
double shop_number(enum dtype dtype, const void *values, int64_t e);

#endif
