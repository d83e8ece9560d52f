/*
 * test_tasks - leases, attempts and fencing.
 */
#include "support/support.h"

#include <string.h>

#include "jobs/tasks.h"
#include "support/alloc.h"

static struct tasks fresh(int64_t base, size_t count)
{
    struct tasks t = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(tasks_reset(&t, base, count, &err), err);
    return t;
}

static void test_way_of_a_task(void **state)
{
    (void)state;
    struct tasks t = fresh(100, 3);
    struct sewa_error err = { 0 };

    assert_int_equal(tasks_pending(&t, false), 0);
    assert_false(tasks_all_done(&t));
    assert_int_equal(tasks_grant(&t, 0, "wrk_A", 1000), 1);
    assert_int_equal(tasks_pending(&t, false), 1);
    assert_int_equal(tasks_grant(&t, 1, "wrk_B", 1000), 1);
    assert_int_equal(tasks_grant(&t, 2, "wrk_A", 1000), 1);
    assert_int_equal(tasks_pending(&t, false), -1);
    assert_int_equal(tasks_find(&t, 101, 1, &err), 1);
    for (size_t i = 0; i < 3; i++) {
        assert_false(tasks_all_done(&t));
        tasks_done(&t, i);
    }
    assert_true(tasks_all_done(&t));
    assert_int_equal(tasks_pending(&t, false), -1);
    tasks_clear(&t);
}

/* A result counts for the live attempt only. */
static void test_fencing(void **state)
{
    (void)state;
    struct tasks t = fresh(7, 2);
    struct sewa_error err = { 0 };

    assert_failed(tasks_find(&t, 7, 1, &err), err, SEWA_E_LEASE_LOST, "attempt 1 of task 7");
    tasks_grant(&t, 0, "wrk_A", 1000);
    assert_int_equal(tasks_find(&t, 7, 1, &err), 0);
    assert_failed(tasks_find(&t, 7, 2, &err), err, SEWA_E_LEASE_LOST, "attempt 1 is live");
    assert_failed(tasks_find(&t, 7, 0, &err), err, SEWA_E_LEASE_LOST, "attempt 0");
    assert_failed(tasks_find(&t, 6, 1, &err), err, SEWA_E_LEASE_LOST, "open are 7 to 8");
    assert_failed(tasks_find(&t, 9, 1, &err), err, SEWA_E_LEASE_LOST, "task 9 is not open");
    assert_failed(tasks_find(&t, INT64_MIN, 1, &err), err, SEWA_E_LEASE_LOST, "not open");
    assert_failed(tasks_find(&t, INT64_MAX, 1, &err), err, SEWA_E_LEASE_LOST, "not open");

    /* given up and handed out again: the first holder comes back late */
    assert_int_equal(tasks_failed(&t, 0), 1);
    assert_failed(tasks_find(&t, 7, 1, &err), err, SEWA_E_LEASE_LOST, "is over");
    assert_int_equal(tasks_grant(&t, 0, "wrk_B", 1000), 2);
    assert_failed(tasks_find(&t, 7, 1, &err), err, SEWA_E_LEASE_LOST, "attempt 2 is live");
    assert_int_equal(tasks_find(&t, 7, 2, &err), 0);
    tasks_done(&t, 0);
    assert_failed(tasks_find(&t, 7, 2, &err), err, SEWA_E_LEASE_LOST, "attempt 2 is done");
    tasks_clear(&t);
}

static void test_failures_are_counted(void **state)
{
    (void)state;
    struct tasks t = fresh(0, 1);

    for (int i = 1; i <= TASK_FAILURES_MAX; i++) {
        assert_int_equal(tasks_grant(&t, 0, "wrk_A", 0), 2 * i - 1);
        tasks_release(&t, 0); /* nobody's fault: it does not count */
        assert_int_equal(tasks_pending(&t, false), 0);
        assert_int_equal(tasks_grant(&t, 0, "wrk_A", 0), 2 * i);
        assert_int_equal(tasks_failed(&t, 0), i);
    }
    tasks_clear(&t);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct tasks t = fresh(0, 4);

    assert_int_equal(tasks_overdue(&t, "wrk_A", INT64_MAX), -1);
    tasks_grant(&t, 0, "wrk_A", 100);
    tasks_grant(&t, 1, "wrk_B", 100);
    tasks_grant(&t, 2, "wrk_A", 300);
    assert_int_equal(tasks_overdue(&t, "wrk_A", 100), -1); /* until the deadline, inclusive */
    assert_int_equal(tasks_overdue(&t, "wrk_A", 101), 0);
    assert_int_equal(tasks_overdue(&t, "wrk_B", 101), 1);
    assert_int_equal(tasks_overdue(&t, "wrk_C", INT64_MAX), -1);
    tasks_extend(&t, "wrk_A", 500);
    assert_int_equal(tasks_overdue(&t, "wrk_A", 500), -1);
    assert_int_equal(tasks_overdue(&t, "wrk_B", 500), 1);
    assert_int_equal(tasks_overdue(&t, "wrk_A", 501), 0);
    tasks_done(&t, 0);
    assert_int_equal(tasks_overdue(&t, "wrk_A", 501), 2);
    tasks_extend(&t, "wrk_C", 0); /* holds nothing */
    assert_int_equal(tasks_overdue(&t, "wrk_A", 500), -1);

    assert_int_equal(tasks_of_worker(&t, "wrk_A", 0), 2);
    assert_int_equal(tasks_of_worker(&t, "wrk_A", 3), -1);
    assert_int_equal(tasks_of_worker(&t, "wrk_B", 0), 1);
    assert_int_equal(tasks_of_worker(&t, "wrk_", 0), -1);
    tasks_clear(&t);
}

/* The service was stopped: nobody is late because of it, and nobody gets more than a lease. */
static void test_excused(void **state)
{
    (void)state;
    struct tasks t = fresh(0, 3);

    tasks_grant(&t, 0, "wrk_A", 1000);
    tasks_grant(&t, 1, "wrk_B", 30000);
    tasks_grant(&t, 2, "wrk_C", 90000);
    tasks_excuse(&t, 36000, 66000);
    assert_int_equal(t.items[0].deadline_ms, 37000);
    assert_int_equal(t.items[1].deadline_ms, 66000);
    assert_int_equal(t.items[2].deadline_ms, 90000); /* never earlier */
    tasks_clear(&t);
}

static void test_only_fresh_ones(void **state)
{
    (void)state;
    struct tasks t = fresh(0, 2);

    tasks_grant(&t, 0, "wrk_A", 0);
    tasks_failed(&t, 0);
    assert_int_equal(tasks_pending(&t, false), 0);
    assert_int_equal(tasks_pending(&t, true), 1);
    tasks_grant(&t, 1, "wrk_A", 0);
    assert_int_equal(tasks_pending(&t, true), -1);
    assert_int_equal(tasks_pending(&t, false), 0);
    tasks_clear(&t);
}

static void test_restore(void **state)
{
    (void)state;
    struct tasks t = fresh(10, 2);
    struct sewa_error err = { 0 };

    tasks_restore(&t, 9, 1, 0, "wrk_A", 0); /* of a batch that is over */
    tasks_restore(&t, 12, 1, 0, "wrk_A", 0);
    tasks_restore(&t, INT64_MAX, 1, 0, "wrk_A", 0);
    assert_int_equal(tasks_of_worker(&t, "wrk_A", 0), -1);
    tasks_restore(&t, 11, 4, 2, "wrk_A", 77);
    assert_int_equal(tasks_find(&t, 11, 4, &err), 1);
    assert_int_equal(t.items[1].deadline_ms, 77);
    assert_int_equal(tasks_failed(&t, 1), 3);
    assert_int_equal(tasks_grant(&t, 1, "wrk_B", 0), 5);
    tasks_clear(&t);
}

/* A new batch forgets the old one; without memory the old one stays. */
static void test_reset(void **state)
{
    (void)state;
    struct tasks t = fresh(0, 2);
    struct sewa_error err = { 0 };

    tasks_grant(&t, 0, "wrk_A", 0);
    alloc_fail_at(0);
    assert_failed(tasks_reset(&t, 2, 5, &err), err, SEWA_E_NO_MEMORY, "5 tasks");
    assert_true(alloc_fired());
    assert_int_equal(tasks_find(&t, 0, 1, &err), 0);
    assert_ok(tasks_reset(&t, 2, 5, &err), err);
    assert_failed(tasks_find(&t, 0, 1, &err), err, SEWA_E_LEASE_LOST, "open are 2 to 6");
    assert_int_equal(tasks_pending(&t, false), 0);
    assert_ok(tasks_reset(&t, 7, 0, &err), err);
    assert_int_equal(tasks_pending(&t, false), -1);
    assert_true(tasks_all_done(&t));
    tasks_clear(&t);
    assert_int_equal(t.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_way_of_a_task),
        cmocka_unit_test(test_fencing),
        cmocka_unit_test(test_failures_are_counted),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_excused),
        cmocka_unit_test(test_only_fresh_ones),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
