/*
 * model - the table, its offsets, and the walk over its pieces.
 */
#include "engine/model.h"

#include <stdlib.h>
#include <string.h>

/* One allocation after the other; model_free() frees what is there. */
struct model_body {
    struct model model;
    struct model_tensor *tensors;
    int64_t *shapes;
    char *names;
};

void model_free(struct model *m)
{
    if (!m)
        return;
    struct model_body *body = container_of(m, struct model_body, model);
    free(body->tensors);
    free(body->shapes);
    free(body->names);
    free(body);
}

size_t model_element_bytes(const struct model_tensor *t)
{
    return dtype_bits(t->dtype) / 8;
}

size_t model_bank_element_bytes(const struct model_tensor *t)
{
    return dtype_bits(t->bank_dtype) / 8;
}

static int check_types(const struct layout *l, struct sewa_error *err)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct tensor *t = &l->tensors[l->by_name[i]];
        if (dtype_kind(t->dtype) == DTYPE_CARRIED)
            return sewa_fail(err, SEWA_E_UNSUPPORTED,
                             "tensor '%s' has type %s, of which there is no average", t->name,
                             dtype_name(t->dtype));
    }
    return 0;
}

/* Rounded up to the alignment, added to *end; *offset is where the bytes begin. -1: too large. */
static int place(int64_t *end, int64_t elements, enum dtype type, int64_t *offset)
{
    int64_t bytes = dtype_bytes(type, elements), padded;

    *offset = *end;
    if (bytes < 0 || __builtin_add_overflow(bytes, MODEL_ALIGNMENT - 1, &padded))
        return -1;
    padded -= padded % MODEL_ALIGNMENT;
    if (__builtin_add_overflow(*end, padded, end))
        return -1;
    return *end > INT64_MAX / 2 ? -1 : 0; /* what is added to round a row up must fit, too */
}

static int place_tensor(struct model *m, struct model_tensor *t)
{
    t->first_chunk = m->chunks;
    m->chunks += t->elements / DOTS_CHUNK + (t->elements % DOTS_CHUNK != 0);
    t->gradient_offset = -1;
    if (place(&m->row_bytes, t->elements, t->dtype, &t->row_offset) < 0 ||
        place(&m->bank_bytes, t->elements, t->bank_dtype, &t->bank_offset) < 0)
        return -1;
    return t->is_float ? place(&m->gradient_bank_bytes, t->elements, DTYPE_F32, &t->gradient_offset)
                       : 0;
}

static enum dtype bank_type(enum dtype t)
{
    return dtype_kind(t) == DTYPE_FLOAT && t != DTYPE_F64 ? DTYPE_F32 : t;
}

/* Copy name and shape behind those that are there already. */
static void copy_tensor(const struct tensor *from, struct model_tensor *to, char **name,
                        int64_t **shape)
{
    size_t name_bytes = strlen(from->name) + 1;

    to->name = memcpy(*name, from->name, name_bytes);
    *name += name_bytes;
    if (from->rank > 0) {
        to->shape = memcpy(*shape, from->shape, from->rank * sizeof **shape);
        *shape += from->rank;
    }
    to->rank = from->rank;
    to->dtype = from->dtype;
    to->bank_dtype = bank_type(from->dtype);
    to->is_float = dtype_kind(from->dtype) == DTYPE_FLOAT;
    to->elements = from->elements;
}

static int allocate(struct model_body *body, const struct layout *l, struct sewa_error *err)
{
    size_t name_bytes = 0, ranks = 0;

    for (size_t i = 0; i < l->count; i++) {
        name_bytes += strlen(l->tensors[i].name) + 1;
        ranks += l->tensors[i].rank;
    }
    body->tensors = calloc(l->count + 1, sizeof *body->tensors); /* + 1: never of nothing */
    body->shapes = calloc(ranks + 1, sizeof *body->shapes);
    body->names = malloc(name_bytes + 1);
    if (!body->tensors || !body->shapes || !body->names)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a table of %zu tensors", l->count);
    return 0;
}

int model_new(const struct layout *l, struct model **ret, struct sewa_error *err)
{
    int rc = check_types(l, err);
    if (rc < 0)
        return rc;
    struct model_body *body = calloc(1, sizeof *body);
    if (!body)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a table of tensors");
    AUTOPTR(model_free) struct model *m = &body->model;
    rc = allocate(body, l, err);
    if (rc < 0)
        return rc;
    char *name = body->names;
    int64_t *shape = body->shapes;
    m->tensors = body->tensors;
    m->count = l->count;
    for (size_t i = 0; i < l->count; i++) {
        copy_tensor(&l->tensors[l->by_name[i]], &body->tensors[i], &name, &shape);
        if (place_tensor(m, &body->tensors[i]) < 0)
            return sewa_fail(err, SEWA_E_TOO_LARGE, "tensor '%s' ends beyond 2^62 bytes",
                             body->tensors[i].name);
    }
    m->row_bytes = model_stagger(m->row_bytes);
    m->bank_bytes = model_stagger(m->bank_bytes);
    m->gradient_bank_bytes = model_stagger(m->gradient_bank_bytes);
    *ret = TAKE(m);
    return 0;
}

int64_t model_find(const struct model *m, const char *name)
{
    size_t low = 0, high = m->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(m->tensors[middle].name, name);
        if (order == 0)
            return (int64_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

int64_t model_stagger(int64_t bytes)
{
    enum { PAGE = 4096, SHIFT = 9 * MODEL_ALIGNMENT };
    int64_t aligned = (bytes + MODEL_ALIGNMENT - 1) / MODEL_ALIGNMENT * MODEL_ALIGNMENT;

    return aligned + (PAGE + SHIFT - aligned % PAGE) % PAGE;
}

size_t model_partitions(const struct model *m)
{
    return m->chunks < MODEL_PARTITIONS ? (size_t)m->chunks : MODEL_PARTITIONS;
}

/* First chunk of a partition: chunks * partition / partitions without overflow. */
static int64_t partition_begin(const struct model *m, size_t partition)
{
    int64_t n = (int64_t)model_partitions(m), p = (int64_t)partition;

    return m->chunks / n * p + m->chunks % n * p / n;
}

/* The last tensor that begins at this chunk or before it, and is not empty. */
static size_t tensor_of_chunk(const struct model *m, int64_t chunk)
{
    size_t low = 0, high = m->count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (m->tensors[middle].first_chunk <= chunk)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t piece_elements(const struct model_tensor *t, size_t piece_bytes)
{
    size_t chunks = piece_bytes / model_element_bytes(t) / DOTS_CHUNK;

    if (piece_bytes == 0 || chunks > MODEL_PIECE / DOTS_CHUNK)
        return MODEL_PIECE;
    return (chunks + !chunks) * DOTS_CHUNK;
}

struct piece_walk model_walk(const struct model *m, size_t partition, size_t piece_bytes)
{
    struct piece_walk w = { .model = m, .piece_bytes = piece_bytes };

    w.chunk = partition_begin(m, partition);
    w.end = partition_begin(m, partition + 1);
    w.tensor = tensor_of_chunk(m, w.chunk);
    return w;
}

bool piece_next(struct piece_walk *w, struct piece *ret)
{
    const struct model_tensor *t;

    if (w->chunk >= w->end)
        return false;
    for (;; w->tensor++) { /* past what has been walked and past empty tensors */
        t = &w->model->tensors[w->tensor];
        if ((w->chunk - t->first_chunk) * DOTS_CHUNK < t->elements)
            break;
    }
    ret->tensor = w->tensor;
    ret->first = (w->chunk - t->first_chunk) * DOTS_CHUNK;
    int64_t left = t->elements - ret->first;
    int64_t in_partition = (w->end - w->chunk) * DOTS_CHUNK;
    int64_t count = left < in_partition ? left : in_partition;
    size_t most = piece_elements(t, w->piece_bytes);
    ret->count = count < (int64_t)most ? (size_t)count : most;
    w->chunk += (int64_t)((ret->count + DOTS_CHUNK - 1) / DOTS_CHUNK);
    return true;
}
