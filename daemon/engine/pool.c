/*
 * pool - helpers sleep on a condition; a round is one pool_run(). See pool.h for the order of items
 * and the choice of the failure that is reported: all items below the lowest failing one were
 * handed out before it and ran to their end, so it does not depend on timing which one that is.
 */
#include "engine/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/failpoint.h"

struct pool {
    unsigned threads; /* the caller of pool_run() included */
    unsigned started; /* helpers that exist */
    struct helper *helpers;

    pthread_mutex_t lock;
    pthread_cond_t wake; /* a new round, or the end */
    pthread_cond_t idle; /* the last helper has left a round */
    uint64_t round;
    unsigned busy; /* helpers that have not left the round */
    bool stopping;

    /* the round; written before it begins, read by all */
    struct pool_task *task;
    size_t count;
    const atomic_bool *cancel;
    atomic_size_t next;

    /* under lock */
    size_t failed_item;
    int rc;
    struct sewa_error err;
};

struct helper {
    struct pool *pool;
    pthread_t thread;
    unsigned number;
};

static void record(struct pool *p, size_t item, int rc, const struct sewa_error *err)
{
    atomic_store(&p->next, p->count);
    pthread_mutex_lock(&p->lock);
    if (p->rc == 0 || item < p->failed_item) {
        p->failed_item = item;
        p->rc = rc;
        p->err = *err;
    }
    pthread_mutex_unlock(&p->lock);
}

static bool is_cancelled(const struct pool *p)
{
    return p->cancel && atomic_load_explicit(p->cancel, memory_order_relaxed);
}

static void take_items(struct pool *p, unsigned thread)
{
    for (;;) {
        struct sewa_error err = { 0 };
        size_t item = atomic_fetch_add(&p->next, 1);
        if (item >= p->count)
            return;
        int rc = is_cancelled(p) ? sewa_fail(&err, SEWA_E_CANCELLED, "cancelled")
                                 : p->task->run(p->task, item, thread, &err);
        if (rc < 0)
            record(p, item, rc, &err);
    }
}

static void *help(void *argument)
{
    struct helper *h = argument;
    struct pool *p = h->pool;
    uint64_t seen = 0;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->round == seen && !p->stopping)
            pthread_cond_wait(&p->wake, &p->lock);
        if (p->stopping)
            break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        take_items(p, h->number);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static unsigned usable_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1; /* more processors than the set has room for: let the caller say how many */
    return (unsigned)CPU_COUNT(&set);
}

/* Helpers take no signals: those are for the threads that the program gave them to. */
static int start_helpers(struct pool *p, struct sewa_error *err)
{
    sigset_t all, before;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rc == 0 && p->started + 1 < p->threads) {
        struct helper *h = &p->helpers[p->started];
        h->pool = p;
        h->number = p->started + 1;
        rc = failpoint_errno("pool_thread") ? errno : pthread_create(&h->thread, NULL, help, h);
        if (rc == 0)
            p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return 0;
    errno = rc;
    return sewa_fail_errno(err, SEWA_E_UNAVAILABLE, "cannot start thread %u of %u", p->started + 2,
                           p->threads);
}

int pool_open(unsigned threads, struct pool **ret, struct sewa_error *err)
{
    AUTOPTR(pool_close) struct pool *p = NULL;

    if (threads > POOL_THREADS_MAX)
        return sewa_fail(err, SEWA_E_INVALID, "%u threads are more than %d", threads,
                         POOL_THREADS_MAX);
    p = calloc(1, sizeof *p);
    if (!p)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a pool of threads");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->threads = threads ? threads : usable_processors();
    p->helpers = calloc(p->threads, sizeof *p->helpers);
    if (!p->helpers)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %u threads", p->threads);
    int rc = start_helpers(p, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(p);
    return 0;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->helpers[i].thread, NULL);
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->helpers);
    free(p);
}

unsigned pool_threads(const struct pool *p)
{
    return p->threads;
}

int pool_run(struct pool *p, struct pool_task *task, size_t count, const atomic_bool *cancel,
             struct sewa_error *err)
{
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->count = count;
    p->cancel = cancel;
    atomic_store(&p->next, 0);
    p->rc = 0;
    p->busy = p->started;
    p->round++;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);

    take_items(p, 0);

    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (p->rc < 0 && err)
        *err = p->err;
    return p->rc;
}
