/*
 * test_queue - which job gets the next worker.
 */
#include "support/support.h"

#include "base/cleanup.h"
#include "jobs/queue.h"

enum { ITEMS_MAX = 4 };

static const struct row {
    const char *name;
    struct queue_item items[ITEMS_MAX];
    size_t n;
    int64_t slots;
    int wanted;
} rows[] = {
    { "nobody is there", { { 0 } }, 0, 1, -1 },
    { "the first comes first", { { 1, 0 }, { 1, 0 } }, 2, 1, 0 },
    { "no slot is free", { { 1, 0 } }, 1, 0, -1 },
    { "fewer than no slot", { { 1, 0 } }, 1, -3, -1 },
    { "all have what they want", { { 1, 1 }, { 2, 2 } }, 2, 5, -1 },
    { "who wants none is passed over", { { 0, 0 }, { 1, 0 } }, 2, 1, 1 },
    { "one worker each before a second one", { { 4, 1 }, { 1, 0 } }, 2, 1, 1 },
    { "a second one when all have one", { { 1, 1 }, { 3, 1 }, { 3, 1 } }, 3, 1, 1 },
    { "the first that wants more", { { 2, 2 }, { 3, 2 }, { 9, 1 } }, 3, 1, 1 },
    { "more than it wants is enough", { { 1, 2 }, { 0, 1 } }, 2, 1, -1 },
    { "wants none but has one", { { 0, 1 }, { 2, 1 } }, 2, 1, 1 },
};

static void test_row(void **state)
{
    const struct row *r = *state;

    assert_int_equal(queue_next(r->items, r->n, r->slots), r->wanted);
}

/* Handing out slot after slot serves everybody, in order, and then stops. */
static void test_round(void **state)
{
    (void)state;
    struct queue_item items[] = { { 3, 0 }, { 1, 0 }, { 2, 0 } };
    static const int order[] = { 0, 1, 2, 0, 0, 2, -1 };

    for (size_t i = 0; i < COUNT_OF(order); i++) {
        int next = queue_next(items, COUNT_OF(items), 1);
        assert_int_equal(next, order[i]);
        if (next >= 0)
            items[next].running++;
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 1];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){ .name = rows[i].name,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[i] };
    tests[COUNT_OF(rows)] = (struct CMUnitTest)cmocka_unit_test(test_round);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
