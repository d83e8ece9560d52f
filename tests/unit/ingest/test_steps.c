/*
 * test_steps - another pattern gives the checkpoints of a run other steps, in their own rows.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/steps.h"
#include "store/migrate.h"
#include "store/runs.h"

struct fixture {
    char *dir;
    struct db *db;
    int64_t run;
    struct sewa_error err;
};

static char run_name[] = "r", run_path[] = "/data/r";

static void set_pattern(struct fixture *f, char *pattern)
{
    struct run_row run = { .name = run_name, .path = run_path, .pattern = pattern };

    assert_ok(run_put(f->db, &run, false, &f->err), f->err);
    f->run = run.id;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[4096];

    f->dir = scratch_new();
    snprintf(path, sizeof path, "%s/x.db", f->dir);
    assert_ok(db_open(path, DB_WRITE, &f->db, &f->err), f->err);
    assert_ok(migrate(f->db, path, sql_migrations, &f->err), f->err);
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

static int64_t add(struct fixture *f, const char *file, int64_t step, enum checkpoint_state s)
{
    static char reason[] = "its header is short";
    char name[64];
    struct checkpoint_row row = { .run_id = f->run,
                                  .file = name,
                                  .has_step = step >= 0,
                                  .step = step,
                                  .step_unit = UNIT_NUMBER,
                                  .reason = reason,
                                  .state = s };

    snprintf(name, sizeof name, "%s", file);
    assert_ok(checkpoint_insert(f->db, &row, &f->err), f->err);
    return row.id;
}

static void assert_step(struct fixture *f, int64_t id, int64_t step, const char *step_reason)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };

    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_int_equal(row.has_step, step >= 0);
    if (step >= 0)
        assert_int_equal(row.step, step);
    assert_string_equal(row.step_reason, step_reason);
    assert_string_equal(row.reason, "its header is short"); /* nothing else has changed */
}

static void assert_corrected(struct fixture *f, int64_t wanted)
{
    int64_t count = -1, events = -1;

    assert_ok(steps_apply(f->db, f->run, 77, &count, &f->err), f->err);
    assert_int_equal(count, wanted);
    assert_ok(db_number(f->db, "SELECT count(*) FROM events WHERE kind = 'checkpoint.changed'",
                        &events, &f->err),
              f->err);
    assert_int_equal(events, wanted);
    assert_ok(db_exec(f->db, "DELETE FROM events", &f->err), f->err);
}

static void test_other_patterns(void **state)
{
    struct fixture *f = *state;
    char first[] = "a-{step}-b-*", second[] = "a-*-b-{step}", other[] = "c-{step}", none[] = "";

    set_pattern(f, first);
    int64_t same = add(f, "a-5-b-5", 5, CHECKPOINT_INCOMPLETE);
    int64_t id = add(f, "a-1-b-20", 1, CHECKPOINT_INCOMPLETE);
    int64_t past = add(f, "a-2-b-30", 2, CHECKPOINT_GONE);
    assert_corrected(f, 0);
    set_pattern(f, second);
    assert_corrected(f, 1);
    assert_corrected(f, 0);
    assert_step(f, same, 5, "");
    assert_step(f, id, 20, "");
    assert_step(f, past, 2, ""); /* what it was when it was there */
    set_pattern(f, other);
    assert_corrected(f, 2);
    assert_step(f, id, -1, "it does not match the pattern of the run");
    assert_corrected(f, 0);
    set_pattern(f, none);
    assert_corrected(f, 2); /* another reason: two numbers, and nothing says which */
    assert_corrected(f, 0);
}

static void test_many_rows(void **state)
{
    enum { ROWS = 200 };
    struct fixture *f = *state;
    char pattern[] = "{step}-*", file[32];
    int64_t ids[ROWS];

    set_pattern(f, pattern);
    for (int i = 0; i < ROWS; i++) {
        snprintf(file, sizeof file, "%d-x", i);
        ids[i] = add(f, file, i + 1000, CHECKPOINT_INCOMPLETE);
    }
    assert_corrected(f, ROWS);
    for (int i = 0; i < ROWS; i++)
        assert_step(f, ids[i], i, "");
}

static void test_what_is_no_pattern_or_no_run_changes_nothing(void **state)
{
    struct fixture *f = *state;
    char broken[] = "{step}{step}";
    int64_t count = -1;

    set_pattern(f, broken);
    int64_t id = add(f, "7-x", 9, CHECKPOINT_INCOMPLETE);
    assert_corrected(f, 0);
    assert_step(f, id, 9, "");
    assert_ok(steps_apply(f->db, f->run + 1, 77, &count, &f->err), f->err);
    assert_int_equal(count, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_other_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_pattern_or_no_run_changes_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
