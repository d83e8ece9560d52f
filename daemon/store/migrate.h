/*
 * migrate - bring a database to the newest schema: forward only, one transaction per step, a copy
 * of the file first. A database of a newer version is refused and left alone.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "store/db.h"

/*
 * @migrations ends with number 0. @path is the database's file: before the first step of an upgrade
 * (not of a new database) a copy is written beside it as "<path>.before-<N>", N the newest number;
 * a copy of that name that exists is replaced. Fails with SEWA_E_SCHEMA_NEWER naming both numbers.
 */
int migrate(struct db *db, const char *path, const struct sql_migration *migrations,
            struct sewa_error *err);

#endif
