/*
 * db - connections, prepared statements, transactions.
 */
#include "store/db.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"

struct stmt {
    struct db *db;
    sqlite3_stmt *handle;
    const char *name;
    int failed; /* an SQLite code of preparing or binding */
    bool busy;  /* in use by a scope */
};

struct db {
    sqlite3 *handle;
    char *path;
    struct stmt stmts[SQL_COUNT];
};

static int code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_FULL: return SEWA_E_NO_SPACE;
    case SQLITE_NOMEM: return SEWA_E_NO_MEMORY;
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN: return SEWA_E_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return SEWA_E_UNAVAILABLE;
    case SQLITE_CONSTRAINT: return SEWA_E_CONFLICT;
    default: return SEWA_E_DATABASE;
    }
}

static int fail(struct db *db, int sqlite_code, const char *what, struct sewa_error *err)
{
    const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(sqlite_code);

    return sewa_fail(err, code_of(sqlite_code), "database '%s': %s: %s", db->path, what, text);
}

int db_exec(struct db *db, const char *text, struct sewa_error *err)
{
    int rc = sqlite3_exec(db->handle, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : fail(db, rc, "cannot run a statement", err);
}

int db_number(struct db *db, const char *text, int64_t *ret, struct sewa_error *err)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(db->handle, text, -1, &q, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(q, 0);
    int failed = rc == SQLITE_ROW ? 0 : fail(db, rc, text, err);
    sqlite3_finalize(q);
    return failed;
}

int db_copy(struct db *db, const char *path, struct sewa_error *err)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(db->handle, "VACUUM INTO ?1", -1, &q, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    int failed = rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot write a copy", err);
    sqlite3_finalize(q);
    return failed;
}

/* WAL with FULL: a commit that was acknowledged survives a power cut; NORMAL can lose it. */
static int configure(struct db *db, enum db_mode mode, struct sewa_error *err)
{
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, 5000);
    int rc = db_exec(db,
                     mode == DB_WRITE ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                        "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                                        "PRAGMA wal_autocheckpoint = 1000;"
                                        "PRAGMA journal_size_limit = 67108864;"
                                      : "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;",
                     err);
    if (rc < 0 || mode == DB_READ)
        return rc;
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return 0;
}

int db_open(const char *path, enum db_mode mode, struct db **ret, struct sewa_error *err)
{
    AUTOPTR(db_close) struct db *db = calloc(1, sizeof *db);
    int flags = mode == DB_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                 : SQLITE_OPEN_READWRITE;

    if (!db || !(db->path = strdup(path)))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a database connection");
    /* a reader opens read-write too: a read-only one cannot create the shared memory file */
    int rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return fail(db, rc, "cannot open", err);
    /* SQLite is content with reading what it may not write: every later write would fail */
    if (sqlite3_db_readonly(db->handle, "main") == 1)
        return sewa_fail(err, SEWA_E_IO, "database '%s' is not writable", path);
    int failed = configure(db, mode, err);
    if (failed < 0)
        return failed;
    *ret = TAKE(db);
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->stmts[i].handle);
    sqlite3_close(db->handle);
    free(db->path);
    free(db);
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t db_changed_rows(struct db *db)
{
    return sqlite3_changes64(db->handle);
}

int db_begin(struct db *db, struct sewa_error *err)
{
    return db_exec(db, "BEGIN IMMEDIATE", err);
}

int db_commit(struct db *db, struct sewa_error *err)
{
    if (failpoint_errno("store_commit"))
        return sewa_fail_errno(err, SEWA_E_IO, "database '%s': cannot commit", db->path);
    return db_exec(db, "COMMIT", err);
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        db_exec(db, "ROLLBACK", NULL);
}

bool db_in_transaction(struct db *db)
{
    return !sqlite3_get_autocommit(db->handle);
}

int db_savepoint(struct db *db, struct sewa_error *err)
{
    return db_exec(db, "SAVEPOINT op", err);
}

int db_release(struct db *db, struct sewa_error *err)
{
    return db_exec(db, "RELEASE op", err);
}

void db_rollback_savepoint(struct db *db)
{
    /* a full disk or an I/O error may have rolled the whole transaction back already */
    if (!sqlite3_get_autocommit(db->handle))
        db_exec(db, "ROLLBACK TO op; RELEASE op", NULL);
}

struct stmt *stmt_get(struct db *db, enum sql_id id)
{
    struct stmt *q = &db->stmts[id];

    q->db = db;
    q->name = sql_texts[id].name;
    if (q->busy)
        abort(); /* our own mistake: a statement used inside its own loop */
    q->busy = true;
    q->failed = SQLITE_OK;
    if (!q->handle)
        q->failed = sqlite3_prepare_v3(db->handle, sql_texts[id].text, -1,
                                       SQLITE_PREPARE_PERSISTENT, &q->handle, NULL);
    return q;
}

void stmt_done(struct stmt **q)
{
    if (!*q)
        return;
    if ((*q)->handle) { /* it could be prepared */
        sqlite3_reset((*q)->handle);
        sqlite3_clear_bindings((*q)->handle);
    }
    (*q)->busy = false;
    *q = NULL;
}

/* Index of a parameter; a name that the statement does not have is our own mistake. */
static int parameter(struct stmt *q, const char *name)
{
    if (q->failed)
        return 0;
    int i = sqlite3_bind_parameter_index(q->handle, name);
    if (i == 0) {
        fprintf(stderr, "statement '%s' has no parameter '%s'\n", q->name, name);
        abort();
    }
    return i;
}

static void bound(struct stmt *q, int rc)
{
    if (rc != SQLITE_OK && !q->failed)
        q->failed = rc;
}

void stmt_bind_i64(struct stmt *q, const char *name, int64_t value)
{
    int i = parameter(q, name);

    if (i)
        bound(q, sqlite3_bind_int64(q->handle, i, value));
}

void stmt_bind_f64(struct stmt *q, const char *name, double value)
{
    int i = parameter(q, name);

    if (i)
        bound(q, sqlite3_bind_double(q->handle, i, value));
}

void stmt_bind_text(struct stmt *q, const char *name, const char *value)
{
    int i = parameter(q, name);

    if (i)
        bound(q, sqlite3_bind_text(q->handle, i, value, -1, SQLITE_TRANSIENT));
}

void stmt_bind_blob(struct stmt *q, const char *name, const void *data, size_t n)
{
    int i = parameter(q, name);

    if (!i)
        return;
    /* SQLite makes NULL of an empty blob at a null pointer, which is what NULL means here too */
    if (data && n == 0)
        bound(q, sqlite3_bind_zeroblob(q->handle, i, 0));
    else
        bound(q, sqlite3_bind_blob64(q->handle, i, data, n, SQLITE_TRANSIENT));
}

void stmt_bind_null(struct stmt *q, const char *name)
{
    int i = parameter(q, name);

    if (i)
        bound(q, sqlite3_bind_null(q->handle, i));
}

void stmt_bind_i64_if(struct stmt *q, const char *name, bool given, int64_t value)
{
    if (given)
        stmt_bind_i64(q, name, value);
    else
        stmt_bind_null(q, name);
}

int stmt_next(struct stmt *q, struct sewa_error *err)
{
    if (failpoint_errno("store_step"))
        return sewa_fail_errno(err, SEWA_E_IO, "database '%s': %s", q->db->path, q->name);
    int rc = q->failed ? q->failed : sqlite3_step(q->handle);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    return fail(q->db, rc, q->name, err);
}

int stmt_run(struct stmt *q, struct sewa_error *err)
{
    int rc;

    while ((rc = stmt_next(q, err)) > 0)
        ;
    return rc;
}

bool stmt_is_null(struct stmt *q, int column)
{
    return sqlite3_column_type(q->handle, column) == SQLITE_NULL;
}

int64_t stmt_i64(struct stmt *q, int column)
{
    return sqlite3_column_int64(q->handle, column);
}

double stmt_f64(struct stmt *q, int column)
{
    return stmt_is_null(q, column) ? (double)NAN : sqlite3_column_double(q->handle, column);
}

const char *stmt_text(struct stmt *q, int column)
{
    const unsigned char *text = sqlite3_column_text(q->handle, column);

    return text ? (const char *)text : "";
}

const void *stmt_blob(struct stmt *q, int column, size_t *ret_n)
{
    const void *data = sqlite3_column_blob(q->handle, column);

    *ret_n = (size_t)sqlite3_column_bytes(q->handle, column);
    return data;
}

char *stmt_text_copy(struct stmt *q, int column, bool *failed)
{
    size_t n;
    const char *data = stmt_blob(q, column, &n);
    char *copy = malloc(n + 1);

    if (!copy) {
        *failed = true;
        return NULL;
    }
    if (n > 0)
        memcpy(copy, data, n);
    copy[n] = '\0';
    return copy;
}

void stmt_text_into(struct stmt *q, int column, char *ret, size_t size)
{
    snprintf(ret, size, "%s", stmt_text(q, column));
}

bool stmt_digest(struct stmt *q, int column, uint8_t ret[32])
{
    size_t n;
    const void *data = stmt_blob(q, column, &n);

    if (!data || n != 32)
        return false;
    memcpy(ret, data, 32);
    return true;
}
