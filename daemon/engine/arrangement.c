/*
 * arrangement - order and ties, the cuts, headers, names and index.
 */
#include "engine/arrangement.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"
#include "formats/shard_index.h"

#define ENDING ".safetensors"

struct arranging {
    const struct arrangement_options *options;
    const struct model *model;
    struct arrangement *ret;
    uint32_t *place; /* of a tensor in the order; UINT32_MAX: in none */
    size_t file_capacity;
};

/* ---- what is written, what is tied ---- */

static bool has_key(const struct arrangement_options *o, const char *key)
{
    for (size_t i = 0; i < o->metadata_count; i++)
        if (strcmp(o->metadata[i].key, key) == 0)
            return true;
    return false;
}

/* Names that loaders or we give another meaning are written in full. */
static bool can_be_a_key(const struct arrangement_options *o, const char *name)
{
    return strcmp(name, "format") != 0 && strncmp(name, "sewa.", 5) != 0 && !has_key(o, name);
}

static bool is_tied(const struct arrangement_options *o, size_t tensor)
{
    const struct roster *r = o->roster;

    return r->tied_to && r->tied_to[tensor] != ROSTER_NOT_TIED &&
           can_be_a_key(o, r->model->tensors[tensor].name);
}

static int choose_order(struct arranging *a, struct sewa_error *err)
{
    size_t count = a->model->count;
    struct arrangement *ret = a->ret;

    ret->order = malloc((count + 1) * sizeof *ret->order);
    ret->ties = malloc((count + 1) * sizeof *ret->ties);
    a->place = malloc((count + 1) * sizeof *a->place);
    if (!ret->order || !ret->ties || !a->place)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list %zu tensors", count);
    for (size_t t = 0; t < count; t++) {
        a->place[t] = UINT32_MAX;
        if (is_tied(a->options, t))
            ret->ties[ret->tie_count++] = (uint32_t)t;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t t = a->options->newest->placement->order[i];
        if (is_tied(a->options, t))
            continue;
        a->place[t] = (uint32_t)ret->order_count;
        ret->order[ret->order_count++] = t;
    }
    return 0;
}

/* ---- headers ---- */

/*
 * A tied tensor is written once, and its other names stand in the metadata with the one that is
 * there, as safetensors.torch.save_model() does and load_model() expects.
 */
static size_t add_ties(const struct arranging *a, const struct arranged_file *f,
                       struct layout_metadata *metadata)
{
    const uint32_t *tied_to = a->options->roster->tied_to;
    size_t n = 0;

    for (size_t i = 0; i < a->ret->tie_count; i++) {
        uint32_t t = a->ret->ties[i], kept = tied_to[t];
        if (a->place[kept] >= f->first && a->place[kept] < f->end)
            metadata[n++] =
                (struct layout_metadata){ a->model->tensors[t].name, a->model->tensors[kept].name };
    }
    return n;
}

/* Ours, "format" of the newest ingredient, and the ties of this file. NULL: no memory. */
static struct layout_metadata *make_metadata(const struct arranging *a,
                                             const struct arranged_file *f, size_t *ret_count)
{
    const struct arrangement_options *o = a->options;
    const char *format = o->newest->metadata_format;
    size_t n = o->metadata_count;
    struct layout_metadata *list = calloc(n + a->ret->tie_count + 1, sizeof *list);

    if (!list)
        return NULL;
    if (n > 0)
        memcpy(list, o->metadata, n * sizeof *list);
    if (format && !has_key(o, "format"))
        list[n++] = (struct layout_metadata){ "format", format };
    *ret_count = n + add_ties(a, f, list + n);
    return list;
}

static int64_t tensor_bytes(const struct arranging *a, size_t place)
{
    const struct model_tensor *t = &a->model->tensors[a->ret->order[place]];

    return t->elements * (int64_t)(dtype_bits(exact_dtype(a->options->exact, t)) / 8);
}

/* The file that ends there. */
static int make_header(const struct arranging *a, size_t end, struct arranged_file *f,
                       struct sewa_error *err)
{
    size_t count = end - f->first, metadata_count = 0;

    f->end = end;
    f->data_bytes = 0;
    buf_reset(&f->header);
    AUTOFREE struct safetensors_item *items = calloc(count + 1, sizeof *items);
    AUTOFREE struct layout_metadata *metadata = make_metadata(a, f, &metadata_count);
    if (!items || !metadata)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a header of %zu tensors", count);
    for (size_t i = 0; i < count; i++) {
        const struct model_tensor *t = &a->model->tensors[a->ret->order[f->first + i]];
        items[i] = (struct safetensors_item){ t->name, exact_dtype(a->options->exact, t), t->rank,
                                              t->shape };
        f->data_bytes += tensor_bytes(a, f->first + i);
    }
    return safetensors_header(items, count, metadata, metadata_count, &f->header, err);
}

/* ---- cuts ---- */

/* As many tensors as have no more bytes than this, one at least. */
static size_t end_by_data(const struct arranging *a, size_t first, int64_t limit)
{
    size_t end = first + 1;
    int64_t left = limit - tensor_bytes(a, first);

    while (end < a->ret->order_count && left >= tensor_bytes(a, end))
        left -= tensor_bytes(a, end++);
    return end;
}

/*
 * As many tensors as fit with their header, one at least. More tensors have a longer header, so it
 * is searched between one tensor and what would fit without.
 */
static int cut_by_bytes(const struct arranging *a, int64_t limit, struct arranged_file *f,
                        struct sewa_error *err)
{
    size_t low = f->first + 1, high = end_by_data(a, f->first, limit);
    int rc = make_header(a, high, f, err); /* which mostly does */

    while (rc == 0 && low < high) {
        if ((int64_t)f->header.len + f->data_bytes <= limit)
            low = f->end;
        else
            high = f->end - 1;
        if (low < high)
            rc = make_header(a, low + (high - low + 1) / 2, f, err);
    }
    return rc == 0 && f->end != low ? make_header(a, low, f, err) : rc;
}

/*
 * Which file of the newest ingredient has the tensor. That of the byte before it: an empty one may
 * stand at the very end of a file, and none at the very beginning.
 */
static const struct shard *shard_of(const struct arranging *a, size_t place)
{
    const struct roster_entry *e = a->options->newest;
    int64_t begin = e->data_begin + e->placement->offset[a->ret->order[place]], offset;

    return shards_at(&e->shards, begin - 1, &offset);
}

static size_t end_by_input(const struct arranging *a, size_t first)
{
    size_t end = first + 1;

    while (end < a->ret->order_count && shard_of(a, end) == shard_of(a, first))
        end++;
    return end;
}

static int cut(const struct arranging *a, struct arranged_file *f, struct sewa_error *err)
{
    int64_t limit = a->options->max_file_bytes;
    size_t all = a->ret->order_count;

    if (limit == 0 || f->first == all)
        return make_header(a, all, f, err);
    if (limit == ARRANGEMENT_AS_INPUT)
        return make_header(a, end_by_input(a, f->first), f, err);
    return cut_by_bytes(a, limit, f, err);
}

/* Behind the last one. */
static int add_file(struct arranging *a, struct sewa_error *err)
{
    struct arrangement *ret = a->ret;
    size_t n = ret->file_count;

    if (n == ARRANGEMENT_FILES_MAX)
        return sewa_fail(err, SEWA_E_INVALID,
                         "in files of at most %" PRId64 " bytes, the average needs more than the "
                         "%d files that it may have",
                         a->options->max_file_bytes, ARRANGEMENT_FILES_MAX);
    if (n == a->file_capacity) {
        size_t capacity = n ? 2 * n : 1;
        struct arranged_file *files = realloc(ret->files, capacity * sizeof *files);
        if (!files)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu files", capacity);
        ret->files = files;
        a->file_capacity = capacity;
    }
    ret->files[n] = (struct arranged_file){ .first = n ? ret->files[n - 1].end : 0 };
    ret->file_count++;
    return 0;
}

static int cut_all(struct arranging *a, struct sewa_error *err)
{
    struct arranged_file *f = NULL;
    int rc;

    do { /* a model without tensors has a file, too */
        rc = add_file(a, err);
        if (rc < 0)
            return rc;
        f = &a->ret->files[a->ret->file_count - 1];
        rc = cut(a, f, err);
        a->ret->bytes += (int64_t)f->header.len + f->data_bytes;
    } while (rc == 0 && f->end < a->ret->order_count);
    return rc;
}

/* ---- names ---- */

static int name_files(struct arranging *a, struct sewa_error *err)
{
    struct arrangement *ret = a->ret;
    const char *name = a->options->name;
    size_t n = strlen(name), ending = strlen(ENDING);

    if (n > ending && strcmp(name + n - ending, ENDING) == 0)
        n -= ending;
    if (n + sizeof "-00001-of-00001.safetensors.index.json" > ARRANGEMENT_NAME_MAX)
        return sewa_fail(err, SEWA_E_INVALID, "'%.60s...' is %zu bytes, too long for a file's name",
                         name, strlen(name));
    if (ret->file_count == 1) {
        snprintf(ret->files[0].name, sizeof ret->files[0].name, "%s", name);
        return 0;
    }
    for (size_t i = 0; i < ret->file_count; i++)
        snprintf(ret->files[i].name, sizeof ret->files[i].name, "%.*s-%05zu-of-%05zu" ENDING,
                 (int)n, name, i + 1, ret->file_count);
    snprintf(ret->index_name, sizeof ret->index_name, "%.*s" ENDING ".index.json", (int)n, name);
    return 0;
}

/* Tensors of the model are in the order of names, as an index is. */
static int make_index(struct arranging *a, struct sewa_error *err)
{
    struct arrangement *ret = a->ret;
    AUTOFREE struct shard_index_entry *entries = calloc(a->model->count + 1, sizeof *entries);
    AUTOFREE const char **names = calloc(ret->file_count, sizeof *names);
    AUTOFREE uint32_t *file_of = calloc(ret->order_count + 1, sizeof *file_of);
    int64_t total = 0;
    size_t n = 0;

    if (!entries || !names || !file_of)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for an index of %zu tensors",
                         a->model->count);
    for (size_t i = 0; i < ret->file_count; i++) {
        names[i] = ret->files[i].name;
        total += ret->files[i].data_bytes;
        for (size_t p = ret->files[i].first; p < ret->files[i].end; p++)
            file_of[p] = (uint32_t)i;
    }
    for (size_t t = 0; t < a->model->count; t++)
        if (a->place[t] != UINT32_MAX)
            entries[n++] =
                (struct shard_index_entry){ a->model->tensors[t].name, file_of[a->place[t]] };
    return shard_index_text(entries, n, names, total, &ret->index, err);
}

int arrangement_make(const struct arrangement_options *o, struct arrangement *ret,
                     struct sewa_error *err)
{
    struct arranging a = { .options = o, .model = o->roster->model, .ret = ret };
    int rc = choose_order(&a, err);

    if (rc == 0)
        rc = cut_all(&a, err);
    if (rc == 0)
        rc = name_files(&a, err);
    if (rc == 0 && ret->file_count > 1)
        rc = make_index(&a, err);
    free(a.place);
    return rc;
}

void arrangement_clear(struct arrangement *a)
{
    free(a->order);
    free(a->ties);
    for (size_t i = 0; i < a->file_count; i++)
        buf_clear(&a->files[i].header);
    free(a->files);
    buf_clear(&a->index);
    memset(a, 0, sizeof *a);
}
