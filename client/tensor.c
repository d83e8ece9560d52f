/*
 * tensor - the table of tensors of one checkpoint.
 */
#include "ask.h"
#include "cleanup.h"

static int read_shape(struct sewa_document *d, const json_t *array, struct sewa_tensor *t,
                      struct sewa_error *err)
{
    size_t rank = json_array_size(array);
    int64_t *shape = sewa_document_alloc(d, rank, sizeof *shape);

    if (!shape)
        return sewa_no_memory(err);
    for (size_t i = 0; i < rank; i++)
        shape[i] = (int64_t)json_integer_value(json_array_get(array, i));
    t->shape = shape;
    t->rank = rank;
    return 0;
}

static int read_tensor(struct sewa_document *d, const json_t *o, const char *json, void *ret,
                       struct sewa_error *err)
{
    struct sewa_tensor t = {
        .json = json,
        .dtype = sewa_get_text(o, "dtype"),
        .offset = sewa_get_integer(o, "offset", 0),
        .bytes = sewa_get_integer(o, "bytes", 0),
        .file = sewa_get_text(o, "file"),
        .tied_to = sewa_get_text(o, "tied_to"),
    };
    int rc = sewa_need_text(o, "name", &t.name, err);

    if (rc == 0)
        rc = read_shape(d, json_object_get(o, "shape"), &t, err);
    if (rc == 0)
        *(struct sewa_tensor *)ret = t;
    return rc;
}

int sewa_tensor_list(struct sewa_client *c, const char *checkpoint, int limit,
                     const char *page_token, struct sewa_tensor_list *ret, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct page p;

    *ret = (struct sewa_tensor_list){ 0 };
    sewa_path(&path, "checkpoints", checkpoint, "tensors");
    sewa_query_page(&path, limit, page_token);
    int rc = sewa_ask_page(c, &path, sizeof(struct sewa_tensor), read_tensor, &p, err);
    if (rc == 0)
        *ret = (struct sewa_tensor_list){ p.document->text, p.count, p.items, p.next_page_token,
                                          p.document };
    return rc;
}

void sewa_tensor_list_clear(struct sewa_tensor_list *l)
{
    sewa_document_free(l->document);
    *l = (struct sewa_tensor_list){ 0 };
}
