/*
 * materialize - windows, proof, publication.
 */
#include "engine/materialize.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "engine/outfile.h"
#include "engine/pages.h"

/* A piece and where it goes in a window. */
struct part {
    struct piece piece;
    size_t at;
};

/*
 * A range of the file that begins at a whole block: what was left of the window before, less than
 * a block, and then its own parts.
 */
struct window {
    char *bytes; /* aligned to OUTFILE_BLOCK */
    size_t carried;
    size_t used; /* what was carried and the parts */
    size_t count;
    struct part *parts;
};

/* Where the next piece begins, in the order of the file. */
struct position {
    size_t i;
    int64_t element;
};

struct writing {
    struct pool_task task;
    const struct engine *engine;
    struct source *source;
    const struct materialize_options *options;
    struct exact exact;
    struct weights weights;
    struct arrangement arrangement;
    const struct arranged_file *file; /* that is written */
    struct outfile *output;
    int64_t written; /* bytes of all files */
    struct window windows[2];
    int64_t window_bytes;    /* of one */
    struct window *computed; /* by the items of this round */
    struct window *finished; /* by the round before; written in this one */
    const void **pointers;   /* ingredients, for each thread */
    struct position ahead;   /* of what the source was told */
};

static size_t output_element_bytes(const struct writing *w, const struct model_tensor *t)
{
    return dtype_bits(exact_dtype(&w->exact.options, t)) / 8;
}

/* ---- windows ---- */

/* The piece at a position; false behind the last. */
static bool piece_at(const struct writing *w, struct position *p, struct piece *ret)
{
    const struct model *m = w->source->roster->model;

    for (; p->i < w->file->end; p->i++, p->element = 0) {
        uint32_t tensor = w->arrangement.order[p->i];
        const struct model_tensor *t = &m->tensors[tensor];
        int64_t left = t->elements - p->element;
        size_t most = piece_elements(t, w->source->piece_bytes);
        *ret = (struct piece){ tensor, p->element, left < (int64_t)most ? (size_t)left : most };
        if (left > 0)
            return true;
    }
    return false;
}

/* Room for a piece in a window? Then the position moves past it. */
static bool take_piece(const struct writing *w, struct position *p, const struct piece *piece,
                       size_t *count, size_t *used)
{
    const struct model_tensor *t = &w->source->roster->model->tensors[piece->tensor];
    size_t bytes = piece->count * output_element_bytes(w, t);

    if (*count == MATERIALIZE_PARTS || *used + bytes > MATERIALIZE_WINDOW)
        return false;
    *count += 1;
    *used += bytes;
    p->element += (int64_t)piece->count;
    return true;
}

/* The next pieces into a window; false when there are none left. */
static bool plan_window(const struct writing *w, struct position *p, struct window *window)
{
    struct piece piece;

    window->used = window->carried;
    window->count = 0;
    while (piece_at(w, p, &piece)) {
        struct part part = { piece, window->used };
        size_t n = window->count;
        if (!take_piece(w, p, &piece, &window->count, &window->used))
            return true;
        window->parts[n] = part;
    }
    return window->count > 0;
}

/* The source hears of a window while the one before it is computed. */
static void advise_window(const struct writing *w, struct position *p)
{
    struct piece piece;
    size_t count = 0, used = 0;

    while (w->source->advise && piece_at(w, p, &piece) && take_piece(w, p, &piece, &count, &used))
        source_advise(w->source, &piece, w->weights.used, w->weights.used_count);
}

static int refuse_nonfinite(const struct writing *w, const struct piece *piece, const void *values,
                            size_t begin, size_t n, struct sewa_error *err)
{
    const struct model_tensor *t = &w->source->roster->model->tensors[piece->tensor];
    enum dtype type = exact_dtype(&w->exact.options, t);
    const struct float_kernels *k = kernels_for(w->engine->kernels, type);
    const char *at = values;

    if (!t->is_float || w->options->allow_nonfinite || k->count_nonfinite(values, n) == 0)
        return 0;
    size_t first = 0;
    while (k->count_nonfinite(at + first * output_element_bytes(w, t), 1) == 0)
        first++;
    return sewa_fail(
        err, SEWA_E_NONFINITE,
        "the average of tensor '%s' is not finite as %s, first in element %" PRId64 " of %" PRId64,
        t->name, dtype_name(type), piece->first + (int64_t)(begin + first), t->elements);
}

/* In a file, a tensor behind one of an odd number of bytes has no alignment. */
static bool is_aligned(const void *p, size_t size)
{
    return (uintptr_t)p % size == 0;
}

static int compute_part(struct writing *w, const struct part *part, unsigned thread,
                        struct sewa_error *err)
{
    const struct piece *piece = &part->piece;
    const struct model_tensor *t = &w->source->roster->model->tensors[piece->tensor];
    size_t size = output_element_bytes(w, t), count = w->weights.used_count;
    const void **x = w->pointers + thread * count;
    char *out = w->computed->bytes + part->at;
    char values[EXACT_SLICE * sizeof(double)] __attribute__((aligned(MODEL_ALIGNMENT)));

    int rc = w->source->fetch(w->source, piece, w->weights.used, count, thread, x, err);
    for (size_t begin = 0, n; rc == 0 && begin < piece->count; begin += n, out += n * size) {
        char *to = is_aligned(out, size) ? out : values;
        n = piece->count - begin < EXACT_SLICE ? piece->count - begin : EXACT_SLICE;
        rc = exact_slice(&w->exact, 0, piece, x, begin, n, to, err);
        if (rc == 0)
            rc = refuse_nonfinite(w, piece, to, begin, n, err);
        if (rc == 0 && to != out)
            memcpy(out, to, n * size);
    }
    return rc;
}

/*
 * The first items look to the window after and hash the one before; the others are the pieces of
 * this one.
 */
enum { ITEM_ADVISE, ITEM_HASH, ITEM_PARTS };

static int run_item(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err)
{
    struct writing *w = container_of(task, struct writing, task);
    const struct window *before = w->finished;

    if (item == ITEM_ADVISE)
        advise_window(w, &w->ahead);
    else if (item == ITEM_HASH)
        outfile_hash(w->output, before->bytes + before->carried, before->used - before->carried);
    else
        return compute_part(w, &w->computed->parts[item - ITEM_PARTS], thread, err);
    return 0;
}

/* Whole blocks of the window before; at the end of the file all of it. */
static int append_finished(struct writing *w, bool has_more, struct sewa_error *err)
{
    const struct window *before = w->finished;
    struct window *now = w->computed;
    size_t rest = has_more ? before->used % OUTFILE_BLOCK : 0;
    int rc = outfile_wait(w->output, err); /* what was begun a round ago stands in `now` */

    if (rc < 0)
        return rc;
    now->carried = rest;
    if (rest > 0)
        memcpy(now->bytes, before->bytes + before->used - rest, rest);
    return outfile_append(w->output, before->bytes, before->used - rest, err);
}

static int write_windows(struct writing *w, struct sewa_error *err)
{
    struct position position = { .i = w->file->first };
    bool has_more = true;

    w->ahead = position;
    advise_window(w, &w->ahead);
    /* windows[1] holds the end of the header; after the last, an empty round hashes what is left */
    for (size_t round = 0; has_more; round++) {
        struct piece piece;
        w->computed = &w->windows[round % 2];
        w->finished = &w->windows[(round + 1) % 2];
        has_more = piece_at(w, &position, &piece);
        int rc = append_finished(w, has_more, err);
        if (rc < 0)
            return rc;
        plan_window(w, &position, w->computed);
        rc = pool_run(w->engine->pool, &w->task, w->computed->count + ITEM_PARTS,
                      w->options->cancel, err);
        if (rc < 0)
            return rc;
        w->written += (int64_t)(w->finished->used - w->finished->carried);
        progress_tell(w->options->progress, w->written, w->arrangement.bytes);
    }
    return outfile_wait(w->output, err);
}

/*
 * The header goes into the second window, as if it had been computed there; what does not fit is
 * written before.
 */
static int begin_with_header(struct writing *w, struct sewa_error *err)
{
    const struct buf *header = &w->file->header;
    struct window *last = &w->windows[1];

    outfile_hash(w->output, header->data, header->len);
    for (size_t at = 0, n; at < header->len; at += n) {
        int rc = outfile_wait(w->output, err);
        size_t left = header->len - at;
        n = left < MATERIALIZE_WINDOW ? left : MATERIALIZE_WINDOW;
        memcpy(last->bytes, header->data + at, n);
        if (rc == 0 && n < left)
            rc = outfile_append(w->output, last->bytes, n, err);
        if (rc < 0)
            return rc;
        last->used = last->carried = n; /* hashed above */
    }
    w->written += (int64_t)header->len;
    return 0;
}

static int64_t file_bytes(const struct arranged_file *f)
{
    return (int64_t)f->header.len + f->data_bytes;
}

static int64_t largest_file(const struct writing *w)
{
    int64_t most = 0;

    for (size_t i = 0; i < w->arrangement.file_count; i++)
        if (most < file_bytes(&w->arrangement.files[i]))
            most = file_bytes(&w->arrangement.files[i]);
    return most;
}

static int allocate_windows(struct writing *w, struct sewa_error *err)
{
    int64_t largest = largest_file(w);
    size_t pointers = pool_threads(w->engine->pool) * w->weights.used_count;
    bool is_short = false;

    w->window_bytes = largest < MATERIALIZE_WINDOW ? largest : MATERIALIZE_WINDOW;
    w->pointers = calloc(pointers, sizeof *w->pointers);
    for (int i = 0; i < 2; i++) {
        struct window *window = &w->windows[i];
        window->bytes = failpoint_errno("materialize_map") ? NULL : pages_map(w->window_bytes);
        window->parts = calloc(MATERIALIZE_PARTS, sizeof *window->parts);
        is_short = is_short || !window->bytes || !window->parts;
    }
    if (w->pointers && !is_short)
        return 0;
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for two windows of %" PRId64 " bytes",
                     w->window_bytes);
}

/* ---- ingredients ---- */

struct digesting {
    struct pool_task task;
    const struct writing *writing;
    struct materialized *ret;
};

static int digest_one(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err)
{
    const struct digesting *d = container_of(task, struct digesting, task);
    struct ingredient *i = &d->ret->ingredients[item];
    const struct roster *roster = d->writing->source->roster;

    (void)thread;
    int rc = candidate_digest(roster->entries[i->candidate].candidate, d->writing->options->cancel,
                              i->sha256, err);
    i->has_sha256 = rc == 0;
    return rc;
}

static int list_ingredients(const struct writing *w, struct materialized *ret,
                            struct sewa_error *err)
{
    const struct weights_row *row = &w->weights.row[0];

    ret->ingredients = calloc(row->count, sizeof *ret->ingredients);
    if (!ret->ingredients)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list %zu ingredients", row->count);
    ret->count = row->count;
    for (size_t i = 0; i < row->count; i++) {
        ret->ingredients[i].candidate = w->weights.used[row->at[i]];
        ret->ingredients[i].weight = row->weights[i];
    }
    return 0;
}

/* What was averaged must still be what the index knows, or the manifest would say something else.
 */
static int prove_ingredients(const struct writing *w, struct materialized *ret,
                             struct sewa_error *err)
{
    struct digesting d = { .task.run = digest_one, .writing = w, .ret = ret };

    if (w->options->want_digests)
        return pool_run(w->engine->pool, &d.task, ret->count, w->options->cancel, err);
    return roster_verify(w->engine, w->source->roster, w->weights.used, w->weights.used_count,
                         w->options->cancel, err);
}

/* ---- files ---- */

static int arrange(struct writing *w, struct sewa_error *err)
{
    const struct materialize_options *o = w->options;
    const struct roster *r = w->source->roster;
    struct arrangement_options how = {
        .roster = r,
        .newest = &r->entries[w->weights.used[w->weights.used_count - 1]],
        .exact = &o->exact,
        .name = o->name ? o->name : "model.safetensors",
        .metadata = o->metadata,
        .metadata_count = o->metadata_count,
        .max_file_bytes = o->max_file_bytes,
    };

    return arrangement_make(&how, &w->arrangement, err);
}

static int create_file(struct writing *w, const char *name, int64_t bytes, struct sewa_error *err)
{
    const struct materialize_options *o = w->options;

    outfile_close(w->output);
    w->output = NULL;
    return outfile_create(o->directory, name, o->mode ? o->mode : 0640, bytes, o->keep_free_bytes,
                          &w->output, err);
}

/* Under its name; from here on it is taken away again when a later one fails. */
static int publish_file(struct writing *w, const char *name, int64_t bytes,
                        struct materialized *ret, struct sewa_error *err)
{
    struct materialized_file *f = &ret->files[ret->file_count];
    int rc = outfile_publish(w->output, f->sha256, err);

    if (rc < 0)
        return rc;
    f->bytes = bytes;
    memcpy(f->name, name, sizeof f->name);
    ret->file_count++;
    return 0;
}

static int write_file(struct writing *w, const struct arranged_file *f, struct materialized *ret,
                      struct sewa_error *err)
{
    bool is_only = w->arrangement.file_count == 1;

    w->file = f;
    int rc = create_file(w, f->name, file_bytes(f), err);
    if (rc == 0)
        rc = begin_with_header(w, err);
    if (rc == 0)
        rc = write_windows(w, err);
    if (rc == 0 && is_only)
        rc = prove_ingredients(w, ret, err);
    return rc == 0 ? publish_file(w, f->name, file_bytes(f), ret, err) : rc;
}

static int write_index(struct writing *w, struct materialized *ret, struct sewa_error *err)
{
    const struct arrangement *a = &w->arrangement;
    int rc = create_file(w, a->index_name, (int64_t)a->index.len, err);

    if (rc < 0)
        return rc;
    outfile_hash(w->output, a->index.data, a->index.len);
    rc = outfile_append(w->output, a->index.data, a->index.len, err);
    return rc == 0 ? publish_file(w, a->index_name, (int64_t)a->index.len, ret, err) : rc;
}

/* Each file asks for its own room; that of all is asked for before the first is written. */
static int check_space(const struct writing *w, struct sewa_error *err)
{
    const struct materialize_options *o = w->options;
    const struct arrangement *a = &w->arrangement;
    int64_t available, bytes = a->bytes + (int64_t)a->index.len;
    int rc = disk_free(o->directory, &available, err);

    if (rc < 0 || available - o->keep_free_bytes >= bytes)
        return rc;
    return sewa_fail(err, SEWA_E_NO_SPACE,
                     "%zu files in '%s' need %" PRId64 " bytes, the file system has %" PRId64
                     " bytes free, of which %" PRId64 " must stay free",
                     a->file_count + 1, o->directory, bytes, available, o->keep_free_bytes);
}

static int write_files(struct writing *w, struct materialized *ret, struct sewa_error *err)
{
    const struct arrangement *a = &w->arrangement;
    bool has_index = a->file_count > 1;
    int rc = allocate_windows(w, err);

    ret->files = calloc(a->file_count + 1, sizeof *ret->files);
    if (rc == 0 && !ret->files)
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list %zu files", a->file_count);
    if (rc == 0 && has_index)
        rc = check_space(w, err);
    for (size_t i = 0; rc == 0 && i < a->file_count; i++)
        rc = write_file(w, &a->files[i], ret, err);
    if (rc == 0 && has_index)
        rc = prove_ingredients(w, ret, err);
    return rc == 0 && has_index ? write_index(w, ret, err) : rc;
}

/* Shards without an index are nothing that anybody wants. */
static void remove_files(const struct writing *w, const struct materialized *m)
{
    AUTOCLOSE int directory = open(w->options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; i < m->file_count; i++)
        unlinkat(directory, m->files[i].name, 0);
}

/* ---- all of it ---- */

static void writing_clear(struct writing *w)
{
    outfile_close(w->output); /* which may be reading a window */
    for (int i = 0; i < 2; i++) {
        pages_unmap(w->windows[i].bytes, w->window_bytes);
        free(w->windows[i].parts);
    }
    free(w->pointers);
    arrangement_clear(&w->arrangement);
    weights_clear(&w->weights);
}

int materialize(const struct engine *e, struct source *s, const struct materialize_options *o,
                struct materialized *ret, struct sewa_error *err)
{
    AUTO(materialized_clear) struct materialized result = { 0 };
    AUTO(writing_clear)
    struct writing w = {
        .task.run = run_item,
        .engine = e,
        .source = s,
        .options = o,
        .exact = { .kernels = e->kernels,
                   .roster = s->roster,
                   .weights = &w.weights,
                   .integers = o->integers,
                   .options = o->exact },
    };

    int rc = weights_init(&w.weights, o->alpha, 1, s->roster->count, err);
    if (rc < 0)
        return rc;
    rc = arrange(&w, err);
    if (rc == 0)
        rc = list_ingredients(&w, &result, err);
    if (rc == 0)
        rc = write_files(&w, &result, err);
    if (rc < 0) {
        remove_files(&w, &result);
        return rc;
    }
    *ret = result;
    result = (struct materialized){ 0 };
    return 0;
}

void materialized_clear(struct materialized *m)
{
    free(m->files);
    free(m->ingredients);
    memset(m, 0, sizeof *m);
}
