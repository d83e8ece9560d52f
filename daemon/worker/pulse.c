/*
 * pulse - heartbeats and output on a thread of their own.
 */
#include "worker/pulse.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/activity.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "worker/link.h"

enum {
    PENDING_MAX = 1 << 20, /* bytes of output that wait to be sent */
    SEND_MAX = 200 * 1024, /* in one call */
    GATHER_MS = 100,       /* output is collected this long before it is sent */
    FLUSH_MS = 5000,       /* a report waits this long for the output before it */
};

struct pulse {
    struct link *link;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_cond_t sent_more;
    struct buf pending;
    size_t dropped;
    uint64_t printed, sent; /* bytes, with what was dropped */
    bool hurried;           /* somebody waits for sent */
    int64_t interval_ms;
    atomic_bool *stop;
    atomic_bool ending;
};

void pulse_output(struct pulse *p, const char *bytes, size_t n)
{
    pthread_mutex_lock(&p->lock);
    if (p->pending.len + n > PENDING_MAX)
        p->dropped += n;
    else
        buf_append(&p->pending, bytes, n);
    p->printed += n;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static struct timespec in_ms(int64_t ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

void pulse_flush(struct pulse *p)
{
    const struct timespec until = in_ms(FLUSH_MS);

    pthread_mutex_lock(&p->lock);
    uint64_t printed = p->printed;
    p->hurried = p->sent < printed;
    pthread_cond_signal(&p->wake);
    while (p->sent < printed &&
           pthread_cond_timedwait(&p->sent_more, &p->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&p->lock);
}

static void beat(struct pulse *p)
{
    AUTOJSON json_t *message = json_pack("{s:s, s:I}", "doing", activity_names[activity_current()],
                                         "progress", (json_int_t)activity_progress());
    AUTOJSON json_t *answer = NULL;
    struct sewa_error err;

    if (!message)
        return;
    int rc = link_call(p->link, "heartbeat", message, &answer, &err);
    if (rc == SEWA_E_UNAUTHORIZED || (rc == 0 && json_is_true(json_object_get(answer, "stop"))))
        atomic_store(p->stop, true);
}

static void send_in_pieces(struct pulse *p, const struct buf *out)
{
    struct sewa_error err;

    for (size_t at = 0; at < out->len; at += SEND_MAX) {
        size_t n = out->len - at < SEND_MAX ? out->len - at : SEND_MAX;
        if (link_send(p->link, "log", out->data + at, n, &err) < 0)
            return;
    }
}

/* Take what is pending out of the lock, and send it. */
static void flush(struct pulse *p)
{
    AUTO(buf_clear) struct buf out = { 0 };

    pthread_mutex_lock(&p->lock);
    out = p->pending;
    memset(&p->pending, 0, sizeof p->pending);
    size_t dropped = p->dropped;
    p->dropped = 0;
    uint64_t printed = p->printed;
    pthread_mutex_unlock(&p->lock);
    if (dropped)
        buf_printf(&out, "\n[%zu bytes of output came too fast and are not kept]\n", dropped);
    send_in_pieces(p, &out);
    pthread_mutex_lock(&p->lock);
    p->sent = printed;
    p->hurried = p->hurried && p->sent < p->printed;
    pthread_cond_broadcast(&p->sent_more);
    pthread_mutex_unlock(&p->lock);
}

static void wait_for_something(struct pulse *p, int64_t until_ms)
{
    int64_t ms = until_ms - clock_monotonic_ms();

    if (ms <= 0)
        return;
    const struct timespec ts = in_ms(ms);
    pthread_mutex_lock(&p->lock);
    if (p->pending.len == 0 && !atomic_load(&p->ending))
        pthread_cond_timedwait(&p->wake, &p->lock, &ts);
    pthread_mutex_unlock(&p->lock);
}

/* A little more may follow. */
static void gather(struct pulse *p)
{
    const struct timespec until = in_ms(GATHER_MS);

    pthread_mutex_lock(&p->lock);
    while (!p->hurried && !atomic_load(&p->ending) &&
           pthread_cond_timedwait(&p->wake, &p->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&p->lock);
}

static bool has_output(struct pulse *p)
{
    pthread_mutex_lock(&p->lock);
    bool has = p->pending.len > 0 || p->dropped > 0;
    pthread_mutex_unlock(&p->lock);
    return has;
}

static void *thread_main(void *arg)
{
    struct pulse *p = arg;
    int64_t next_ms = clock_monotonic_ms() + p->interval_ms;

    while (!atomic_load(&p->ending)) {
        wait_for_something(p, next_ms);
        if (has_output(p)) {
            gather(p);
            flush(p);
        }
        if (clock_monotonic_ms() >= next_ms) {
            beat(p);
            next_ms = clock_monotonic_ms() + p->interval_ms;
        }
    }
    flush(p);
    return NULL;
}

static void destroy(struct pulse *p)
{
    link_close(p->link);
    buf_clear(&p->pending);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->sent_more);
    free(p);
}

int pulse_start(const char *socket, const char *token, int64_t interval_ms, atomic_bool *stop,
                struct pulse **ret, struct sewa_error *err)
{
    struct pulse *p = calloc(1, sizeof *p);
    pthread_condattr_t attr;

    if (!p)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the heartbeat");
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attr);
    pthread_cond_init(&p->sent_more, &attr);
    pthread_condattr_destroy(&attr);
    p->interval_ms = interval_ms;
    p->stop = stop;
    /* no patience: the next beat comes anyway */
    struct link_options o = { .socket = socket, .token = token, .cancel = &p->ending };
    int rc = link_open(&o, &p->link, err);
    if (rc == 0 && pthread_create(&p->thread, NULL, thread_main, p) != 0)
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "cannot start the heartbeat thread");
    if (rc < 0) {
        destroy(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void pulse_stop(struct pulse *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->ending, true);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    destroy(p);
}
