/*
 * pass - a partition is an item of the pool.
 */
#include "engine/pass.h"

#include <stdlib.h>

static int run_partition(struct pool_task *task, size_t partition, unsigned thread,
                         struct sewa_error *err)
{
    struct pass *p = container_of(task, struct pass, task);
    const struct model *m = p->source->roster->model;
    struct piece_walk walk = model_walk(m, partition);
    const void **x = p->pointers + thread * p->which_count;
    struct piece piece;

    while (piece_next(&walk, &piece)) {
        if (p->is_wanted && !p->is_wanted(p, &m->tensors[piece.tensor], piece.tensor))
            continue;
        int rc = p->source->fetch(p->source, &piece, p->which, p->which_count, thread, x, err);
        if (rc == 0)
            rc = p->on_piece(p, &piece, x, partition, thread, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int pass_run(struct pass *p, const struct engine *e, const atomic_bool *cancel,
             struct sewa_error *err)
{
    unsigned threads = pool_threads(e->pool);
    AUTOFREE const void **pointers = calloc(threads * p->which_count + 1, sizeof *pointers);

    if (!pointers)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a pass over %zu checkpoints",
                         p->which_count);
    p->task.run = run_partition;
    p->pointers = pointers;
    return pool_run(e->pool, &p->task, model_partitions(p->source->roster->model), cancel, err);
}
