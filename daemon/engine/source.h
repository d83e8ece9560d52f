/*
 * source - where the numbers of the candidates come from: the one thing that a pass over the
 * weights needs to know about them. Resident candidates (resident.h) point into memory; a source
 * that streams (stream.h) reads each piece into scratch memory of the asking thread.
 */
#ifndef ENGINE_SOURCE_H
#define ENGINE_SOURCE_H

#include "engine/roster.h"

struct source {
    const struct roster *roster; /* the candidates, oldest first, and their model */
    size_t piece_bytes;          /* a piece has piece_elements() of this, at most; 0: no limit */

    /*
     * Point x[i] to the elements of the piece in candidate which[i], for i < count, in the type of
     * the checkpoint, aligned to MODEL_ALIGNMENT. They stay until the next call with the same
     * thread number.
     * A failure names the candidate, the file and the offset.
     */
    int (*fetch)(struct source *s, const struct piece *piece, const uint32_t *which, size_t count,
                 unsigned thread, const void **x, struct sewa_error *err);

    /* These will be asked for soon: begin to read them. NULL: everything is in memory. */
    void (*advise)(struct source *s, const struct piece *piece, const uint32_t *which,
                   size_t count);

    /*
     * After a pass: what it fetched came from the files of the index. NULL: that was proven when
     * they were read.
     */
    int (*prove)(struct source *s, const uint32_t *which, size_t count, const atomic_bool *cancel,
                 struct sewa_error *err);
};

/* For callers who look ahead: does nothing where there is nothing to do. */
static inline void source_advise(struct source *s, const struct piece *piece, const uint32_t *which,
                                 size_t count)
{
    if (s->advise)
        s->advise(s, piece, which, count);
}

#endif
