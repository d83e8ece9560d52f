/*
 * scan - starting and stopping the scan threads, and the loop's side of them.
 */
#include "watch/scan.h"

#include <stdlib.h>
#include <string.h>

#include "metrics/metrics.h"
#include "watch/lane.h"
#include "watch/mounts.h"

enum { GRACE_MS = 2000, MOUNTS_MS = 5000 };

static void scan_free(struct scan *s)
{
    pthread_mutex_destroy(&s->lock);
    free(s->mountinfo);
    free(s);
}

int scan_start(const struct scan_options *options, struct scan **ret, struct sewa_error *err)
{
    const char *mountinfo = options->mountinfo ? options->mountinfo : "/proc/self/mountinfo";
    struct scan *s = calloc(1, sizeof *s);

    if (!s || !(s->mountinfo = strdup(mountinfo))) {
        free(s);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to watch directories");
    }
    s->options = *options;
    s->options.mountinfo = NULL;
    s->options.grace_ms = options->grace_ms > 0 ? options->grace_ms : GRACE_MS;
    s->options.mounts_ms = options->mounts_ms > 0 ? options->mounts_ms : MOUNTS_MS;
    atomic_init(&s->interval_ms, options->interval_ms);
    atomic_init(&s->stop, false);
    list_init(&s->lanes);
    list_init(&s->seats);
    pthread_mutex_init(&s->lock, NULL);
    int rc = mailbox_open(&s->mailbox, options->loop, err);
    if (rc < 0) {
        scan_free(s);
        return rc;
    }
    uv_timer_init(options->loop, &s->grace); /* cannot fail */
    *ret = s;
    return 0;
}

static struct seat *seat_new(const struct scan *s, const struct target_spec *spec,
                             const struct target_known *known, size_t count, struct sewa_error *err)
{
    struct seat *seat = calloc(1, sizeof *seat);

    if (!seat)
        sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to watch '%s'", spec->path);
    if (seat && target_new(spec, known, count, s->options.rules, &seat->target, err) < 0) {
        free(seat);
        seat = NULL;
    }
    return seat;
}

int scan_add(struct scan *s, const struct target_spec *spec, const struct target_known *known,
             size_t known_count, struct sewa_error *err)
{
    AUTO(mounts_clear) struct mounts m = { 0 };
    struct sewa_error why = { 0 };

    int rc = mounts_read(s->mountinfo, &m, &why);
    if (rc == SEWA_E_NO_MEMORY) /* without the list all directories go to one thread */
        return sewa_fail(err, rc, "%s", why.text);
    struct seat *seat = seat_new(s, spec, known, known_count, err);
    if (!seat)
        return SEWA_E_NO_MEMORY;
    metric_move(METRIC_WATCH_DIRECTORIES, 1);
    why.code = 0;
    pthread_mutex_lock(&s->lock);
    struct lane *l = lane_for(s, mounts_find(&m, spec->path), &why);
    if (l) {
        list_append(&s->seats, &seat->in_scan);
        lane_give(l, seat);
    }
    pthread_mutex_unlock(&s->lock);
    if (l)
        return 0;
    seat_free(seat);
    return sewa_fail(err, why.code, "%s", why.text);
}

/* With the lock. */
static struct seat *find_seat(struct scan *s, uint64_t id)
{
    list_for_each(node, &s->seats) {
        struct seat *seat = list_entry(node, struct seat, in_scan);
        if (target_spec_of(seat->target)->id == id)
            return seat;
    }
    return NULL;
}

static int command(struct scan *s, enum command_kind kind, uint64_t id, const char *name,
                   struct sewa_error *err)
{
    struct command *c = calloc(1, sizeof *c);

    if (c && name)
        c->name = strdup(name);
    if (!c || (name && !c->name)) {
        free(c);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to watch directories");
    }
    c->kind = kind;
    pthread_mutex_lock(&s->lock);
    struct seat *seat = find_seat(s, id);
    if (seat) {
        c->seat = seat;
        if (kind == COMMAND_REMOVE)
            list_remove(&seat->in_scan); /* the id is free again */
        lane_push(seat->lane, c);
    }
    pthread_mutex_unlock(&s->lock);
    if (!seat) {
        free(c->name);
        free(c);
    }
    return 0;
}

int scan_remove(struct scan *s, uint64_t id, struct sewa_error *err)
{
    return command(s, COMMAND_REMOVE, id, NULL, err);
}

int scan_now(struct scan *s, uint64_t id, struct sewa_error *err)
{
    return command(s, COMMAND_SCAN, id, NULL, err);
}

int scan_hint(struct scan *s, uint64_t id, const char *name, struct sewa_error *err)
{
    return command(s, COMMAND_HINT, id, name, err);
}

static void wake_all(struct scan *s)
{
    pthread_mutex_lock(&s->lock);
    list_for_each(node, &s->lanes)
        pthread_cond_signal(&list_entry(node, struct lane, link)->wake);
    pthread_mutex_unlock(&s->lock);
}

void scan_set_interval(struct scan *s, int64_t interval_ms)
{
    atomic_store(&s->interval_ms, interval_ms);
    wake_all(s);
}

void scan_hold(struct scan *s, bool held)
{
    pthread_mutex_lock(&s->lock);
    s->is_held = held;
    pthread_mutex_unlock(&s->lock);
    if (!held)
        wake_all(s);
}

/* ---- the end ---- */

/* With threads that are left behind the memory stays: they look at it when they come back. */
static void on_handle_closed(struct scan *s)
{
    struct scan_listener *listener = s->options.listener;
    unsigned abandoned = 0;

    if (--s->open_handles > 0)
        return;
    pthread_mutex_lock(&s->lock);
    list_for_each(node, &s->lanes)
        abandoned++;
    pthread_mutex_unlock(&s->lock);
    if (abandoned == 0)
        scan_free(s);
    listener->stopped(listener, abandoned);
}

static void on_timer_closed(uv_handle_t *h)
{
    on_handle_closed(container_of((uv_timer_t *)h, struct scan, grace));
}

static void on_mailbox_closed(struct mailbox *m)
{
    on_handle_closed(container_of(m, struct scan, mailbox));
}

static void finish(struct scan *s)
{
    if (s->is_finishing)
        return;
    s->is_finishing = true;
    pthread_mutex_lock(&s->lock);
    s->is_closed = true;
    pthread_mutex_unlock(&s->lock);
    s->open_handles = 2;
    uv_close((uv_handle_t *)&s->grace, on_timer_closed);
    mailbox_close(&s->mailbox, on_mailbox_closed); /* joins those that have said goodbye */
    pthread_mutex_lock(&s->lock);
    list_for_each(node, &s->lanes)
        pthread_detach(list_entry(node, struct lane, link)->thread);
    pthread_mutex_unlock(&s->lock);
}

static void on_grace_over(uv_timer_t *timer)
{
    finish(container_of(timer, struct scan, grace));
}

void scan_lane_ended(struct lane *l)
{
    struct scan *s = l->scan;

    pthread_mutex_lock(&s->lock);
    list_remove(&l->link);
    bool is_last = list_is_empty(&s->lanes);
    pthread_mutex_unlock(&s->lock);
    lane_join(l);
    if (is_last && atomic_load(&s->stop))
        finish(s);
}

void scan_stop(struct scan *s)
{
    atomic_store(&s->stop, true);
    wake_all(s);
    pthread_mutex_lock(&s->lock);
    bool is_idle = list_is_empty(&s->lanes);
    pthread_mutex_unlock(&s->lock);
    if (is_idle) {
        finish(s);
        return;
    }
    uv_update_time(s->options.loop); /* the loop's idea of now may be older than the grace */
    uv_timer_start(&s->grace, on_grace_over, (uint64_t)s->options.grace_ms, 0);
}
