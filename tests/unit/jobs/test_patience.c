/*
 * test_patience - which worker hangs, and what a clock is worth that did not run. All times are
 * made up.
 */
#include "support/support.h"

#include <string.h>

#include "base/activity.h"
#include "base/cleanup.h"
#include "jobs/patience.h"

static const struct patience_limits limits = { .work_ms = 100, .start_ms = 20, .evaluator_ms = 50 };

/* What a worker may say, and how long it may go on saying just that. 0: for ever. */
static const struct row {
    const char *doing;
    int64_t limit_ms;
} rows[] = {
    { "idle", 0 },
    { "read", 100 },
    { "start", 20 },
    { "mix", 100 },
    { "evaluate", 50 },
    { "recalibrate", 50 },
    { "multiply", 100 },
    { "publish", 100 },
    { "", 0 },
    { "sing", 0 },
    { "a word of more letters than are kept", 0 },
};

static void test_row(void **state)
{
    const struct row *r = *state;
    struct stride s = { 0 };

    stride_heard(&s, r->doing, 7, 1000);
    stride_heard(&s, r->doing, 7, 1010); /* nothing new */
    assert_int_equal(stride_stands(&s, &limits, 1000 + r->limit_ms), 0);
    int64_t stands = stride_stands(&s, &limits, 1000 + r->limit_ms + 1);
    assert_int_equal(stands, r->limit_ms ? r->limit_ms + 1 : 0);
    assert_int_equal(stride_stands(&s, &limits, INT64_MAX), r->limit_ms ? INT64_MAX - 1000 : 0);
}

/* Every word of a worker of ours is known here. */
static void test_words_agree(void **state)
{
    (void)state;
    for (size_t i = 0; activity_names[i]; i++) {
        bool known = false;
        for (size_t n = 0; n < COUNT_OF(rows); n++)
            known = known || strcmp(rows[n].doing, activity_names[i]) == 0;
        assert_true(known);
    }
}

static void test_moving(void **state)
{
    (void)state;
    struct stride s = { 0 };

    assert_int_equal(stride_stands(&s, &limits, INT64_MAX), 0); /* nothing was heard yet */
    stride_heard(&s, "read", 1, 1000);
    stride_heard(&s, "read", 2, 1090); /* the number moves */
    assert_int_equal(stride_stands(&s, &limits, 1190), 0);
    assert_int_equal(stride_stands(&s, &limits, 1191), 101);
    stride_heard(&s, "mix", 2, 1200); /* another work */
    assert_int_equal(stride_stands(&s, &limits, 1300), 0);
    assert_int_equal(stride_stands(&s, &limits, 1301), 101);
    stride_heard(&s, NULL, 2, 1310); /* it says nothing any more */
    assert_int_equal(stride_stands(&s, &limits, INT64_MAX), 0);
    stride_heard(&s, "read", -1, 1310);
    assert_int_equal(stride_stands(&s, &limits, INT64_MAX), 0);
    stride_heard(&s, "read", 0, 1400);
    assert_int_equal(stride_stands(&s, &limits, 1501), 101);
}

static void test_gap(void **state)
{
    (void)state;
    assert_int_equal(patience_gap(5000, 6000, 1000), 0);
    assert_int_equal(patience_gap(5000, 5001, 1000), 0);
    assert_int_equal(patience_gap(5000, 7000, 1000), 0); /* late by one period: a busy loop */
    assert_int_equal(patience_gap(5000, 7001, 1000), 1001);
    assert_int_equal(patience_gap(5000, 42000, 1000), 36000);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ .name = rows[n].doing,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_words_agree);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_moving);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_gap);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
