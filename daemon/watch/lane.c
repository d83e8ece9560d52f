/*
 * lane - one scan thread.
 *
 * A lane takes commands, does what is most urgent, and sleeps until something is due. It ends when
 * it has no directories left, or when the service ends. One that was left behind because it hung in
 * a file system finds the door closed when it comes back, and ends without a word.
 */
#include "watch/lane.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "metrics/metrics.h"
#include "watch/mounts.h"

enum {
    BATCH_REPORTS = 64,
    UNREAD_MAX = 8, /* batches on their way before the thread waits for the loop */
};

struct batch {
    struct post post;
    struct lane *lane;
    size_t count;
    struct report reports[BATCH_REPORTS];
};

void seat_free(struct seat *seat)
{
    target_free(seat->target);
    free(seat);
    metric_move(METRIC_WATCH_DIRECTORIES, -1);
}

void lane_push(struct lane *l, struct command *c)
{
    list_append(&l->commands, &c->link);
    pthread_cond_signal(&l->wake);
}

void lane_give(struct lane *l, struct seat *seat)
{
    seat->lane = l;
    seat->take.kind = COMMAND_TAKE;
    seat->take.seat = seat;
    lane_push(l, &seat->take);
}

/* ---- reports ---- */

static void free_batch(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        report_clear(&b->reports[i]);
    free(b);
}

/* On the loop. The lane is still there: its goodbye comes behind its batches. */
static void deliver(struct post *post)
{
    struct batch *b = container_of(post, struct batch, post);
    struct lane *l = b->lane;
    struct scan *s = l->scan;

    if (!atomic_load(&s->stop))
        s->options.listener->reports(s->options.listener, b->reports, b->count);
    free_batch(b);
    pthread_mutex_lock(&s->lock);
    l->unread--;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&s->lock);
}

static void flush(struct lane *l)
{
    struct scan *s = l->scan;
    struct batch *b = TAKE(l->batch);

    if (!b)
        return;
    pthread_mutex_lock(&s->lock);
    while ((l->unread >= UNREAD_MAX || s->is_held) && !atomic_load(&s->stop))
        pthread_cond_wait(&l->wake, &s->lock);
    bool is_closed = s->is_closed;
    if (!is_closed) {
        l->unread++;
        mailbox_post(&s->mailbox, &b->post);
    }
    pthread_mutex_unlock(&s->lock);
    if (is_closed)
        free_batch(b);
}

static int put(struct report_sink *sink, struct report *r)
{
    struct lane *l = container_of(sink, struct lane, sink);

    if (!l->batch) {
        l->batch = calloc(1, sizeof *l->batch);
        if (!l->batch)
            return -1;
        l->batch->lane = l;
        l->batch->post.deliver = deliver;
    }
    l->batch->reports[l->batch->count++] = *r;
    if (l->batch->count == BATCH_REPORTS)
        flush(l);
    return 0;
}

/* ---- commands ---- */

static void obey(struct lane *l, struct command *c)
{
    struct seat *seat = c->seat;

    list_remove(&c->link);
    switch (c->kind) {
    case COMMAND_TAKE: list_append(&l->seats, &seat->in_lane); return; /* the command is in it */
    case COMMAND_REMOVE:
        list_remove(&seat->in_lane);
        seat_free(seat);
        break;
    case COMMAND_SCAN: target_ask(seat->target); break;
    case COMMAND_HINT: target_hint(seat->target, c->name, &l->sink); break;
    }
    free(c->name);
    free(c);
}

static void obey_all(struct lane *l, struct list *commands)
{
    while (!list_is_empty(commands))
        obey(l, list_entry(commands->next, struct command, link));
    flush(l);
}

/* ---- work ---- */

/* The directory that is due first; its time in *ret_due, INT64_MAX when there is none. */
static struct seat *most_urgent(const struct lane *l, int64_t *ret_due)
{
    int64_t interval_ms = atomic_load(&l->scan->interval_ms);
    struct seat *first = NULL;

    *ret_due = INT64_MAX;
    list_for_each(node, &l->seats) {
        struct seat *seat = list_entry(node, struct seat, in_lane);
        int64_t due = target_due_ms(seat->target, interval_ms);
        if (due < *ret_due) {
            *ret_due = due;
            first = seat;
        }
    }
    return first;
}

/* A command that waits may mean a directory that would leave now: then it stays for the moment. */
static void move_seat(struct lane *l, struct seat *seat, const char *mount)
{
    struct scan *s = l->scan;

    pthread_mutex_lock(&s->lock);
    struct lane *other = list_is_empty(&l->commands) ? lane_for(s, mount, NULL) : NULL;
    if (other) {
        list_remove(&seat->in_lane);
        lane_give(other, seat);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Give directories to the lane of their mount, when something has been mounted or unmounted. */
static void move_seats(struct lane *l)
{
    AUTO(mounts_clear) struct mounts m = { 0 };

    l->mounts_read_ms = clock_monotonic_ms();
    if (mounts_read(l->scan->mountinfo, &m, NULL) < 0)
        return; /* where they are is not wrong, only less separate */
    list_for_each_safe(node, &l->seats) {
        struct seat *seat = list_entry(node, struct seat, in_lane);
        const char *mount = mounts_find(&m, target_spec_of(seat->target)->path);
        if (strcmp(mount, l->mount) != 0)
            move_seat(l, seat, mount);
    }
}

static void work(struct lane *l)
{
    int64_t due_ms;

    if (clock_monotonic_ms() - l->mounts_read_ms >= l->scan->options.mounts_ms)
        move_seats(l);
    struct seat *seat = most_urgent(l, &due_ms);
    if (seat && due_ms <= clock_monotonic_ms())
        target_run(seat->target, atomic_load(&l->scan->interval_ms), &l->sink);
    flush(l);
}

/* ---- the thread ---- */

static void sleep_until(struct lane *l, int64_t due_ms)
{
    struct timespec t = { .tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000 };

    if (due_ms == INT64_MAX)
        pthread_cond_wait(&l->wake, &l->scan->lock);
    else
        pthread_cond_timedwait(&l->wake, &l->scan->lock, &t);
}

/*
 * Sleep until there are commands (moved to the list), a directory is due, or it is over (false). A
 * new interval wakes the lane as well, and then what is due is asked again.
 */
static bool next(struct lane *l, struct list *ret_commands)
{
    struct scan *s = l->scan;
    int64_t due_ms;

    (void)most_urgent(l, &due_ms);
    pthread_mutex_lock(&s->lock);
    if (!atomic_load(&s->stop) && list_is_empty(&l->commands) && !list_is_empty(&l->seats) &&
        due_ms > clock_monotonic_ms())
        sleep_until(l, due_ms);
    bool is_over = atomic_load(&s->stop) ||
                   (list_is_empty(&l->commands) && list_is_empty(&l->seats));
    l->is_leaving = is_over;
    while (!is_over && !list_is_empty(&l->commands)) {
        struct list *node = l->commands.next;
        list_remove(node);
        list_append(ret_commands, node);
    }
    pthread_mutex_unlock(&s->lock);
    return !is_over;
}

/* Commands that came too late, and the directories that are left when the service ends. */
static void clear(struct lane *l)
{
    struct scan *s = l->scan;
    struct list seats, commands;

    list_init(&seats);
    list_init(&commands);
    pthread_mutex_lock(&s->lock);
    while (!list_is_empty(&l->commands)) {
        struct list *node = l->commands.next;
        list_remove(node);
        list_append(&commands, node);
    }
    pthread_mutex_unlock(&s->lock);
    list_for_each_safe(node, &commands) {
        struct command *c = list_entry(node, struct command, link);
        list_remove(node);
        if (c->kind == COMMAND_TAKE) {
            list_append(&l->seats, &c->seat->in_lane);
        } else {
            free(c->name);
            free(c);
        }
    }
    list_for_each_safe(node, &l->seats) {
        struct seat *seat = list_entry(node, struct seat, in_lane);
        list_remove(node);
        pthread_mutex_lock(&s->lock);
        list_remove(&seat->in_scan);
        pthread_mutex_unlock(&s->lock);
        seat_free(seat);
    }
}

static void on_goodbye(struct post *post)
{
    scan_lane_ended(container_of(post, struct lane, goodbye));
}

static void *lane_main(void *arg)
{
    struct lane *l = arg;
    struct scan *s = l->scan;
    struct list commands;

    list_init(&commands);
    while (next(l, &commands)) {
        obey_all(l, &commands);
        work(l);
    }
    clear(l);
    pthread_mutex_lock(&s->lock);
    if (!s->is_closed) {
        l->goodbye.deliver = on_goodbye;
        mailbox_post(&s->mailbox, &l->goodbye);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- life ---- */

static void lane_free(struct lane *l)
{
    pthread_cond_destroy(&l->wake);
    free(l->mount);
    free(l);
}

static struct lane *lane_new(struct scan *s, const char *mount)
{
    struct lane *l = calloc(1, sizeof *l);
    pthread_condattr_t monotonic;

    if (!l)
        return NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&l->commands);
    list_init(&l->seats);
    l->scan = s;
    l->sink.put = put;
    l->sink.stop = &s->stop;
    l->mounts_read_ms = clock_monotonic_ms();
    l->mount = strdup(mount);
    if (l->mount)
        return l;
    lane_free(l);
    return NULL;
}

/* Signals are for the loop. */
static int start_thread(struct lane *l)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&l->thread, NULL, lane_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_setname_np(l->thread, "scan");
    return rc;
}

struct lane *lane_for(struct scan *s, const char *mount, struct sewa_error *err)
{
    list_for_each(node, &s->lanes) {
        struct lane *l = list_entry(node, struct lane, link);
        if (!l->is_leaving && strcmp(l->mount, mount) == 0)
            return l;
    }
    struct lane *l = lane_new(s, mount);
    if (!l) {
        sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to scan '%s'", mount);
        return NULL;
    }
    int rc = start_thread(l);
    if (rc != 0) {
        sewa_fail(err, SEWA_E_UNAVAILABLE, "no thread to scan '%s': %s", mount, strerror(rc));
        lane_free(l);
        return NULL;
    }
    list_append(&s->lanes, &l->link);
    metric_move(METRIC_WATCH_THREADS, 1);
    return l;
}

void lane_join(struct lane *l)
{
    pthread_join(l->thread, NULL);
    metric_move(METRIC_WATCH_THREADS, -1);
    lane_free(l);
}
