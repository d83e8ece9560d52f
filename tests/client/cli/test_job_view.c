/*
 * test_job_view - a job, a check and a plan as people read them, to the letter.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#include "cleanup.h"
#include "cli/job_view.h"

#define NONE ((double)NAN)

static const struct sewa_label labels[] = { { "team", "vision" }, { "x", "\033y" } };
static const struct sewa_split_metric metrics[] = { { "accuracy", { 0.9, 0.875 } } };
static const struct sewa_selected selected[] = { { "ckpt_1", 1180, 0.5, 0.9 },
                                                 { "ckpt_2", -1, 0.5, NONE } };
static const struct sewa_baseline baselines[] = { { "last", 1, { 0.5, 0.625 }, 1, metrics },
                                                  { "lawa", 5, { 0.25, NONE }, 0, NULL } };
static const struct sewa_artifact artifacts[] = { { "model.safetensors", 6448, "ab", NULL },
                                                  { "manifest.json", 99, "cd", NULL } };
static const char *const notes[] = { "a note" };

static void a_result(void **state)
{
    (void)state;
    const struct sewa_job job = {
        .id = "job_1",
        .state = SEWA_JOB_SUCCEEDED,
        .state_name = "succeeded",
        .run = "digits",
        .method = "sewa",
        .evaluator = "e",
        .retry_of = "job_0",
        .label_count = 2,
        .labels = labels,
        .created_ms = 1000,
        .started_ms = 2000,
        .finished_ms = 5000,
        .has_result = true,
        .candidates = 60,
        .selected_count = 2,
        .selected = selected,
        .loss = { 0.25, 0.5 },
        .metric_count = 1,
        .metrics = metrics,
        .baseline_count = 2,
        .baselines = baselines,
        .verdict = "improved",
        .verdict_detail = "0.5 < 0.6",
        .note_count = 1,
        .notes = notes,
        .cost = { 442, 300, 3, 1.5, 145000 },
        .artifact_count = 2,
        .artifacts = artifacts,
    };
    AUTO(sewa_text_clear) struct text t = { 0 };

    job_view(&t, &job, 0, false);
    assert_string_equal(
        sewa_text_get(&t),
        "id              job_1\n"
        "state           succeeded\n"
        "run             digits\n"
        "method          sewa\n"
        "evaluator       e\n"
        "retry of        job_0\n"
        "labels          team=vision, x=\\u001by\n"
        "created         1970-01-01 00:00:01Z\n"
        "finished        1970-01-01 00:00:05Z, after 3.0 s\n"
        "verdict         improved: 0.5 < 0.6\n"
        "selected        2 of 60\n"
        "steps           1180 ckpt_2\n"
        "cost            442 evaluations (300 with gradient), 3.0 s, 1.5 s of it in the "
        "evaluator, 145 kB read\n"
        "files           model.safetensors (6.4 kB)\n"
        "                manifest.json (99 B)\n"
        "note            a note\n"
        "\n"
        "METHOD  CHECKPOINTS  SELECTION LOSS  REPORT LOSS  SELECTION accuracy  REPORT accuracy\n"
        "sewa              2          0.2500       0.5000              0.9000           0.8750\n"
        "last              1          0.5000       0.6250              0.9000           0.8750\n"
        "lawa              5          0.2500            -                   -                -\n");
}

static void one_at_work(void **state)
{
    (void)state;
    const struct sewa_job job = { .id = "job_1",
                                  .state = SEWA_JOB_RUNNING,
                                  .state_name = "running",
                                  .run = "digits",
                                  .method = "sewa",
                                  .started_ms = 2000,
                                  .created_ms = 1000,
                                  .progress = { 3, 60, 24, 480, 190 } };
    AUTO(sewa_text_clear) struct text t = { 0 };

    job_view(&t, &job, 0, false);
    assert_string_equal(sewa_text_get(&t),
                        "id              job_1\n"
                        "state           running\n"
                        "run             digits\n"
                        "method          sewa\n"
                        "evaluator       -\n"
                        "created         1970-01-01 00:00:01Z\n"
                        "started         1970-01-01 00:00:02Z\n"
                        "progress        iteration 3 of 60, 24 of about 480 evaluations, "
                        "3 min 10 s left\n");
}

static void a_failure(void **state)
{
    (void)state;
    const struct sewa_job job = { .id = "job_1",
                                  .state = SEWA_JOB_FAILED,
                                  .state_name = "failed",
                                  .reason_code = "evaluator_died",
                                  .reason = "signal \033[9",
                                  .run = NULL,
                                  .method = "sewa",
                                  .evaluator = "e",
                                  .created_ms = 1000,
                                  .finished_ms = 2000 };
    AUTO(sewa_text_clear) struct text t = { 0 };

    job_view(&t, &job, 0, true);
    assert_string_equal(sewa_text_get(&t),
                        "id              job_1\n"
                        "state           \033[31mfailed\033[0m: signal \\u001b[9\n"
                        "reason          evaluator_died\n"
                        "run             -\n"
                        "method          sewa\n"
                        "evaluator       e\n"
                        "created         1970-01-01 00:00:01Z\n"
                        "finished        1970-01-01 00:00:02Z\n");
}

static const struct sewa_check_split splits[] = { { "train", 400 }, { "report", 0 } };
static const struct sewa_check_metric check_metrics[] = { { "accuracy", "max" } };

static void check_ends_with(const struct sewa_check *k, const char *wanted)
{
    const struct sewa_job job = { .id = "j",
                                  .state = SEWA_JOB_SUCCEEDED,
                                  .state_name = "succeeded",
                                  .method = "check",
                                  .has_result = true,
                                  .check = k,
                                  .loss = { NONE, NONE } };
    AUTO(sewa_text_clear) struct text t = { 0 };

    job_view(&t, &job, 0, false);
    const char *tail = strstr(sewa_text_get(&t), "loss ");
    assert_string_equal(tail ? tail : sewa_text_get(&t), wanted);
}

static void checks(void **state)
{
    (void)state;
    struct sewa_check k = { .loss = 0.5,
                            .seconds_first = 0.25,
                            .seconds_loss_only = 0.125,
                            .has_gradient = true,
                            .analytic = -1.5,
                            .numeric = -1.25,
                            .relative_error = 0.2,
                            .tolerance = 0.05,
                            .split_count = 2,
                            .splits = splits,
                            .metric_count = 1,
                            .metrics = check_metrics,
                            .parameters = 4,
                            .buffers = 1 };

    check_ends_with(&k, "loss            0.5000\n"
                        "time            0.25 s with gradient (the first one), 0.12 s without\n"
                        "splits          train (400 examples), report\n"
                        "metrics         accuracy (max)\n"
                        "tensors         4 parameters, 1 others\n"
                        "gradient        WRONG: slope -1.5000, by finite differences -1.2500: "
                        "the error is 20 %, 5 % is allowed\n");
    k.tolerance = NONE; /* an older service */
    k.is_gradient_right = true;
    check_ends_with(&k, "loss            0.5000\n"
                        "time            0.25 s with gradient (the first one), 0.12 s without\n"
                        "splits          train (400 examples), report\n"
                        "metrics         accuracy (max)\n"
                        "tensors         4 parameters, 1 others\n"
                        "gradient        right: slope -1.5000, by finite differences -1.2500: "
                        "the error is 20 %\n");
    k.has_gradient = false;
    k.seconds_loss_only = NONE;
    k.metric_count = k.split_count = 0;
    check_ends_with(&k, "loss            0.5000\n"
                        "time            0.25 s for one evaluation\n"
                        "splits          -\n"
                        "metrics         -\n"
                        "tensors         4 parameters, 1 others\n"
                        "gradient        was not checked: the evaluator gives none, or there is "
                        "one checkpoint only\n");
}

static void a_plan(void **state)
{
    (void)state;
    struct sewa_candidate candidates[] = { { "ckpt_1", 10, "/a" }, { "ckpt_2", 20, "/b" } };
    static const char *const warnings[] = { "a warning" };
    const struct sewa_plan p = { .run = "digits",
                                 .method = "sewa",
                                 .select = 2,
                                 .candidate_count = 2,
                                 .candidates = candidates,
                                 .tensors = 4,
                                 .parameters = 1210,
                                 .bytes_to_read = 1000,
                                 .peak_memory_bytes = 2000,
                                 .output_bytes = 3000,
                                 .free_disk_bytes = 4000,
                                 .evaluations = 441,
                                 .expected_seconds = 75,
                                 .streams = true,
                                 .warning_count = 1,
                                 .warnings = warnings };
    AUTO(sewa_text_clear) struct text t = { 0 }, none = { 0 };

    plan_view(&t, &p);
    assert_string_equal(
        sewa_text_get(&t),
        "run             digits\n"
        "method          sewa\n"
        "evaluator       -\n"
        "candidates      2\n"
        "steps           10 to 20\n"
        "oldest          /a\n"
        "newest          /b\n"
        "select          2\n"
        "evaluations     about 441\n"
        "model           1210 parameters in 4 tensors\n"
        "reads           1.0 kB\n"
        "memory          2.0 kB in each worker, evaluator not counted; candidates are streamed\n"
        "writes          3.0 kB, 4.0 kB are free\n"
        "time            about 1 min 15 s, as the last job like it took\n"
        "warning         a warning\n");
    plan_view(&none, &(struct sewa_plan){ .method = "last", .expected_seconds = NAN });
    assert_non_null(strstr(sewa_text_get(&none), "candidates      0\n"));
    candidates[0].step = -1; /* one without a step: there is no range */
    sewa_text_clear(&none);
    plan_view(&none, &p);
    assert_null(strstr(sewa_text_get(&none), "steps "));
    assert_non_null(strstr(sewa_text_get(&none), "oldest          /a\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result), cmocka_unit_test(one_at_work), cmocka_unit_test(a_failure),
        cmocka_unit_test(checks),   cmocka_unit_test(a_plan),
    };

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
