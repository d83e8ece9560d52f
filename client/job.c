/*
 * job - list, show, cancel, delete, retry; and the jobs that check an evaluator. Submitting is
 * submit.c's, waiting wait.c's.
 */
#include <stdio.h>

#include "ask.h"
#include "cleanup.h"
#include "job_call.h"
#include "job_read.h"

int sewa_job_call(struct sewa_client *c, struct call *call, const struct text *path,
                  struct sewa_job *ret, struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;

    *ret = (struct sewa_job){ 0 };
    int rc = sewa_ask(c, call, path, &d, err);
    if (rc < 0 || !d)
        return rc;
    rc = sewa_job_read(d, d->root, d->text, ret, err);
    if (rc < 0)
        return rc;
    ret->document = TAKE(d);
    return 1;
}

void sewa_job_clear(struct sewa_job *j)
{
    sewa_document_free(j->document);
    *j = (struct sewa_job){ 0 };
}

int sewa_job_show(struct sewa_client *c, const char *id, struct sewa_job *ret,
                  struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { 0 };
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "jobs", id, NULL);
    int rc = sewa_job_call(c, &call, &path, ret, err);
    return rc < 0 ? rc : 0;
}

int sewa_job_retry(struct sewa_client *c, const char *id, const char *key, struct sewa_job *ret,
                   struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { .method = "POST", .key = key };
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "jobs", id, "retry");
    int rc = sewa_job_call(c, &call, &path, ret, err);
    return rc < 0 ? rc : 0;
}

int sewa_evaluator_check(struct sewa_client *c, const char *name, const char *json, const char *key,
                         struct sewa_job *ret, struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { .method = "POST", .json = json, .key = key };
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "evaluators", name, "check");
    int rc = sewa_job_call(c, &call, &path, ret, err);
    return rc < 0 ? rc : 0;
}

int sewa_job_cancel(struct sewa_client *c, const char *id, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "jobs", id, "cancel");
    return sewa_tell(c, "POST", &path, err);
}

int sewa_job_delete(struct sewa_client *c, const char *id, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_path(&path, "jobs", id, NULL);
    return sewa_tell(c, "DELETE", &path, err);
}

/* ---- list ---- */

static int read_item(struct sewa_document *d, const json_t *o, const char *json, void *ret,
                     struct sewa_error *err)
{
    return sewa_job_read(d, o, json, ret, err);
}

int sewa_job_list(struct sewa_client *c, const struct sewa_job_filter *filter,
                  struct sewa_job_list *ret, struct sewa_error *err)
{
    static const struct sewa_job_filter none;
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct page p;
    const struct sewa_job_filter *f = filter ? filter : &none;

    *ret = (struct sewa_job_list){ 0 };
    sewa_path(&path, "jobs", NULL, NULL);
    sewa_text_query(&path, "state", f->state);
    sewa_text_query(&path, "run", f->run);
    sewa_text_query(&path, "label", f->label);
    sewa_text_query(&path, "created_after", f->created_after);
    sewa_query_page(&path, f->limit, f->page_token);
    int rc = sewa_ask_page(c, &path, sizeof(struct sewa_job), read_item, &p, err);
    if (rc == 0)
        *ret = (struct sewa_job_list){ p.document->text, p.count, p.items, p.next_page_token,
                                       p.document };
    return rc;
}

void sewa_job_list_clear(struct sewa_job_list *l)
{
    sewa_document_free(l->document);
    *l = (struct sewa_job_list){ 0 };
}
