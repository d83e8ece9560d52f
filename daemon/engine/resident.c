/*
 * resident - one anonymous mapping with a row for each candidate. The files are cut into segments
 * that threads share out; a segment is read in steps that stay in the second-level cache, so that
 * looking for values that are not finite costs no second pass over memory.
 */
#include "engine/resident.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/activity.h"
#include "base/failpoint.h"
#include "engine/pages.h"

enum {
    SEGMENT = 32 << 20, /* bytes of tensors: an item of work */
    STEP = 256 << 10,   /* bytes in one read */
    PARTS_MAX = 64,     /* tensors in one read */
};

struct resident {
    struct source source;
    const struct engine *engine;
    struct roster *roster;
    char *rows;
    int64_t map_bytes;
    int64_t data_bytes; /* of all candidates' tensors, without padding */
    struct nonfinite *nonfinite;
    size_t nonfinite_count;
};

/* A tensor of a candidate that does not lie in C order. */
struct place {
    uint32_t candidate, tensor;
};

/* While the files are read. */
struct reading {
    struct pool_task task;
    struct resident *resident;
    const atomic_bool *cancel;
    struct progress *progress;
    size_t segments;   /* of one candidate, at most: the first items */
    struct buf places; /* of struct place: the items behind them */
    atomic_int_least64_t done_bytes;
    pthread_mutex_t lock;
    struct buf found; /* of struct nonfinite, in any order, several for a tensor; under lock */
};

/* Bytes that follow one another in a file and go to tensors. */
struct step {
    int64_t offset; /* in the file */
    size_t bytes;
    int count;
    struct iovec vector[PARTS_MAX];
    uint32_t tensor[PARTS_MAX];
};

/* ---- from bytes of a file to steps ---- */

struct cursor {
    const struct model *model;
    const struct roster_entry *entry;
    char *row;
    size_t i;     /* in the order of the file */
    int64_t from; /* byte of that tensor */
    int64_t end;  /* of the segment, as a position among all bytes of tensors */
};

/* Where a segment that begins or ends inside a tensor cuts it: never inside an element. */
static int64_t cut(int64_t position, int64_t tensor_begin, int64_t tensor_bytes)
{
    int64_t at = position - tensor_begin;
    int64_t up = (at + MODEL_ALIGNMENT - 1) / MODEL_ALIGNMENT * MODEL_ALIGNMENT;

    return up < tensor_bytes ? up : tensor_bytes;
}

static int64_t bytes_at(const struct placement *p, size_t i)
{
    return p->position[i + 1] - p->position[i];
}

static struct cursor cursor_at(struct resident *r, size_t candidate, size_t segment)
{
    const struct model *m = r->roster->model;
    const struct placement *p = r->roster->entries[candidate].placement;
    int64_t begin = (int64_t)segment * SEGMENT;
    struct cursor c = { .model = m, .entry = &r->roster->entries[candidate] };
    size_t high = m->count;

    while (high - c.i > 1) { /* the last tensor that begins at or before the segment */
        size_t middle = c.i + (high - c.i) / 2;
        if (p->position[middle] <= begin)
            c.i = middle;
        else
            high = middle;
    }
    c.row = r->rows + (int64_t)candidate * m->row_bytes;
    c.from = cut(begin, p->position[c.i], bytes_at(p, c.i));
    c.end = begin + SEGMENT < p->position[m->count] ? begin + SEGMENT : p->position[m->count];
    return c;
}

/* What is left of the tensor under the cursor within the segment; moves past finished tensors. */
static int64_t cursor_left(struct cursor *c)
{
    const struct placement *p = c->entry->placement;

    for (; c->i < c->model->count && p->position[c->i] < c->end; c->i++, c->from = 0) {
        int64_t to = cut(c->end, p->position[c->i], bytes_at(p, c->i));
        if (to > c->from)
            return to - c->from;
    }
    return 0;
}

/* The next step; false when the segment has ended. */
static bool step_next(struct cursor *c, struct step *s)
{
    const struct placement *p = c->entry->placement;
    int64_t left;

    s->count = 0;
    s->bytes = 0;
    while (s->count < PARTS_MAX && s->bytes < STEP && (left = cursor_left(c)) > 0) {
        uint32_t t = p->order[c->i];
        int64_t offset = c->entry->data_begin + p->offset[t] + c->from;
        int64_t room = (int64_t)(STEP - s->bytes);
        if (s->count == 0)
            s->offset = offset;
        if (offset != s->offset + (int64_t)s->bytes)
            break; /* a hole in the file */
        if (left > room)
            left = room - room % MODEL_ALIGNMENT;
        if (left == 0)
            break;
        s->vector[s->count].iov_base = c->row + c->model->tensors[t].row_offset + c->from;
        s->vector[s->count].iov_len = (size_t)left;
        s->tensor[s->count++] = t;
        s->bytes += (size_t)left;
        c->from += left;
    }
    return s->count > 0;
}

/* ---- reading ---- */

/* The whole vector; bytes read, short only at the end of the file, or -1 with errno. */
static ssize_t preadv_full(int fd, const struct step *s)
{
    struct iovec vector[PARTS_MAX];
    int first = 0;
    size_t done = 0;

    memcpy(vector, s->vector, (size_t)s->count * sizeof vector[0]);
    while (done < s->bytes) {
        if (failpoint_errno("resident_read"))
            return -1;
        ssize_t n =
            preadv(fd, vector + first, s->count - first, (off_t)(s->offset + (int64_t)done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
        activity_moved();
        for (; first < s->count && (size_t)n >= vector[first].iov_len; first++)
            n -= (ssize_t)vector[first].iov_len;
        if (first < s->count) {
            vector[first].iov_base = (char *)vector[first].iov_base + n;
            vector[first].iov_len -= (size_t)n;
        }
    }
    return (ssize_t)done;
}

static void remember(struct reading *r, size_t candidate, uint32_t tensor, size_t count)
{
    struct nonfinite entry = { (uint32_t)candidate, tensor, (int64_t)count };

    pthread_mutex_lock(&r->lock);
    buf_append(&r->found, &entry, sizeof entry);
    pthread_mutex_unlock(&r->lock);
}

static void look_for_nonfinite(struct reading *r, size_t candidate, uint32_t tensor,
                               const void *values, size_t bytes)
{
    const struct model_tensor *t = &r->resident->roster->model->tensors[tensor];
    size_t count = nonfinite_count(r->resident->engine->kernels, t, values, bytes);

    if (count > 0)
        remember(r, candidate, tensor, count);
}

static void tell_progress(struct reading *r, int64_t bytes, unsigned thread)
{
    int64_t done = atomic_fetch_add(&r->done_bytes, bytes) + bytes;

    if (thread == 0)
        progress_tell(r->progress, done, r->resident->data_bytes);
}

/* A view, whole: where it lies in the file says nothing about where its parts go. */
static int read_view(struct reading *r, const struct place *place, unsigned thread,
                     struct sewa_error *err)
{
    const struct roster *roster = r->resident->roster;
    const struct model_tensor *t = &roster->model->tensors[place->tensor];
    char *row = r->resident->rows + place->candidate * roster->model->row_bytes + t->row_offset;
    size_t bytes = (size_t)t->elements * model_element_bytes(t);
    int rc = roster_gather(roster, place->candidate, place->tensor, row, r->cancel, err);

    if (rc < 0)
        return rc;
    look_for_nonfinite(r, place->candidate, place->tensor, row, bytes);
    tell_progress(r, (int64_t)bytes, thread);
    return 0;
}

static int read_segment(struct reading *r, size_t candidate, size_t segment, unsigned thread,
                        struct sewa_error *err)
{
    struct cursor cursor = cursor_at(r->resident, candidate, segment);
    const struct candidate *c = cursor.entry->candidate;
    struct step step;

    while (step_next(&cursor, &step)) {
        if (r->cancel && atomic_load_explicit(r->cancel, memory_order_relaxed))
            return sewa_fail(err, SEWA_E_CANCELLED, "cancelled");
        const struct shard *shard = shards_at(&cursor.entry->shards, step.offset, &step.offset);
        ssize_t n = preadv_full(shard->fd, &step);
        if (n < 0)
            return candidate_read_failed(c, shard, step.offset, err);
        if ((size_t)n < step.bytes)
            return candidate_cut_short(c, shard, step.offset + n, err);
        for (int i = 0; i < step.count; i++)
            look_for_nonfinite(r, candidate, step.tensor[i], step.vector[i].iov_base,
                               step.vector[i].iov_len);
        tell_progress(r, n, thread);
    }
    return 0;
}

static int read_item(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err)
{
    struct reading *r = container_of(task, struct reading, task);
    size_t segments = r->segments * r->resident->roster->count;

    if (item < segments)
        return read_segment(r, item / r->segments, item % r->segments, thread, err);
    const struct place *places = (const struct place *)(const void *)r->places.data;
    return read_view(r, &places[item - segments], thread, err);
}

static void list_views(struct reading *r)
{
    const struct roster *roster = r->resident->roster;

    for (uint32_t i = 0; i < roster->count; i++)
        for (uint32_t t = 0; roster->entries[i].placement->stride && t < roster->model->count; t++)
            if (roster_is_view(roster, i, t))
                buf_append(&r->places, &(struct place){ i, t }, sizeof(struct place));
}

/* ---- what was found ---- */

static int compare_nonfinite(const void *a, const void *b)
{
    const struct nonfinite *x = a, *y = b;

    if (x->candidate != y->candidate)
        return x->candidate < y->candidate ? -1 : 1;
    return x->tensor == y->tensor ? 0 : x->tensor < y->tensor ? -1 : 1;
}

/* One entry for each tensor, in order. */
static int collect_nonfinite(struct resident *r, struct buf *found, struct sewa_error *err)
{
    if (buf_failed(found))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list values that are not finite");
    size_t n = found->len / sizeof(struct nonfinite), kept = 0;
    if (n == 0)
        return 0;
    struct nonfinite *list = r->nonfinite = (struct nonfinite *)(void *)buf_take(found);
    qsort(list, n, sizeof list[0], compare_nonfinite);
    for (size_t i = 1; i < n; i++) {
        if (compare_nonfinite(&list[kept], &list[i]) == 0)
            list[kept].count += list[i].count;
        else
            list[++kept] = list[i];
    }
    r->nonfinite_count = kept + 1;
    return 0;
}

static int refuse_nonfinite(const struct resident *r, struct sewa_error *err)
{
    return r->nonfinite_count == 0
               ? 0
               : nonfinite_refuse(r->roster, &r->nonfinite[0], r->nonfinite_count - 1, err);
}

/* ---- open ---- */

static int fetch(struct source *s, const struct piece *piece, const uint32_t *which, size_t count,
                 unsigned thread, const void **x, struct sewa_error *err)
{
    const struct resident *r = container_of(s, struct resident, source);
    const struct model *m = r->roster->model;
    const struct model_tensor *t = &m->tensors[piece->tensor];
    const char *first = r->rows + t->row_offset + piece->first * (int64_t)model_element_bytes(t);

    (void)thread;
    (void)err;
    for (size_t i = 0; i < count; i++)
        x[i] = first + (int64_t)which[i] * m->row_bytes;
    return 0;
}

static int map_rows(struct resident *r, int64_t budget, struct sewa_error *err)
{
    const struct model *m = r->roster->model;
    int64_t bytes;

    if (__builtin_mul_overflow(m->row_bytes, (int64_t)r->roster->count, &bytes))
        bytes = INT64_MAX;
    bytes = pages_bytes(bytes);
    if (budget > 0 && bytes > budget)
        return sewa_fail(err, SEWA_E_NO_MEMORY,
                         "%zu checkpoints need %" PRId64 " bytes of memory, the budget is %" PRId64
                         " bytes",
                         r->roster->count, bytes, budget);
    r->rows = failpoint_errno("resident_map") ? NULL : pages_map(bytes);
    if (!r->rows)
        return sewa_fail_errno(err, SEWA_E_NO_MEMORY,
                               "cannot get %" PRId64 " bytes of memory for %zu checkpoints", bytes,
                               r->roster->count);
    r->map_bytes = bytes;
    return 0;
}

static int read_all(struct resident *r, const struct resident_options *o, struct sewa_error *err)
{
    const struct roster *roster = r->roster;
    struct reading reading = {
        .task.run = read_item,
        .resident = r,
        .cancel = o->cancel,
        .progress = o->progress,
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    int rc = 0;

    for (size_t i = 0; i < roster->count; i++) {
        const struct placement *p = roster->entries[i].placement;
        size_t segments = (size_t)((p->position[roster->model->count] + SEGMENT - 1) / SEGMENT);
        reading.segments = segments > reading.segments ? segments : reading.segments;
        r->data_bytes += p->position[roster->model->count] + p->view_bytes;
    }
    list_views(&reading);
    if (buf_failed(&reading.places))
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list views of tensors");
    size_t views = reading.places.len / sizeof(struct place);
    if (rc == 0)
        rc = pool_run(r->engine->pool, &reading.task, reading.segments * roster->count + views,
                      o->cancel, err);
    if (rc == 0)
        rc = collect_nonfinite(r, &reading.found, err);
    if (rc == 0)
        progress_tell(o->progress, r->data_bytes, r->data_bytes);
    buf_clear(&reading.found);
    buf_clear(&reading.places);
    pthread_mutex_destroy(&reading.lock);
    return rc;
}

/* A file that changed while it was read may hold anything, NaNs included: say that first. */
static int verify_all(struct resident *r, const atomic_bool *cancel, struct sewa_error *err)
{
    AUTOFREE uint32_t *which = calloc(r->roster->count, sizeof *which);

    if (!which)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu checkpoints", r->roster->count);
    for (size_t i = 0; i < r->roster->count; i++)
        which[i] = (uint32_t)i;
    return roster_verify(r->engine, r->roster, which, r->roster->count, cancel, err);
}

int resident_open(const struct engine *e, const struct resident_options *o, struct resident **ret,
                  struct sewa_error *err)
{
    AUTOPTR(resident_close) struct resident *r = calloc(1, sizeof *r);

    if (!r)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu checkpoints", o->count);
    r->engine = e;
    int rc = roster_open(e, o->candidates, o->count, o->cancel, &r->roster, err);
    if (rc < 0)
        return rc;
    const struct roster *roster = r->roster;
    r->source = (struct source){ .roster = roster, .fetch = fetch };
    rc = map_rows(r, o->memory_budget_bytes, err);
    if (rc == 0)
        rc = read_all(r, o, err);
    if (rc == 0)
        rc = verify_all(r, o->cancel, err);
    if (rc == 0 && !o->allow_nonfinite)
        rc = refuse_nonfinite(r, err);
    if (rc < 0)
        return rc;
    roster_close_files(r->roster);
    *ret = TAKE(r);
    return 0;
}

void resident_close(struct resident *r)
{
    if (!r)
        return;
    pages_unmap(r->rows, r->map_bytes);
    roster_close(r->roster);
    free(r->nonfinite);
    free(r);
}

struct source *resident_source(struct resident *r)
{
    return &r->source;
}

const struct model *resident_model(const struct resident *r)
{
    return r->roster->model;
}

int64_t resident_bytes_read(const struct resident *r)
{
    return r->data_bytes;
}

int64_t resident_memory_bytes(const struct resident *r)
{
    return r->map_bytes;
}

const struct nonfinite *resident_nonfinite(const struct resident *r, size_t *ret_count)
{
    *ret_count = r->nonfinite_count;
    return r->nonfinite;
}
