/*
 * pass - a partition is an item of the pool.
 *
 * Partitions are handed out in ascending order and take about the same time, so the team of t
 * threads that is at work on partition n has n + t next. A partition begins with telling the source
 * how that one begins; how its own goes on, it tells piece by piece.
 */
#include "engine/pass.h"

#include <stdlib.h>

#include "base/activity.h"

enum { AHEAD = 16 }; /* pieces: with a source's choice of piece_bytes, some MiB of all candidates */

static bool next_wanted(const struct pass *p, struct piece_walk *walk, struct piece *ret)
{
    while (piece_next(walk, ret))
        if (!p->is_wanted || p->is_wanted(p, &walk->model->tensors[ret->tensor], ret->tensor))
            return true;
    return false;
}

static void advise_next(struct pass *p, struct piece_walk *walk)
{
    struct piece piece;

    if (next_wanted(p, walk, &piece))
        p->source->advise(p->source, &piece, p->which, p->which_count);
}

static struct piece_walk walk_of(const struct pass *p, size_t partition)
{
    return model_walk(p->source->roster->model, partition, p->source->piece_bytes);
}

static void advise_begin(struct pass *p, size_t partition)
{
    if (partition >= model_partitions(p->source->roster->model))
        return;
    struct piece_walk walk = walk_of(p, partition);
    for (int i = 0; i < AHEAD; i++)
        advise_next(p, &walk);
}

/* A walk that is as far ahead as what the source has heard of. */
static struct piece_walk advise_partition(struct pass *p, size_t partition)
{
    struct piece_walk ahead = walk_of(p, partition);
    struct piece piece;

    if (partition < p->threads) /* nobody was there before to tell */
        advise_begin(p, partition);
    advise_begin(p, partition + p->threads);
    for (int i = 0; i < AHEAD && next_wanted(p, &ahead, &piece); i++) {
    }
    return ahead;
}

static int run_partition(struct pool_task *task, size_t partition, unsigned thread,
                         struct sewa_error *err)
{
    struct pass *p = container_of(task, struct pass, task);
    struct piece_walk walk = walk_of(p, partition), ahead = walk;
    const void **x = p->pointers + thread * p->which_count;
    struct piece piece;

    if (p->source->advise)
        ahead = advise_partition(p, partition);
    while (next_wanted(p, &walk, &piece)) {
        if (p->source->advise)
            advise_next(p, &ahead);
        int rc = p->source->fetch(p->source, &piece, p->which, p->which_count, thread, x, err);
        if (rc == 0)
            rc = p->on_piece(p, &piece, x, partition, thread, err);
        if (rc < 0)
            return rc;
        activity_moved();
    }
    return 0;
}

int pass_run(struct pass *p, const struct engine *e, const atomic_bool *cancel,
             struct sewa_error *err)
{
    struct source *s = p->source;

    p->threads = pool_threads(e->pool);
    AUTOFREE const void **pointers = calloc(p->threads * p->which_count + 1, sizeof *pointers);
    if (!pointers)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a pass over %zu checkpoints",
                         p->which_count);
    p->task.run = run_partition;
    p->pointers = pointers;
    int rc = pool_run(e->pool, &p->task, model_partitions(s->roster->model), cancel, err);
    return rc == 0 && s->prove ? s->prove(s, p->which, p->which_count, cancel, err) : rc;
}
