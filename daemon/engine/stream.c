/*
 * stream - one block of scratch memory for each thread, with a row for each candidate.
 *
 * A read first takes what the page cache has (RWF_NOWAIT) and only then waits for the rest. So the
 * reads themselves say which files are cold, and only for those the kernel is asked to read ahead:
 * for a file that is in the page cache, asking would cost more than it could gain.
 */
#include "engine/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "engine/footprint.h"
#include "engine/nonfinite.h"
#include "engine/pages.h"

enum {
    /* The kernel cuts a longer wish down to what its device likes, and says nothing. */
    ADVICE_BYTES = 128 << 10,
    /* Pieces for which a file counts as cold after a read that had to wait. */
    COLD_PIECES = 64,
};

struct file_state {
    atomic_int cold;          /* pieces for which to read ahead; falls with each that was there */
    atomic_bool cannot_probe; /* the file system has no RWF_NOWAIT */
    atomic_uchar *fetched;    /* a bit for each chunk: the piece that begins there came from disk
                                 and is to be dropped; NULL: nothing is */
};

struct stream {
    struct source source;
    const struct engine *engine;
    struct roster *roster;
    const atomic_bool *cancel;
    bool allow_nonfinite;
    struct file_state *files;
    atomic_uchar *bits;
    char *scratch;
    int64_t scratch_bytes;
    size_t thread_bytes;
    int64_t row_bytes; /* from one candidate to the next */
    char **views; /* candidates x tensors: gathered, behind the scratch; NULL: there are none */
    atomic_int_least64_t bytes_read, cold_reads, dropped_bytes;
};

/* Where a piece lies in the file of a candidate. */
struct extent {
    const struct shard *shard;
    int64_t offset;
    size_t bytes;
};

static struct extent extent_of(const struct stream *s, const struct piece *piece,
                               uint32_t candidate)
{
    const struct roster_entry *entry = &s->roster->entries[candidate];
    size_t size = model_element_bytes(&s->roster->model->tensors[piece->tensor]);

    struct extent x = { .bytes = piece->count * size };
    int64_t place = entry->data_begin + entry->placement->offset[piece->tensor];

    x.shard = shards_at(&entry->shards, place, &x.offset);
    x.offset += piece->first * (int64_t)size;
    return x;
}

/* ---- ahead and behind ---- */

static size_t bit_of(const struct stream *s, const struct piece *piece)
{
    const struct model_tensor *t = &s->roster->model->tensors[piece->tensor];

    return (size_t)(t->first_chunk + piece->first / DOTS_CHUNK);
}

/* Whether the first byte can be had without waiting for the disk. */
static bool is_cached(struct file_state *f, int fd, int64_t offset)
{
    char byte;
    struct iovec one = { &byte, 1 };

    if (atomic_load_explicit(&f->cannot_probe, memory_order_relaxed))
        return false;
    return preadv2(fd, &one, 1, (off_t)offset, RWF_NOWAIT) == 1;
}

static void read_ahead(struct extent x)
{
    for (size_t at = 0; at < x.bytes; at += ADVICE_BYTES) {
        size_t left = x.bytes - at;
        (void)posix_fadvise(x.shard->fd, (off_t)(x.offset + (int64_t)at),
                            (off_t)(left < ADVICE_BYTES ? left : ADVICE_BYTES),
                            POSIX_FADV_WILLNEED); /* a wish; reading will say what is wrong */
    }
}

static void advise(struct source *source, const struct piece *piece, const uint32_t *which,
                   size_t count)
{
    struct stream *s = container_of(source, struct stream, source);
    size_t bit = bit_of(s, piece);

    for (size_t i = 0; i < count; i++) {
        struct file_state *f = &s->files[which[i]];
        struct extent x = extent_of(s, piece, which[i]);
        if (atomic_load_explicit(&f->cold, memory_order_relaxed) <= 0 ||
            roster_is_view(s->roster, which[i], piece->tensor))
            continue;
        if (is_cached(f, x.shard->fd, x.offset)) {
            atomic_fetch_sub_explicit(&f->cold, 1, memory_order_relaxed);
            continue;
        }
        atomic_store_explicit(&f->cold, COLD_PIECES, memory_order_relaxed);
        read_ahead(x);
        if (f->fetched)
            atomic_fetch_or_explicit(&f->fetched[bit / 8], (unsigned char)(1u << bit % 8),
                                     memory_order_relaxed);
    }
}

/* The page at the end belongs to the next piece as well, which then drops it. */
static void drop_behind(struct stream *s, const struct piece *piece, uint32_t candidate,
                        struct extent x)
{
    const struct file_state *f = &s->files[candidate];
    size_t bit = bit_of(s, piece);
    int64_t page = sysconf(_SC_PAGESIZE);
    int64_t begin = x.offset / page * page, end = (x.offset + (int64_t)x.bytes) / page * page;

    if (!f->fetched)
        return;
    unsigned char mask = (unsigned char)(1u << bit % 8);
    unsigned char was =
        atomic_fetch_and_explicit(&f->fetched[bit / 8], (unsigned char)~mask, memory_order_relaxed);
    if (!(was & mask) || end <= begin)
        return;
    (void)posix_fadvise(x.shard->fd, (off_t)begin, (off_t)(end - begin), POSIX_FADV_DONTNEED);
    atomic_fetch_add_explicit(&s->dropped_bytes, end - begin, memory_order_relaxed);
}

/* ---- reading ---- */

/* What is there without waiting, 0 when that is nothing or cannot be said. */
static size_t read_cached(struct stream *s, uint32_t candidate, char *to, struct extent x)
{
    struct file_state *f = &s->files[candidate];
    struct iovec all = { to, x.bytes };

    if (atomic_load_explicit(&f->cannot_probe, memory_order_relaxed))
        return 0;
    ssize_t n = preadv2(x.shard->fd, &all, 1, (off_t)x.offset, RWF_NOWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        atomic_store_explicit(&f->cannot_probe, true, memory_order_relaxed);
    return n < 0 ? 0 : (size_t)n;
}

static int read_extent(struct stream *s, uint32_t candidate, char *to, struct extent x,
                       struct sewa_error *err)
{
    const struct roster_entry *entry = &s->roster->entries[candidate];
    size_t got = read_cached(s, candidate, to, x);

    if (failpoint_errno("stream_read"))
        return candidate_read_failed(entry->candidate, x.shard, x.offset, err);
    if (got < x.bytes) {
        int64_t at = x.offset + (int64_t)got;
        atomic_store_explicit(&s->files[candidate].cold, COLD_PIECES, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->cold_reads, 1, memory_order_relaxed);
        ssize_t n = pread_full(x.shard->fd, to + got, x.bytes - got, at);
        if (n < 0)
            return candidate_read_failed(entry->candidate, x.shard, at, err);
        if ((size_t)n < x.bytes - got)
            return candidate_cut_short(entry->candidate, x.shard, at + n, err);
    }
    atomic_fetch_add_explicit(&s->bytes_read, (int64_t)x.bytes, memory_order_relaxed);
    return 0;
}

/* ---- values that are not finite ---- */

static const char *view_at(const struct stream *s, uint32_t candidate, size_t tensor)
{
    return s->views ? s->views[candidate * s->roster->model->count + tensor] : NULL;
}

/* Point *ret to the piece: in a view, or read into the row. */
static int read_piece(struct stream *s, const struct piece *piece, uint32_t candidate, char *row,
                      const char **ret, struct sewa_error *err)
{
    const char *view = view_at(s, candidate, piece->tensor);
    struct extent x = extent_of(s, piece, candidate);

    *ret = row;
    if (!view)
        return read_extent(s, candidate, row, x, err);
    size_t size = model_element_bytes(&s->roster->model->tensors[piece->tensor]);
    *ret = view + piece->first * (int64_t)size;
    return 0;
}

/* How many the whole tensor has: read once more, in the row where the first was found. */
static int count_in_tensor(struct stream *s, uint32_t candidate, size_t tensor, char *row,
                           int64_t *ret, struct sewa_error *err)
{
    const struct model_tensor *t = &s->roster->model->tensors[tensor];
    struct piece piece = { .tensor = tensor };
    size_t most = piece_elements(t, s->source.piece_bytes);

    *ret = 0;
    for (; piece.first < t->elements; piece.first += (int64_t)piece.count) {
        int64_t left = t->elements - piece.first;
        const char *values;
        piece.count = left < (int64_t)most ? (size_t)left : most;
        int rc = read_piece(s, &piece, candidate, row, &values, err);
        if (rc < 0)
            return rc;
        *ret += (int64_t)nonfinite_count(s->engine->kernels, t, values,
                                         piece.count * model_element_bytes(t));
    }
    return 0;
}

/* A file that changed while it was read may hold anything: say that first. */
static int refuse(struct stream *s, uint32_t candidate, size_t tensor, char *row,
                  struct sewa_error *err)
{
    struct nonfinite found = { candidate, (uint32_t)tensor, 0 };
    int rc = count_in_tensor(s, candidate, tensor, row, &found.count, err);

    if (rc == 0)
        rc = candidate_verify(s->roster->entries[candidate].candidate, err);
    return rc < 0 ? rc : nonfinite_refuse(s->roster, &found, 0, err);
}

/* ---- the source ---- */

static int fetch_one(struct stream *s, const struct piece *piece, uint32_t candidate, char *row,
                     const void **ret, struct sewa_error *err)
{
    const struct model_tensor *t = &s->roster->model->tensors[piece->tensor];
    const char *values;
    int rc = read_piece(s, piece, candidate, row, &values, err);

    if (rc < 0)
        return rc;
    if (values == row)
        drop_behind(s, piece, candidate, extent_of(s, piece, candidate));
    *ret = values;
    if (!s->allow_nonfinite &&
        nonfinite_count(s->engine->kernels, t, values, piece->count * model_element_bytes(t)) > 0)
        return refuse(s, candidate, piece->tensor, row, err);
    return 0;
}

static int fetch(struct source *source, const struct piece *piece, const uint32_t *which,
                 size_t count, unsigned thread, const void **x, struct sewa_error *err)
{
    struct stream *s = container_of(source, struct stream, source);
    char *row = s->scratch + thread * s->thread_bytes;

    if (s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed))
        return sewa_fail(err, SEWA_E_CANCELLED, "cancelled");
    for (size_t i = 0; i < count; i++, row += s->row_bytes) {
        int rc = fetch_one(s, piece, which[i], row, &x[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int prove(struct source *source, const uint32_t *which, size_t count,
                 const atomic_bool *cancel, struct sewa_error *err)
{
    struct stream *s = container_of(source, struct stream, source);

    return roster_verify(s->engine, s->roster, which, count, cancel, err);
}

/* ---- open ---- */

/* The largest piece of any tensor. */
static int64_t largest_piece(const struct model *m, size_t piece_bytes)
{
    int64_t largest = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct model_tensor *t = &m->tensors[i];
        int64_t most = (int64_t)piece_elements(t, piece_bytes);
        int64_t bytes = (t->elements < most ? t->elements : most) * (int64_t)model_element_bytes(t);
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

/* ---- views: gathered once, when the stream is opened, and kept ---- */

static int64_t view_stride(const struct model_tensor *t)
{
    int64_t bytes = t->elements * (int64_t)model_element_bytes(t);

    return (bytes + MODEL_ALIGNMENT - 1) / MODEL_ALIGNMENT * MODEL_ALIGNMENT;
}

static int64_t bytes_of_views(const struct roster *r)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < r->count; i++)
        for (size_t t = 0; r->entries[i].placement->stride && t < r->model->count; t++)
            if (roster_is_view(r, i, t))
                bytes += view_stride(&r->model->tensors[t]);
    return bytes;
}

struct gather_task {
    struct pool_task task;
    struct stream *stream;
};

static int gather_view(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err)
{
    struct stream *s = container_of(task, struct gather_task, task)->stream;
    size_t i = item / s->roster->model->count, t = item % s->roster->model->count;

    (void)thread;
    if (!s->views[item])
        return 0;
    const struct model_tensor *tensor = &s->roster->model->tensors[t];
    atomic_fetch_add(&s->bytes_read, tensor->elements * (int64_t)model_element_bytes(tensor));
    return roster_gather(s->roster, i, t, s->views[item], s->cancel, err);
}

/* at: where the first one begins. */
static int gather_views(struct stream *s, char *at, struct sewa_error *err)
{
    const struct roster *r = s->roster;
    struct gather_task all = { .task.run = gather_view, .stream = s };

    s->views = calloc(r->count * r->model->count, sizeof *s->views);
    if (!s->views)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list views of tensors");
    for (size_t i = 0; i < r->count; i++)
        for (size_t t = 0; t < r->model->count; t++)
            if (roster_is_view(r, i, t)) {
                s->views[i * r->model->count + t] = at;
                at += view_stride(&r->model->tensors[t]);
            }
    return pool_run(s->engine->pool, &all.task, r->count * r->model->count, s->cancel, err);
}

/* ---- scratch memory ---- */

static int map_scratch(struct stream *s, int64_t budget, struct sewa_error *err)
{
    int64_t threads = pool_threads(s->engine->pool), count = (int64_t)s->roster->count;
    int64_t views = bytes_of_views(s->roster);

    s->source.piece_bytes = footprint_piece_bytes(count);
    s->row_bytes = model_stagger(largest_piece(s->roster->model, s->source.piece_bytes));
    int64_t scratch = s->row_bytes * count * threads, bytes; /* of chunks: far below 2^63 */
    if (__builtin_add_overflow(scratch, views, &bytes))
        bytes = INT64_MAX;
    bytes = pages_bytes(bytes);
    if (budget > 0 && bytes > budget)
        return sewa_fail(err, SEWA_E_NO_MEMORY,
                         "to read %zu checkpoints piece by piece takes %" PRId64
                         " bytes of memory, the budget is %" PRId64 " bytes",
                         s->roster->count, bytes, budget);
    s->scratch = failpoint_errno("stream_map") ? NULL : pages_map(bytes);
    if (!s->scratch)
        return sewa_fail_errno(err, SEWA_E_NO_MEMORY,
                               "cannot get %" PRId64 " bytes of memory to read %zu checkpoints",
                               bytes, s->roster->count);
    s->scratch_bytes = bytes;
    s->thread_bytes = (size_t)(s->row_bytes * count);
    return views > 0 ? gather_views(s, s->scratch + scratch, err) : 0;
}

static bool exceeds_page_cache(const struct stream *s, int64_t page_cache_bytes)
{
    int64_t machine = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    int64_t limit = page_cache_bytes > 0 ? page_cache_bytes : machine / 4 * 3;
    int64_t total = 0;

    for (size_t i = 0; i < s->roster->count; i++)
        if (__builtin_add_overflow(total, s->roster->entries[i].candidate->bytes, &total))
            return true;
    return total > limit;
}

static int make_files(struct stream *s, int64_t page_cache_bytes, struct sewa_error *err)
{
    size_t count = s->roster->count;
    size_t bytes = (size_t)(s->roster->model->chunks / 8) + 1;
    bool drops = exceeds_page_cache(s, page_cache_bytes);

    s->files = calloc(count, sizeof *s->files);
    s->bits = calloc(drops ? count : 1, bytes);
    if (!s->files || !s->bits)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read %zu checkpoints", count);
    for (size_t i = 0; drops && i < count; i++) {
        s->files[i].fetched = s->bits + i * bytes;
        /* nothing may come ahead but what advise() asks for and drop_behind() knows of */
        const struct shards *shards = &s->roster->entries[i].shards;
        for (size_t f = 0; f < shards->count; f++)
            (void)posix_fadvise(shards->shard[f].fd, 0, 0, POSIX_FADV_RANDOM);
    }
    return 0;
}

int stream_open(const struct engine *e, const struct stream_options *o, struct stream **ret,
                struct sewa_error *err)
{
    AUTOPTR(stream_close) struct stream *s = calloc(1, sizeof *s);

    if (!s)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read %zu checkpoints", o->count);
    s->engine = e;
    s->cancel = o->cancel;
    s->allow_nonfinite = o->allow_nonfinite;
    int rc = roster_open(e, o->candidates, o->count, o->cancel, &s->roster, err);
    if (rc == 0)
        rc = map_scratch(s, o->memory_budget_bytes, err);
    if (rc == 0)
        rc = make_files(s, o->page_cache_bytes, err);
    if (rc < 0)
        return rc;
    s->source.roster = s->roster;
    s->source.fetch = fetch;
    s->source.advise = advise;
    s->source.prove = prove;
    *ret = TAKE(s);
    return 0;
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    pages_unmap(s->scratch, s->scratch_bytes);
    roster_close(s->roster);
    free(s->views);
    free(s->files);
    free(s->bits);
    free(s);
}

struct source *stream_source(struct stream *s)
{
    return &s->source;
}

const struct model *stream_model(const struct stream *s)
{
    return s->roster->model;
}

int64_t stream_bytes_read(const struct stream *s)
{
    return atomic_load(&s->bytes_read);
}

int64_t stream_memory_bytes(const struct stream *s)
{
    return s->scratch_bytes;
}

int64_t stream_cold_reads(const struct stream *s)
{
    return atomic_load(&s->cold_reads);
}

int64_t stream_dropped_bytes(const struct stream *s)
{
    return atomic_load(&s->dropped_bytes);
}
