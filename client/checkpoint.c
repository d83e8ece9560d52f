/*
 * checkpoint - the checkpoints of a run.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ask.h"
#include "cleanup.h"

/* Members of an object that are numbers. */
static int read_metrics(struct sewa_document *d, const json_t *o, struct sewa_checkpoint *k,
                        struct sewa_error *err)
{
    json_t *object = json_object_get(o, "metrics");
    struct sewa_metric *metrics = sewa_document_alloc(d, json_object_size(object), sizeof *metrics);
    const char *name;
    json_t *value;

    if (!metrics)
        return sewa_no_memory(err);
    json_object_foreach(object, name, value)
    {
        if (json_is_number(value))
            metrics[k->metric_count++] = (struct sewa_metric){ name, json_number_value(value) };
    }
    k->metrics = metrics;
    return 0;
}

static int read_checkpoint(struct sewa_document *d, const json_t *o, const char *json, void *ret,
                           struct sewa_error *err)
{
    const json_t *reason = json_object_get(o, "reason");
    struct sewa_checkpoint k = {
        .json = json,
        .run = sewa_get_text(o, "run"),
        .file = sewa_get_text(o, "file"),
        .path = sewa_get_text(o, "path"),
        .step = sewa_get_integer(o, "step", -1),
        .reason_code = sewa_get_text(reason, "code"),
        .reason = sewa_get_text(reason, "detail"),
        .format = sewa_get_text(o, "format"),
        .size = sewa_get_integer(o, "size", 0),
        .parameters = sewa_get_integer(o, "parameters", -1),
        .tensors = sewa_get_integer(o, "tensors", -1),
        .sha256 = sewa_get_text(o, "sha256"),
        .averaging_refused = sewa_get_text(json_object_get(o, "averaging_refused"), "detail"),
        .step_unit = sewa_get_text(o, "step_unit"),
        .step_reason = sewa_get_text(o, "step_reason"),
        .is_pinned = sewa_get_bool(o, "pinned"),
        .modified_ms = sewa_get_time(o, "mtime"),
        .discovered_ms = sewa_get_time(o, "discovered_at"),
        .completed_ms = sewa_get_time(o, "completed_at"),
    };
    int rc = sewa_need_text(o, "id", &k.id, err);

    if (rc == 0)
        rc = sewa_need_text(o, "state", &k.state, err);
    if (rc == 0)
        rc = sewa_get_labels(d, o, "labels", &k.labels, &k.label_count, err);
    if (rc == 0)
        rc = read_metrics(d, o, &k, err);
    if (rc == 0)
        *(struct sewa_checkpoint *)ret = k;
    return rc;
}

static void put_filter(struct text *path, const struct sewa_checkpoint_filter *f)
{
    char number[24];

    sewa_text_query(path, "state", f->state);
    if (f->min_step) {
        snprintf(number, sizeof number, "%" PRId64, *f->min_step);
        sewa_text_query(path, "min_step", number);
    }
    if (f->max_step) {
        snprintf(number, sizeof number, "%" PRId64, *f->max_step);
        sewa_text_query(path, "max_step", number);
    }
    sewa_text_query(path, "label", f->label);
    sewa_text_query(path, "order_by", f->order_by);
    sewa_query_page(path, f->limit, f->page_token);
}

int sewa_checkpoint_list(struct sewa_client *c, const char *run,
                         const struct sewa_checkpoint_filter *filter,
                         struct sewa_checkpoint_list *ret, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct page p;

    *ret = (struct sewa_checkpoint_list){ 0 };
    sewa_path(&path, "runs", run, "checkpoints");
    if (filter)
        put_filter(&path, filter);
    int rc = sewa_ask_page(c, &path, sizeof(struct sewa_checkpoint), read_checkpoint, &p, err);
    if (rc == 0)
        *ret = (struct sewa_checkpoint_list){ p.document->text, p.count, p.items, p.next_page_token,
                                              p.document };
    return rc;
}

void sewa_checkpoint_list_clear(struct sewa_checkpoint_list *l)
{
    sewa_document_free(l->document);
    *l = (struct sewa_checkpoint_list){ 0 };
}

static int ask_checkpoint(struct sewa_client *c, struct call *call, const char *id,
                          struct sewa_checkpoint *ret, struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_text_clear) struct text path = { 0 };

    *ret = (struct sewa_checkpoint){ 0 };
    sewa_path(&path, "checkpoints", id, NULL);
    int rc = sewa_ask(c, call, &path, &d, err);
    if (rc == 0)
        rc = read_checkpoint(d, d->root, d->text, ret, err);
    if (rc == 0)
        ret->document = TAKE(d);
    return rc;
}

int sewa_checkpoint_show(struct sewa_client *c, const char *id, struct sewa_checkpoint *ret,
                         struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { 0 };

    return ask_checkpoint(c, &call, id, ret, err);
}

int sewa_checkpoint_patch(struct sewa_client *c, const char *id, const char *json,
                          struct sewa_checkpoint *ret, struct sewa_error *err)
{
    AUTO(sewa_call_clear) struct call call = { .method = "PATCH", .json = json, .is_patch = true };

    return ask_checkpoint(c, &call, id, ret, err);
}

void sewa_checkpoint_clear(struct sewa_checkpoint *k)
{
    sewa_document_free(k->document);
    *k = (struct sewa_checkpoint){ 0 };
}
