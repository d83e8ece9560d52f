/*
 * write - a change of the index that is answered after its commit, and only once per
 * Idempotency-Key.
 *
 * The answer is stored in the same transaction as the change: a client whose connection broke sends
 * the request again and gets the same answer, whether or not the first one was committed. Keys are
 * looked at before the request is judged (what it asks for may not be possible any more) and again
 * inside the transaction (the same request may be in the queue twice).
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "http/api_body.h"
#include "http/fields.h"
#include "jobs/state.h"
#include "sewa/protocol.h"
#include "store/service.h"

void api_write_drop(struct api_write *w)
{
    w->release(w->arg);
    free(w->key);
    free(w->scope);
    free(w->if_match);
    free(w->body);
    free(w->location);
    free(w);
}

static void answer(struct api_write *w)
{
    struct request *rq = w->rq;

    if (w->location && *w->location)
        reply_header(rq, "Location", w->location);
    if (w->replayed)
        reply_header(rq, "Idempotent-Replayed", "true");
    if (w->body && *w->body) {
        reply_json_text(rq, w->status, w->body);
        w->body = NULL;
    } else {
        reply_empty(rq, w->status);
    }
}

/*
 * Whoever makes a key of what there is to do (cron, by `--idempotency-key auto`) asks again and
 * again for the same. Once the job of the first answer has failed, was cancelled or deleted, it is
 * still to be done. 1: so it is, 0: the answer stands.
 */
static int is_open_again(const struct api_write *w, struct db *db,
                         const struct idempotency_row *row, struct sewa_error *err)
{
    const char *uid = strrchr(row->location, '/');
    char state[JOB_STATE_SIZE];

    if (strncmp(w->key, IDEMPOTENCY_AUTO, strlen(IDEMPOTENCY_AUTO)) != 0 || !uid ||
        !id_is(uid + 1, "job"))
        return 0;
    int rc = job_state(db, uid + 1, state, err);
    return rc < 0 ? rc
                  : !*state || strcmp(state, job_state_name(JOB_FAILED)) == 0 ||
                        strcmp(state, job_state_name(JOB_CANCELLED)) == 0;
}

/* 1: the stored answer is in w; 0: there is none. */
static int look_up(struct api_write *w, struct db *db, struct sewa_error *err)
{
    struct idempotency_row row = { 0 };
    int rc = w->key ? idempotency_get(db, w->scope, w->key, &row, err) : 0;

    if (rc <= 0)
        return rc;
    if (memcmp(row.request, w->digest, 32) != 0 &&
        memcmp(row.request, w->digest_of_bytes, 32) != 0) {
        idempotency_row_clear(&row);
        return sewa_fail(err, SEWA_E_IDEMPOTENCY_MISMATCH,
                         "Idempotency-Key '%.60s' was used for another request", w->key);
    }
    rc = is_open_again(w, db, &row, err);
    if (rc != 0) {
        idempotency_row_clear(&row);
        return rc < 0 ? rc : 0;
    }
    w->replayed = true;
    w->status = (unsigned)row.status;
    w->body = row.body;
    w->location = row.location;
    return 1;
}

static int remember(struct api_write *w, struct db *db, struct sewa_error *err)
{
    char empty[1] = "";
    struct idempotency_row row = { .status = (int)w->status,
                                   .location = w->location,
                                   .body = w->body ? w->body : empty };

    if (!w->key)
        return 0;
    memcpy(row.request, w->digest, 32);
    return idempotency_put(db, w->scope, w->key, &row, w->now_ms, err);
}

static int run(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct api_write *w = container_of(op, struct api_write, op);
    int rc = look_up(w, db, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = w->apply(w, db, err);
    return rc < 0 ? rc : remember(w, db, err);
}

static void done(struct store_op *op)
{
    struct api_write *w = container_of(op, struct api_write, op);

    if (!w->rq) { /* all is closed; the next start finds what was written */
        api_write_drop(w);
        return;
    }
    w->rq->on_lost = NULL;
    if (op->rc < 0) {
        reply_error(w->rq, &op->err);
    } else {
        if (!w->replayed && w->committed)
            w->committed(w);
        answer(w);
    }
    api_write_drop(w);
}

static void on_lost(struct request *rq)
{
    ((struct api_write *)rq->user)->rq = NULL;
}

static int digest_with(const struct request *rq, const char *body, size_t n, uint8_t ret[32])
{
    AUTO(buf_clear) struct buf b = { 0 };

    for (int i = 0; i < rq->target.query_count; i++)
        buf_printf(&b, "%s=%s&", rq->target.query[i].key, rq->target.query[i].value);
    buf_char(&b, '\0');
    buf_append(&b, body, n);
    sha256_of(buf_cstr(&b), b.len, ret);
    return buf_failed(&b) ? -1 : 0;
}

/* Of the query and the body: what makes two requests to one address the same. JSON is the same
 * whatever the order of its members and its blanks. */
static int digest_request(struct api_write *w)
{
    const char *body = buf_cstr(&w->rq->body);
    size_t n = w->rq->body.len;
    AUTOJSON json_t *value = n ? json_parse(body, n, NULL) : NULL;
    AUTOFREE char *canonical = value ? json_canonical(value) : NULL;

    if (value && !canonical)
        return -1;
    if (digest_with(w->rq, body, n, w->digest_of_bytes) < 0)
        return -1;
    return digest_with(w->rq, canonical ? canonical : body, canonical ? strlen(canonical) : n,
                       w->digest);
}

static int read_key(struct api_write *w, struct sewa_error *err)
{
    const char *key = request_header(w->rq, "idempotency-key");

    if (!key || w->rq->method != HTTP_POST)
        return 0;
    size_t n = strlen(key);
    if (n < 1 || n > 255)
        return sewa_fail(err, SEWA_E_BAD_REQUEST,
                         "Idempotency-Key has %zu characters, allowed is 1 to 255", n);
    for (size_t i = 0; i < n; i++)
        if (key[i] < 0x20 || key[i] > 0x7e)
            return sewa_fail(err, SEWA_E_BAD_REQUEST, "Idempotency-Key is not printable ASCII");
    w->key = strdup(key);
    return w->key && digest_request(w) == 0
               ? 0
               : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
}

static int read_if_match(struct api_write *w, struct sewa_error *err)
{
    const char *text = request_header(w->rq, "if-match");

    if (!text || (w->rq->method != HTTP_PATCH && w->rq->method != HTTP_DELETE))
        return 0;
    w->if_match = strdup(text);
    return w->if_match ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
}

int api_write_match(const struct api_write *w, const char *etag, struct sewa_error *err)
{
    if (!w->if_match || strcmp(w->if_match, "*") == 0)
        return 0;
    if (!etag)
        return sewa_fail(err, SEWA_E_PRECONDITION,
                         "If-Match is '%.60s', and there is no ETag here: only '*' is possible",
                         w->if_match);
    if (fields_match_etag(w->if_match, etag))
        return 0;
    return sewa_fail(err, SEWA_E_PRECONDITION, "If-Match is '%.60s', and the ETag is %s now",
                     w->if_match, etag);
}

/* The method and the path as it was matched, so that a key is one per address. */
static char *scope_of(const struct request *rq)
{
    struct buf b = { 0 };

    buf_text(&b, rq->route->path);
    for (int i = 0; i < REQUEST_PARAMETERS_MAX && rq->parameters[i]; i++)
        buf_printf(&b, " %s", rq->parameters[i]);
    return buf_take(&b);
}

struct api_write *api_write_new(struct api *a, struct request *rq, void *arg,
                                void (*release)(void *arg))
{
    struct api_write *w = arg ? calloc(1, sizeof *w) : NULL;
    struct sewa_error err;

    if (!w) {
        if (arg)
            release(arg);
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the request");
        return NULL;
    }
    w->api = a;
    w->rq = rq;
    w->arg = arg;
    w->release = release;
    w->now_ms = clock_now_ms();
    w->scope = scope_of(rq);
    int rc = w->scope ? read_key(w, &err)
                      : sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the request");
    if (rc == 0)
        rc = read_if_match(w, &err);
    if (rc == 0)
        rc = look_up(w, store_reader(a->o.store), &err);
    if (rc == 0)
        return w;
    if (rc < 0)
        reply_error(rq, &err);
    else
        answer(w);
    api_write_drop(w);
    return NULL;
}

void api_write_submit(struct api_write *w)
{
    w->op.run = run;
    w->op.done = done;
    w->rq->user = w;
    w->rq->on_lost = on_lost;
    request_hold(w->rq);
    store_submit(w->api->o.store, &w->op);
}

void api_write_refuse(struct api_write *w, const struct sewa_error *err)
{
    reply_error(w->rq, err);
    api_write_drop(w);
}

int api_write_body(struct api_write *w, unsigned status, json_t *value, struct sewa_error *err)
{
    w->status = status;
    w->body = value ? json_text_short(value) : NULL;
    json_decref(value);
    return w->body ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the answer");
}
