/*
 * engine - what every pass over the weights needs: threads, and kernels for this processor.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/pool.h"
#include "numerics/kernels.h"

#include <stdint.h>

struct engine {
    struct pool *pool;
    const struct kernels *kernels;
};

/* The kernels are those that SEWA_KERNELS asks for, or the fastest. For threads see pool_open(). */
int engine_init(struct engine *e, unsigned threads, struct sewa_error *err);
void engine_clear(struct engine *e); /* all zero is fine */

/* Embedded in the caller's own struct. Called on the thread that called the engine. */
struct progress {
    void (*on_progress)(struct progress *p, int64_t done_bytes, int64_t total_bytes);
};

/* NULL is nobody. */
static inline void progress_tell(struct progress *p, int64_t done_bytes, int64_t total_bytes)
{
    if (p)
        p->on_progress(p, done_bytes, total_bytes);
}

#endif
