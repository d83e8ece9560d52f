/*
 * test_settle - the rule of two looks, as tables of looks.
 */
#include "support/support.h"

#include "base/cleanup.h"
#include "watch/settle.h"

struct step {
    int64_t size, mtime_ns;
    int64_t before_ms, after_ms;
    enum settle_answer wanted;
    int64_t due_ms;
};

static void run(const struct step *steps, size_t count, int64_t settle_ms)
{
    struct settle s = { 0 };

    assert_int_equal(settle_due_ms(&s, settle_ms), INT64_MIN);
    for (size_t i = 0; i < count; i++) {
        struct look look = { .size = steps[i].size, .mtime_ns = steps[i].mtime_ns, .inode = i };
        enum settle_answer answer =
            settle_look(&s, &look, steps[i].before_ms, steps[i].after_ms, settle_ms);
        if (answer != steps[i].wanted || settle_due_ms(&s, settle_ms) != steps[i].due_ms)
            print_error("step %zu\n", i);
        assert_int_equal(answer, steps[i].wanted);
        assert_int_equal(settle_due_ms(&s, settle_ms), steps[i].due_ms);
    }
}

#define RUN(steps, settle_ms) run(steps, COUNT_OF(steps), settle_ms)

static void test_two_looks(void **state)
{
    (void)state;
    static const struct step quiet[] = {
        { 10, 1, 0, 0, SETTLE_BEGAN, 5000 },
        { 10, 1, 4999, 4999, SETTLE_WAITS, 5000 },
        { 10, 1, 5000, 5000, SETTLE_DONE, 5000 },
        { 10, 1, 9000, 9000, SETTLE_DONE, 5000 },
    };
    static const struct step grows[] = {
        { 10, 1, 0, 0, SETTLE_BEGAN, 5000 },
        { 11, 2, 5000, 5000, SETTLE_BEGAN, 10000 },
        { 11, 2, 9999, 9999, SETTLE_WAITS, 10000 },
        { 11, 2, 10000, 10000, SETTLE_DONE, 10000 },
    };
    static const struct step rewritten[] = {
        { 10, 1, 0, 0, SETTLE_BEGAN, 5000 },
        { 10, 2, 5000, 5000, SETTLE_BEGAN, 10000 },   /* the same size, another time */
        { 10, 1, 10000, 10000, SETTLE_BEGAN, 15000 }, /* and back: it has changed all the same */
        { 10, 1, 15000, 15000, SETTLE_DONE, 15000 },
    };
    static const struct step at_once[] = {
        { 10, 1, 7, 7, SETTLE_BEGAN, 7 },
        { 10, 1, 7, 7, SETTLE_DONE, 7 },
    };
    RUN(quiet, 5000);
    RUN(grows, 5000);
    RUN(rewritten, 5000);
    RUN(at_once, 0);
}

/* The server's clock may be anywhere: in the far future, before 1970, standing still. */
static void test_clock_skew_does_not_matter(void **state)
{
    (void)state;
    static const struct step future[] = {
        { 10, INT64_MAX, 0, 0, SETTLE_BEGAN, 5000 },
        { 10, INT64_MAX, 5000, 5000, SETTLE_DONE, 5000 },
    };
    static const struct step past[] = {
        { 10, INT64_MIN, 0, 0, SETTLE_BEGAN, 5000 },
        { 10, INT64_MIN, 4000, 4000, SETTLE_WAITS, 5000 }, /* very old is not settled */
        { 10, INT64_MIN, 5000, 5000, SETTLE_DONE, 5000 },
    };
    RUN(future, 5000);
    RUN(past, 5000);
}

static void test_times(void **state)
{
    (void)state;
    assert_int_equal(look_time_ns(1, 5), 1000000005);
    assert_int_equal(look_time_ns(-1, 5), -999999995);
    assert_int_equal(look_time_ns(9223372036, 854775807), INT64_MAX);
    assert_int_equal(look_time_ns(9223372036, 854775808), INT64_MAX);
    assert_int_equal(look_time_ns(INT64_MAX, 0), INT64_MAX);
    assert_int_equal(look_time_ns(INT64_MIN, 999999999), INT64_MIN);
}

/* A look that hangs for a minute says nothing about that minute. */
static void test_a_look_takes_time(void **state)
{
    (void)state;
    static const struct step slow[] = {
        { 10, 1, 0, 60000, SETTLE_BEGAN, 65000 },
        { 10, 1, 60001, 120000, SETTLE_WAITS, 65000 },
        { 10, 1, 65000, 65000, SETTLE_DONE, 65000 },
    };
    RUN(slow, 5000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_looks),
        cmocka_unit_test(test_clock_skew_does_not_matter),
        cmocka_unit_test(test_a_look_takes_time),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
