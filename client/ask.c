/*
 * ask - paths and documents.
 */
#include "ask.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"

void sewa_path(struct text *path, const char *collection, const char *name, const char *rest)
{
    sewa_text_printf(path, "/api/v1/%s", collection);
    if (name) {
        sewa_text_put(path, "/");
        sewa_text_escape(path, name);
    }
    if (rest)
        sewa_text_printf(path, "/%s", rest);
}

void sewa_query_page(struct text *path, int limit, const char *page_token)
{
    char number[16];

    snprintf(number, sizeof number, "%d", limit);
    sewa_text_query(path, "limit", limit ? number : NULL);
    sewa_text_query(path, "page_token", page_token);
}

void sewa_document_cleanup(struct sewa_document **d)
{
    sewa_document_free(*d);
}

static int perform(struct sewa_client *c, struct call *call, const struct text *path,
                   struct sewa_error *err)
{
    if (path->failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a request");
    call->path = sewa_text_get(path);
    if (!call->method)
        call->method = "GET";
    return sewa_call(c, call, err);
}

int sewa_ask(struct sewa_client *c, struct call *call, const struct text *path,
             struct sewa_document **ret, struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_text_clear) struct text what = { 0 };
    int rc = perform(c, call, path, err);

    if (rc < 0 || call->status == 304) {
        *ret = NULL;
        return rc;
    }
    sewa_text_printf(&what, "%s %s", call->method, call->path);
    size_t n = call->answer.length;
    rc = sewa_document_new(sewa_text_take(&call->answer), n, sewa_text_get(&what), &d, err);
    if (rc < 0)
        return rc;
    if (call->etag[0] && !(d->etag = strdup(call->etag)))
        return sewa_no_memory(err);
    *ret = TAKE(d);
    return 0;
}

static int read_page(struct sewa_document *d, size_t item_bytes, sewa_read_item *read,
                     struct page *ret, struct sewa_error *err)
{
    struct list list;
    int rc = sewa_document_list(d, &list, err);

    if (rc < 0)
        return rc;
    size_t count = json_array_size(list.items);
    char *items = sewa_document_alloc(d, count, item_bytes);
    if (!items)
        return sewa_no_memory(err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read(d, json_array_get(list.items, i), list.json[i], items + i * item_bytes, err);
    if (rc == 0)
        *ret = (struct page){ d, items, count, list.next_page_token };
    return rc;
}

int sewa_ask_page(struct sewa_client *c, const struct text *path, size_t item_bytes,
                  sewa_read_item *read, struct page *ret, struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { 0 };
    int rc = sewa_ask(c, &call, path, &d, err);

    if (rc == 0)
        rc = read_page(d, item_bytes, read, ret, err);
    if (rc == 0)
        (void)TAKE(d);
    return rc;
}

int sewa_tell(struct sewa_client *c, const char *method, const struct text *path,
              struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { .method = method };

    return perform(c, &call, path, err);
}
