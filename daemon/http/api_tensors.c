/*
 * api_tensors - the table of tensors of a checkpoint, page by page. A table may have a million
 * rows, so it is read and decoded on the pool.
 */
#include <stdio.h>
#include <string.h>

#include "formats/layout.h"
#include "http/api_body.h"

struct tensors {
    struct api_read base;
    struct list_reply list;
    int64_t layout_id;
    size_t first;
};

static json_t *tensor_json(const struct layout *l, const struct tensor *t)
{
    AUTOJSON json_t *shape = json_array();
    const char *tied = t->alias_of == LAYOUT_NO_ALIAS ? NULL : l->tensors[t->alias_of].name;

    for (int i = 0; shape && i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i])) < 0)
            return NULL;
    return json_pack("{s:s, s:s, s:O?, s:I, s:I, s:o, s:o}", "name", t->name, "dtype",
                     dtype_name(t->dtype), "shape", shape, "offset", (json_int_t)t->offset, "bytes",
                     (json_int_t)t->bytes, "file",
                     l->file_count ? json_string(l->files[t->file].name) : json_null(), "tied_to",
                     tied ? json_string(tied) : json_null());
}

static json_t *texts_json(const char *const *texts, size_t count)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, json_string(texts[i])) < 0)
            return NULL;
    return TAKE(list);
}

/* What is said of the table as a whole. */
static int tell_layout(struct list_reply *r, const struct layout *l, struct sewa_error *err)
{
    r->extra = json_pack("{s:s, s:o, s:o}", "state_key", l->state_key ? l->state_key : "", "left",
                         texts_json(l->left, l->left_count), "notes",
                         texts_json(l->notes, l->note_count));
    return r->extra ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list");
}

static int list_tensors(struct list_reply *l, const struct layout *layout, size_t first,
                        struct sewa_error *err)
{
    for (size_t i = first; i < layout->count; i++) {
        if (list_is_full(l))
            return 0;
        if (json_array_append_new(l->items, tensor_json(layout, &layout->tensors[i])) < 0)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list");
        l->last.id = (int64_t)i + 1;
    }
    return 0;
}

static int read_page(struct api_read *base, struct db *db, struct sewa_error *err)
{
    struct tensors *t = container_of(base, struct tensors, base);
    AUTO(layout_row_clear) struct layout_row stored = { 0 };
    AUTOPTR(layout_free) struct layout *layout = NULL;
    int rc = layout_by_id(db, t->layout_id, true, &stored, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_GONE, "the table of tensors is gone");
    if (rc > 0)
        rc = layout_decode(stored.tensors, stored.tensors_bytes, &layout, err);
    if (rc >= 0)
        rc = tell_layout(&t->list, layout, err);
    return rc < 0 ? rc : list_tensors(&t->list, layout, t->first, err);
}

static void answer(struct api_read *base)
{
    list_finish(&container_of(base, struct tensors, base)->list);
}

static void release(struct api_read *base)
{
    struct tensors *t = container_of(base, struct tensors, base);

    json_decref(t->list.items);
    json_decref(t->list.extra);
    free(t);
}

static int begin(struct api *a, struct request *rq, struct api_read *base, struct sewa_error *err)
{
    struct tensors *t = container_of(base, struct tensors, base);
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    struct page_key after;
    bool has_after;
    char order[PAGE_ORDER_SIZE];
    int rc = checkpoint_find(store_reader(a->o.store), rq->parameters[0], &row, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no checkpoint '%.80s'",
                         rq->parameters[0]);
    if (rc < 0)
        return rc;
    if (row.layout_id == 0)
        return sewa_fail(err, SEWA_E_CONFLICT, "the tensors of checkpoint '%s' are not known: %s",
                         row.uid, row.reason);
    snprintf(order, sizeof order, "tensors %lld", (long long)row.id);
    t->layout_id = row.layout_id;
    rc = list_begin(&t->list, rq, order, &after, &has_after, err);
    t->first = rc == 0 && has_after ? (size_t)after.id : 0;
    return rc;
}

void api_checkpoints_tensors(struct api *a, struct request *rq)
{
    struct tensors *t = calloc(1, sizeof *t);

    if (!t) {
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the request");
        return;
    }
    t->base.begin = begin;
    t->base.read = read_page;
    t->base.answer = answer;
    t->base.release = release;
    api_read_submit(a, rq, &t->base);
}
