/*
 * weights - check a matrix of coefficients and make its compact form.
 */
#include "engine/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_row(const double *alpha, size_t candidates, size_t row, struct sewa_error *err)
{
    double sum = 0;

    for (size_t i = 0; i < candidates; i++) {
        if (!isfinite(alpha[i]))
            return sewa_fail(err, SEWA_E_INVALID,
                             "coefficient %zu of average %zu is %g, which is not finite", i, row,
                             alpha[i]);
        sum += alpha[i];
    }
    if (!(fabs(sum - 1) <= WEIGHTS_TOLERANCE))
        return sewa_fail(err, SEWA_E_INVALID,
                         "the coefficients of average %zu sum to %.9g instead of 1", row, sum);
    return 0;
}

int weights_check(const double *alpha, size_t rows, size_t candidates, struct sewa_error *err)
{
    int rc = 0;

    for (size_t j = 0; rc == 0 && j < rows; j++)
        rc = check_row(alpha + j * candidates, candidates, j, err);
    return rc;
}

static bool is_used(const double *alpha, size_t rows, size_t candidates, size_t i)
{
    for (size_t j = 0; j < rows; j++)
        if (alpha[j * candidates + i] != 0)
            return true;
    return false;
}

/* One block for everything; the widest elements come first, so that each part is aligned. */
static int allocate(struct weights *w, size_t rows, size_t candidates, struct sewa_error *err)
{
    size_t cells = rows * candidates;
    size_t bytes = cells * 2 * sizeof(double) + rows * sizeof(struct weights_row) +
                   (cells + candidates) * sizeof(uint32_t);
    char *p = calloc(1, bytes);

    if (!p)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu x %zu coefficients", rows,
                         candidates);
    w->memory = p;
    w->alpha = (double *)(void *)p;
    double *weights = w->alpha + cells;
    w->row = (struct weights_row *)(void *)(weights + cells);
    w->used = (uint32_t *)(void *)(w->row + rows);
    uint32_t *at = w->used + candidates;
    for (size_t j = 0; j < rows; j++) {
        w->row[j].weights = weights + j * candidates;
        w->row[j].at = at + j * candidates;
    }
    w->rows = rows;
    return 0;
}

static void fill_row(struct weights *w, size_t j, const double *alpha)
{
    struct weights_row *row = &w->row[j];

    row->is_equal = true;
    for (size_t u = 0; u < w->used_count; u++) {
        double a = alpha[w->used[u]];
        w->alpha[j * w->used_count + u] = a;
        if (a == 0)
            continue;
        row->at[row->count] = (uint32_t)u;
        row->weights[row->count++] = a;
        if (a != row->weights[0])
            row->is_equal = false;
    }
}

int weights_init(struct weights *w, const double *alpha, size_t rows, size_t candidates,
                 struct sewa_error *err)
{
    memset(w, 0, sizeof *w);
    int rc = weights_check(alpha, rows, candidates, err);
    if (rc == 0)
        rc = allocate(w, rows, candidates, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < candidates; i++)
        if (is_used(alpha, rows, candidates, i))
            w->used[w->used_count++] = (uint32_t)i;
    for (size_t j = 0; j < rows; j++)
        fill_row(w, j, alpha + j * candidates);
    return 0;
}

void weights_clear(struct weights *w)
{
    free(w->memory);
    memset(w, 0, sizeof *w);
}
