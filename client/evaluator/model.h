/*
 * model - the tensors as the host shares them: the table, and the mapped blocks behind it.
 */
#ifndef EVALUATOR_MODEL_H
#define EVALUATOR_MODEL_H

#include "sewa/evaluator.h"

#include <jansson.h>

struct model_place;

struct model {
    struct sewa_evaluator_model shown;
    struct sewa_evaluator_tensor *tensors;
    struct model_place *places; /* where each tensor stands in a bank */
    size_t *order;              /* indices of tensors by name */
    json_t *table;              /* owns the names */
    char *weights, *gradient;   /* mapped; NULL: not yet */
    int64_t banks, bank_bytes, gradient_bank_bytes;
};

struct model_blocks {
    int weights, gradient, table; /* descriptors; stay the caller's */
    int64_t banks, bank_bytes, gradient_bank_bytes, table_bytes;
};

/* Map the blocks and check the table against their sizes. A zero-filled model is empty. */
int sewa_model_open(struct model *m, const struct model_blocks *blocks, struct sewa_error *err);
void sewa_model_close(struct model *m);

/*
 * Let the tensors show one bank: fresh pages of weights, and gradients when they are wanted, those
 * of the masked tensors (NULL: of all floats) filled with zero.
 */
int sewa_model_show(struct model *m, int64_t bank, bool gradient, const bool *mask,
                    struct sewa_error *err);

#endif
