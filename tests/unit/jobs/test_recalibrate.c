/*
 * test_recalibrate - batch norm: ours is measured with averaged and with recalibrated buffers, both
 * are told, and the better one on the selection split is published and judged.
 */
#include "toy_worker.h"

#include <math.h>
#include <string.h>

#include "sewa/protocol.h"

#define JOB(method, more) \
    "{\"run\":\"digits\",\"evaluator\":\"digits\",\"method\":\"" method "\"" more "}"
#define SEWA                                                                          \
    JOB("sewa", ",\"select\":3,\"seed\":3,\"params\":{\"iterations\":3,\"samples\":2" \
                ",\"polish\":5}")

static void open_job(struct toy_job *j, const char *body, double adds, double adds_report)
{
    toy_job_open(j, body, 8);
    j->toy.recalibrates = true;
    j->toy.recalibrated_adds = adds;
    j->toy.recalibrated_adds_report = adds_report;
    j->toy.recalibrated_tensors = j->toy.written_tensors = 2;
}

static const char *text_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static double loss_of(const json_t *o, const char *split)
{
    return json_number_value(json_object_get(json_object_get(o, "loss"), split));
}

static double cost_of(const json_t *result, const char *name)
{
    return json_number_value(json_object_get(json_object_get(result, "cost"), name));
}

static const struct row {
    const char *name;
    double adds, adds_report;
    const char *buffers;
} rows[] = {
    { "better", -0.05, -0.04, "recalibrated" },
    { "better where it is chosen, worse where it is reported", -0.05, 7, "recalibrated" },
    { "worse", 0.05, -0.04, "averaged" },
    { "the same", 0, -0.04, "averaged" },
    { "not finite", NAN, -0.04, "averaged" },
    { "infinite", INFINITY, -0.04, "averaged" },
    { "minus infinity is no loss", -INFINITY, -0.04, "averaged" },
};

static bool is_same(const json_t *a, const json_t *b)
{
    return a && b && json_equal((json_t *)a, (json_t *)b);
}

static void assert_numbers(const struct row *row, const json_t *o)
{
    const json_t *averaged = json_object_get(o, "averaged");
    const json_t *fresh = json_object_get(o, "recalibrated");
    bool taken = strcmp(row->buffers, "recalibrated") == 0;

    assert_string_equal(text_of(o, "buffers"), row->buffers);
    assert_int_equal(json_integer_value(json_object_get(fresh, "tensors")), 2);
    const json_t *selection = json_object_get(json_object_get(fresh, "loss"), "selection");
    if (isfinite(row->adds))
        assert_true(json_real_value(selection) == loss_of(averaged, "selection") + row->adds);
    else
        assert_true(json_is_null(selection));
    assert_true(loss_of(fresh, "report") == loss_of(averaged, "report") + row->adds_report);
    const json_t *published = taken ? fresh : averaged;
    assert_true(is_same(json_object_get(o, "loss"), json_object_get(published, "loss")));
    assert_true(is_same(json_object_get(o, "metrics"), json_object_get(published, "metrics")));
}

static void assert_manifest(const struct row *row, const struct toy_job *j)
{
    AUTOJSON json_t *m =
        runner_manifest(j->runner, "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "ab", "2026-01-01T00:00:00Z");
    bool taken = strcmp(row->buffers, "recalibrated") == 0;

    assert_numbers(row, m);
    AUTOFREE char *names = json_canonical(json_object_get(m, "recalibrated_tensors"));
    assert_string_equal(names, taken ? "[\"bn.0\",\"bn.1\"]" : "[]");
}

/* What the worker is told at the end follows from what was measured. */
static void assert_average_task(const struct row *row, const struct toy_job *j)
{
    bool taken = strcmp(row->buffers, "recalibrated") == 0;
    const char *told = strstr(buf_cstr(&j->story), "\"kind\":\"average\"");

    assert_non_null(told);
    assert_non_null(strstr(told, taken ? "\"recalibrate\":true" : "\"recalibrate\":false"));
    assert_int_equal(strstr(told, "sewa.buffers") != NULL, taken);
}

static void test_row(void **state)
{
    const struct row *row = *state;

    for (int save = 0; save < 2; save++) {
        struct toy_job j;
        open_job(&j, SEWA, row->adds, row->adds_report);
        toy_job_run(&j, TOY_IN_ORDER, save);
        AUTOJSON json_t *result = runner_result(j.runner, 1);
        assert_numbers(row, result);
        assert_manifest(row, &j);
        assert_average_task(row, &j);
        toy_job_close(&j);
    }
}

/* The verdict is that of what is published, with the margin of the differences to it. Judged by its
 * averaged buffers this job is worse than its baselines. */
static void test_verdict(void **state)
{
    (void)state;
    static const struct {
        double adds, adds_report;
        const char *verdict;
        double error;
    } all[] = { { -0.05, 70, "worse", TOY_FRESH_ERROR },
                { -0.05, -100, "improved", TOY_FRESH_ERROR },
                { 0.05, -100, "worse", 0.001 } };

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct toy_job j;
        open_job(&j, SEWA, all[i].adds, all[i].adds_report);
        toy_job_run(&j, TOY_IN_ORDER, true);
        AUTOJSON json_t *result = runner_result(j.runner, 1);
        assert_string_equal(text_of(result, "verdict"), all[i].verdict);
        AUTOJSON json_t *saved = runner_save(j.runner);
        const json_t *last = json_array_get(json_object_get(saved, "verdict"), 1);
        const json_t *report = json_object_get(last, "report");
        assert_true(json_real_value(json_object_get(report, "standard_error")) == all[i].error);
        toy_job_close(&j);
    }
}

static void test_baselines_are_said_to_be_as_they_are(void **state)
{
    (void)state;
    for (int better = 0; better < 2; better++) {
        struct toy_job j;
        open_job(&j, SEWA, better ? -0.05 : 0.05, 0);
        toy_job_run(&j, TOY_IN_ORDER, false);
        AUTOJSON json_t *result = runner_result(j.runner, 1);
        AUTOFREE char *notes = json_canonical(json_object_get(result, "notes"));
        assert_int_equal(strstr(notes, "those of the baselines were not") != NULL, better);
        toy_job_close(&j);
    }
}

/* Two evaluations more, and the seconds of the recalibration. */
static void test_cost(void **state)
{
    (void)state;
    double evaluations[2], seconds[2];

    for (int i = 0; i < 2; i++) {
        struct toy_job j;
        open_job(&j, SEWA, 1, 1);
        j.toy.recalibrates = i == 1;
        toy_job_run(&j, TOY_IN_ORDER, false);
        AUTOJSON json_t *result = runner_result(j.runner, 1);
        evaluations[i] = cost_of(result, "evaluations");
        seconds[i] = cost_of(result, "evaluator_seconds");
        toy_job_close(&j);
    }
    assert_true(evaluations[1] == evaluations[0] + 2);
    assert_true(seconds[1] == seconds[0] + 2 * 0.25 + 4);
}

/* Nothing is asked for where there is nothing to recalibrate, or nobody who could. */
static void test_not_recalibrated(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool can;
    } all[] = { { SEWA, false },
                { JOB("last", ""), true },
                { JOB("best", ""), true },
                { "{\"run\":\"digits\",\"method\":\"uniform\"}", true } };

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct toy_job j;
        open_job(&j, all[i].body, -1, -1);
        j.toy.recalibrates = all[i].can;
        toy_job_run(&j, TOY_IN_ORDER, true);
        AUTOJSON json_t *result = runner_result(j.runner, 1);
        assert_true(json_is_null(json_object_get(result, "averaged")));
        assert_true(json_is_null(json_object_get(result, "recalibrated")));
        assert_string_equal(text_of(result, "buffers"), "averaged");
        assert_null(strstr(buf_cstr(&j.story), "\"recalibrate\":true"));
        toy_job_close(&j);
    }
}

static void test_without_report(void **state)
{
    (void)state;
    struct toy_job j;

    open_job(&j, JOB("uniform", ""), -0.05, 0);
    j.toy.has_report = false;
    toy_job_run(&j, TOY_IN_ORDER, true);
    AUTOJSON json_t *result = runner_result(j.runner, 1);
    assert_string_equal(text_of(result, "buffers"), "recalibrated");
    assert_string_equal(text_of(result, "verdict"), "not_evaluated");
    const json_t *loss = json_object_get(json_object_get(result, "recalibrated"), "loss");
    assert_true(json_is_null(json_object_get(loss, "report")));
    toy_job_close(&j);
}

/* ---- what a broken worker may answer ---- */

static void to_stage(struct toy_job *j, enum runner_stage stage)
{
    struct sewa_error err = { 0 };
    AUTOJSON json_t *traits = toy_traits(&j->toy);

    assert_ok(runner_prepared(j->runner, traits, &err), err);
    while (runner_stage(j->runner) != stage)
        assert_true(toy_job_step(j, TOY_IN_ORDER, &err) > 0);
}

static void test_rubbish_in_the_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *recalibrated, *word;
    } all[] = {
        { NULL, "number of recalibrated tensors" },
        { "7", "number of recalibrated tensors" },
        { "{}", "number of recalibrated tensors" },
        { "{\"tensors\":-1}", "number of recalibrated tensors" },
        { "{\"tensors\":\"2\"}", "number of recalibrated tensors" },
        { "{\"tensors\":2}", "split of the verdict" },
        { "{\"tensors\":2,\"splits\":{\"selection\":{\"loss\":1}}}", "split of the verdict" },
    };
    struct toy_job j;
    struct sewa_error err = { 0 };

    open_job(&j, SEWA, -0.05, 0);
    to_stage(&j, RUNNER_VERDICT);
    AUTOJSON json_t *task = runner_task(j.runner, 0);
    double before = (double)runner_cost(j.runner)->evaluations;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        AUTOJSON json_t *answer = toy_result(&j.toy, task);
        json_t *point = json_array_get(json_object_get(answer, "points"), 0);
        json_object_del(point, "recalibrated");
        if (all[i].recalibrated)
            json_object_set_new(point, "recalibrated",
                                json_loads(all[i].recalibrated, JSON_DECODE_ANY, NULL));
        assert_failed(runner_accept(j.runner, 0, answer, &err), err, SEWA_E_PROTOCOL, all[i].word);
        assert_true((double)runner_cost(j.runner)->evaluations == before);
    }
    assert_true(toy_job_step(&j, TOY_IN_ORDER, &err) > 0);
    toy_job_close(&j);
}

static void test_other_tensors_than_were_measured(void **state)
{
    (void)state;
    static const struct {
        const char *names, *word;
    } all[] = {
        { "null", "0 recalibrated tensors, 2 were measured" },
        { "[]", "0 recalibrated tensors, 2 were measured" },
        { "[\"a\"]", "1 recalibrated tensors, 2 were measured" },
        { "[\"a\",\"b\",\"c\"]", "3 recalibrated tensors, 2 were measured" },
        { "[\"a\",7]", "no names" },
    };
    struct toy_job j;
    struct sewa_error err = { 0 };

    open_job(&j, SEWA, -0.05, 0);
    to_stage(&j, RUNNER_AVERAGE);
    AUTOJSON json_t *task = runner_task(j.runner, 0);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        AUTOJSON json_t *answer = toy_result(&j.toy, task);
        json_object_set_new(answer, "recalibrated_tensors",
                            json_loads(all[i].names, JSON_DECODE_ANY, NULL));
        assert_failed(runner_accept(j.runner, 0, answer, &err), err, SEWA_E_PROTOCOL, all[i].word);
    }
    assert_int_equal(toy_job_step(&j, TOY_IN_ORDER, &err), 0);
    toy_job_close(&j);
}

/* A job that goes on to its average must know with which buffers. */
static void test_a_state_without_the_numbers(void **state)
{
    (void)state;
    static const char *const damages[] = { "null", "{\"tensors\":2}",
                                           "{\"tensors\":-2,\"selection\":{\"loss\":1}}",
                                           "{\"tensors\":2,\"selection\":{\"loss\":1}}" };
    struct toy_job j;

    open_job(&j, SEWA, -0.05, 0);
    to_stage(&j, RUNNER_AVERAGE);
    AUTOJSON json_t *saved = runner_save(j.runner);
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        AUTOPTR(runner_free) struct runner *r = NULL;
        struct sewa_error err = { 0 };
        json_object_set_new(saved, "recalibrated", json_loads(damages[i], JSON_DECODE_ANY, NULL));
        assert_ok(runner_new(j.request, j.plan, &r, &err), err);
        int rc = runner_load(r, saved, &err);
        assert_true(rc < 0);
        assert_non_null(strstr(err.text, "stored state"));
    }
    toy_job_close(&j);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 8];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ .name = rows[n].name,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_verdict);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_baselines_are_said_to_be_as_they_are);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_cost);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_not_recalibrated);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_without_report);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_rubbish_in_the_verdict);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_other_tensors_than_were_measured);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_state_without_the_numbers);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
