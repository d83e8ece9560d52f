/*
 * test_evaluator - the host and the C library, one on each end of the socket: values, gradients,
 * minibatches, recalibration, and the failures that an honest evaluator reports.
 */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void start(struct fixture *f, const char *options, struct evaluator **e)
{
    struct sewa_error err = { 0 };

    fixture_init(f, QUADRATIC, NULL);
    f->options.options = options;
    f->options.threads = 3;
    assert_ok(evaluator_start(&f->options, e, &err), err);
}

static void test_traits(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    AUTOPTR(evaluator_stop) struct evaluator *e = NULL;

    start(&f, NULL, &e);
    const struct evaluator_traits *t = evaluator_traits(e);
    assert_true(t->gradient && t->recalibrates);
    assert_int_equal(t->split_count, 2);
    assert_string_equal(t->splits[1].name, "report");
    assert_int_equal(t->splits[1].examples, 4);
    assert_int_equal(t->metric_count, 2);
    assert_string_equal(t->metrics[0].name, "distance");
    assert_false(t->metrics[0].bigger_is_better);
    assert_true(t->metrics[1].bigger_is_better);
    static const bool parameters[] = { true, true, false, false };
    assert_memory_equal(t->is_parameter, parameters, sizeof parameters);
}

static void test_stop_is_clean(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator *e = NULL;

    start(&f, NULL, &e);
    evaluator_stop(e);
    assert_string_equal(buf_cstr(&f.output), "setup with 3 threads, w is there\nteardown\n");
}

/* 3 (w - 1)^2 / 2 + 2 (d - 1)^2 / 2 + the buffer's; gradients only where there are parameters. */
static void test_values_and_gradients(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    AUTOPTR(evaluator_stop) struct evaluator *e = NULL;
    struct evaluator_result r;
    struct sewa_error err = { 0 };

    start(&f, "{\"target\": 1}", &e);
    fixture_fill(e, 0, 3, 2, 1);
    fixture_fill(e, 1, 2, 0.5, 2);
    struct evaluator_request request = { 1, "selection", true, -1 };
    assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
    assert_true(r.loss == 1.5 + 0.25 + 1);
    const float *g = evaluator_gradient(e, 1);
    assert_true(g[0] == 1 && g[2] == 1 && g[16] == -0.5f && g[17] == -0.5f);
    assert_true(g[32] == 0); /* the buffer has none */
    assert_int_equal(r.examples, 4);
    assert_true(r.example_losses[3] == 3);
    assert_true(isinf(r.metrics[0]) && r.metrics[1] == -1);
    request = (struct evaluator_request){ 0, "report", false, 12 };
    assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
    assert_true(r.loss == 100 + 6 + 1);
    assert_true(r.metrics[1] == 12);
    g = evaluator_gradient(e, 0);
    assert_true(g[0] == 0); /* not asked for */
}

/* Twice the same gradient, not twice as much: the place is cleared before each request. */
static void test_gradients_do_not_add_up(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    AUTOPTR(evaluator_stop) struct evaluator *e = NULL;
    struct evaluator_request request = { 0, "selection", true, -1 };
    struct evaluator_result r;
    struct sewa_error err = { 0 };

    start(&f, "{}", &e);
    fixture_fill(e, 0, 3, 2, 1);
    for (int i = 0; i < 2; i++) {
        assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
        assert_true(((const float *)evaluator_gradient(e, 0))[0] == 3);
    }
}

/*
 * The evaluator writes to every weight and buffer that it is shown. The same request again must
 * give the same answer, and a new average in the same bank must be seen.
 */
static void test_scribbling_evaluator(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    AUTOPTR(evaluator_stop) struct evaluator *e = NULL;
    struct evaluator_request request = { 1, "selection", false, -1 };
    struct evaluator_result r;
    struct sewa_error err = { 0 };

    start(&f, "{\"scribble\": true}", &e);
    for (int i = 1; i <= 3; i++) {
        fixture_fill(e, 1, (float)i, i, (float)i);
        for (int again = 0; again < 2; again++) {
            assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
            assert_true(r.loss == 7 * i * i / 2.0);
        }
        assert_true(((float *)evaluator_bank(e, 1))[0] == (float)i);
    }
}

static void test_recalibrate(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    AUTOPTR(evaluator_stop) struct evaluator *e = NULL;
    struct sewa_error err = { 0 };
    bool changed[FIXTURE_TENSORS];
    static const bool wanted[] = { false, false, true, false };

    start(&f, NULL, &e);
    assert_ok(evaluator_recalibrate(e, 1, changed, &err), err);
    assert_memory_equal(changed, wanted, sizeof wanted);
    const float *g = evaluator_gradient(e, 1);
    assert_true(g[32] == 1 && g[33] == 2);
    int rc = evaluator_recalibrate(e, FIXTURE_BANKS, changed, &err);
    assert_failed(rc, err, SEWA_E_INVALID, "bank 2 of 2");
    assert_true(evaluator_is_usable(e));
}

/* What the caller gets wrong does not reach the evaluator. */
static void test_wrong_requests(void **state)
{
    (void)state;
    static const struct {
        struct evaluator_request request;
        const char *word;
    } rows[] = {
        { { 2, "selection", false, -1 }, "bank 2 of 2" },
        { { 0, "train", false, -1 }, "no split 'train'" },
        { { 0, "selection", true, -1 }, "no gradient" },
    };
    AUTO(fixture_clear) struct fixture f;
    AUTOPTR(evaluator_stop) struct evaluator *e = NULL;
    struct evaluator_result r;

    start(&f, "{\"gradient\": false, \"no_examples\": true}", &e);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        int rc = evaluator_evaluate(e, &rows[i].request, &r, &err);
        assert_failed(rc, err, SEWA_E_INVALID, rows[i].word);
    }
    static const bool none[FIXTURE_TENSORS];
    assert_memory_equal(evaluator_traits(e)->is_parameter, none, sizeof none);
    struct sewa_error err = { 0 };
    assert_ok(evaluator_evaluate(e, &(struct evaluator_request){ 0, "report", false, 0 }, &r, &err),
              err);
    assert_null(r.example_losses);
    assert_true(r.metrics[1] == 0);
}

static void test_reported_failures(void **state)
{
    (void)state;
    static const struct {
        const char *options, *word;
    } rows[] = {
        { "{\"fail\": \"loss\"}", "io: disk on fire" },
        { "{\"fail\": \"metrics\"}", "io: no metric today" },
        { "{\"losses_too_many\": true}", "5 examples, there is room for 4" },
    };
    struct evaluator_request request = { 0, "selection", true, -1 };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture_clear) struct fixture f;
        AUTOPTR(evaluator_stop) struct evaluator *e = NULL;
        struct evaluator_result r;
        struct sewa_error err = { 0 };
        start(&f, rows[i].options, &e);
        for (int again = 0; again < 2; again++) {
            int rc = evaluator_evaluate(e, &request, &r, &err);
            assert_failed(rc, err, SEWA_E_EVALUATOR_ERROR, rows[i].word);
            assert_true(evaluator_is_usable(e));
        }
    }
}

static void test_setup_fails(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };

    fixture_init(&f, QUADRATIC, NULL);
    f.options.options = "{\"fail\": \"setup\"}";
    int rc = evaluator_start(&f.options, &e, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_START,
                  "gave up before it was ready: not_found: no "
                  "such data");
}

static void test_model_does_not_fit(void **state)
{
    (void)state;
    struct evaluator_tensor many[17];
    AUTO(fixture_clear) struct fixture f;
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };
    char names[COUNT_OF(many)][8];

    for (size_t i = 0; i < COUNT_OF(many); i++) {
        snprintf(names[i], sizeof names[i], "t%zu", i);
        many[i] = fixture_tensors[0];
        many[i].name = names[i];
    }
    fixture_init(&f, QUADRATIC, NULL);
    f.options.tensors = many;
    f.options.tensor_count = COUNT_OF(many);
    int rc = evaluator_start(&f.options, &e, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_MISMATCH, "17 tensors, at most 16");
}

/* No tensor at all, and blocks of no bytes: legal, and nothing to differentiate. */
static void test_empty_model(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator_result r;
    struct sewa_error err = { 0 };

    fixture_init(&f, QUADRATIC, NULL);
    f.options.options = "{\"gradient\": false}";
    f.options.tensor_count = 0;
    f.options.bank_bytes = f.options.gradient_bank_bytes = 0;
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    assert_ok(
        evaluator_evaluate(e, &(struct evaluator_request){ 0, "selection", false, -1 }, &r, &err),
        err);
    assert_true(r.loss == 0);
}

/* The limit is for memory of its own: its view of the weights does not count. */
static void test_banks_larger_than_the_memory_limit(void **state)
{
    (void)state;
#ifdef SEWA_SANITIZED
    skip_because("a sanitizer reserves terabytes, which count");
#endif
    AUTO(fixture_clear) struct fixture f;

    fixture_init(&f, QUADRATIC, NULL);
    f.options.bank_bytes = 256 << 20;
    f.options.memory_mib = 64;
    struct evaluator *e = fixture_start(&f);
    evaluator_stop(e);
}

static int run(const char *arguments)
{
    char command[4096];

    snprintf(command, sizeof command, "SEWA_EVALUATOR_FD=%s 2>/dev/null >/dev/null", arguments);
    return WEXITSTATUS(system(command));
}

static void test_command_line(void **state)
{
    (void)state;
    assert_int_equal(run(" " QUADRATIC " --help"), 0);
    assert_int_equal(run(" " QUADRATIC " --version"), 0);
    assert_int_equal(run(" " QUADRATIC), 2);
    assert_int_equal(run("x " QUADRATIC), 2);
    assert_int_equal(run("77 " QUADRATIC), 2); /* not open */
    assert_int_equal(run("0 " QUADRATIC " --what"), 2);
    assert_int_equal(run("0 " QUADRATIC " </dev/null"), 1); /* no socket */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traits),
        cmocka_unit_test(test_stop_is_clean),
        cmocka_unit_test(test_values_and_gradients),
        cmocka_unit_test(test_gradients_do_not_add_up),
        cmocka_unit_test(test_scribbling_evaluator),
        cmocka_unit_test(test_recalibrate),
        cmocka_unit_test(test_wrong_requests),
        cmocka_unit_test(test_reported_failures),
        cmocka_unit_test(test_setup_fails),
        cmocka_unit_test(test_model_does_not_fit),
        cmocka_unit_test(test_empty_model),
        cmocka_unit_test(test_banks_larger_than_the_memory_limit),
        cmocka_unit_test(test_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
