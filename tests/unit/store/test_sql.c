/*
 * test_sql - every statement of sql/queries is prepared against the newest schema and its plan is
 * read.
 *
 * A plan that scans a table means that a list gets slower as the index grows. Those that may are
 * named below with the reason.
 */
#include "support/support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "store/db.h"
#include "store/migrate.h"

static const struct {
    const char *name, *why;
} may_scan[] = {
    { "run_list", "ordered by the unique name, limited" },
    { "checkpoint_count_all", "a covering index, asked for by /metrics and status only" },
    { "job_count", "a covering index, asked for by /metrics and status only" },
    { "job_page", "the primary key backwards, limited" },
    { "job_unfinished", "sorts what is unfinished, once at start-up" },
};

static bool is_allowed(const char *name)
{
    for (size_t i = 0; i < sizeof may_scan / sizeof may_scan[0]; i++)
        if (strcmp(may_scan[i].name, name) == 0)
            return true;
    return false;
}

/* json_each() is scanned by its nature, and a page may look its labels up in a subquery. */
static bool is_scan(const char *detail)
{
    return strncmp(detail, "SCAN ", 5) == 0 && !strstr(detail, "VIRTUAL TABLE") &&
           !strstr(detail, "CONSTANT ROW");
}

static void test_statements(void **state)
{
    (void)state;
    char *dir = scratch_new();
    char path[4096], text[16384];
    struct sewa_error err = { 0 };
    struct db *db = NULL;
    sqlite3 *raw = NULL;

    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_ok(db_open(path, DB_WRITE, &db, &err), err);
    assert_ok(migrate(db, path, sql_migrations, &err), err);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_stmt *q = NULL;
        snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sql_texts[i].text);
        int rc = sqlite3_prepare_v2(raw, text, -1, &q, NULL);
        if (rc != SQLITE_OK)
            print_error("%s: %s\n", sql_texts[i].name, sqlite3_errmsg(raw));
        assert_int_equal(rc, SQLITE_OK);
        while (sqlite3_step(q) == SQLITE_ROW) {
            const char *detail = (const char *)sqlite3_column_text(q, 3);
            bool bad = (is_scan(detail) || strstr(detail, "TEMP B-TREE FOR ORDER BY")) &&
                       !is_allowed(sql_texts[i].name);
            if (bad)
                print_error("%s: %s\n", sql_texts[i].name, detail);
            assert_false(bad);
        }
        sqlite3_finalize(q);
    }
    sqlite3_close(raw);
    db_close(db);
    scratch_free(dir);
}

/* STRICT catches misspelt types; a table without it would accept them. */
static void test_tables_are_strict(void **state)
{
    (void)state;
    char *dir = scratch_new();
    char path[4096];
    struct sewa_error err = { 0 };
    struct db *db = NULL;
    int64_t loose = -1, tables = 0;

    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_ok(db_open(path, DB_WRITE, &db, &err), err);
    assert_ok(migrate(db, path, sql_migrations, &err), err);
    assert_ok(db_number(db,
                        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = "
                        "'table' AND name NOT LIKE 'sqlite_%' AND strict = 0",
                        &loose, &err),
              err);
    assert_int_equal(loose, 0);
    assert_ok(
        db_number(db, "SELECT count(*) FROM pragma_table_list WHERE strict = 1", &tables, &err),
        err);
    assert_true(tables >= 10);
    db_close(db);
    scratch_free(dir);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_tables_are_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
