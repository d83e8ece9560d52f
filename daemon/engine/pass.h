/*
 * pass - one walk over the pieces of all partitions by the whole team: the loop that mix, mix_exact
 * and dots share. Each gives a function for one piece. The source hears of a piece some time before
 * it is asked for it, so that a disk works while the processors do.
 */
#ifndef ENGINE_PASS_H
#define ENGINE_PASS_H

#include "engine/engine.h"
#include "engine/source.h"

/* Embedded in the caller's own struct. */
struct pass {
    struct pool_task task; /* private */
    struct source *source;
    const uint32_t *which; /* candidates to fetch */
    size_t which_count;
    bool (*is_wanted)(const struct pass *p, const struct model_tensor *t, size_t tensor);

    /* x[i] points to the piece in candidate which[i]. partition: for partial sums. */
    int (*on_piece)(struct pass *p, const struct piece *piece, const void *const x[],
                    size_t partition, unsigned thread, struct sewa_error *err);
    const void **pointers; /* private: which_count for each thread */
    unsigned threads;      /* private */
};

/*
 * Fill source, which, which_count, on_piece (and is_wanted, NULL: every tensor) before. What the
 * source fetched is proven afterwards.
 */
int pass_run(struct pass *p, const struct engine *e, const atomic_bool *cancel,
             struct sewa_error *err);

#endif
