/*
 * source - where the numbers of the candidates come from: the one thing that a pass over the
 * weights needs to know about them. Resident candidates (resident.h) point into memory; a source
 * that streams reads each piece into scratch memory of the asking thread.
 */
#ifndef ENGINE_SOURCE_H
#define ENGINE_SOURCE_H

#include "engine/roster.h"

struct source {
    const struct roster *roster; /* the candidates, oldest first, and their model */

    /*
     * Point x[i] to the elements of the piece in candidate which[i], for i < count, in the type of
     * the checkpoint, aligned to MODEL_ALIGNMENT. They stay until the next call with the same
     * thread number.
     * A failure names the candidate, the file and the offset.
     */
    int (*fetch)(struct source *s, const struct piece *piece, const uint32_t *which, size_t count,
                 unsigned thread, const void **x, struct sewa_error *err);
};

#endif
