/*
 * loop - struct work on libuv's pool and struct mailbox on a uv_async handle.
 */
#include "base/loop.h"

#include <string.h>

static void on_run(uv_work_t *request)
{
    struct work *w = container_of(request, struct work, request);

    w->run(w);
}

static void on_done(uv_work_t *request, int status)
{
    struct work *w = container_of(request, struct work, request);

    if (status == UV_ECANCELED)
        w->rc = sewa_fail(&w->err, SEWA_E_CANCELLED, "the work was cancelled before it began");
    w->done(w);
}

int work_submit(uv_loop_t *loop, struct work *w, struct sewa_error *err)
{
    int rc = uv_queue_work(loop, &w->request, on_run, on_done);

    if (rc < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "cannot queue work: %s", uv_strerror(rc));
    return 0;
}

void work_cancel(struct work *w)
{
    atomic_store(&w->cancelled, true);
    uv_cancel((uv_req_t *)&w->request);
}

static void deliver_all(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    struct post *p = m->first;
    m->first = NULL;
    m->last = &m->first;
    pthread_mutex_unlock(&m->lock);
    while (p) {
        struct post *next = p->next;
        p->deliver(p);
        p = next;
    }
}

static void on_async(uv_async_t *async)
{
    deliver_all(container_of(async, struct mailbox, async));
}

int mailbox_open(struct mailbox *m, uv_loop_t *loop, struct sewa_error *err)
{
    memset(m, 0, sizeof *m);
    m->last = &m->first;
    int rc = uv_async_init(loop, &m->async, on_async);
    if (rc < 0)
        return sewa_fail(err, SEWA_E_INTERNAL, "cannot open a mailbox: %s", uv_strerror(rc));
    pthread_mutex_init(&m->lock, NULL);
    return 0;
}

void mailbox_post(struct mailbox *m, struct post *p)
{
    p->next = NULL;
    pthread_mutex_lock(&m->lock);
    *m->last = p;
    m->last = &p->next;
    /* inside the lock: after the unlock the receiver may close the mailbox */
    uv_async_send(&m->async);
    pthread_mutex_unlock(&m->lock);
}

static void on_async_closed(uv_handle_t *handle)
{
    struct mailbox *m = container_of((uv_async_t *)handle, struct mailbox, async);

    pthread_mutex_destroy(&m->lock);
    if (m->on_closed)
        m->on_closed(m);
}

void mailbox_close(struct mailbox *m, void (*on_closed)(struct mailbox *))
{
    deliver_all(m);
    m->on_closed = on_closed;
    uv_close((uv_handle_t *)&m->async, on_async_closed);
}
