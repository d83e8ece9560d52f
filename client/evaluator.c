/*
 * evaluator - which evaluators are configured. The library for writing one is evaluator/.
 */
#include "ask.h"
#include "cleanup.h"

static int read_evaluator(struct sewa_document *d, const json_t *o, const char *json, void *ret,
                          struct sewa_error *err)
{
    struct sewa_evaluator e = {
        .json = json,
        .timeout_seconds = sewa_get_integer(o, "timeout_seconds", 0),
    };
    int rc = sewa_need_text(o, "name", &e.name, err);

    if (rc == 0)
        rc = sewa_get_texts(d, o, "command", &e.command, &e.argument_count, err);
    if (rc == 0)
        *(struct sewa_evaluator *)ret = e;
    return rc;
}

int sewa_evaluator_list(struct sewa_client *c, struct sewa_evaluator_list *ret,
                        struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct page p;

    *ret = (struct sewa_evaluator_list){ 0 };
    sewa_path(&path, "evaluators", NULL, NULL);
    int rc = sewa_ask_page(c, &path, sizeof(struct sewa_evaluator), read_evaluator, &p, err);
    if (rc == 0)
        *ret = (struct sewa_evaluator_list){ p.document->text, p.count, p.items, p.document };
    return rc;
}

void sewa_evaluator_list_clear(struct sewa_evaluator_list *l)
{
    sewa_document_free(l->document);
    *l = (struct sewa_evaluator_list){ 0 };
}

int sewa_evaluator_show(struct sewa_client *c, const char *name, struct sewa_evaluator *ret,
                        struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { 0 };
    AUTO(sewa_text_clear) struct text path = { 0 };

    *ret = (struct sewa_evaluator){ 0 };
    sewa_path(&path, "evaluators", name, NULL);
    int rc = sewa_ask(c, &call, &path, &d, err);
    if (rc == 0)
        rc = read_evaluator(d, d->root, d->text, ret, err);
    if (rc == 0)
        ret->document = TAKE(d);
    return rc;
}

void sewa_evaluator_clear(struct sewa_evaluator *e)
{
    sewa_document_free(e->document);
    *e = (struct sewa_evaluator){ 0 };
}
