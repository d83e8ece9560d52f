/*
 * gather - the axes of the view are put into the order of their strides, longest first; then the
 * elements come in ascending places of the file, and a window over it moves forward only. Views
 * whose axes overlap (as_strided) may step back by less than a window now and then.
 */
#include "engine/gather.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/fdio.h"

enum { WINDOW = 1 << 20 };

struct axis {
    int64_t length;
    int64_t from; /* bytes from one element to the next in the file */
    int64_t to;   /* in the result */
};

struct gathering {
    const struct shard *shard;
    const struct candidate *candidate;
    const struct view *view;
    const atomic_bool *cancel;
    struct axis axes[LAYOUT_RANK_MAX];
    char *out;
    char *window;
    int64_t begin, end; /* of the window, bytes from the first element */
};

static void sort_axes(struct gathering *g)
{
    const struct view *v = g->view;
    int64_t to = (int64_t)v->element_bytes;

    for (size_t d = v->rank; d-- > 0;) {
        struct axis a = { v->shape[d], v->stride[d] * (int64_t)v->element_bytes, to };
        size_t i = d;
        to *= v->shape[d];
        for (; i + 1 < v->rank && g->axes[i + 1].from > a.from; i++)
            g->axes[i] = g->axes[i + 1];
        g->axes[i] = a;
    }
}

static int move_window(struct gathering *g, int64_t begin, struct sewa_error *err)
{
    const struct view *v = g->view;
    int64_t left = v->span_bytes - begin;
    size_t want = left < WINDOW ? (size_t)left : WINDOW;

    if (g->cancel && atomic_load_explicit(g->cancel, memory_order_relaxed))
        return sewa_fail(err, SEWA_E_CANCELLED, "cancelled");
    ssize_t n = failpoint_errno("gather_read")
                    ? -1
                    : pread_full(g->shard->fd, g->window, want, v->offset + begin);
    if (n < 0)
        return candidate_read_failed(g->candidate, g->shard, v->offset + begin, err);
    if ((size_t)n < want)
        return candidate_cut_short(g->candidate, g->shard, v->offset + begin + n, err);
    g->begin = begin;
    g->end = begin + (int64_t)want;
    return 0;
}

/* The innermost axis. */
static int gather_run(struct gathering *g, int64_t from, char *to, struct sewa_error *err)
{
    const struct axis *a = &g->axes[g->view->rank - 1];
    size_t size = g->view->element_bytes;

    for (int64_t i = 0; i < a->length; i++, from += a->from, to += a->to) {
        if (from < g->begin || from + (int64_t)size > g->end) {
            int rc = move_window(g, from, err);
            if (rc < 0)
                return rc;
        }
        const char *x = g->window + (from - g->begin);
        switch (size) {
        case 1: *to = *x; break;
        case 2: memcpy(to, x, 2); break;
        case 4: memcpy(to, x, 4); break;
        default: memcpy(to, x, 8); break;
        }
    }
    return 0;
}

static int gather_all(struct gathering *g, struct sewa_error *err)
{
    int64_t index[LAYOUT_RANK_MAX] = { 0 };
    int64_t from = 0, to = 0;

    for (;;) {
        int rc = gather_run(g, from, g->out + to, err);
        if (rc < 0)
            return rc;
        size_t d = g->view->rank - 1; /* the next run: count up the axes outside of it */
        for (; d > 0; d--) {
            struct axis *a = &g->axes[d - 1];
            from += a->from;
            to += a->to;
            if (++index[d - 1] < a->length)
                break;
            from -= a->from * a->length;
            to -= a->to * a->length;
            index[d - 1] = 0;
        }
        if (d == 0)
            return 0;
    }
}

int gather(const struct shard *shard, const struct candidate *c, const struct view *v, void *out,
           const atomic_bool *cancel, struct sewa_error *err)
{
    AUTOFREE char *window = malloc(WINDOW);
    struct gathering g = {
        .shard = shard, .candidate = c, .view = v, .cancel = cancel, .out = out, .window = window
    };

    if (!window)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to gather a tensor of checkpoint '%s'",
                         c->id);
    sort_axes(&g);
    return gather_all(&g, err);
}
