/*
 * test_state - every pair of states of a job, and their names.
 */
#include "support/support.h"

#include "base/cleanup.h"
#include "jobs/state.h"

static const char *const names[JOB_STATE_COUNT] = { "queued",     "starting",  "running",
                                                    "publishing", "succeeded", "failed",
                                                    "cancelling", "cancelled" };

/* Row: from. Column: to. As the drawing in state.h says. */
static const char *const allowed[JOB_STATE_COUNT] = {
    /*                qsrpSfcC */
    [JOB_QUEUED] = "01000110",     /* */
    [JOB_STARTING] = "00110110",   /* without an evaluator it publishes at once */
    [JOB_RUNNING] = "00011110",    /* a check publishes nothing */
    [JOB_PUBLISHING] = "00001110", /* */
    [JOB_SUCCEEDED] = "00000000",  /* */
    [JOB_FAILED] = "00000000",     /* */
    [JOB_CANCELLING] = "00000001", /* whatever happens meanwhile, it ends as cancelled */
    [JOB_CANCELLED] = "00000000",
};

static void test_every_pair(void **state)
{
    (void)state;
    for (int from = 0; from < JOB_STATE_COUNT; from++)
        for (int to = 0; to < JOB_STATE_COUNT; to++)
            if (job_state_may_follow((enum job_state)from, (enum job_state)to) !=
                (allowed[from][to] == '1'))
                fail_msg("%s -> %s is wrong", names[from], names[to]);
}

static void test_final(void **state)
{
    (void)state;
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        bool final = s == JOB_SUCCEEDED || s == JOB_FAILED || s == JOB_CANCELLED;
        assert_int_equal(job_state_is_final((enum job_state)s), final);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const char *const unknown[] = { "", "Queued", "queue", "queuedx", "done" };

    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        assert_string_equal(job_state_name((enum job_state)s), names[s]);
        assert_int_equal(job_state_from_name(names[s]), s);
    }
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        assert_int_equal(job_state_from_name(unknown[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_final),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
