/*
 * command_tensor - sewactl checkpoint tensors: what is in one checkpoint.
 */
#include <inttypes.h>

#include "../cleanup.h"
#include "commands.h"
#include "format.h"
#include "list_view.h"

struct tensors {
    struct list_view view;
    struct sewa_tensor_list page;
};

static struct tensors *tensors_of(const struct list_view *v)
{
    return container_of(v, struct tensors, view);
}

static int fetch(struct list_view *v, struct context *c, int limit, const char *page_token,
                 struct sewa_error *err)
{
    struct tensors *t = tensors_of(v);
    int rc =
        sewa_tensor_list(c->client, c->arguments->operands[0], limit, page_token, &t->page, err);

    v->json = t->page.json;
    v->count = t->page.count;
    v->next_page_token = t->page.next_page_token;
    return rc;
}

static void clear(struct list_view *v)
{
    sewa_tensor_list_clear(&tensors_of(v)->page);
}

static const char *item_json(const struct list_view *v, size_t i)
{
    return tensors_of(v)->page.items[i].json;
}

static const char *item_name(const struct list_view *v, size_t i)
{
    return tensors_of(v)->page.items[i].name;
}

static void row(const struct list_view *v, size_t i, struct table *t)
{
    const struct sewa_tensor *k = &tensors_of(v)->page.items[i];
    AUTO(sewa_text_clear) struct text shape = { 0 };
    char buffer[FORMAT_SIZE];

    for (size_t r = 0; r < k->rank; r++)
        sewa_text_printf(&shape, "%s%" PRId64, r ? " x " : "", k->shape[r]);
    table_cell(t, k->name);
    table_cell(t, k->dtype);
    table_cell(t, sewa_text_get(&shape));
    table_cell(t, format_bytes(k->bytes, buffer));
    table_cell(t, k->tied_to);
    table_cell(t, k->file);
}

int command_checkpoint_tensors(struct context *c, const struct arguments *a)
{
    static const struct column columns[] = {
        { "NAME", COLUMN_SHRINK },
        { "TYPE", 0 },
        { "SHAPE", 0 },
        { "SIZE", COLUMN_RIGHT },
        { "TIED TO", COLUMN_SHRINK },
        { "FILE", COLUMN_SHRINK },
    };
    struct tensors t = { .view = { .what = "tensors",
                                   .columns = columns,
                                   .column_count = COUNT_OF(columns),
                                   .fetch = fetch,
                                   .clear = clear,
                                   .item_json = item_json,
                                   .item_name = item_name,
                                   .row = row } };

    (void)a;
    return list_show(&t.view, c);
}
