/*
 * artifact - which files a job has made. Fetching one is download.c's.
 */
#include "ask.h"
#include "cleanup.h"
#include "job_read.h"

int sewa_artifact_list(struct sewa_client *c, const char *job, struct sewa_artifact_list *ret,
                       struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { 0 };
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct sewa_artifact_list l = { 0 };

    *ret = l;
    sewa_path(&path, "jobs", job, "artifacts");
    int rc = sewa_ask(c, &call, &path, &d, err);
    if (rc == 0 && !json_is_array(json_object_get(d->root, "items")))
        rc = sewa_fail(err, SEWA_E_PROTOCOL, "the answer has no 'items': is this a sewad?");
    if (rc == 0)
        rc = sewa_artifacts_read(d, json_object_get(d->root, "items"), &l.items, &l.count, err);
    if (rc < 0)
        return rc;
    l.json = d->text;
    l.document = TAKE(d);
    *ret = l;
    return 0;
}

void sewa_artifact_list_clear(struct sewa_artifact_list *l)
{
    sewa_document_free(l->document);
    *l = (struct sewa_artifact_list){ 0 };
}
