/*
 * layouts - tensor tables, stored once however many checkpoints share one.
 */
#include "store/checkpoints.h"

#include <string.h>

#include "base/digest.h"

void layout_row_clear(struct layout_row *r)
{
    free(r->tensors);
    memset(r, 0, sizeof *r);
}

static int find(struct db *db, const uint8_t digest[32], int64_t *ret, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_LAYOUT_BY_DIGEST);

    stmt_bind_blob(q, ":digest", digest, 32);
    int rc = stmt_next(q, err);
    if (rc > 0)
        *ret = stmt_i64(q, 0);
    return rc;
}

static int set_unfit(struct db *db, const struct layout_row *row, struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_LAYOUT_SET_UNFIT);

    stmt_bind_i64(q, ":id", row->id);
    stmt_bind_text(q, ":unfit", row->unfit);
    return stmt_run(q, err);
}

int layout_put(struct db *db, struct layout_row *row, struct sewa_error *err)
{
    uint8_t digest[32];

    sha256_of(row->tensors, row->tensors_bytes, digest);
    int rc = find(db, digest, &row->id, err);
    if (rc != 0)
        return rc < 0 ? rc : set_unfit(db, row, err);
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_LAYOUT_INSERT);
    stmt_bind_blob(q, ":digest", digest, 32);
    stmt_bind_blob(q, ":signature", row->signature, 32);
    stmt_bind_blob(q, ":tensors", row->tensors, row->tensors_bytes);
    stmt_bind_i64(q, ":tensor_count", row->tensor_count);
    stmt_bind_i64(q, ":data_bytes", row->data_bytes);
    stmt_bind_i64(q, ":float_elements", row->float_elements);
    stmt_bind_text(q, ":carried", row->carried);
    stmt_bind_text(q, ":unfit", row->unfit);
    rc = stmt_run(q, err);
    if (rc == 0)
        row->id = db_last_id(db);
    return rc;
}

int layout_by_id(struct db *db, int64_t id, bool with_tensors, struct layout_row *ret,
                 struct sewa_error *err)
{
    AUTO(stmt_done) struct stmt *q = stmt_get(db, SQL_LAYOUT_BY_ID);
    bool failed = false;

    stmt_bind_i64(q, ":id", id);
    stmt_bind_i64(q, ":with_tensors", with_tensors);
    int rc = stmt_next(q, err);
    if (rc <= 0)
        return rc;
    memset(ret, 0, sizeof *ret);
    ret->id = stmt_i64(q, 0);
    stmt_digest(q, 1, ret->signature);
    ret->tensor_count = stmt_i64(q, 2);
    ret->data_bytes = stmt_i64(q, 3);
    ret->float_elements = stmt_i64(q, 4);
    stmt_text_into(q, 5, ret->carried, sizeof ret->carried);
    stmt_text_into(q, 6, ret->unfit, sizeof ret->unfit);
    if (with_tensors) {
        ret->tensors = stmt_text_copy(q, 7, &failed);
        stmt_blob(q, 7, &ret->tensors_bytes);
    }
    if (failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a tensor table");
    return 1;
}
