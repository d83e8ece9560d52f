/*
 * hint - what the file system tells by itself.
 */
#include "watch/hint.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "metrics/metrics.h"

enum {
    DELAY_MS = 100,
    NAMES_MAX = 16, /* more names in one delay are worth a scan */
};

/* A watched directory. */
struct spot {
    struct list link;
    struct hint *hint;
    uint64_t id;
    uv_fs_event_t event;
    char *names[NAMES_MAX]; /* that have changed since the timer was started */
    size_t count;
    bool is_any; /* something has changed, and it is not known what */
};

struct hint {
    struct hint_listener *listener;
    uv_loop_t *loop;
    int64_t delay_ms;
    uv_timer_t timer;
    struct list spots;
    unsigned open_handles;
    bool was_unavailable;
};

static void handle_closed(struct hint *h)
{
    struct hint_listener *listener = h->listener;

    if (--h->open_handles > 0)
        return;
    free(h);
    listener->closed(listener);
}

static void forget_names(struct spot *s)
{
    while (s->count > 0)
        free(s->names[--s->count]);
    s->is_any = false;
}

static void on_spot_closed(uv_handle_t *handle)
{
    struct spot *s = container_of((uv_fs_event_t *)handle, struct spot, event);
    struct hint *h = s->hint;

    forget_names(s);
    free(s);
    handle_closed(h);
}

static void close_spot(struct spot *s)
{
    list_remove(&s->link);
    uv_close((uv_handle_t *)&s->event, on_spot_closed);
}

/* ---- changes ---- */

static void tell(struct spot *s)
{
    struct hint_listener *l = s->hint->listener;

    metric_add(METRIC_HINTS, s->is_any ? 1 : s->count);
    if (s->is_any)
        l->changed(l, s->id, NULL);
    for (size_t i = 0; i < s->count && !s->is_any; i++)
        l->changed(l, s->id, s->names[i]);
    forget_names(s);
}

static void on_delay_over(uv_timer_t *timer)
{
    struct hint *h = container_of(timer, struct hint, timer);

    list_for_each_safe(node, &h->spots) {
        struct spot *s = list_entry(node, struct spot, link);
        if (s->is_any || s->count > 0)
            tell(s);
    }
}

static void collect(struct spot *s, const char *name)
{
    if (s->is_any)
        return;
    for (size_t i = 0; name && i < s->count; i++)
        if (strcmp(s->names[i], name) == 0)
            return;
    char *copy = name && s->count < NAMES_MAX ? strdup(name) : NULL;
    if (copy)
        s->names[s->count++] = copy;
    else
        s->is_any = true; /* too many, or no memory: then all is looked at */
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct spot *s = container_of(event, struct spot, event);
    struct hint *h = s->hint;

    (void)events;
    collect(s, status < 0 ? NULL : name);
    if (!uv_is_active((uv_handle_t *)&h->timer))
        uv_timer_start(&h->timer, on_delay_over, (uint64_t)h->delay_ms, 0);
}

/* ---- life ---- */

int hint_open(uv_loop_t *loop, struct hint_listener *listener, int64_t delay_ms, struct hint **ret,
              struct sewa_error *err)
{
    struct hint *h = calloc(1, sizeof *h);

    if (!h)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for hints of the file system");
    h->listener = listener;
    h->loop = loop;
    h->delay_ms = delay_ms > 0 ? delay_ms : DELAY_MS;
    list_init(&h->spots);
    uv_timer_init(loop, &h->timer); /* cannot fail */
    h->open_handles = 1;
    *ret = h;
    return 0;
}

static struct spot *find(struct hint *h, uint64_t id)
{
    list_for_each(node, &h->spots) {
        struct spot *s = list_entry(node, struct spot, link);
        if (s->id == id)
            return s;
    }
    return NULL;
}

/* A directory that has just gone is no reason to complain: the next scan will. */
static void tell_unavailable(struct hint *h, const char *path, int status)
{
    struct sewa_error err = { 0 };

    if (h->was_unavailable || status == UV_ENOENT || status == UV_ENOTDIR)
        return;
    h->was_unavailable = true;
    sewa_fail(&err, SEWA_E_UNAVAILABLE, "no hints for '%s': %s", path, uv_strerror(status));
    h->listener->unavailable(h->listener, &err);
}

int hint_watch(struct hint *h, uint64_t id, const char *path, struct sewa_error *err)
{
    struct spot *s = calloc(1, sizeof *s);

    if (!s)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for hints of '%s'", path);
    hint_forget(h, id);
    s->hint = h;
    s->id = id;
    uv_fs_event_init(h->loop, &s->event); /* cannot fail */
    h->open_handles++;
    list_append(&h->spots, &s->link);
    int status = uv_fs_event_start(&s->event, on_event, path, 0);
    if (status == 0)
        return 1;
    tell_unavailable(h, path, status);
    close_spot(s);
    return 0;
}

void hint_forget(struct hint *h, uint64_t id)
{
    struct spot *s = find(h, id);

    if (s)
        close_spot(s);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(container_of((uv_timer_t *)handle, struct hint, timer));
}

void hint_close(struct hint *h)
{
    list_for_each_safe(node, &h->spots)
        close_spot(list_entry(node, struct spot, link));
    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}
