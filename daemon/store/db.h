/*
 * db - one SQLite connection, its prepared statements, and what its failures mean.
 *
 * The writer (store thread) has one connection, the loop a read-only one, and anything long opens
 * its own. No statement may stay open across a suspend: an open read pins the whole WAL. Thread:
 * one at a time. Only store/ knows sqlite3.h; other rooms hold a struct db and call functions of
 * store/ on it.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql_gen.h"

struct db;

enum db_mode { DB_READ, DB_WRITE };

/* DB_WRITE creates the file when it is not there; DB_READ needs it. */
int db_open(const char *path, enum db_mode mode, struct db **ret, struct sewa_error *err);
void db_close(struct db *db); /* NULL is fine */
AUTOPTR_DEFINE(db_close, struct db);

/* Run text that gives no rows, e.g. a migration. */
int db_exec(struct db *db, const char *text, struct sewa_error *err);

/* One whole number from a statement without parameters ("PRAGMA user_version"). */
int db_number(struct db *db, const char *text, int64_t *ret, struct sewa_error *err);

/* Write a copy of the whole database to a new file (VACUUM INTO). */
int db_copy(struct db *db, const char *path, struct sewa_error *err);

int64_t db_last_id(struct db *db);
int64_t db_changed_rows(struct db *db); /* by the last statement */

int db_begin(struct db *db, struct sewa_error *err); /* BEGIN IMMEDIATE */
int db_commit(struct db *db, struct sewa_error *err);
void db_rollback(struct db *db);
bool db_in_transaction(struct db *db);
int db_savepoint(struct db *db, struct sewa_error *err);
int db_release(struct db *db, struct sewa_error *err);
void db_rollback_savepoint(struct db *db);

/* ---- statements ---- */

struct stmt;

/*
 * The statement, prepared once per connection and reset. Never NULL: a failure to prepare or bind
 * is remembered and comes out of stmt_next(). Not nested: a statement is used by one scope at a
 * time.
 */
struct stmt *stmt_get(struct db *db, enum sql_id id);

/* For AUTO(stmt_done) struct stmt *q = ...: reset and unbound when the scope ends. */
void stmt_done(struct stmt **q);

void stmt_bind_i64(struct stmt *q, const char *name, int64_t value);
void stmt_bind_f64(struct stmt *q, const char *name, double value); /* NaN is stored as NULL */
void stmt_bind_text(struct stmt *q, const char *name, const char *value); /* NULL is NULL */
void stmt_bind_blob(struct stmt *q, const char *name, const void *data,
                    size_t n); /* NULL is NULL */
void stmt_bind_null(struct stmt *q, const char *name);

/* The same, or NULL when the condition does not hold: optional filters. */
void stmt_bind_i64_if(struct stmt *q, const char *name, bool given, int64_t value);

/* 1 a row, 0 no more, <0 failed. Text and blobs are copied by the callers before the next call. */
int stmt_next(struct stmt *q, struct sewa_error *err);

/* For statements that give no rows. */
int stmt_run(struct stmt *q, struct sewa_error *err);

bool stmt_is_null(struct stmt *q, int column);
int64_t stmt_i64(struct stmt *q, int column);
double stmt_f64(struct stmt *q, int column);       /* NaN for NULL */
const char *stmt_text(struct stmt *q, int column); /* "" for NULL; borrowed */
const void *stmt_blob(struct stmt *q, int column, size_t *ret_n);

/* A copy on the heap; *failed becomes true when there is no memory. */
char *stmt_text_copy(struct stmt *q, int column, bool *failed);

/* Copy at most size - 1 bytes of an id or word that is known to fit. */
void stmt_text_into(struct stmt *q, int column, char *ret, size_t size);

/* A digest: true and 32 bytes, or false when it is NULL. */
bool stmt_digest(struct stmt *q, int column, uint8_t ret[32]);

#endif
