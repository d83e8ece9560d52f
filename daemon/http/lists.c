/*
 * lists - what handlers have in common: the job or run of the path, and of every list limit, page
 * token, Link header and label filter.
 */
#include <stdio.h>
#include <string.h>

#include "http/api_body.h"

int list_begin(struct list_reply *l, struct request *rq, const char *order,
               struct page_key *ret_after, bool *ret_has_after, struct sewa_error *err)
{
    const char *token = request_query(rq, "page_token");

    memset(l, 0, sizeof *l);
    l->rq = rq;
    int rc = request_query_int(rq, "limit", 1, PAGE_LIMIT_MAX, PAGE_LIMIT_DEFAULT, &l->limit, err);
    *ret_has_after = token != NULL;
    if (rc == 0 && token)
        rc = page_decode(token, order, ret_after, err);
    if (rc < 0)
        return rc;
    snprintf(l->last.order, sizeof l->last.order, "%s", order);
    l->items = json_array();
    return l->items ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list");
}

bool list_is_full(struct list_reply *l)
{
    l->more = (int64_t)json_array_size(l->items) == l->limit;
    return l->more;
}

/* What was decoded, as it may stand in an address again. */
static void put_escaped(struct buf *b, const char *text)
{
    for (const char *p = text; *p; p++) {
        bool plain = (unsigned char)*p < 0x7f && !strchr(" \"<>%&+#=;,/?", *p);
        buf_printf(b, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
}

/* The address of this list with another page token; everything else stays. */
static char *next_link(struct request *rq, const char *token)
{
    struct buf b = { 0 };
    const char *separator = "?";

    buf_char(&b, '<');
    for (int i = 0; i < rq->target.segment_count; i++) {
        buf_char(&b, '/');
        put_escaped(&b, rq->target.segments[i]);
    }
    for (int i = 0; i < rq->target.query_count; i++) {
        const char *key = rq->target.query[i].key;
        if (strcmp(key, "page_token") == 0)
            continue;
        buf_printf(&b, "%s%s=", separator, key);
        put_escaped(&b, rq->target.query[i].value);
        separator = "&";
    }
    buf_printf(&b, "%spage_token=%s>; rel=\"next\"", separator, token);
    return buf_take(&b);
}

void list_finish(struct list_reply *l)
{
    char token[PAGE_TOKEN_SIZE];

    if (l->more) {
        page_encode(&l->last, token);
        AUTOFREE char *link = next_link(l->rq, token);
        if (link)
            reply_header(l->rq, "Link", link);
    }
    json_t *body = json_pack("{s:o, s:o}", "items", TAKE(l->items), "next_page_token",
                             l->more ? json_string(token) : json_null());
    if (body && l->extra && json_object_update(body, l->extra) < 0) {
        json_decref(body);
        body = NULL;
    }
    json_decref(TAKE(l->extra));
    reply_json(l->rq, 200, body);
}

int query_label(const struct request *rq, char **ret_key, const char **ret_value,
                struct sewa_error *err)
{
    const char *text = request_query(rq, "label");

    *ret_key = NULL;
    *ret_value = NULL;
    if (!text)
        return 0;
    char *key = strdup(text);
    if (!key)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    char *equals = strchr(key, '=');
    if (equals) {
        *equals = '\0';
        *ret_value = equals + 1;
    }
    *ret_key = key;
    if (*key)
        return 0;
    return sewa_fail(err, SEWA_E_INVALID, "query parameter 'label' must be KEY or KEY=VALUE");
}

int find_run(struct api *a, const struct request *rq, struct run_row *ret, struct sewa_error *err)
{
    int rc = run_find(store_reader(a->o.store), rq->parameters[0], ret, err);

    if (rc == 0)
        return run_unknown(store_reader(a->o.store), rq->parameters[0], SEWA_E_NOT_FOUND, "", err);
    return rc < 0 ? rc : 0;
}

int find_job(struct api *a, const struct request *rq, struct job_row *ret, struct sewa_error *err)
{
    int rc = job_find(store_reader(a->o.store), rq->parameters[0], ret, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no job '%.80s'", rq->parameters[0]);
    return rc < 0 ? rc : 0;
}

int merge_members(const char *text, const json_t *patch, char **ret, struct sewa_error *err)
{
    AUTOJSON json_t *o = json_parse(text, strlen(text), err);
    const char *key;
    json_t *value;
    int rc = 0;

    if (!o)
        return err->code;
    json_object_foreach((json_t *)patch, key, value)
    {
        if (json_is_null(value))
            json_object_del(o, key);
        else
            rc |= json_object_set(o, key, value);
    }
    if (json_object_size(o) > 64)
        return sewa_fail(err, SEWA_E_INVALID, "%zu members, at most 64 are allowed",
                         json_object_size(o));
    *ret = rc < 0 ? NULL : json_canonical(o);
    return *ret ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
}
