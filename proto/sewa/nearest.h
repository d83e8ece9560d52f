/*
 * nearest - what somebody may have meant who wrote a name that does not exist: the one of those
 * that exist in which few letters differ. Pure. Never allocates. Not installed.
 *
 *     nearest_begin(&n, word, strlen(word));
 *     nearest_consider(&n, "uniform"); ...
 *     n.name is the nearest one, or NULL when none is near
 */
#ifndef SEWA_NEAREST_H
#define SEWA_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *word;
    size_t length;
    const char *name; /* of those that were considered; NULL: none is near */
    size_t distance;
};

/* @word need not end after @length bytes; it and the names are borrowed. */
void nearest_begin(struct nearest *n, const char *word, size_t length);

/* Of two that are equally near, the first one counts. */
void nearest_consider(struct nearest *n, const char *name);

#endif
