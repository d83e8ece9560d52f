/*
 * request - what handlers ask of a request.
 */
#include "http/request.h"

#include <string.h>

#include "base/parse.h"
#include "base/unknown.h"
#include "http/fields.h"

const char *request_header(const struct request *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *rq, const char *key)
{
    for (int i = 0; i < rq->target.query_count; i++)
        if (strcmp(rq->target.query[i].key, key) == 0)
            return rq->target.query[i].value;
    return NULL;
}

static bool is_known(const char *key, const char *const known[])
{
    for (int i = 0; known && known[i]; i++)
        if (strcmp(known[i], key) == 0)
            return true;
    return false;
}

static int refuse_unknown(const char *key, const char *const known[], struct sewa_error *err)
{
    AUTO(unknown_clear) struct unknown u;

    unknown_begin(&u, key);
    for (int i = 0; known && known[i]; i++)
        unknown_known(&u, known[i]);
    return sewa_fail_at(err, SEWA_E_UNKNOWN_FIELD, "", "unknown query parameter '%.60s'%s", key,
                        unknown_words(&u));
}

int request_query_known(const struct request *rq, const char *const known[], struct sewa_error *err)
{
    for (int i = 0; i < rq->target.query_count; i++) {
        const char *key = rq->target.query[i].key;
        if (!is_known(key, known))
            return refuse_unknown(key, known, err);
        for (int j = 0; j < i; j++)
            if (strcmp(rq->target.query[j].key, key) == 0)
                return sewa_fail_at(err, SEWA_E_INVALID, "", "query parameter '%s' is given twice",
                                    key);
    }
    return 0;
}

int request_query_int(const struct request *rq, const char *key, int64_t min, int64_t max,
                      int64_t fallback, int64_t *ret, struct sewa_error *err)
{
    const char *text = request_query(rq, key);

    *ret = fallback;
    if (!text || parse_i64(text, min, max, ret) == 0)
        return 0;
    return sewa_fail_at(err, SEWA_E_INVALID, "",
                        "query parameter '%s' is '%.40s', allowed is %lld to %lld", key, text,
                        (long long)min, (long long)max);
}

int request_query_bool(const struct request *rq, const char *key, bool fallback, bool *ret,
                       struct sewa_error *err)
{
    const char *text = request_query(rq, key);

    *ret = fallback;
    if (!text)
        return 0;
    *ret = strcmp(text, "true") == 0;
    if (*ret || strcmp(text, "false") == 0)
        return 0;
    return sewa_fail_at(err, SEWA_E_INVALID, "",
                        "query parameter '%s' is '%.40s', allowed is true or false", key, text);
}

int request_json(const struct request *rq, bool may_be_empty, json_t **ret, struct sewa_error *err)
{
    const char *type = request_header(rq, "content-type");

    if (rq->body.len == 0 && may_be_empty) {
        *ret = json_object();
        return *ret ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
    }
    bool fits = type && (fields_is_type(type, "application/json") ||
                         (rq->method == HTTP_PATCH &&
                          fields_is_type(type, "application/merge-patch+json")));
    if (!fits)
        return sewa_fail(
            err, SEWA_E_MEDIA_TYPE, "Content-Type is '%.60s', wanted is %s", type ? type : "",
            rq->method == HTTP_PATCH ? "'application/merge-patch+json'" : "'application/json'");
    *ret = json_parse_request(buf_cstr(&rq->body), rq->body.len, err);
    return *ret ? 0 : err->code;
}

int request_no_fields(const struct request *rq, struct sewa_error *err)
{
    AUTOJSON json_t *body = NULL;
    struct json_reader r;
    int rc = request_json(rq, true, &body, err);

    if (rc < 0)
        return rc;
    json_reader_init(&r, body, "", err);
    return json_reader_end(&r);
}

/* Only a request that is still without an answer when its handler returns is suspended. */
void request_hold(struct request *rq)
{
    rq->held = true;
}
