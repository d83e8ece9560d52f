/*
 * test_store - the writer thread: order, group commit, one op failing among others, a failing
 * commit.
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/migrate.h"
#include "store/runs.h"
#include "store/store.h"

struct add {
    struct store_op op;
    char name[32];
    bool fail;
    int order; /* of done() */
};

static int done_count;

static int add_run(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct add *a = container_of(op, struct add, op);
    char path[] = "/data";
    struct run_row row = { .name = a->name, .path = path, .origin = RUN_FROM_API, .updated_ms = 5 };
    int rc = run_put(db, &row, true, err);

    if (rc == 0 && a->fail)
        return sewa_fail(err, SEWA_E_INVALID, "'%s' is to fail after its insert", a->name);
    return rc;
}

static void added(struct store_op *op)
{
    struct add *a = container_of(op, struct add, op);

    a->order = done_count++;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static int count(const struct run_row *row, void *arg, struct sewa_error *err)
{
    (void)row;
    (void)err;
    ++*(int *)arg;
    return 0;
}

static int count_runs(struct db *db)
{
    int n = 0;
    struct sewa_error err = { 0 };

    assert_ok(run_list(db, NULL, 1000, count, &n, &err), err);
    return n;
}

static void test_ops(void **state)
{
    (void)state;
    enum { N = 400 };
    static struct add adds[N];
    char *dir = scratch_new();
    uv_loop_t loop;
    struct store *s = NULL;
    struct sewa_error err = { 0 };
    bool closed = false;

    uv_loop_init(&loop);
    assert_ok(store_open(dir, &loop, &s, &err), err);
    done_count = 0;
    for (int i = 0; i < N; i++) {
        memset(&adds[i], 0, sizeof adds[i]);
        adds[i].op.run = add_run;
        adds[i].op.done = added;
        adds[i].fail = i % 10 == 3;
        snprintf(adds[i].name, sizeof adds[i].name, "run-%d", i == 20 ? 19 : i);
        store_submit(s, &adds[i].op);
    }
    while (done_count < N)
        uv_run(&loop, UV_RUN_ONCE);
    for (int i = 0; i < N; i++) {
        assert_int_equal(adds[i].order, i);
        int wanted = i == 20 ? SEWA_E_CONFLICT : adds[i].fail ? SEWA_E_INVALID : 0;
        assert_int_equal(adds[i].op.rc, wanted);
    }
    assert_int_equal(count_runs(store_reader(s)), N - N / 10 - 1);
    store_close(s, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);

    struct db *db = NULL;
    char path[4200];
    snprintf(path, sizeof path, "%s/sewad.db", dir);
    assert_ok(db_open(path, DB_READ, &db, &err), err);
    assert_int_equal(count_runs(db), N - N / 10 - 1);
    db_close(db);
    scratch_free(dir);
}

static void test_open_fails_clean(void **state)
{
    (void)state;
    char *dir = scratch_new();
    uv_loop_t loop;
    struct store *s = NULL;
    struct sewa_error err = { 0 };

    uv_loop_init(&loop);
    scratch_write(dir, "sewad.db", "this is no database, but long enough to look at", 47);
    assert_failed(store_open(dir, &loop, &s, &err), err, SEWA_E_DATABASE, "sewad.db");
    assert_null(s);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    scratch_free(dir);
}

/* ---- what the connection that writes is ---- */

struct question {
    struct store_op op;
    int64_t synchronous, foreign_keys, trusted_schema;
    bool is_wal, answered;
};

static int read_back(struct store_op *op, struct db *db, struct sewa_error *err)
{
    struct question *q = container_of(op, struct question, op);
    int64_t wal = 0;
    int rc = db_number(db, "PRAGMA synchronous", &q->synchronous, err);

    if (rc == 0)
        rc = db_number(db, "PRAGMA foreign_keys", &q->foreign_keys, err);
    if (rc == 0)
        rc = db_number(db, "PRAGMA trusted_schema", &q->trusted_schema, err);
    if (rc == 0)
        rc = db_number(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &wal, err);
    q->is_wal = wal == 1;
    return rc;
}

static void answered(struct store_op *op)
{
    container_of(op, struct question, op)->answered = true;
}

/* NORMAL or OFF would be faster, and lose in a power cut what was told. */
static void test_commits_reach_the_disk(void **state)
{
    (void)state;
    char *dir = scratch_new();
    uv_loop_t loop;
    struct store *s = NULL;
    struct sewa_error err = { 0 };
    struct question q = { .op = { .run = read_back, .done = answered } };
    bool closed = false;

    uv_loop_init(&loop);
    assert_ok(store_open(dir, &loop, &s, &err), err);
    store_submit(s, &q.op);
    while (!q.answered)
        uv_run(&loop, UV_RUN_ONCE);
    assert_ok(q.op.rc, q.op.err);
    assert_int_equal(q.synchronous, 2);
    assert_true(q.is_wal);
    assert_int_equal(q.foreign_keys, 1);
    assert_int_equal(q.trusted_schema, 0);
    store_close(s, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    scratch_free(dir);
}

/* ---- whose files they are ---- */

static const char *const endings[] = { "", "-wal", "-shm" };

static void check_modes(const char *dir, mode_t wanted)
{
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        char path[4200];
        struct stat st;
        snprintf(path, sizeof path, "%s/sewad.db%s", dir, endings[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, wanted);
    }
}

static void open_and_check(const char *dir, mode_t wanted)
{
    uv_loop_t loop;
    struct store *s = NULL;
    struct sewa_error err = { 0 };
    struct question q = { .op = { .run = read_back, .done = answered } };

    uv_loop_init(&loop);
    assert_ok(store_open(dir, &loop, &s, &err), err);
    store_submit(s, &q.op); /* so that all three files are there */
    while (!q.answered)
        uv_run(&loop, UV_RUN_ONCE);
    check_modes(dir, wanted);
    store_close(s, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* Whatever the umask is, and however an earlier version has left them. */
static void test_others_may_not_read(void **state)
{
    (void)state;
    char *dir = scratch_new(), path[4200];
    mode_t before = umask(0);

    open_and_check(dir, 0640);
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        snprintf(path, sizeof path, "%s/sewad.db%s", dir, endings[i]);
        int fd = open(path, O_WRONLY | O_CREAT, 0666);
        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, 0666), 0);
        close(fd);
    }
    open_and_check(dir, 0640);
    snprintf(path, sizeof path, "%s/sewad.db", dir);
    assert_int_equal(chmod(path, 0600), 0); /* somebody wants less: it stays so */
    open_and_check(dir, 0600);
    umask(before);
    scratch_free(dir);
}

/* As without descriptors or memory: there is nothing to run, and the next one is tried again. */
static void test_a_statement_that_cannot_be_prepared(void **state)
{
    (void)state;
    char *dir = scratch_new(), path[4200];
    struct run_row row = { 0 };
    struct sewa_error err = { 0 };
    struct db *db = NULL;

    snprintf(path, sizeof path, "%s/sewad.db", dir);
    assert_ok(db_open(path, DB_WRITE, &db, &err), err); /* without any table */
    for (int i = 0; i < 2; i++)
        assert_failed(run_find(db, "toy", &row, &err), err, SEWA_E_DATABASE, "no such table");
    assert_ok(migrate(db, path, sql_migrations, &err), err);
    assert_int_equal(run_find(db, "toy", &row, &err), 0);
    db_close(db);
    scratch_free(dir);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_open_fails_clean),
        cmocka_unit_test(test_commits_reach_the_disk),
        cmocka_unit_test(test_others_may_not_read),
        cmocka_unit_test(test_a_statement_that_cannot_be_prepared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
