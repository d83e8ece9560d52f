/*
 * migrate - apply what user_version says is missing.
 */
#include "store/migrate.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/log.h"

/* Copy first, under a temporary name: a copy that is there is whole. */
static int keep_copy(struct db *db, const char *path, int newest, struct sewa_error *err)
{
    AUTOFREE char *final = NULL;
    AUTOFREE char *temporary = NULL;

    if (asprintf(&final, "%s.before-%d", path, newest) < 0 ||
        asprintf(&temporary, "%s.tmp", final) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to copy '%s'", path);
    unlink(temporary);
    int rc = db_copy(db, temporary, err);
    if (rc < 0) {
        unlink(temporary);
        return rc;
    }
    chmod(temporary, 0640); /* SQLite asks the umask alone */
    if (rename(temporary, final) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot rename '%s'", temporary);
    log_info("store: copied the database to '%s' before changing its schema", final);
    return 0;
}

static int apply(struct db *db, const struct sql_migration *m, struct sewa_error *err)
{
    char number[64];

    snprintf(number, sizeof number, "PRAGMA user_version = %d", m->number);
    int rc = db_begin(db, err);
    if (rc < 0)
        return rc;
    rc = db_exec(db, m->text, err);
    failpoint("migrate_step");
    if (rc == 0)
        rc = db_exec(db, number, err);
    if (rc == 0)
        rc = db_commit(db, err);
    if (rc < 0)
        db_rollback(db);
    return sewa_context(err, rc, "schema '%s'", m->name);
}

int migrate(struct db *db, const char *path, const struct sql_migration *migrations,
            struct sewa_error *err)
{
    int64_t version;
    int newest = 0;
    int rc = db_number(db, "PRAGMA user_version", &version, err);

    if (rc < 0)
        return rc;
    for (const struct sql_migration *m = migrations; m->number; m++)
        newest = m->number;
    if (version > newest)
        return sewa_fail(err, SEWA_E_SCHEMA_NEWER,
                         "database '%s' has schema %lld, this version knows up to %d", path,
                         (long long)version, newest);
    if (version == newest)
        return 0;
    if (version > 0) {
        rc = keep_copy(db, path, newest, err);
        if (rc < 0)
            return rc;
    }
    for (const struct sql_migration *m = migrations; m->number && rc == 0; m++)
        if (m->number > version)
            rc = apply(db, m, err);
    return rc;
}
