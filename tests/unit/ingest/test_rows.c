/*
 * test_rows - what the reports of the scan threads make of the index: a life of a file, step by
 * step.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/inspect.h"
#include "ingest/rows.h"
#include "store/migrate.h"
#include "store/runs.h"

struct fixture {
    char *dir;
    struct db *db;
    struct run_row run;
    struct sewa_error err;
    int64_t now_ms;
};

static char run_name[] = "r", run_path[] = "/data/r";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[4096];

    f->dir = scratch_new();
    snprintf(path, sizeof path, "%s/x.db", f->dir);
    assert_ok(db_open(path, DB_WRITE, &f->db, &f->err), f->err);
    assert_ok(migrate(f->db, path, sql_migrations, &f->err), f->err);
    f->run = (struct run_row){ .name = run_name, .path = run_path, .updated_ms = 1 };
    assert_ok(run_put(f->db, &f->run, false, &f->err), f->err);
    f->now_ms = 1000;
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

static void free_finding(struct inspection *base)
{
    struct finding *f = finding_of(base);

    layout_row_clear(&f->layout);
    free(f->format);
    free(f->metadata);
    free(f->state_key);
    free(f);
}

static struct inspection *finding(uint8_t header, const char *state_key)
{
    struct finding *f = calloc(1, sizeof *f);

    f->base.free = free_finding;
    f->base.has_digest = true;
    f->base.header_digest[0] = header;
    f->format = strdup("safetensors");
    f->metadata = strdup("{}");
    f->state_key = strdup(state_key);
    f->layout.tensors = strdup(*state_key ? state_key : "table"); /* another key, another table */
    f->layout.tensors_bytes = strlen(f->layout.tensors);
    return &f->base;
}

struct event {
    enum report_kind kind;
    int64_t size, mtime_ns;
    uint8_t header; /* of a proven file */
    int code;
    const char *state_key; /* with which it was read; NULL: none */
};

/* Apply one report about a.safetensors; returns the id of the checkpoint that it was about, 0 for
 * none. */
static int64_t apply(struct fixture *f, struct event e)
{
    struct row_change c = { .report = { .kind = e.kind, .code = e.code },
                            .step = { .has_step = true, .step = 7 } };
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };

    c.report.name = strdup("a.safetensors");
    c.report.text = strdup(e.code ? "something is missing" : "");
    c.report.look.size = e.size;
    c.report.look.mtime_ns = e.mtime_ns;
    if (e.kind == REPORT_PROVEN)
        c.report.inspection = finding(e.header, e.state_key ? e.state_key : "");
    f->now_ms += 10;
    assert_ok(rows_apply(f->db, f->run.id, &c, f->now_ms, &f->err), f->err);
    int64_t id = 0;
    if (c.uid[0]) {
        assert_int_equal(checkpoint_find(f->db, c.uid, &row, &f->err), 1);
        id = row.id;
    }
    report_clear(&c.report);
    return id;
}

static void assert_state(struct fixture *f, int64_t id, enum checkpoint_state wanted)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };

    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_int_equal(row.state, wanted);
}

static int64_t live(struct fixture *f)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    int rc = checkpoint_live(f->db, f->run.id, "a.safetensors", &row, &f->err);

    assert_ok(rc, f->err);
    return rc ? row.id : 0;
}

static void test_growing_then_complete(void **state)
{
    struct fixture *f = *state;
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };

    int64_t id = apply(f, (struct event){ REPORT_FOUND, 10, 1, 0, SEWA_E_INCOMPLETE });
    assert_int_equal(apply(f, (struct event){ REPORT_NOT_PROVEN, 20, 2, 0, SEWA_E_CORRUPT }), id);
    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_string_equal(row.reason_code, "corrupt");
    assert_string_equal(row.reason, "something is missing");
    assert_int_equal(row.size, 20);
    assert_int_equal(apply(f, (struct event){ REPORT_PROVEN, 30, 3, 1, 0 }), id);
    checkpoint_row_clear(&row);
    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_int_equal(row.state, CHECKPOINT_COMPLETE);
    assert_string_equal(row.reason_code, "");
    assert_string_equal(row.format, "safetensors");
    assert_non_null(strstr(row.evidence, "settled"));
    assert_true(row.has_step && row.step == 7 && row.layout_id > 0);
    assert_int_equal(row.completed_ms, f->now_ms);
    assert_int_equal(apply(f, (struct event){ REPORT_PROVEN, 30, 3, 1, 0 }), 0); /* told twice */
}

static void test_rewritten_is_a_new_identity(void **state)
{
    struct fixture *f = *state;

    int64_t first = apply(f, (struct event){ REPORT_PROVEN, 30, 3, 1, 0 });
    assert_ok(checkpoint_set_labels(f->db, first, "{\"a\":\"b\"}", 1, &f->err), f->err);
    int64_t second = apply(f, (struct event){ REPORT_CHANGED, 30, 4, 0, SEWA_E_INCOMPLETE });
    assert_int_not_equal(first, second);
    assert_state(f, first, CHECKPOINT_CHANGED);
    assert_state(f, second, CHECKPOINT_INCOMPLETE);
    assert_int_equal(apply(f, (struct event){ REPORT_PROVEN, 30, 4, 2, 0 }), second);
    /* the same size and time, another header: also another one, even without a word in between */
    int64_t third = apply(f, (struct event){ REPORT_PROVEN, 30, 4, 3, 0 });
    assert_state(f, second, CHECKPOINT_CHANGED);
    assert_state(f, third, CHECKPOINT_COMPLETE);
    assert_int_equal(live(f), third);
}

static void test_gone_and_back(void **state)
{
    struct fixture *f = *state;

    int64_t id = apply(f, (struct event){ REPORT_PROVEN, 30, 3, 1, 0 });
    assert_int_equal(apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 }), id);
    assert_state(f, id, CHECKPOINT_GONE);
    assert_int_equal(live(f), 0);
    assert_int_equal(apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 }), 0); /* told twice */
    assert_int_equal(apply(f, (struct event){ REPORT_BACK, 30, 3, 0, 0 }), id);
    assert_state(f, id, CHECKPOINT_COMPLETE);
    /* and once more, seen as a new file by a service that was restarted meanwhile */
    apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 });
    int64_t found = apply(f, (struct event){ REPORT_FOUND, 30, 3, 0, SEWA_E_INCOMPLETE });
    assert_int_not_equal(found, id);
    assert_int_equal(apply(f, (struct event){ REPORT_PROVEN, 30, 3, 1, 0 }), id);
    assert_state(f, id, CHECKPOINT_COMPLETE);
    assert_state(f, found, CHECKPOINT_GONE);
    assert_int_equal(live(f), id);
}

/* What came beside the weights of a directory changes what the next look is compared with. */
static void test_beside(void **state)
{
    struct fixture *f = *state;
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };

    int64_t id = apply(f, (struct event){ REPORT_PROVEN, 30, 3, 1, 0 });
    assert_int_equal(apply(f, (struct event){ REPORT_BESIDE, 40, 9, 0, 0 }), 0); /* no event */
    assert_state(f, id, CHECKPOINT_COMPLETE);
    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_int_equal(row.size, 40);
    assert_int_equal(row.mtime_ns, 9);
    assert_true(row.has_header_digest);
    assert_int_equal(apply(f, (struct event){ REPORT_PROVEN, 40, 9, 1, 0 }), 0); /* known */
    apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 });
    assert_int_equal(apply(f, (struct event){ REPORT_BESIDE, 50, 10, 0, 0 }), 0);
    assert_state(f, id, CHECKPOINT_GONE);
    assert_int_equal(live(f), 0);
}

static void test_gone_and_another_one(void **state)
{
    struct fixture *f = *state;

    int64_t id = apply(f, (struct event){ REPORT_PROVEN, 30, 3, 1, 0 });
    apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 });
    int64_t other = apply(f, (struct event){ REPORT_PROVEN, 30, 5, 1, 0 });
    assert_int_not_equal(other, id);
    assert_state(f, id, CHECKPOINT_GONE);
    assert_state(f, other, CHECKPOINT_COMPLETE);
}

static void test_an_incomplete_file_that_vanishes(void **state)
{
    struct fixture *f = *state;

    int64_t id = apply(f, (struct event){ REPORT_FOUND, 10, 1, 0, SEWA_E_INCOMPLETE });
    apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 });
    assert_state(f, id, CHECKPOINT_GONE);
    /* it was never proven, so there is nothing to come back to */
    assert_int_equal(apply(f, (struct event){ REPORT_BACK, 10, 1, 0, 0 }), 0);
    assert_int_equal(live(f), 0);
}

static void test_step_from_the_name_may_be_missing(void **state)
{
    struct fixture *f = *state;
    struct row_change c = { .report = { .kind = REPORT_FOUND },
                            .step = { .reason = "no number in it" } };
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };

    c.report.name = strdup("\xff.safetensors");
    c.report.text = strdup("");
    assert_ok(rows_apply(f->db, f->run.id, &c, 5, &f->err), f->err);
    assert_int_equal(checkpoint_find(f->db, c.uid, &row, &f->err), 1);
    assert_false(row.has_step);
    assert_string_equal(row.step_reason, "no number in it");
    assert_string_equal(row.file, "\xff.safetensors");
    report_clear(&c.report);
}

/* ---- another state_key ---- */

static void set_key(struct fixture *f, char *state_key, int64_t read_again)
{
    struct run_row run = f->run;

    run.state_key = state_key;
    run.updated_ms = ++f->now_ms;
    assert_ok(run_put(f->db, &run, false, &f->err), f->err);
    assert_int_equal(run.read_again, read_again);
}

static void assert_read_with(struct fixture *f, int64_t id, const char *state_key)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    AUTO(layout_row_clear) struct layout_row layout = { 0 };

    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_int_equal(row.state, CHECKPOINT_COMPLETE);
    assert_string_equal(row.state_key, state_key);
    assert_string_equal(row.reason, "");
    assert_true(row.completed_ms > 0);
    assert_int_equal(layout_by_id(f->db, row.layout_id, true, &layout, &f->err), 1);
    assert_int_equal(layout.tensors_bytes, strlen(state_key));
    assert_memory_equal(layout.tensors, state_key, strlen(state_key));
}

static char key_a[] = "a", key_b[] = "b";

static struct event proven(int64_t mtime_ns, uint8_t header, const char *state_key)
{
    return (struct event){ REPORT_PROVEN, 30, mtime_ns, header, 0, state_key };
}

static void test_another_key_is_read_again(void **state)
{
    struct fixture *f = *state;
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    int64_t events;

    set_key(f, key_a, 0);
    int64_t id = apply(f, proven(3, 1, "a"));
    assert_ok(checkpoint_set_labels(f->db, id, "{\"mine\":\"1\"}", 1, &f->err), f->err);
    set_key(f, key_a, 0); /* a reload that changes nothing */
    assert_read_with(f, id, "a");
    set_key(f, key_b, 1);
    set_key(f, key_b, 0); /* told once */
    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_int_equal(row.state, CHECKPOINT_INCOMPLETE);
    assert_string_equal(row.reason_code, "incomplete");
    assert_non_null(strstr(row.reason, "another state_key"));
    assert_true(row.layout_id == 0 && row.completed_ms == 0 && !row.state_key);
    assert_ok(db_number(f->db, "SELECT count(*) FROM events WHERE kind = 'checkpoint.incomplete'",
                        &events, &f->err),
              f->err);
    assert_int_equal(events, 1);
    /* what was on its way meanwhile was read with the old key: it counts for nothing */
    assert_int_equal(apply(f, proven(3, 1, "a")), 0);
    assert_state(f, id, CHECKPOINT_INCOMPLETE);
    assert_int_equal(apply(f, proven(3, 1, "b")), id);
    assert_read_with(f, id, "b");
    checkpoint_row_clear(&row);
    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_string_equal(row.labels, "{\"mine\":\"1\"}");
}

static void test_what_another_key_does_not_fit_keeps_its_row(void **state)
{
    struct fixture *f = *state;
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };

    set_key(f, key_a, 0);
    int64_t id = apply(f, proven(3, 1, "a"));
    set_key(f, key_b, 1);
    assert_int_equal(apply(f, (struct event){ REPORT_NOT_PROVEN, 30, 3, 0, SEWA_E_UNSUPPORTED }),
                     id);
    assert_int_equal(checkpoint_by_id(f->db, id, &row, &f->err), 1);
    assert_string_equal(row.reason_code, "unsupported");
    set_key(f, key_a, 0);
    assert_int_equal(apply(f, proven(3, 1, "a")), id);
    assert_read_with(f, id, "a");
}

/* Its id, labels and SHA-256 are those of the file that it was, not of the next one. */
static void test_another_file_while_it_is_read_again(void **state)
{
    static const struct event others[] = {
        { REPORT_PROVEN, 30, 3, 2, 0, "b" },                    /* another header */
        { REPORT_PROVEN, 30, 4, 1, 0, "b" },                    /* written again */
        { REPORT_NOT_PROVEN, 31, 3, 0, SEWA_E_INCOMPLETE, "" }, /* it grows */
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        set_key(f, key_a, i > 0 && others[i - 1].kind == REPORT_PROVEN);
        int64_t id = apply(f, proven(100 + (int64_t)i, 1, "a"));
        set_key(f, key_b, 1);
        int64_t other = apply(f, others[i]);
        assert_int_not_equal(other, id);
        assert_state(f, id, CHECKPOINT_CHANGED);
        assert_int_equal(live(f), other);
    }
}

static void test_gone_and_back_with_another_key(void **state)
{
    struct fixture *f = *state;

    set_key(f, key_a, 0);
    int64_t id = apply(f, proven(3, 1, "a"));
    apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 });
    set_key(f, key_b, 0);
    /* who says so has read it with the old key */
    assert_int_equal(apply(f, (struct event){ REPORT_BACK, 30, 3, 0, 0 }), 0);
    assert_state(f, id, CHECKPOINT_GONE);
    /* read with the new one it is that checkpoint, with another layout */
    apply(f, (struct event){ REPORT_FOUND, 30, 3, 0, SEWA_E_INCOMPLETE });
    assert_int_equal(apply(f, proven(3, 1, "b")), id);
    assert_read_with(f, id, "b");
    assert_int_equal(live(f), id);
    /* and when it vanishes while it is read again */
    set_key(f, key_a, 1);
    apply(f, (struct event){ REPORT_GONE, 0, 0, 0, 0 });
    assert_int_equal(apply(f, (struct event){ REPORT_BACK, 30, 3, 0, 0 }), 0);
    assert_int_equal(apply(f, proven(3, 1, "a")), id);
    assert_read_with(f, id, "a");
}

static void test_a_run_that_is_deleted_gets_no_rows(void **state)
{
    struct fixture *f = *state;

    assert_ok(run_delete(f->db, f->run.id, &f->err), f->err);
    assert_int_equal(apply(f, proven(3, 1, "")), 0);
    assert_int_equal(apply(f, (struct event){ REPORT_BACK, 30, 3, 0, 0 }), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_growing_then_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewritten_is_a_new_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_and_another_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_incomplete_file_that_vanishes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_step_from_the_name_may_be_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_key_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_another_key_does_not_fit_keeps_its_row, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_another_file_while_it_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_and_back_with_another_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_is_deleted_gets_no_rows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
