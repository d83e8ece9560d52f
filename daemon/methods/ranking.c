/*
 * ranking - candidates by value, ties to the later one.
 */
#include "methods/ranking.h"

#include <stdlib.h>

static int compare(const void *a, const void *b, void *arg)
{
    const double *value = arg;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;

    if (value[i] != value[j])
        return value[i] > value[j] ? -1 : 1;
    return i > j ? -1 : i < j;
}

void ranking_descending(const double *value, size_t k, size_t *order)
{
    for (size_t i = 0; i < k; i++)
        order[i] = i;
    qsort_r(order, k, sizeof *order, compare, (void *)(size_t)value);
}
