/*
 * ranking - the one order in which candidates are preferred: the larger value first, equal values
 * the later candidate first. Values must not be NaN.
 */
#ifndef METHODS_RANKING_H
#define METHODS_RANKING_H

#include <stddef.h>

/* order: the k indices, best first. */
void ranking_descending(const double *value, size_t k, size_t *order);

#endif
