/*
 * loop - the two ways across threads: hand work over to libuv's pool and get it back, and post a
 * message from any thread to the loop.
 *
 * A struct work is embedded in the caller's own struct. run() is called on a pool thread and sees
 * only that struct: no store, no logging, no globals; it looks at work_is_cancelled() between
 * chunks. done() is called exactly once on the loop thread, cancelled or not.
 *
 * A mailbox delivers posts to the loop thread in the order of posting (per posting thread).
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

struct work {
    void (*run)(struct work *);  /* pool thread; sets rc and err */
    void (*done)(struct work *); /* loop thread */
    int rc;
    struct sewa_error err;
    atomic_bool cancelled;
    uv_work_t request; /* private */
};

/* Zero the struct, set run and done, submit. Fails only when libuv has no memory. */
int work_submit(uv_loop_t *loop, struct work *w, struct sewa_error *err);

/* Ask run() to stop early; done() still comes. Thread: loop. */
void work_cancel(struct work *w);

static inline bool work_is_cancelled(struct work *w)
{
    return atomic_load_explicit(&w->cancelled, memory_order_relaxed);
}

struct post {
    struct post *next;
    void (*deliver)(struct post *); /* loop thread; owns the post from here on */
};

struct mailbox {
    uv_async_t async;
    pthread_mutex_t lock;
    struct post *first, **last;
    void (*on_closed)(struct mailbox *);
};

int mailbox_open(struct mailbox *m, uv_loop_t *loop, struct sewa_error *err);

/* Thread: any. The post stays valid until deliver(). */
void mailbox_post(struct mailbox *m, struct post *p);

/* Deliver what is there and close; on_closed (may be NULL) comes on the loop. Nobody may post any
 * more. */
void mailbox_close(struct mailbox *m, void (*on_closed)(struct mailbox *));

#endif
