/*
 * roster - headers are read in parallel; the first candidate's decides what the model is.
 */
#include "engine/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gather.h"
#include "formats/layout.h"

/* One allocation: the struct, pointers to strides, then offsets ... strides, then the order. */
struct placement_body {
    struct placement placement;
    const int64_t **stride;
    int64_t *offset, *position, *span_bytes, *strides;
    uint32_t *order;
};

struct roster_body {
    struct roster roster;
    struct placement **owned; /* by candidate; NULL where that of the first is shared */
    char **names;
    struct layout *first; /* of candidate 0, while the others are opened */
    uint32_t **ties;   /* by candidate, as tied_to; NULL for one without; while they are opened */
    uint32_t *tied_to; /* what all have in common */
};

static struct roster_body *body_of(struct roster *r)
{
    return container_of(r, struct roster_body, roster);
}

static void placement_free(struct placement *p)
{
    free(p); /* the first member of its block */
}

/* ranks: of all views together. */
static struct placement_body *placement_allocate(size_t tensors, size_t views, size_t ranks)
{
    size_t pointers = views > 0 ? tensors : 0;
    size_t words = 2 * tensors + 1 + pointers + ranks;
    struct placement_body *p = calloc(1, sizeof *p + pointers * sizeof(int64_t *) +
                                             words * sizeof(int64_t) + tensors * sizeof(uint32_t));

    if (!p)
        return NULL;
    p->stride = (const int64_t **)(void *)(p + 1);
    p->offset = (int64_t *)(void *)(p->stride + pointers);
    p->position = p->offset + tensors;
    p->span_bytes = p->position + tensors + 1;
    p->strides = p->span_bytes + pointers;
    p->order = (uint32_t *)(void *)(p->strides + ranks);
    p->placement = (struct placement){ p->offset, p->order, p->position };
    if (views > 0) {
        p->placement.stride = p->stride;
        p->placement.span_bytes = p->span_bytes;
    }
    return p;
}

/* An empty tensor is in any order. */
static bool is_view(const struct tensor *t)
{
    return t->stride && t->elements > 0;
}

static void place_views(struct placement_body *p, const struct layout *l)
{
    int64_t *strides = p->strides;

    for (size_t t = 0; t < l->count; t++) {
        const struct tensor *tensor = &l->tensors[l->by_name[t]];
        if (!is_view(tensor))
            continue;
        p->stride[t] = memcpy(strides, tensor->stride, tensor->rank * sizeof *strides);
        p->span_bytes[t] = tensor->span_bytes;
        p->placement.view_bytes += tensor->bytes;
        strides += tensor->rank;
    }
}

/* Tensor t of the model is the t-th by name of every layout. */
static int64_t place_of(const struct tensor *t, const struct shards *shards)
{
    return shards->shard[t->file].begin + t->offset;
}

static struct placement *placement_new(const struct layout *l, const struct shards *shards)
{
    size_t views = 0, ranks = 0;

    for (size_t i = 0; i < l->count; i++) {
        views += is_view(&l->tensors[i]);
        ranks += is_view(&l->tensors[i]) ? l->tensors[i].rank : 0;
    }
    struct placement_body *p = placement_allocate(l->count, views, ranks);
    if (!p)
        return NULL;
    for (size_t t = 0; t < l->count; t++) {
        p->offset[t] = place_of(&l->tensors[l->by_name[t]], shards) -
                       place_of(&l->tensors[0], shards);
        p->order[l->by_name[t]] = (uint32_t)t;
    }
    for (size_t i = 0; i < l->count; i++)
        p->position[i + 1] = p->position[i] + (is_view(&l->tensors[i]) ? 0 : l->tensors[i].bytes);
    place_views(p, l);
    return &p->placement;
}

static bool is_same_placement(const struct placement *a, const struct placement *b,
                              const struct model *m)
{
    if (memcmp(a->offset, b->offset, m->count * sizeof a->offset[0]) != 0 ||
        memcmp(a->order, b->order, m->count * sizeof a->order[0]) != 0 || !a->stride != !b->stride)
        return false;
    for (size_t t = 0; a->stride && t < m->count; t++) {
        const int64_t *x = a->stride[t], *y = b->stride[t];
        if (!x != !y || (x && memcmp(x, y, m->tensors[t].rank * sizeof *x) != 0))
            return false;
    }
    return true;
}

static int no_memory(const char *name, struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the tensors of %s", name);
}

static int keep_metadata(struct roster_entry *entry, const struct layout *l, const char *name,
                         struct sewa_error *err)
{
    for (size_t i = 0; i < l->metadata_count; i++) {
        if (strcmp(l->metadata[i].key, "format") != 0)
            continue;
        size_t bytes = strlen(l->metadata[i].value) + 1;
        entry->metadata_format = malloc(bytes);
        if (!entry->metadata_format)
            return no_memory(name, err);
        memcpy(entry->metadata_format, l->metadata[i].value, bytes);
    }
    return 0;
}

/* The ties of one file, by tensors of the model; *ret is NULL when it has none. */
static int find_ties(const struct layout *l, uint32_t **ret, const char *name,
                     struct sewa_error *err)
{
    AUTOFREE uint32_t *model_of = NULL; /* of a tensor in the order of the file */
    bool has_ties = false;

    for (size_t i = 0; i < l->count; i++)
        has_ties = has_ties || l->tensors[i].alias_of != LAYOUT_NO_ALIAS;
    if (!has_ties)
        return 0;
    model_of = malloc(l->count * sizeof *model_of);
    uint32_t *ties = malloc(l->count * sizeof *ties);
    *ret = ties;
    if (!model_of || !ties)
        return no_memory(name, err);
    for (size_t t = 0; t < l->count; t++)
        model_of[l->by_name[t]] = (uint32_t)t;
    for (size_t t = 0; t < l->count; t++) {
        uint32_t alias = l->tensors[l->by_name[t]].alias_of;
        ties[t] = alias == LAYOUT_NO_ALIAS ? ROSTER_NOT_TIED : model_of[alias];
    }
    return 0;
}

/* The first one's, as far as all others have them. */
static void join_ties(struct roster_body *body)
{
    const struct roster *r = &body->roster;
    uint32_t *first = TAKE(body->ties[0]);
    size_t count = 0;

    for (size_t t = 0; first && t < r->model->count; t++) {
        for (size_t i = 1; i < r->count; i++)
            if (!body->ties[i] || body->ties[i][t] != first[t])
                first[t] = ROSTER_NOT_TIED;
        count += first[t] != ROSTER_NOT_TIED;
    }
    if (count == 0) {
        free(first);
        first = NULL;
    }
    body->roster.tied_to = body->tied_to = first;
}

static int place_entry(struct roster_body *body, size_t i, const struct layout *l,
                       struct sewa_error *err)
{
    struct roster_entry *entry = &body->roster.entries[i];

    entry->data_begin = l->count > 0 ? place_of(&l->tensors[0], &entry->shards) : 0;
    struct placement *p = placement_new(l, &entry->shards);
    if (!p)
        return no_memory(body->names[i], err);
    if (i > 0 && is_same_placement(p, body->owned[0], body->roster.model)) {
        placement_free(p);
        p = NULL;
    }
    body->owned[i] = p;
    entry->placement = p ? p : body->owned[0];
    int rc = keep_metadata(entry, l, body->names[i], err);
    return rc < 0 ? rc : find_ties(l, &body->ties[i], body->names[i], err);
}

static int open_first(struct roster_body *body, struct sewa_error *err)
{
    struct roster *r = &body->roster;
    int rc = candidate_open(r->entries[0].candidate, &r->entries[0].shards, &body->first, err);

    if (rc < 0)
        return rc;
    rc = model_new(body->first, &r->model, err);
    if (rc < 0)
        return sewa_context(err, rc, "%s", body->names[0]);
    return place_entry(body, 0, body->first, err);
}

struct open_task {
    struct pool_task task;
    struct roster_body *body;
};

/* Item n is candidate n + 1. */
static int open_other(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err)
{
    struct roster_body *body = container_of(task, struct open_task, task)->body;
    struct roster_entry *entry = &body->roster.entries[item + 1];
    AUTOPTR(layout_free) struct layout *l = NULL;

    (void)thread;
    int rc = candidate_open(entry->candidate, &entry->shards, &l, err);
    if (rc == 0)
        rc = layout_compare(body->first, body->roster.entries[0].candidate->id, l,
                            entry->candidate->id, err);
    if (rc == 0)
        rc = place_entry(body, item + 1, l, err);
    return rc;
}

static int prepare(struct roster_body *body, const struct candidate *candidates, size_t count,
                   struct sewa_error *err)
{
    struct roster *r = &body->roster;

    r->entries = calloc(count, sizeof *r->entries);
    body->owned = calloc(count, sizeof(struct placement *));
    body->names = calloc(count, sizeof(char *));
    body->ties = calloc(count, sizeof(uint32_t *));
    if (!r->entries || !body->owned || !body->names || !body->ties)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu checkpoints", count);
    r->names = (const char *const *)body->names;
    r->count = count;
    for (size_t i = 0; i < count; i++)
        r->entries[i].candidate = &candidates[i];
    for (size_t i = 0; i < count; i++) {
        body->names[i] = candidate_name(&candidates[i]);
        if (!body->names[i])
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu checkpoints", count);
    }
    return 0;
}

int roster_open(const struct engine *e, const struct candidate *candidates, size_t count,
                const atomic_bool *cancel, struct roster **ret, struct sewa_error *err)
{
    if (count == 0)
        return sewa_fail(err, SEWA_E_NO_CANDIDATES, "there is no checkpoint to average");
    struct roster_body *body = calloc(1, sizeof *body);
    if (!body)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu checkpoints", count);
    AUTOPTR(roster_close) struct roster *r = &body->roster;
    struct open_task others = { .task.run = open_other, .body = body };

    int rc = prepare(body, candidates, count, err);
    if (rc == 0)
        rc = open_first(body, err);
    if (rc == 0)
        rc = pool_run(e->pool, &others.task, count - 1, cancel, err);
    if (rc < 0)
        return rc;
    layout_free(body->first);
    body->first = NULL;
    join_ties(body);
    *ret = TAKE(r);
    return 0;
}

bool roster_is_view(const struct roster *r, size_t i, size_t t)
{
    const struct placement *p = r->entries[i].placement;

    return p->stride && p->stride[t];
}

int roster_gather(const struct roster *r, size_t i, size_t t, void *out, const atomic_bool *cancel,
                  struct sewa_error *err)
{
    const struct roster_entry *entry = &r->entries[i];
    const struct placement *p = entry->placement;
    const struct model_tensor *tensor = &r->model->tensors[t];
    int64_t offset;
    const struct shard *shard =
        shards_at(&entry->shards, entry->data_begin + p->offset[t], &offset);
    const struct view v = {
        .offset = offset,
        .span_bytes = p->span_bytes[t],
        .element_bytes = model_element_bytes(tensor),
        .rank = tensor->rank,
        .shape = tensor->shape,
        .stride = p->stride[t],
    };

    return gather(shard, entry->candidate, &v, out, cancel, err);
}

void roster_close_files(struct roster *r)
{
    for (size_t i = 0; i < r->count; i++)
        shards_close_files(&r->entries[i].shards);
}

void roster_close(struct roster *r)
{
    if (!r)
        return;
    struct roster_body *body = body_of(r);
    for (size_t i = 0; i < r->count; i++) {
        shards_clear(&r->entries[i].shards);
        placement_free(body->owned[i]);
        free(r->entries[i].metadata_format);
        free(body->names[i]);
        free(body->ties[i]);
    }
    free(body->ties);
    free(body->tied_to);
    free(body->names);
    free(body->owned);
    free(r->entries);
    layout_free(body->first);
    model_free(r->model);
    free(body);
}

struct verify_task {
    struct pool_task task;
    const struct roster *roster;
    const uint32_t *which;
};

static int verify_one(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err)
{
    const struct verify_task *v = container_of(task, struct verify_task, task);

    (void)thread;
    return candidate_verify(v->roster->entries[v->which[item]].candidate, err);
}

int roster_verify(const struct engine *e, const struct roster *r, const uint32_t *which,
                  size_t count, const atomic_bool *cancel, struct sewa_error *err)
{
    struct verify_task v = { .task.run = verify_one, .roster = r, .which = which };

    return pool_run(e->pool, &v.task, count, cancel, err);
}
