/*
 * made_file - write small safetensors files for the tests of sewa-mlp.
 */
#ifndef TESTS_EVALUATOR_MADE_FILE_H
#define TESTS_EVALUATOR_MADE_FILE_H

#include "support/support.h"

#include "base/dtype.h"

struct made_tensor {
    const char *name; /* NULL ends a list */
    enum dtype dtype;
    uint8_t rank;
    int64_t shape[4];
    const void *values; /* NULL: zeros */
};

/* Write directory/name; returns its path (heap). */
char *made_file(const char *directory, const char *name, const struct made_tensor *tensors);

/* A number from -1 to 1 that looks random, the same each time. */
double made_number(uint32_t stream, uint32_t i);

#endif
