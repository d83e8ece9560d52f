/*
 * test_pool - every item once, whatever the number of threads; which failure is reported.
 */
#include "support/support.h"

#include <string.h>

#include "base/failpoint.h"
#include "engine/pool.h"
#include "support/alloc.h"

enum { ITEMS = 1000 };

struct counting {
    struct pool_task task;
    unsigned threads;
    atomic_int runs[ITEMS];
    atomic_bool is_busy[64]; /* by thread number */
    atomic_bool *cancel;
    size_t cancel_at;
    size_t fail_from;
};

static int count_item(struct pool_task *task, size_t item, unsigned thread, struct sewa_error *err)
{
    struct counting *c = container_of(task, struct counting, task);

    if (thread >= c->threads || atomic_exchange(&c->is_busy[thread], true))
        return sewa_fail(err, SEWA_E_INTERNAL, "thread number %u is taken", thread);
    atomic_fetch_add(&c->runs[item], 1);
    if (c->cancel && item == c->cancel_at)
        atomic_store(c->cancel, true);
    atomic_store(&c->is_busy[thread], false);
    if (item >= c->fail_from)
        return sewa_fail(err, SEWA_E_IO, "item %zu", item);
    return 0;
}

static int run(struct pool *p, struct counting *c, size_t count, struct sewa_error *err)
{
    memset(c->runs, 0, sizeof c->runs);
    c->task.run = count_item;
    c->threads = pool_threads(p);
    return pool_run(p, &c->task, count, c->cancel, err);
}

static void test_every_item_runs_once(void **state)
{
    static const unsigned threads[] = { 1, 2, 3, 7, 32 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        AUTOPTR(pool_close) struct pool *p = NULL;
        struct sewa_error err = { 0 };
        struct counting c = { .fail_from = ITEMS };

        assert_ok(pool_open(threads[i], &p, &err), err);
        assert_int_equal(pool_threads(p), threads[i]);
        for (int round = 0; round < 20; round++) {
            size_t count = round == 3 ? 0 : ITEMS / (size_t)(round + 1);
            assert_ok(run(p, &c, count, &err), err);
            for (size_t n = 0; n < ITEMS; n++)
                assert_int_equal(c.runs[n], n < count);
        }
    }
}

static void test_the_lowest_failure_is_reported(void **state)
{
    AUTOPTR(pool_close) struct pool *p = NULL;
    struct sewa_error err = { 0 };
    struct counting c = { .fail_from = 17 };

    (void)state;
    assert_ok(pool_open(7, &p, &err), err);
    for (int round = 0; round < 200; round++) {
        struct sewa_error failed = { 0 };
        int rc = run(p, &c, ITEMS, &failed);
        assert_failed(rc, failed, SEWA_E_IO, "item 17");
        assert_string_equal(failed.text, "item 17");
        for (size_t n = 0; n <= 17; n++)
            assert_int_equal(c.runs[n], 1);
        assert_int_equal(c.runs[ITEMS - 1], 0); /* nobody goes on */
    }
    assert_int_equal(run(p, &c, ITEMS, NULL), SEWA_E_IO);
    c.fail_from = ITEMS;
    assert_ok(run(p, &c, ITEMS, &err), err); /* a failure does not stay */
}

static void test_cancelling(void **state)
{
    AUTOPTR(pool_close) struct pool *p = NULL;
    struct sewa_error err = { 0 };
    atomic_bool cancel = true;
    struct counting c = { .fail_from = ITEMS, .cancel = &cancel, .cancel_at = ITEMS };

    (void)state;
    assert_ok(pool_open(1, &p, &err), err);
    assert_failed(run(p, &c, ITEMS, &err), err, SEWA_E_CANCELLED, "cancelled");
    assert_int_equal(c.runs[0], 0);
    cancel = false;
    c.cancel_at = 5;
    assert_failed(run(p, &c, ITEMS, &err), err, SEWA_E_CANCELLED, "cancelled");
    assert_int_equal(c.runs[5], 1);
    assert_int_equal(c.runs[6], 0);
}

static void test_numbers_of_threads(void **state)
{
    AUTOPTR(pool_close) struct pool *p = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    assert_ok(pool_open(0, &p, &err), err);
    assert_true(pool_threads(p) >= 1);
    pool_close(TAKE(p));
    assert_failed(pool_open(POOL_THREADS_MAX + 1, &p, &err), err, SEWA_E_INVALID, "1025");
    assert_null(p);
    pool_close(NULL);
}

static void test_failing_to_open(void **state)
{
    struct sewa_error err = { 0 };
    struct pool *p = NULL;

    (void)state;
    int64_t held = alloc_held();
    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = pool_open(2, &p, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n >= 2);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(alloc_held(), held);
    }
    pool_close(TAKE(p));
#ifdef SEWA_FAILPOINTS
    failpoint_set("pool_thread=errno:EMFILE@3"); /* the fourth thread; two helpers must go again */
    assert_failed(pool_open(7, &p, &err), err, SEWA_E_UNAVAILABLE, "thread 4 of 7");
    assert_null(p);
    failpoint_set(NULL);
#endif
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_item_runs_once),
        cmocka_unit_test(test_the_lowest_failure_is_reported),
        cmocka_unit_test(test_cancelling),
        cmocka_unit_test(test_numbers_of_threads),
        cmocka_unit_test(test_failing_to_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
