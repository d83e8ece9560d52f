/*
 * materialize - header, windows, proof, publication.
 */
#include "engine/materialize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/outfile.h"
#include "formats/safetensors.h"

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
    char *memory;
    char *bytes; /* in memory, aligned to OUTFILE_BLOCK */
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
    struct outfile *output;
    struct window windows[2];
    struct window *computed; /* by the items of this round */
    struct window *finished; /* by the round before; written in this one */
    const void **pointers;   /* ingredients, for each thread */
    uint32_t *order; /* tensors that are written, in the order of the newest ingredient's file */
    size_t order_count;
    struct position ahead; /* of what the source was told */
};

static size_t output_element_bytes(const struct writing *w, const struct model_tensor *t)
{
    return dtype_bits(exact_dtype(&w->exact.options, t)) / 8;
}

/* ---- the header ---- */

static const struct roster_entry *newest(const struct writing *w)
{
    return &w->source->roster->entries[w->weights.used[w->weights.used_count - 1]];
}

/* Names that loaders or we give another meaning are written in full. */
static bool can_be_a_key(const struct writing *w, const char *name);

static bool is_tied(const struct writing *w, size_t tensor)
{
    const struct roster *r = w->source->roster;

    return r->tied_to && r->tied_to[tensor] != ROSTER_NOT_TIED &&
           can_be_a_key(w, r->model->tensors[tensor].name);
}

static int choose_order(struct writing *w, struct sewa_error *err)
{
    const struct model *m = w->source->roster->model;
    const uint32_t *order = newest(w)->placement->order;

    w->order = malloc((m->count + 1) * sizeof *w->order);
    if (!w->order)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list %zu tensors", m->count);
    for (size_t i = 0; i < m->count; i++)
        if (!is_tied(w, order[i]))
            w->order[w->order_count++] = order[i];
    return 0;
}

static bool has_key(const struct materialize_options *o, const char *key)
{
    for (size_t i = 0; i < o->metadata_count; i++)
        if (strcmp(o->metadata[i].key, key) == 0)
            return true;
    return false;
}

static bool can_be_a_key(const struct writing *w, const char *name)
{
    return strcmp(name, "format") != 0 && strncmp(name, "sewa.", 5) != 0 &&
           !has_key(w->options, name);
}

/*
 * A tied tensor is written once, and its other names stand in the metadata with the one that is
 * there, as safetensors.torch.save_model() does and load_model() expects.
 */
static size_t add_ties(const struct writing *w, struct layout_metadata *metadata)
{
    const struct roster *r = w->source->roster;
    size_t n = 0;

    for (size_t t = 0; r->tied_to && t < r->model->count; t++)
        if (is_tied(w, t))
            metadata[n++] = (struct layout_metadata){ r->model->tensors[t].name,
                                                      r->model->tensors[r->tied_to[t]].name };
    return n;
}

static int make_header(const struct writing *w, struct buf *ret, int64_t *ret_data_bytes,
                       struct sewa_error *err)
{
    const struct model *m = w->source->roster->model;
    const struct materialize_options *o = w->options;
    const char *format = newest(w)->metadata_format;
    AUTOFREE struct safetensors_item *items = calloc(m->count + 1, sizeof *items);
    size_t tied_count = m->count - w->order_count;
    AUTOFREE struct layout_metadata *metadata =
        calloc(o->metadata_count + tied_count + 1, sizeof *metadata);
    size_t n = o->metadata_count;

    if (!items || !metadata)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a header of %zu tensors", m->count);
    if (n > 0)
        memcpy(metadata, o->metadata, n * sizeof *metadata);
    if (format && !has_key(o, "format"))
        metadata[n++] = (struct layout_metadata){ "format", format };
    n += add_ties(w, metadata + n);
    *ret_data_bytes = 0;
    for (size_t i = 0; i < w->order_count; i++) {
        const struct model_tensor *t = &m->tensors[w->order[i]];
        items[i] = (struct safetensors_item){ t->name, exact_dtype(&w->exact.options, t), t->rank,
                                              t->shape };
        *ret_data_bytes += t->elements * (int64_t)output_element_bytes(w, t);
    }
    return safetensors_header(items, w->order_count, metadata, n, ret, err);
}

/* ---- windows ---- */

/* The piece at a position; false behind the last. */
static bool piece_at(const struct writing *w, struct position *p, struct piece *ret)
{
    const struct model *m = w->source->roster->model;

    for (; p->i < w->order_count; p->i++, p->element = 0) {
        const struct model_tensor *t = &m->tensors[w->order[p->i]];
        int64_t left = t->elements - p->element;
        size_t most = piece_elements(t, w->source->piece_bytes);
        *ret = (struct piece){ w->order[p->i], p->element,
                               left < (int64_t)most ? (size_t)left : most };
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

static int write_windows(struct writing *w, int64_t header_bytes, int64_t total_bytes,
                         struct sewa_error *err)
{
    struct position position = { 0 };
    int64_t written = header_bytes;
    bool has_more = true;

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
        written += (int64_t)(w->finished->used - w->finished->carried);
        progress_tell(w->options->progress, written, total_bytes);
    }
    return outfile_wait(w->output, err);
}

/*
 * The header goes into the second window, as if it had been computed there; what does not fit is
 * written before.
 */
static int begin_with_header(struct writing *w, const struct buf *header, struct sewa_error *err)
{
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
    return 0;
}

static int allocate_windows(struct writing *w, int64_t file_bytes, struct sewa_error *err)
{
    size_t bytes = file_bytes < MATERIALIZE_WINDOW ? (size_t)file_bytes : MATERIALIZE_WINDOW;
    size_t pointers = pool_threads(w->engine->pool) * w->weights.used_count;

    w->pointers = calloc(pointers, sizeof *w->pointers);
    for (int i = 0; i < 2; i++) {
        struct window *window = &w->windows[i];
        window->memory = malloc(bytes + OUTFILE_BLOCK);
        window->bytes = window->memory + -(uintptr_t)window->memory % OUTFILE_BLOCK;
        window->parts = calloc(MATERIALIZE_PARTS, sizeof *window->parts);
    }
    if (w->pointers && w->windows[0].memory && w->windows[0].parts && w->windows[1].memory &&
        w->windows[1].parts)
        return 0;
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for two windows of %zu bytes", bytes);
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

/* ---- all of it ---- */

static int write_file(struct writing *w, struct materialized *ret, struct sewa_error *err)
{
    const struct materialize_options *o = w->options;
    AUTO(buf_clear) struct buf header = { 0 };
    int64_t data_bytes = 0;

    int rc = make_header(w, &header, &data_bytes, err);
    ret->bytes = (int64_t)header.len + data_bytes;
    if (rc == 0)
        rc = allocate_windows(w, ret->bytes, err);
    if (rc == 0)
        rc = outfile_create(o->directory, o->name ? o->name : "model.safetensors",
                            o->mode ? o->mode : 0640, ret->bytes, o->keep_free_bytes, &w->output,
                            err);
    if (rc == 0)
        rc = begin_with_header(w, &header, err);
    if (rc == 0)
        rc = write_windows(w, (int64_t)header.len, ret->bytes, err);
    if (rc == 0)
        rc = prove_ingredients(w, ret, err);
    if (rc == 0)
        rc = outfile_publish(w->output, ret->sha256, err);
    return rc;
}

static void writing_clear(struct writing *w)
{
    outfile_close(w->output); /* which may be reading a window */
    for (int i = 0; i < 2; i++) {
        free(w->windows[i].memory);
        free(w->windows[i].parts);
    }
    free(w->pointers);
    free(w->order);
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
    rc = choose_order(&w, err);
    if (rc == 0)
        rc = list_ingredients(&w, &result, err);
    if (rc == 0)
        rc = write_file(&w, &result, err);
    if (rc < 0)
        return rc;
    *ret = result;
    result = (struct materialized){ 0 };
    return 0;
}

void materialized_clear(struct materialized *m)
{
    free(m->ingredients);
    memset(m, 0, sizeof *m);
}
