/*
 * api_checkpoints - the checkpoints of a run, one checkpoint, its labels.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "http/api_body.h"
#include "store/service.h"

/* ---- list ---- */

struct listing {
    struct api *api;
    struct list_reply list;
    struct checkpoint_filter filter;
    const struct run_row *run;
    char *label;
    struct layout_row layout; /* of the row before: neighbours share one */
};

static int with_layout(struct db *db, const struct checkpoint_row *row, struct layout_row *layout,
                       struct sewa_error *err)
{
    if (row->layout_id == 0 || layout->id == row->layout_id)
        return 0;
    int rc = layout_by_id(db, row->layout_id, false, layout, err);
    return rc < 0 ? rc : 0;
}

static int remember_place(struct listing *l, const struct checkpoint_row *row,
                          struct sewa_error *err)
{
    struct page_key *k = &l->list.last;

    k->id = row->id;
    if (l->filter.order == CHECKPOINT_BY_METRIC)
        return checkpoint_metric(store_reader(l->api->o.store), row->id, l->filter.metric,
                                 &k->value, err);
    k->number = l->filter.order == CHECKPOINT_BY_DISCOVERED ? row->discovered_ms
                : row->has_step                             ? row->step
                                                            : -1;
    return 0;
}

static int add_checkpoint(const struct checkpoint_row *row, void *arg, struct sewa_error *err)
{
    struct listing *l = arg;

    if (list_is_full(&l->list))
        return 0;
    int rc = with_layout(store_reader(l->api->o.store), row, &l->layout, err);
    if (rc < 0)
        return rc;
    json_t *o = view_checkpoint(row, l->run, row->layout_id ? &l->layout : NULL);
    if (!o || json_array_append_new(l->list.items, o) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list");
    rc = remember_place(l, row, err);
    return rc < 0 ? rc : 0;
}

enum { ORDER_SIZE = 72 };

/* Cut the last word off when it is this one. */
static bool cut_word(char *text, const char *word)
{
    char *space = strrchr(text, ' ');

    if (!space || strcmp(space + 1, word) != 0)
        return false;
    *space = '\0';
    return true;
}

/* "step", "discovered_at" or "metric.NAME", with " asc" or " desc". order keeps what comes first.
 */
static int read_order(struct listing *l, const char *text, char order[ORDER_SIZE],
                      struct sewa_error *err)
{
    text = text ? text : "step";
    if (strlen(text) >= ORDER_SIZE)
        return sewa_fail(err, SEWA_E_INVALID, "'order_by' has %zu bytes, at most %d are allowed",
                         strlen(text), ORDER_SIZE - 1);
    memcpy(order, text, strlen(text) + 1);
    l->filter.descending = cut_word(order, "desc");
    if (!l->filter.descending)
        cut_word(order, "asc");
    if (strcmp(order, "step") == 0)
        l->filter.order = CHECKPOINT_BY_STEP;
    else if (strcmp(order, "discovered_at") == 0)
        l->filter.order = CHECKPOINT_BY_DISCOVERED;
    else if (strncmp(order, "metric.", 7) == 0 && order[7])
        l->filter.order = CHECKPOINT_BY_METRIC;
    else
        return sewa_fail(err, SEWA_E_INVALID,
                         "'order_by' is '%.80s', allowed is step, discovered_at or metric.NAME, "
                         "each with asc or desc",
                         text);
    if (l->filter.order == CHECKPOINT_BY_METRIC)
        l->filter.metric = order + 7;
    return 0;
}

static int read_filters(struct listing *l, struct request *rq, struct sewa_error *err)
{
    const char *state = request_query(rq, "state");

    l->filter.state = state ? checkpoint_state_from_name(state) : -1;
    if (state && l->filter.state < 0)
        return sewa_fail(err, SEWA_E_INVALID,
                         "'state' is '%.40s', allowed is incomplete, complete, changed or gone",
                         state);
    l->filter.has_min_step = request_query(rq, "min_step") != NULL;
    l->filter.has_max_step = request_query(rq, "max_step") != NULL;
    int rc = request_query_int(rq, "min_step", 0, INT64_MAX, 0, &l->filter.min_step, err);
    if (rc == 0)
        rc = request_query_int(rq, "max_step", 0, INT64_MAX, 0, &l->filter.max_step, err);
    if (rc == 0 && l->filter.has_min_step && l->filter.has_max_step &&
        l->filter.min_step > l->filter.max_step)
        rc = sewa_fail(err, SEWA_E_INVALID, "'max_step' %lld is below 'min_step' %lld",
                       (long long)l->filter.max_step, (long long)l->filter.min_step);
    if (rc == 0)
        rc = query_label(rq, &l->label, &l->filter.label_value, err);
    l->filter.label_key = l->label;
    return rc;
}

void api_checkpoints_list(struct api *a, struct request *rq)
{
    AUTO(run_row_clear) struct run_row run = { 0 };
    struct listing l = { .api = a, .run = &run };
    struct page_key after = { 0 };
    struct sewa_error err;
    char order[ORDER_SIZE], token_order[PAGE_ORDER_SIZE];
    int rc = find_run(a, rq, &run, &err);

    if (rc == 0)
        rc = read_order(&l, request_query(rq, "order_by"), order, &err);
    if (rc == 0)
        rc = read_filters(&l, rq, &err);
    if (rc == 0) {
        snprintf(token_order, sizeof token_order, "checkpoints %lld %s%s", (long long)run.id, order,
                 l.filter.descending ? "-" : "+");
        rc = list_begin(&l.list, rq, token_order, &after, &l.filter.has_after, &err);
    }
    l.filter.run_id = run.id;
    l.filter.after_id = after.id;
    l.filter.after_number = after.number;
    l.filter.after_value = after.value;
    l.filter.limit = l.list.limit + 1;
    if (rc == 0)
        rc = checkpoint_list(store_reader(a->o.store), &l.filter, add_checkpoint, &l, &err);
    free(l.label);
    if (rc < 0) {
        json_decref(l.list.items);
        reply_error(rq, &err);
        return;
    }
    list_finish(&l.list);
}

/* ---- show ---- */

static int find_checkpoint(struct api *a, const struct request *rq, struct checkpoint_row *ret,
                           struct run_row *run, struct sewa_error *err)
{
    struct db *db = store_reader(a->o.store);
    int rc = checkpoint_find(db, rq->parameters[0], ret, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no checkpoint '%.80s'",
                         rq->parameters[0]);
    if (rc > 0)
        rc = run_by_id(db, ret->run_id, run, err);
    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "the run of checkpoint '%s' is gone", ret->uid);
    return rc < 0 ? rc : 0;
}

static json_t *show(struct db *db, const struct checkpoint_row *row, const struct run_row *run)
{
    struct layout_row layout = { 0 };
    struct sewa_error err;
    bool has_layout = row->layout_id && layout_by_id(db, row->layout_id, false, &layout, &err) > 0;
    json_t *o = view_checkpoint(row, run, has_layout ? &layout : NULL);

    if (o && json_put(o, "metadata", view_parsed(row->metadata)) < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

void api_checkpoints_show(struct api *a, struct request *rq)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    AUTO(run_row_clear) struct run_row run = { 0 };
    struct sewa_error err;

    if (find_checkpoint(a, rq, &row, &run, &err) == 0)
        reply_json(rq, 200, show(store_reader(a->o.store), &row, &run));
    else
        reply_error(rq, &err);
}

/* ---- patch ---- */

struct patch {
    char *uid;
    json_t *body;
};

static void patch_free(void *arg)
{
    struct patch *p = arg;

    free(p->uid);
    json_decref(p->body);
    free(p);
}

static int check_metrics(struct json_reader *r)
{
    const json_t *metrics = json_get_object(r, "metrics");
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)metrics, key, value)
    {
        if (strlen(key) < 1 || strlen(key) > 48)
            return json_reader_fail(r, SEWA_E_INVALID, "metrics",
                                    "a name in 'metrics' has %zu bytes, allowed is 1 to 48",
                                    strlen(key));
        if (!json_is_null(value) && !json_is_number(value))
            return json_reader_fail(r, SEWA_E_INVALID, "metrics",
                                    "metric '%.60s' must be a number or null", key);
    }
    return 0;
}

static int check_patch(const struct patch *p, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init(&r, p->body, "", err);
    json_get_labels(&r, "labels", true);
    check_metrics(&r);
    json_get_bool(&r, "pinned", false);
    return json_reader_end(&r);
}

static int apply_members(struct db *db, const struct checkpoint_row *row, const json_t *body,
                         int64_t now_ms, struct sewa_error *err)
{
    AUTOFREE char *labels = NULL;
    AUTOFREE char *metrics = NULL;
    const json_t *l = json_object_get(body, "labels"), *m = json_object_get(body, "metrics");
    const json_t *pinned = json_object_get(body, "pinned");
    int rc = 0;

    if (l)
        rc = merge_members(json_is_null(l) ? "{}" : row->labels, l, &labels, err);
    if (rc == 0 && m)
        rc = merge_members(json_is_null(m) ? "{}" : row->metrics, m, &metrics, err);
    if (rc == 0 && labels)
        rc = checkpoint_set_labels(db, row->id, labels, now_ms, err);
    if (rc == 0 && metrics)
        rc = checkpoint_set_metrics(db, row->id, metrics, now_ms, err);
    if (rc == 0 && pinned)
        rc = checkpoint_set_pinned(db, row->id, json_is_true(pinned), now_ms, err);
    return rc;
}

static int apply_patch(struct api_write *w, struct db *db, struct sewa_error *err)
{
    struct patch *p = w->arg;
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    AUTO(run_row_clear) struct run_row run = { 0 };
    int rc = checkpoint_find(db, p->uid, &row, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no checkpoint '%s'", p->uid);
    if (rc > 0)
        rc = api_write_match(w, NULL, err);
    if (rc == 0)
        rc = apply_members(db, &row, p->body, w->now_ms, err);
    if (rc == 0)
        rc = event_put(db, w->now_ms, "checkpoint.changed", row.uid, NULL, err);
    checkpoint_row_clear(&row);
    if (rc == 0)
        rc = checkpoint_find(db, p->uid, &row, err);
    if (rc > 0)
        rc = run_by_id(db, row.run_id, &run, err);
    return rc < 0 ? rc : api_write_body(w, 200, show(db, &row, &run), err);
}

void api_checkpoints_patch(struct api *a, struct request *rq)
{
    struct patch *p = calloc(1, sizeof *p);
    struct api_write *w = api_write_new(a, rq, p, patch_free);
    struct sewa_error err;

    if (!w)
        return;
    int rc = request_json(rq, false, &p->body, &err);
    if (rc == 0)
        rc = check_patch(p, &err);
    if (rc == 0 && !(p->uid = strdup(rq->parameters[0])))
        rc = sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the request");
    if (rc < 0) {
        api_write_refuse(w, &err);
        return;
    }
    w->apply = apply_patch;
    api_write_submit(w);
}
