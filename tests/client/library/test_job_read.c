/*
 * test_job_read - a job's JSON as a struct: all of it, none of it, and the wrong of it.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"
#include "job_read.h"

static const char whole[] =
    "{\"id\":\"job_1\",\"state\":\"succeeded\",\"reason\":null,\"run\":\"digits\","
    "\"method\":\"sewa\",\"evaluator\":\"e\",\"retry_of\":\"job_0\",\"labels\":{\"a\":\"b\"},"
    "\"progress\":{\"iteration\":3,\"iterations\":60,\"evaluations\":24,"
    "\"evaluations_total\":480,\"eta_seconds\":1.5},"
    "\"created_at\":\"1970-01-01T00:00:01.000Z\",\"started_at\":\"1970-01-01T00:00:02.000Z\","
    "\"finished_at\":\"1970-01-01T00:00:03.000Z\","
    "\"result\":{\"selected\":[{\"checkpoint\":\"ckpt_1\",\"step\":10,\"weight\":0.5,"
    "\"probability\":0.9},{\"checkpoint\":\"ckpt_2\",\"step\":null,\"weight\":0.5,"
    "\"probability\":null}],\"candidates\":60,\"loss\":{\"selection\":0.25,\"report\":null},"
    "\"metrics\":{\"selection\":{\"accuracy\":0.5},\"report\":{\"accuracy\":0.25,\"f1\":0.125}},"
    "\"baselines\":[{\"method\":\"last\",\"loss\":{\"selection\":1,\"report\":2},\"metrics\":{},"
    "\"checkpoints\":1}],\"verdict\":\"improved\",\"verdict_detail\":\"d\",\"notes\":[\"n\"],"
    "\"cost\":{\"evaluations\":4,\"gradients\":3,\"seconds\":2.5,\"evaluator_seconds\":1.5,"
    "\"bytes_read\":7}},"
    "\"artifacts\":[{\"name\":\"model.safetensors\",\"size\":123,\"sha256\":\"ab\","
    "\"media_type\":\"m\"}]}";

static const char check[] =
    "{\"id\":\"job_1\",\"state\":\"succeeded\",\"result\":{\"check\":{\"loss\":0.5,"
    "\"seconds_first\":0.25,\"seconds_loss_only\":null,\"gradient_check\":{\"analytic\":-1.5,"
    "\"numeric\":-1.25,\"relative_error\":0.125,\"ok\":true},\"traits\":{\"splits\":[{\"name\":"
    "\"train\",\"examples\":400},{\"name\":\"report\",\"examples\":null}],\"metrics\":[{\"name\":"
    "\"accuracy\",\"direction\":\"max\"}],\"parameters\":4,\"buffers\":2}}}}";

static int read_job(const char *json, struct sewa_document **ret, struct sewa_job *job,
                    struct sewa_error *err)
{
    int rc = sewa_document_new(strdup(json), strlen(json), "GET /x", ret, err);

    return rc < 0 ? rc : sewa_job_read(*ret, (*ret)->root, (*ret)->text, job, err);
}

static void head_of_the_whole(void **state)
{
    (void)state;
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    struct sewa_job job = { 0 };
    struct sewa_error err;

    assert_ok(read_job(whole, &d, &job, &err), err);
    assert_string_equal(job.id, "job_1");
    assert_string_equal(job.json, whole);
    assert_int_equal(job.state, SEWA_JOB_SUCCEEDED);
    assert_null(job.reason_code);
    assert_string_equal(job.run, "digits");
    assert_string_equal(job.method, "sewa");
    assert_string_equal(job.evaluator, "e");
    assert_string_equal(job.retry_of, "job_0");
    assert_int_equal(job.label_count, 1);
    assert_int_equal(job.progress.iteration, 3);
    assert_int_equal(job.progress.iterations, 60);
    assert_int_equal(job.progress.evaluations, 24);
    assert_int_equal(job.progress.evaluations_total, 480);
    assert_true(job.progress.eta_seconds == 1.5);
    assert_int_equal(job.created_ms, 1000);
    assert_int_equal(job.started_ms, 2000);
    assert_int_equal(job.finished_ms, 3000);
    assert_int_equal(job.artifact_count, 1);
    assert_string_equal(job.artifacts[0].name, "model.safetensors");
    assert_int_equal(job.artifacts[0].size, 123);
}

static void result_of_the_whole(void **state)
{
    (void)state;
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    struct sewa_job job = { 0 };
    struct sewa_error err;

    assert_ok(read_job(whole, &d, &job, &err), err);
    assert_true(job.has_result);
    assert_int_equal(job.candidates, 60);
    assert_int_equal(job.selected_count, 2);
    assert_int_equal(job.selected[0].step, 10);
    assert_true(job.selected[0].probability == 0.9);
    assert_int_equal(job.selected[1].step, -1);
    assert_true(isnan(job.selected[1].probability));
    assert_true(job.loss.selection == 0.25 && isnan(job.loss.report));
    assert_int_equal(job.metric_count, 2);
    assert_string_equal(job.metrics[0].name, "accuracy");
    assert_true(job.metrics[0].value.selection == 0.5 && job.metrics[0].value.report == 0.25);
    assert_string_equal(job.metrics[1].name, "f1");
    assert_true(isnan(job.metrics[1].value.selection) && job.metrics[1].value.report == 0.125);
    assert_int_equal(job.baseline_count, 1);
    assert_string_equal(job.baselines[0].method, "last");
    assert_true(job.baselines[0].loss.report == 2);
    assert_string_equal(job.verdict, "improved");
    assert_int_equal(job.note_count, 1);
    assert_int_equal(job.cost.gradients, 3);
    assert_int_equal(job.cost.bytes_read, 7);
    assert_null(job.check);
}

static void a_check(void **state)
{
    (void)state;
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    struct sewa_job job = { 0 };
    struct sewa_error err;

    assert_ok(read_job(check, &d, &job, &err), err);
    assert_non_null(job.check);
    assert_true(job.check->loss == 0.5 && isnan(job.check->seconds_loss_only));
    assert_true(job.check->has_gradient && job.check->is_gradient_right);
    assert_true(job.check->analytic == -1.5 && job.check->numeric == -1.25);
    assert_int_equal(job.check->split_count, 2);
    assert_int_equal(job.check->splits[0].examples, 400);
    assert_int_equal(job.check->splits[1].examples, 0);
    assert_string_equal(job.check->metrics[0].direction, "max");
    assert_int_equal(job.check->buffers, 2);
}

/* A member that is missing or has another type is one that says nothing. */
static void sparse_jobs(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"id\":\"j\",\"state\":\"queued\"}",
        ("{\"id\":\"j\",\"state\":\"queued\",\"result\":7,\"labels\":[],\"progress\":[],"
         "\"artifacts\":{},\"reason\":\"x\",\"created_at\":7}"),
        "{\"id\":\"j\",\"state\":\"queued\",\"result\":null,\"artifacts\":null}",
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
        struct sewa_job job = { 0 };
        struct sewa_error err;
        assert_ok(read_job(rows[i], &d, &job, &err), err);
        assert_int_equal(job.state, SEWA_JOB_QUEUED);
        assert_false(job.has_result);
        assert_null(job.reason);
        assert_int_equal(job.created_ms, 0);
        assert_int_equal(job.label_count + job.artifact_count + job.selected_count, 0);
        assert_true(isnan(job.loss.selection) && isnan(job.progress.eta_seconds));
    }
}

static void no_jobs(void **state)
{
    (void)state;
    static const struct {
        const char *json, *word;
    } rows[] = {
        { "{}", "'id'" },
        { "{\"id\":7,\"state\":\"queued\"}", "'id'" },
        { "{\"id\":\"j\"}", "'state'" },
        { "{\"id\":\"j\",\"state\":\"queued\",\"artifacts\":[{}]}", "'name'" },
        { "{\"id\":\"j\",\"state\":\"queued\",\"artifacts\":[7]}", "'name'" },
        { "{\"id\":\"j\",\"state\":\"queued\",\"artifacts\":[{\"name\":\"n\"}]}", "'sha256'" },
        { "{\"id\":\"j\",\"state\":\"queued\",\"result\":{\"baselines\":[{}]}}", "'method'" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
        struct sewa_job job = { 0 };
        struct sewa_error err;
        assert_failed(read_job(rows[i].json, &d, &job, &err), err, SEWA_E_PROTOCOL, rows[i].word);
        assert_null(job.id);
    }
}

static void states(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum sewa_job_state state;
        bool is_final;
    } rows[] = {
        { "queued", SEWA_JOB_QUEUED, false },         { "starting", SEWA_JOB_STARTING, false },
        { "running", SEWA_JOB_RUNNING, false },       { "publishing", SEWA_JOB_PUBLISHING, false },
        { "cancelling", SEWA_JOB_CANCELLING, false }, { "succeeded", SEWA_JOB_SUCCEEDED, true },
        { "failed", SEWA_JOB_FAILED, true },          { "cancelled", SEWA_JOB_CANCELLED, true },
        { "dreaming", SEWA_JOB_UNKNOWN, false },      { "", SEWA_JOB_UNKNOWN, false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(sewa_job_state_from_name(rows[i].name), rows[i].state);
        assert_int_equal(sewa_job_state_is_final(rows[i].state), rows[i].is_final);
    }
    assert_false(sewa_job_state_is_final((enum sewa_job_state)99));
}

static void memory_runs_out(void **state)
{
    const char *json = *state;

    for (int64_t n = 0;; n++) {
        AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
        struct sewa_job job = { 0 };
        struct sewa_error err;
        alloc_fail_at(n);
        int rc = read_job(json, &d, &job, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n >= 6);
            return;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_null(job.id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_of_the_whole),
        cmocka_unit_test(result_of_the_whole),
        cmocka_unit_test(a_check),
        cmocka_unit_test(sparse_jobs),
        cmocka_unit_test(no_jobs),
        cmocka_unit_test(states),
        cmocka_unit_test_prestate(memory_runs_out, (void *)whole),
        cmocka_unit_test_prestate(memory_runs_out, (void *)check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
