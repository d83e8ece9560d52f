/*
 * pool - a fixed team of threads that shares out numbered items of work.
 *
 * Items are handed out in ascending order, one at a time, and what an item computes must depend on
 * its number alone: then results do not depend on how many threads there are. The caller of
 * pool_run() is one of the team. Thread: one pool_run() at a time; all else any.
 */
#ifndef ENGINE_POOL_H
#define ENGINE_POOL_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { POOL_THREADS_MAX = 1024 };

struct pool;

/* Embedded in the caller's own struct; run() finds that with container_of. */
struct pool_task {
    /*
     * Do item number `item`. `thread` is less than pool_threads() and no two calls at the same time
     * have the same: it chooses scratch memory. 0 or a failure.
     */
    int (*run)(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err);
};

/* threads: the caller's included; 0 is one for each processor that this process may use. */
int pool_open(unsigned threads, struct pool **ret, struct sewa_error *err);
void pool_close(struct pool *p); /* NULL is fine */
AUTOPTR_DEFINE(pool_close, struct pool);

unsigned pool_threads(const struct pool *p);

/*
 * Run items 0 .. count-1 and wait for them. After a failure no further item begins, and of those
 * that failed the one with the lowest number is reported: the same one for any number of threads.
 * Once *cancel (may be NULL) is true, no further item begins either: SEWA_E_CANCELLED.
 */
int pool_run(struct pool *p, struct pool_task *task, size_t count, const atomic_bool *cancel,
             struct sewa_error *err);

#endif
