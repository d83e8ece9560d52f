/*
 * test_slots - which slot is used, and how long one rests.
 */
#include "support/support.h"

#include "base/cleanup.h"
#include "jobs/slots.h"

enum { SLOTS = 3, NOW = 1000 };

static const struct row {
    const char *name;
    bool taken[SLOTS];
    struct slot_record records[SLOTS];
    int wanted;
} rows[] = {
    { "the first one", { false, false, false }, { { 0 } }, 0 },
    { "taken ones are passed over", { true, true, false }, { { 0 } }, 2 },
    { "all are taken", { true, true, true }, { { 0 } }, -1 },
    { "one rests", { false, false, false }, { { 1, NOW + 1 }, { 0 } }, 1 },
    { "it has rested", { false, true, true }, { { 1, NOW }, { 0 } }, 0 },
    { "one without failures first", { false, false, true }, { { 1, 0 }, { 0 } }, 1 },
    { "the one with fewer failures", { false, false, false }, { { 3, 0 }, { 2, 0 }, { 2, 0 } }, 1 },
    { "all free ones rest", { false, true, false }, { { 1, NOW + 1 }, { 0 }, { 1, NOW + 9 } }, -1 },
};

static void test_row(void **state)
{
    const struct row *r = *state;

    assert_int_equal(slots_pick(r->taken, r->records, SLOTS, NOW), r->wanted);
}

static void test_rest_grows(void **state)
{
    (void)state;
    struct slot_record r = { 0 };
    int64_t before = 0;

    assert_int_equal(slots_failed(&r, 500, NOW), 500);
    assert_int_equal(r.until_ms, NOW + 500);
    assert_int_equal(slots_failed(&r, 500, NOW), 1000);
    assert_int_equal(r.until_ms, NOW + 1000);
    assert_int_equal(slots_failed(&r, 500, NOW), 2000);
    for (int i = 0; i < 100; i++)
        before = slots_failed(&r, 500, NOW);
    assert_in_range(before, 60000, 600000); /* but it is tried again within minutes */
    assert_int_equal(slots_failed(&r, 500, NOW), before);
    assert_int_equal(r.failures, 104);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 1];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){ .name = rows[i].name,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[i] };
    tests[COUNT_OF(rows)] = (struct CMUnitTest)cmocka_unit_test(test_rest_grows);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
