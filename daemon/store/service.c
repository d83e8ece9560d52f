/*
 * service - events and answers that can be replayed.
 */
#include "store/service.h"

#include <string.h>

int event_put(struct db *db, int64_t at_ms, const char *kind, const char *subject, const char *data,
              struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_EVENT_PUT);

    stmt_bind_i64(q, ":at_ms", at_ms);
    stmt_bind_text(q, ":kind", kind);
    stmt_bind_text(q, ":subject", subject);
    stmt_bind_text(q, ":data", data ? data : "{}");
    return stmt_run(q, err);
}

int event_prune(struct db *db, int64_t keep, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_EVENT_PRUNE);

    stmt_bind_i64(q, ":keep", keep);
    return stmt_run(q, err);
}

void idempotency_row_clear(struct idempotency_row *r)
{
    free(r->location);
    free(r->body);
    memset(r, 0, sizeof *r);
}

int idempotency_get(struct db *db, const char *scope, const char *key, struct idempotency_row *ret,
                    struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_IDEMPOTENCY_GET);
    bool failed = false;

    stmt_bind_text(q, ":scope", scope);
    stmt_bind_text(q, ":key", key);
    int rc = stmt_next(q, err);
    if (rc <= 0)
        return rc;
    memset(ret, 0, sizeof *ret);
    stmt_digest(q, 0, ret->request);
    ret->status = (int)stmt_i64(q, 1);
    ret->location = stmt_text_copy(q, 2, &failed);
    ret->body = stmt_text_copy(q, 3, &failed);
    if (failed) {
        idempotency_row_clear(ret);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a stored answer");
    }
    return 1;
}

int idempotency_put(struct db *db, const char *scope, const char *key,
                    const struct idempotency_row *row, int64_t now_ms, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_IDEMPOTENCY_PUT);

    stmt_bind_text(q, ":scope", scope);
    stmt_bind_text(q, ":key", key);
    stmt_bind_blob(q, ":request", row->request, 32);
    stmt_bind_i64(q, ":status", row->status);
    stmt_bind_text(q, ":location", row->location ? row->location : "");
    stmt_bind_text(q, ":body", row->body);
    stmt_bind_i64(q, ":created_ms", now_ms);
    return stmt_run(q, err);
}

int idempotency_prune(struct db *db, int64_t before_ms, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_IDEMPOTENCY_PRUNE);

    stmt_bind_i64(q, ":before_ms", before_ms);
    return stmt_run(q, err);
}
