/*
 * data - examples in a safetensors file: train.x, train.y, selection.x, selection.y, report.x and
 * report.y; x F32 [n, d], y I64 [n] (labels) or F32 [n, m] (values). Every part is there as a
 * pair or not at all. All parts agree in d and in the kind of y.
 */
#ifndef MLP_DATA_H
#define MLP_DATA_H

#include "network.h"
#include "settings.h"

enum part_name { PART_TRAIN, PART_SELECTION, PART_REPORT, PART_COUNT };

extern const char *const part_names[PART_COUNT + 1];

struct examples {
    int64_t count;   /* 0: the file has no such part */
    int inputs;      /* d */
    float *x;        /* [count][inputs] */
    int64_t *labels; /* [count]; NULL when there are values */
    float *values;   /* [count][width]; NULL when there are labels */
    int width;       /* m; 0 with labels */
};

struct data {
    char *path;
    struct examples parts[PART_COUNT];
};

int data_load(struct data *d, const char *path, struct sewa_error *err);
void data_clear(struct data *d);

/* "selection" -> the part, or NULL when the file does not have it. */
const struct examples *data_part(const struct data *d, const char *name);

/*
 * Whether a part fits a network and a loss: features, labels within the outputs, widths. Settles
 * LOSS_AUTO in *settings. SEWA_E_MISMATCH names both shapes.
 */
int data_check(const struct data *d, enum part_name part, const struct network *n,
               struct settings *settings, struct sewa_error *err);

#endif
