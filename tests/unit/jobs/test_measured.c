/*
 * test_measured - the forecast of a plan, from the jobs that are in a real index.
 */
#include "index.h"

#include <stdio.h>
#include <string.h>

#include "store/jobs.h"
#include "support/alloc.h"

struct fixture {
    struct index ix;
    int64_t run;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int64_t layout;

    index_open(&f->ix);
    f->run = index_run(f->ix.db, "digits");
    layout = index_layout(f->ix.db, "w:F32:100x10 b:F32:10");
    for (int64_t step = 10; step <= 20; step += 10)
        index_checkpoint(f->ix.db, f->run, layout, step, CHECKPOINT_COMPLETE, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    index_close(&f->ix);
    free(f);
    return 0;
}

static void finish_job(struct fixture *f, const char *request, const char *cost)
{
    AUTOFREE char *result = NULL;

    assert_true(asprintf(&result, "{\"cost\":%s}", cost) > 0);
    index_job(f->ix.db,
              &(struct index_job){ .run_id = f->run, .request = request, .result = result });
}

#define WITH "{\"evaluator\":\"digits\"}"

static struct job_plan *plan_of(struct fixture *f, const char *body)
{
    AUTOPTR(job_request_free) struct job_request *q = index_request(body);
    struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    assert_ok(job_plan_make(f->ix.db, q, &f->ix.limits, &p, &err), err);
    return p;
}

/* Seconds for an evaluation; negative when nobody knows. */
static double each(struct fixture *f)
{
    AUTOPTR(job_plan_free)
    struct job_plan *p =
        plan_of(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"uniform\"}");

    assert_true(p->evaluations > 0);
    return p->expected_seconds < 0 ? -1 : p->expected_seconds / (double)p->evaluations;
}

static void test_of_evaluations(void **state)
{
    struct fixture *f = *state;

    assert_true(each(f) < 0); /* nothing was measured yet */
    finish_job(f, WITH, "{\"seconds\":9,\"evaluations\":1}");
    finish_job(f, WITH, "{\"seconds\":5,\"evaluations\":10}"); /* the newest one counts */
    assert_true(each(f) == 0.5);
}

static void test_of_bytes(void **state)
{
    struct fixture *f = *state;
    static const char body[] = "{\"run\":\"digits\",\"method\":\"last\"}";
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;

    finish_job(f, WITH, "{\"seconds\":5,\"evaluations\":10,\"bytes_read\":1}");
    p = plan_of(f, body);
    assert_true(p->expected_seconds < 0);
    job_plan_free(TAKE(p));
    /* of any run: reading does not depend on it */
    index_job(f->ix.db,
              &(struct index_job){ .run_id = index_run(f->ix.db, "other"),
                                   .request = "{\"evaluator\":null}",
                                   .result = "{\"cost\":{\"seconds\":3,\"bytes_read\":1000}}" });
    finish_job(f, "{\"evaluator\":null}", "{\"seconds\":0,\"bytes_read\":0}");
    p = plan_of(f, body);
    assert_true(p->expected_seconds == 0.003 * (double)p->bytes_to_read);
}

/* Each of these is newer than the job that tells, and none of them is in its way. */
static void test_what_says_nothing(void **state)
{
    static const struct {
        const char *state, *request, *result;
    } rows[] = {
        { "succeeded", "{\"evaluator\":\"other\"}",
          "{\"cost\":{\"seconds\":7,\"evaluations\":1}}" },
        { "succeeded", "{\"evaluator\":null}", "{\"cost\":{\"seconds\":7,\"evaluations\":1}}" },
        { "succeeded", "{}", "{\"cost\":{\"seconds\":7,\"evaluations\":1}}" },
        { "succeeded", WITH, NULL },
        { "succeeded", WITH, "{}" },
        { "succeeded", WITH, "{\"cost\":{\"seconds\":7,\"evaluations\":0}}" },
        { "succeeded", WITH, "{\"cost\":{\"seconds\":0,\"evaluations\":7}}" },
        { "succeeded", WITH, "{\"cost\":{\"seconds\":7,\"bytes_read\":7}}" },
        { "failed", WITH, "{\"cost\":{\"seconds\":7,\"evaluations\":1}}" },
        { "running", WITH, "{\"cost\":{\"seconds\":7,\"evaluations\":1}}" },
    };
    struct fixture *f = *state;

    finish_job(f, WITH, "{\"seconds\":1,\"evaluations\":4}");
    index_job(f->ix.db,
              &(struct index_job){ .run_id = index_run(f->ix.db, "other"),
                                   .request = WITH,
                                   .result = "{\"cost\":{\"seconds\":7,\"evaluations\":1}}" });
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        index_job(f->ix.db, &(struct index_job){ .run_id = f->run,
                                                 .state = rows[i].state,
                                                 .request = rows[i].request,
                                                 .result = rows[i].result });
        assert_true(each(f) == 0.25);
    }
}

static void test_what_is_long_ago(void **state)
{
    struct fixture *f = *state;
    int64_t other = index_run(f->ix.db, "other");

    finish_job(f, WITH, "{\"seconds\":1,\"evaluations\":4}");
    for (int i = 1; i < JOB_NEWEST; i++) {
        finish_job(f, "{\"evaluator\":\"other\"}", "{\"seconds\":7,\"evaluations\":1}");
        /* these push nothing out */
        index_job(f->ix.db, &(struct index_job){ .run_id = other, .request = WITH });
        index_job(f->ix.db, &(struct index_job){ f->run, .state = "failed", .request = WITH });
    }
    assert_true(each(f) == 0.25);
    finish_job(f, "{\"evaluator\":\"other\"}", "{\"seconds\":7,\"evaluations\":1}");
    assert_true(each(f) < 0);
}

/* A pass that recalibrates is one like an evaluation, in the job that was and in the next. */
static void test_of_recalibrations(void **state)
{
    static const struct {
        const char *more; /* in the result of a job with 10 evaluations in 5 seconds */
        int64_t passes;
    } rows[] = {
        { "", 10 },
        { ",\"recalibrated\":null,\"buffers\":\"averaged\"", 10 },
        { ",\"recalibrated\":{\"tensors\":2},\"buffers\":\"averaged\"", 11 },
        { ",\"recalibrated\":{\"tensors\":2},\"buffers\":\"recalibrated\"", 12 },
    };
    static const char body[] =
        "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"uniform\",\"baselines\":[]}";
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int can = 0; can < 2; can++) {
            AUTOFREE char *result = NULL;
            assert_true(asprintf(&result, "{\"cost\":{\"seconds\":5,\"evaluations\":10}%s}",
                                 rows[i].more) > 0);
            index_job(f->ix.db,
                      &(struct index_job){ .run_id = f->run,
                                           .request = WITH,
                                           .runner = can ? "{\"traits\":{\"recalibrates\":true}}"
                                                         : "{\"traits\":{\"recalibrates\":false}}",
                                           .result = result });
            AUTOPTR(job_plan_free) struct job_plan *p = plan_of(f, body);
            assert_int_equal(p->evaluations, can ? 4 : 2);
            assert_true(p->expected_seconds == 5.0 / (double)rows[i].passes * (can ? 6 : 2));
        }
    }
}

static int64_t recalibrations(struct fixture *f)
{
    AUTOPTR(job_plan_free)
    struct job_plan *p =
        plan_of(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"uniform\"}");

    return p->recalibrations;
}

/* What an evaluator can is known from the newest job that succeeded with it, in whatever run. */
static void test_traits(void **state)
{
    static const struct {
        const char *state, *request, *runner;
        int64_t known;
    } rows[] = {
        { "succeeded", WITH, "{}", -1 },
        { "succeeded", WITH, "{\"traits\":null}", -1 },
        { "succeeded", "{\"evaluator\":\"other\"}", "{\"traits\":{\"recalibrates\":true}}", -1 },
        { "failed", WITH, "{\"traits\":{\"recalibrates\":true}}", -1 },
        { "succeeded", WITH, "{\"traits\":{\"recalibrates\":true}}", 2 },
        { "succeeded", "{\"evaluator\":null}", "{\"traits\":null}", 2 },
        { "succeeded", WITH, "{}", 2 },
        { "succeeded", WITH, "{\"traits\":{\"recalibrates\":false}}", 0 },
    };
    struct fixture *f = *state;
    int64_t other = index_run(f->ix.db, "other");

    assert_int_equal(recalibrations(f), -1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        index_job(f->ix.db, &(struct index_job){ .run_id = other,
                                                 .state = rows[i].state,
                                                 .request = rows[i].request,
                                                 .runner = rows[i].runner });
        assert_int_equal(recalibrations(f), rows[i].known);
    }
    for (int i = 1; i < JOB_NEWEST_TRAITS; i++)
        index_job(f->ix.db, &(struct index_job){ .run_id = other });
    assert_int_equal(recalibrations(f), 0);
    index_job(f->ix.db, &(struct index_job){ .run_id = other });
    assert_int_equal(recalibrations(f), -1);
}

/* A plan may have megabytes, and the loop waits for its forecast. */
static void test_plans_are_not_read(void **state)
{
    enum { PLAN_BYTES = 4 << 20 };
    struct fixture *f = *state;
    AUTOFREE char *plan = malloc(PLAN_BYTES + 1);

    memset(plan, ' ', PLAN_BYTES);
    memcpy(plan, "{}", 2);
    plan[PLAN_BYTES] = '\0';
    for (int i = 0; i < 3; i++)
        index_job(f->ix.db,
                  &(struct index_job){ .run_id = f->run,
                                       .request = WITH,
                                       .plan = plan,
                                       .result = "{\"cost\":{\"seconds\":1,\"evaluations\":4}}" });
    int64_t held = alloc_held();
    alloc_peak_reset();
    assert_true(each(f) == 0.25);
    assert_true(alloc_peak() - held < PLAN_BYTES / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_of_evaluations),     TEST(test_of_bytes),          TEST(test_what_says_nothing),
        TEST(test_what_is_long_ago),   TEST(test_of_recalibrations), TEST(test_traits),
        TEST(test_plans_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
