/*
 * test_migrate - upgrades: step by step, with a copy first, all or nothing; newer schemas are
 * refused.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/checkpoints.h"
#include "store/db.h"
#include "store/migrate.h"

static const struct sql_migration one[] = {
    { 1, "0001_a.sql", "CREATE TABLE a (x INTEGER NOT NULL) STRICT; INSERT INTO a VALUES (7);" },
    { 0, NULL, NULL },
};
static const struct sql_migration two[] = {
    { 1, "0001_a.sql", "CREATE TABLE a (x INTEGER NOT NULL) STRICT; INSERT INTO a VALUES (7);" },
    { 2, "0002_b.sql", "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;" },
    { 0, NULL, NULL },
};
static const struct sql_migration broken[] = {
    { 1, "0001_a.sql", "CREATE TABLE a (x INTEGER NOT NULL) STRICT; INSERT INTO a VALUES (7);" },
    { 2, "0002_bad.sql", "UPDATE a SET x = 8; CREATE TABLE b (x INTERGER) STRICT;" },
    { 0, NULL, NULL },
};

struct fixture {
    char *dir;
    char path[4096];
    struct db *db;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sewa_error err = { 0 };

    f->dir = scratch_new();
    snprintf(f->path, sizeof f->path, "%s/x.db", f->dir);
    assert_ok(db_open(f->path, DB_WRITE, &f->db, &err), err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    db_close(f->db);
    scratch_free(f->dir);
    free(f);
    return 0;
}

static int64_t number(struct db *db, const char *text)
{
    int64_t value = -1;
    struct sewa_error err = { 0 };

    assert_ok(db_number(db, text, &value, &err), err);
    return value;
}

static void test_upgrade_keeps_a_copy(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };
    char copy[4200];

    snprintf(copy, sizeof copy, "%s.before-2", f->path);
    assert_ok(migrate(f->db, f->path, one, &err), err);
    assert_int_equal(access(copy, F_OK), -1); /* a new database needs none */
    mode_t before = umask(0);
    assert_ok(migrate(f->db, f->path, two, &err), err);
    umask(before);
    struct stat st;
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(number(f->db, "SELECT y FROM a"), 8);
    assert_int_equal(number(f->db, "PRAGMA user_version"), 2);

    struct db *old = NULL;
    assert_ok(db_open(copy, DB_READ, &old, &err), err);
    assert_int_equal(number(old, "PRAGMA user_version"), 1);
    assert_int_equal(number(old, "SELECT x FROM a"), 7);
    db_close(old);
    assert_ok(migrate(f->db, f->path, two, &err), err); /* nothing to do */
}

static void test_newer_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };

    assert_ok(migrate(f->db, f->path, two, &err), err);
    assert_failed(migrate(f->db, f->path, one, &err), err, SEWA_E_SCHEMA_NEWER,
                  "has schema 2, this version knows up to 1");
    assert_int_equal(number(f->db, "SELECT y FROM a"), 8);
}

static void test_a_broken_step_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };

    assert_ok(migrate(f->db, f->path, one, &err), err);
    assert_failed(migrate(f->db, f->path, broken, &err), err, SEWA_E_DATABASE, "0002_bad.sql");
    assert_int_equal(number(f->db, "PRAGMA user_version"), 1);
    assert_int_equal(number(f->db, "SELECT x FROM a"), 7);
    assert_ok(migrate(f->db, f->path, two, &err), err); /* the database is as good as before */
}

static void test_a_copy_that_fails_stops_the_upgrade(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };
    char copy[4200];

    assert_ok(migrate(f->db, f->path, one, &err), err);
    snprintf(copy, sizeof copy, "mkdir -p '%s.before-2/x'", f->path);
    assert_int_equal(system(copy), 0);
    assert_failed(migrate(f->db, f->path, two, &err), err, SEWA_E_IO, "before-2");
    assert_int_equal(number(f->db, "PRAGMA user_version"), 1);
}

/*
 * Of the real schema: rows of a version before state_key. Of safetensors files it did not matter
 * (0002), but what they hold of optimizers was not left out before 0003: all are read again.
 */
static void test_old_rows_are_read_again(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };
    const struct sql_migration first[] = { sql_migrations[0], { 0, NULL, NULL } };
    const struct sql_migration second[] = { sql_migrations[0],
                                            sql_migrations[1],
                                            { 0, NULL, NULL } };

    assert_ok(migrate(f->db, f->path, first, &err), err);
    assert_ok(
        db_exec(f->db,
                "INSERT INTO runs (id, uid, name, origin, watched, path, state_key, settle_ms,"
                " created_ms, updated_ms) VALUES (1, 'r', 'r', 'api', 1, x'2f', 'ema', 0, 1, 1);"
                "INSERT INTO layouts VALUES (1, x'01', x'02', x'03', 1, 4, 1, '');"
                "INSERT INTO checkpoints (id, uid, run_id, file, state, format, size, mtime_ns,"
                " header_digest, layout_id, discovered_ms, updated_ms) VALUES"
                " (1, 'a', 1, x'61', 'complete', 'safetensors', 1, 1, x'00', 1, 1, 1),"
                " (2, 'b', 1, x'62', 'complete', 'torch', 1, 1, x'00', 1, 1, 1),"
                " (3, 'c', 1, x'63', 'incomplete', '', 1, 1, NULL, NULL, 1, 1)",
                &err),
        err);
    assert_ok(migrate(f->db, f->path, second, &err), err);
    assert_int_equal(number(f->db, "SELECT id FROM checkpoints WHERE state_key = 'ema'"), 1);
    assert_int_equal(number(f->db, "SELECT count(*) FROM checkpoints WHERE state_key IS NULL"), 2);
    assert_ok(migrate(f->db, f->path, sql_migrations, &err), err);
    assert_int_equal(number(f->db, "SELECT count(*) FROM checkpoints WHERE state_key IS NULL"), 3);
    assert_int_equal(number(f->db, "SELECT unfit = '' FROM layouts"), 1);
    int64_t count = 0;
    assert_ok(checkpoint_read_again(f->db, 1, "ema", 5, &count, &err), err);
    assert_int_equal(count, 2); /* the third was incomplete */
    assert_int_equal(number(f->db, "SELECT count(*) FROM checkpoints WHERE state = 'incomplete'"),
                     3);
}

static void test_open_failures(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };
    struct db *db = NULL;
    char path[4200];

    snprintf(path, sizeof path, "%s/none/x.db", f->dir);
    assert_failed(db_open(path, DB_WRITE, &db, &err), err, SEWA_E_IO, "cannot open");
    snprintf(path, sizeof path, "%s/garbage.db", f->dir);
    scratch_write(f->dir, "garbage.db", "this is no database, but long enough to look at", 47);
    assert_failed(db_open(path, DB_WRITE, &db, &err), err, SEWA_E_DATABASE, "not a database");
    assert_null(db);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_upgrade_keeps_a_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_broken_step_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_copy_that_fails_stops_the_upgrade, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_rows_are_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_failures, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
