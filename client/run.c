/*
 * run - training runs.
 */
#include <stdio.h>

#include "ask.h"
#include "cleanup.h"

static int read_run(struct sewa_document *d, const json_t *o, const char *json, void *ret,
                    struct sewa_error *err)
{
    const json_t *counts = json_object_get(o, "checkpoints"), *scan = json_object_get(o, "scan");
    struct sewa_run r = {
        .json = json,
        .path = sewa_get_text(o, "path"),
        .pattern = sewa_get_text(o, "pattern"),
        .origin = sewa_get_text(o, "origin"),
        .is_watched = sewa_get_bool(o, "watched"),
        .incomplete = sewa_get_integer(counts, "incomplete", 0),
        .complete = sewa_get_integer(counts, "complete", 0),
        .changed = sewa_get_integer(counts, "changed", 0),
        .gone = sewa_get_integer(counts, "gone", 0),
        .last_scan_ms = sewa_get_time(scan, "last_at"),
        .scan_error = sewa_get_text(scan, "error"),
        .steps_advice = sewa_get_text(json_object_get(o, "steps"), "advice"),
        .created_ms = sewa_get_time(o, "created_at"),
        .updated_ms = sewa_get_time(o, "updated_at"),
    };
    int rc = sewa_need_text(o, "id", &r.id, err);

    if (rc == 0)
        rc = sewa_need_text(o, "name", &r.name, err);
    if (rc == 0)
        rc = sewa_get_labels(d, o, "labels", &r.labels, &r.label_count, err);
    if (rc == 0)
        *(struct sewa_run *)ret = r;
    return rc;
}

/* One call whose answer is a run. */
static int ask_run(struct sewa_client *c, struct call *call, const struct text *path,
                   struct sewa_run *ret, struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;

    *ret = (struct sewa_run){ 0 };
    int rc = sewa_ask(c, call, path, &d, err);
    if (rc == 0)
        rc = read_run(d, d->root, d->text, ret, err);
    if (rc == 0)
        ret->document = TAKE(d);
    return rc;
}

int sewa_run_list(struct sewa_client *c, int limit, const char *page_token,
                  struct sewa_run_list *ret, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct page p;

    *ret = (struct sewa_run_list){ 0 };
    sewa_path(&path, "runs", NULL, NULL);
    sewa_query_page(&path, limit, page_token);
    int rc = sewa_ask_page(c, &path, sizeof(struct sewa_run), read_run, &p, err);
    if (rc == 0)
        *ret = (struct sewa_run_list){ p.document->text, p.count, p.items, p.next_page_token,
                                       p.document };
    return rc;
}

void sewa_run_list_clear(struct sewa_run_list *l)
{
    sewa_document_free(l->document);
    *l = (struct sewa_run_list){ 0 };
}

int sewa_run_show(struct sewa_client *c, const char *run, struct sewa_run *ret,
                  struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { 0 };
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "runs", run, NULL);
    return ask_run(c, &call, &path, ret, err);
}

int sewa_run_create(struct sewa_client *c, const char *json, struct sewa_run *ret,
                    struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { .method = "POST", .json = json };
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "runs", NULL, NULL);
    return ask_run(c, &call, &path, ret, err);
}

int sewa_run_patch(struct sewa_client *c, const char *run, const char *json, struct sewa_run *ret,
                   struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { .method = "PATCH", .json = json, .is_patch = true };
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "runs", run, NULL);
    return ask_run(c, &call, &path, ret, err);
}

int sewa_run_delete(struct sewa_client *c, const char *run, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "runs", run, NULL);
    return sewa_tell(c, "DELETE", &path, err);
}

void sewa_run_clear(struct sewa_run *r)
{
    sewa_document_free(r->document);
    *r = (struct sewa_run){ 0 };
}
