/*
 * api - opening, closing, and the clock of what handlers share.
 */
#include "http/api.h"

#include <string.h>

#include "base/clock.h"
#include "http/api_body.h"

enum { TICK_MS = 200 };

static void on_job_changed(struct jobs_watcher *w, const char *uid)
{
    struct api *a = container_of(w, struct api, watcher);

    job_cache_drop(a, uid);
    waiters_changed(a, uid);
}

static void on_tick(uv_timer_t *t)
{
    struct api *a = container_of(t, struct api, tick);

    waiters_tick(a, clock_monotonic_ms());
    followers_tick(a);
}

int api_open(const struct api_options *o, struct api **ret, struct sewa_error *err)
{
    struct api *a = calloc(1, sizeof *a);

    if (!a)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the API");
    a->o = *o;
    list_init(&a->waiters);
    list_init(&a->followers);
    a->watcher.changed = on_job_changed;
    jobs_watch(o->jobs, &a->watcher);
    uv_timer_init(o->loop, &a->tick);
    uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    *ret = a;
    return 0;
}

void api_drain(struct api *a)
{
    a->draining = true;
}

void api_configure(struct api *a, const char *const *allowed_roots, int64_t settle_ms)
{
    a->o.allowed_roots = allowed_roots;
    a->o.settle_ms = settle_ms;
}

static void on_tick_closed(uv_handle_t *h)
{
    free(container_of((uv_timer_t *)h, struct api, tick));
}

void api_close(struct api *a)
{
    jobs_unwatch(&a->watcher);
    for (size_t i = 0; i < JOB_CACHE_SIZE; i++)
        if (a->cache[i].response)
            MHD_destroy_response(a->cache[i].response);
    uv_close((uv_handle_t *)&a->tick, on_tick_closed);
}
