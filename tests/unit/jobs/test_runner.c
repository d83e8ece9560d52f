/*
 * test_runner - whole jobs on a quadratic: every method, all stages in order, and the same bits
 * whatever the order of the results, the restarts and the number of workers.
 */
#include "toy_worker.h"

#include <math.h>
#include <string.h>

#include "methods/method.h"

#define SEWA(more)                                                          \
    "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":5,\"seed\":3," \
    "\"params\":{\"iterations\":12,\"samples\":5,\"polish\":20}" more "}"

static const struct job_text {
    const char *name, *body;
} jobs[] = {
    { "sewa", SEWA("") },
    { "sewa without baselines", SEWA(",\"baselines\":[]") },
    { "sewa auto",
      "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":\"auto\",\"params\":{\"iterations\":6}}" },
    { "sewa on minibatches",
      "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":4,\"params\":{\"iterations\":6,\"batch\":8,\"polish\":5}}" },
    { "sewa by losses",
      "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":4,\"params\":{\"iterations\":6,\"estimator\":\"score_function\"}}" },
    { "sewa of all", "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":20}" },
    { "best", "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"best\"}" },
    { "best by a metric",
      "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"best\",\"params\":{\"metric\":\"error\"}}" },
    { "lawa with baselines",
      "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"lawa\",\"select\":3,\"baselines\":[\"best\",\"uniform\"]}" },
    { "uniform, evaluated",
      "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"uniform\"}" },
    { "last", "{\"run\":\"digits\",\"method\":\"last\"}" },
    { "lawa", "{\"run\":\"digits\",\"method\":\"lawa\"}" },
    { "uniform", "{\"run\":\"digits\",\"method\":\"uniform\"}" },
};

/* What a job came to, in words: result, header of the average, and manifest. */
static char *outcome(struct toy_job *j)
{
    AUTOJSON json_t *result = runner_result(j->runner, 2.5);
    AUTOJSON json_t *manifest =
        runner_manifest(j->runner, "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "ab", "2026-01-01T00:00:00Z");
    struct buf b = { 0 };

    assert_non_null(result);
    AUTOFREE char *r = json_canonical(result);
    AUTOFREE char *m = manifest ? json_canonical(manifest) : NULL;
    buf_printf(&b, "%s\n%s\n%s", r, m ? m : "", buf_cstr(&j->story));
    return buf_take(&b);
}

static char *run(const char *body, size_t k, enum toy_order order, bool save, bool report)
{
    struct toy_job j;

    toy_job_open(&j, body, k);
    j.toy.has_report = report;
    toy_job_run(&j, order, save);
    char *text = outcome(&j);
    toy_job_close(&j);
    return text;
}

static void test_same_bits(void **state)
{
    const struct job_text *t = *state;
    AUTOFREE char *plain = run(t->body, 20, TOY_IN_ORDER, false, true);

    for (int save = 0; save < 2; save++)
        for (enum toy_order order = TOY_IN_ORDER; order <= TOY_SHUFFLED; order++) {
            AUTOFREE char *other = run(t->body, 20, order, save, true);
            assert_string_equal(plain, other);
        }
}

static json_t *result_of(const char *body, size_t k, bool report)
{
    struct toy_job j;

    toy_job_open(&j, body, k);
    j.toy.has_report = report;
    toy_job_run(&j, TOY_IN_ORDER, false);
    json_t *result = runner_result(j.runner, 2.5);
    toy_job_close(&j);
    return result;
}

/* Everything but what follows from the workers themselves. */
static char *without(json_t *result)
{
    char *text = json_canonical(result);

    json_decref(result);
    return text;
}

/* Another number of workers cuts the batches otherwise and changes nothing else. */
static void test_workers(void **state)
{
    (void)state;
    static const char *const many[] = { SEWA(",\"workers\":2"), SEWA(",\"workers\":3"),
                                        SEWA(",\"workers\":5"), SEWA(",\"workers\":200") };
    AUTOFREE char *one = without(result_of(SEWA(""), 20, true));

    for (size_t i = 0; i < COUNT_OF(many); i++) {
        AUTOJSON json_t *result = result_of(many[i], 20, true);
        /* the same reads were counted once for each task */
        json_t *cost = json_object_get(result, "cost");
        AUTOJSON json_t *whole = json_parse(one, strlen(one), NULL);
        json_object_set(cost, "bytes_read",
                        json_object_get(json_object_get(whole, "cost"), "bytes_read"));
        AUTOFREE char *text = json_canonical(result);
        assert_string_equal(one, text);
    }
}

static void assert_stages(const char *body, const enum runner_stage *stages, size_t n)
{
    struct toy_job j;
    struct sewa_error err = { 0 };
    size_t at = 0;

    toy_job_open(&j, body, 20);
    assert_int_equal(runner_stage(j.runner), RUNNER_PREPARE);
    assert_int_equal(runner_task_count(j.runner), 0);
    AUTOJSON json_t *traits = j.request->evaluator ? toy_traits(&j.toy) : NULL;
    assert_ok(runner_prepared(j.runner, traits, &err), err);
    for (int64_t base = 0; runner_stage(j.runner) != RUNNER_FINISHED;) {
        assert_int_equal(runner_task_base(j.runner), base);
        if (runner_stage(j.runner) != stages[at])
            at++;
        assert_true(at < n);
        assert_int_equal(runner_stage(j.runner), stages[at]);
        base += (int64_t)runner_task_count(j.runner);
        assert_true(toy_job_step(&j, TOY_IN_ORDER, &err) >= 0);
    }
    assert_int_equal(at + 1, n);
    toy_job_close(&j);
}

static void test_stages(void **state)
{
    (void)state;
    static const enum runner_stage all[] = { RUNNER_METHOD, RUNNER_BEST, RUNNER_VERDICT,
                                             RUNNER_AVERAGE };
    static const enum runner_stage no_best[] = { RUNNER_METHOD, RUNNER_VERDICT, RUNNER_AVERAGE };
    static const enum runner_stage by_rule[] = { RUNNER_VERDICT, RUNNER_AVERAGE };
    static const enum runner_stage average[] = { RUNNER_AVERAGE };
    static const enum runner_stage baseline[] = { RUNNER_BEST, RUNNER_VERDICT, RUNNER_AVERAGE };
    static const enum runner_stage check[] = { RUNNER_CHECK };

    assert_stages(SEWA(""), all, COUNT_OF(all));
    assert_stages(SEWA(",\"baselines\":[\"last\"]"), no_best, COUNT_OF(no_best));
    assert_stages("{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"best\"}", no_best,
                  COUNT_OF(no_best));
    assert_stages("{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"uniform\"}", by_rule,
                  COUNT_OF(by_rule));
    assert_stages("{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"uniform\","
                  "\"baselines\":[\"best\"]}",
                  baseline, COUNT_OF(baseline));
    assert_stages("{\"run\":\"digits\",\"method\":\"uniform\"}", average, COUNT_OF(average));
    assert_stages("{\"run\":\"digits\",\"method\":\"check\"}", check, COUNT_OF(check));
}

static double number(const json_t *o, const char *a, const char *b)
{
    return json_number_value(json_object_get(json_object_get(o, a), b));
}

/* The numbers of a result are those that the quadratic gives for what was selected. */
static void test_result_is_true(void **state)
{
    (void)state;
    AUTOJSON json_t *result = result_of(SEWA(""), 20, true);
    const json_t *selected = json_object_get(result, "selected");
    double alpha[TOY_K_MAX] = { 0 };
    struct toy t;

    toy_init(&t, 20);
    assert_int_equal(json_array_size(selected), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *s = json_array_get(selected, i);
        int64_t step = json_integer_value(json_object_get(s, "step"));
        assert_true(json_number_value(json_object_get(s, "weight")) == 0.2);
        assert_true(json_is_real(json_object_get(s, "probability")));
        alpha[step / 10 - 1] = 0.2;
    }
    assert_true(number(result, "loss", "selection") == toy_loss(&t, alpha, t.selection, NULL));
    assert_true(number(result, "loss", "report") == toy_loss(&t, alpha, t.report, NULL));
    assert_int_equal(json_integer_value(json_object_get(result, "candidates")), 20);
    assert_int_equal(json_array_size(json_object_get(result, "baselines")), 4);
    assert_true(number(result, "cost", "seconds") == 2.5);
    assert_true(number(result, "cost", "gradients") == 60);
    double evaluations = number(result, "cost", "evaluations");
    assert_true(number(result, "cost", "evaluator_seconds") == 0.25 * evaluations);
    /* the noise of each candidate is independent: an average of five is far better than the last */
    assert_string_equal(json_string_value(json_object_get(result, "verdict")), "improved");
}

static void test_baselines_are_true(void **state)
{
    (void)state;
    AUTOJSON json_t *result = result_of(SEWA(""), 20, true);
    const json_t *list = json_object_get(result, "baselines");
    struct toy t;
    double best = INFINITY;

    toy_init(&t, 20);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *b = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(b, "method"));
        size_t count = (size_t)json_integer_value(json_object_get(b, "checkpoints"));
        double alpha[TOY_K_MAX] = { 0 };
        size_t wanted = strcmp(name, "uniform") == 0 ? 20 : strcmp(name, "lawa") == 0 ? 5 : 1;
        assert_int_equal(count, wanted);
        if (strcmp(name, "best") == 0)
            continue;
        for (size_t c = 20 - count; c < 20; c++)
            alpha[c] = 1.0 / (double)count;
        assert_true(number(b, "loss", "report") == toy_loss(&t, alpha, t.report, NULL));
    }
    for (size_t c = 0; c < 20; c++) {
        double alpha[TOY_K_MAX] = { 0 };
        alpha[c] = 1;
        best = fmin(best, toy_loss(&t, alpha, t.selection, NULL));
    }
    assert_true(number(json_array_get(list, 1), "loss", "selection") == best);
}

static void test_without_report(void **state)
{
    (void)state;
    AUTOJSON json_t *result = result_of(SEWA(""), 20, false);

    assert_string_equal(json_string_value(json_object_get(result, "verdict")), "not_evaluated");
    assert_non_null(
        strstr(json_string_value(json_object_get(result, "verdict_detail")), "no report split"));
    const json_t *loss = json_object_get(result, "loss");
    assert_true(json_is_real(json_object_get(loss, "selection")));
    assert_true(json_is_null(json_object_get(loss, "report")));
    AUTOFREE char *plain = run(SEWA(""), 20, TOY_IN_ORDER, false, false);
    AUTOFREE char *saved = run(SEWA(""), 20, TOY_SHUFFLED, true, false);
    assert_string_equal(plain, saved);
}

static void test_without_evaluator(void **state)
{
    (void)state;
    AUTOJSON json_t *result =
        result_of("{\"run\":\"digits\",\"method\":\"lawa\",\"select\":3}", 20, true);

    assert_string_equal(json_string_value(json_object_get(result, "verdict")), "not_evaluated");
    assert_int_equal(json_array_size(json_object_get(result, "selected")), 3);
    assert_true(json_is_null(json_object_get(json_object_get(result, "loss"), "report")));
    assert_int_equal(json_array_size(json_object_get(result, "baselines")), 0);
    assert_true(number(result, "cost", "evaluations") == 0);
    assert_true(number(result, "cost", "bytes_read") == 7);
}

static void test_few_examples_are_said(void **state)
{
    (void)state;
    struct toy_job j;

    toy_job_open(&j, SEWA(""), 20);
    j.toy.examples = 199;
    toy_job_run(&j, TOY_IN_ORDER, false);
    AUTOJSON json_t *result = runner_result(j.runner, 1);
    AUTOFREE char *notes = json_canonical(json_object_get(result, "notes"));
    assert_non_null(strstr(notes, "199 examples"));
    toy_job_close(&j);
    AUTOJSON json_t *enough = result_of(SEWA(""), 20, true);
    assert_int_equal(json_array_size(json_object_get(enough, "notes")), 0);
}

static void test_one_set_of_data_for_both_splits_is_said(void **state)
{
    (void)state;
    for (int same = 0; same < 2; same++) {
        struct toy_job j;
        toy_job_open(&j, SEWA(""), 20);
        if (same)
            memcpy(j.toy.report, j.toy.selection, sizeof j.toy.report);
        toy_job_run(&j, TOY_IN_ORDER, false);
        AUTOJSON json_t *result = runner_result(j.runner, 1);
        AUTOFREE char *notes = json_canonical(json_object_get(result, "notes"));
        assert_int_equal(strstr(notes, "exactly the losses of the selection split") != NULL, same);
        toy_job_close(&j);
    }
}

/* Seconds are a sum that goes on after a restart; a clock that runs backwards takes nothing away.
 */
static void test_time_is_a_sum(void **state)
{
    (void)state;
    struct toy_job j;
    struct sewa_error err = { 0 };
    AUTOPTR(runner_free) struct runner *again = NULL;

    toy_job_open(&j, SEWA(""), 20);
    toy_job_run(&j, TOY_IN_ORDER, false);
    runner_spend(j.runner, 2.5);
    runner_spend(j.runner, -31536000);
    runner_spend(j.runner, 0.25);
    assert_true(runner_cost(j.runner)->seconds == 2.75);
    AUTOJSON json_t *saved = runner_save(j.runner);
    assert_ok(runner_new(j.request, j.plan, &again, &err), err);
    assert_ok(runner_load(again, saved, &err), err);
    runner_spend(again, 1);
    assert_true(runner_cost(again)->seconds == 3.75);
    runner_free(TAKE(again));
    /* as an older version has stored it */
    json_object_del(json_object_get(saved, "cost"), "seconds");
    assert_ok(runner_new(j.request, j.plan, &again, &err), err);
    assert_ok(runner_load(again, saved, &err), err);
    assert_true(runner_cost(again)->seconds == 0);
    toy_job_close(&j);
}

static void test_check(void **state)
{
    (void)state;
    struct toy_job j;

    for (size_t k = 1; k <= 3; k++) {
        toy_job_open(&j, "{\"run\":\"digits\",\"method\":\"check\"}", k);
        toy_job_run(&j, TOY_SHUFFLED, false);
        AUTOJSON json_t *result = runner_result(j.runner, 1);
        const json_t *check = json_object_get(result, "check");
        assert_string_equal(json_string_value(json_object_get(check, "evaluator")), "digits");
        assert_true(json_is_object(json_object_get(check, "traits")));
        const json_t *gradient = json_object_get(check, "gradient_check");
        if (k == 1)
            assert_true(json_is_null(gradient));
        else
            assert_true(json_is_true(json_object_get(gradient, "ok")));
        assert_true(number(result, "cost", "evaluations") == (k == 1 ? 1 : 3));
        assert_null(runner_written(j.runner));
        toy_job_close(&j);
    }
}

static void test_progress(void **state)
{
    (void)state;
    struct toy_job j;
    struct job_progress p, before = { 0 };
    struct sewa_error err = { 0 };

    toy_job_open(&j, SEWA(""), 20);
    AUTOJSON json_t *traits = toy_traits(&j.toy);
    assert_ok(runner_prepared(j.runner, traits, &err), err);
    for (int rc = 1; rc > 0;) {
        rc = toy_job_step(&j, TOY_IN_ORDER, &err);
        runner_progress(j.runner, &p);
        assert_true(p.evaluations >= before.evaluations);
        assert_true(p.evaluations_total >= p.evaluations);
        assert_true(p.iteration >= before.iteration && p.iteration <= p.iterations);
        before = p;
    }
    assert_int_equal(p.iterations, 12);
    assert_int_equal(p.iteration, 12);
    assert_int_equal(p.evaluations, p.evaluations_total);
    toy_job_close(&j);
}

/* What the method needs and the evaluator does not have ends the job before its first task. */
static void test_traits(void **state)
{
    (void)state;
    static const struct {
        const char *body, *traits;
        int code;
        const char *word;
    } rows[] = {
        { SEWA(""), "null", SEWA_E_PROTOCOL, "traits are missing" },
        { SEWA(""), "[]", SEWA_E_PROTOCOL, "traits are missing" },
        { SEWA(""), "{\"metrics\":[5]}", SEWA_E_PROTOCOL, "metric 0" },
        { SEWA(""), "{\"metrics\":[{\"name\":\"a\"}]}", SEWA_E_PROTOCOL, "metric 0" },
        { "{\"run\":\"digits\",\"evaluator\":\"digits\",\"params\":{\"estimator\":\"straight_through\"}}",
          "{\"gradient\":false}", SEWA_E_UNSUPPORTED, "gradient" },
        { "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"best\",\"params\":{\"metric\":\"bleu\"}}",
          "{\"metrics\":[{\"name\":\"accuracy\",\"direction\":\"max\"}]}", SEWA_E_INVALID, "bleu" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct toy_job j;
        struct sewa_error err = { 0 };
        toy_job_open(&j, rows[i].body, 20);
        AUTOJSON json_t *traits = json_parse(rows[i].traits, strlen(rows[i].traits), &err);
        assert_failed(runner_prepared(j.runner, traits, &err), err, rows[i].code, rows[i].word);
        toy_job_close(&j);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(jobs) + 12];
    size_t n = 0;

    for (; n < COUNT_OF(jobs); n++)
        tests[n] = (struct CMUnitTest){ .name = jobs[n].name,
                                        .test_func = test_same_bits,
                                        .initial_state = (void *)&jobs[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_workers);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stages);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_result_is_true);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_baselines_are_true);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_without_report);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_without_evaluator);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_few_examples_are_said);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_one_set_of_data_for_both_splits_is_said);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_time_is_a_sum);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_check);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_progress);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_traits);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
