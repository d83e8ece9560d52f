/*
 * test_commands - sewa-mlp as a person uses it: exit statuses, what it prints, and the digits that
 * come with the quickstart.
 */
#include "made_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/path.h"

/* Run sewa-mlp in a directory; what it prints on stdout, or with "2>&1" on both, goes to ret. */
static int run(const char *directory, const char *arguments, struct buf *ret)
{
    AUTOFREE char *command = NULL;

    buf_reset(ret);
    assert_true(asprintf(&command, "cd '%s' && '%s' %s", directory, SEWA_MLP, arguments) > 0);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    for (size_t n; (n = fread(buf_reserve(ret, 4096), 1, 4096, f)) > 0;)
        buf_advance(ret, n);
    return WEXITSTATUS(pclose(f));
}

/* Seen on a small network: two inputs, two classes, the label is which input is larger. */
static char *make_data(const char *scratch)
{
    float x[80];
    int64_t y[40];

    for (uint32_t i = 0; i < COUNT_OF(x); i++)
        x[i] = (float)made_number(1, i);
    for (int i = 0; i < 40; i++)
        y[i] = x[2 * i] < x[2 * i + 1];
    const struct made_tensor tensors[] = { { "train.x", DTYPE_F32, 2, { 40, 2 }, x },
                                           { "train.y", DTYPE_I64, 1, { 40 }, y },
                                           { "report.x", DTYPE_F32, 2, { 40, 2 }, x },
                                           { "report.y", DTYPE_I64, 1, { 40 }, y },
                                           { 0 } };
    return made_file(scratch, "data.safetensors", tensors);
}

static int setup(void **state)
{
    char *scratch = scratch_new();

    free(make_data(scratch));
    *state = scratch;
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static const struct row {
    const char *arguments;
    int status;
    const char *word; /* on stdout and stderr */
} rows[] = {
    { "--help", 0, "usage: sewa-mlp COMMAND" },
    { "--version", 0, "sewa-mlp " },
    { "train --help", 0, "--weight-decay X" },
    { "evaluate --help", 0, "--split WORD" },
    { "serve --help", 0, "sewad.conf" },
    { "", 2, "usage: sewa-mlp COMMAND" },
    { "trian", 2, "no command 'trian'" },
    { "train", 2, "--data is missing" },
    { "train --data d", 2, "--out is missing" },
    { "train --data d --out o", 2, "--layers is missing" },
    { "train --data d --out o --layers 4", 2, "1 widths, at least 2" },
    { "train --data d --out o --layers 4,,2", 2, "width ''" },
    { "train --data d --out o --layers 4,2,", 2, "comma" },
    { "train --data d --out o --layers 4,x", 2, "'x', allowed is 1 to 1000000" },
    { "train --data d --out o --layers 4,99999999999999999999", 2, "width" },
    { "train --data", 2, "--data needs a value" },
    { "train --data=", 2, "--data is empty" },
    { "train --date d", 2, "no argument '--date'" },
    { "train extra", 2, "'extra' is too much" },
    { "train --steps x", 2, "--steps is 'x', allowed is a whole number from 0" },
    { "train --every 0", 2, "--every is '0', allowed is a whole number from 1" },
    { "train --rate fast", 2, "--rate is 'fast', allowed is a number" },
    { "train --label-noise 1.5", 2, "from 0 to 1" },
    { "train --activation sigmoid", 2, "one of relu, tanh, gelu" },
    { "train --json=yes", 2, "--json takes no value" },
    { "train --data missing --out o --layers 2,2", 1, "sewa-mlp train: cannot open 'missing'" },
    { "train --data data.safetensors --out o --layers 3,2", 1, "'layers.0.weight' is [2, 3]" },
    { "evaluate", 2, "FILE is missing" },
    { "evaluate x", 2, "--data is missing" },
    { "evaluate x --data data.safetensors", 1, "cannot open 'x'" },
    { "evaluate data.safetensors --data data.safetensors", 1, "'train.x' is no part" },
    { "serve", 2, "SEWA_EVALUATOR_FD" },
    { "serve x", 2, "'x' is too much" },
};

static void test_row(void **state)
{
    const struct row *row = *state;
    char *scratch = scratch_new();
    AUTO(buf_clear) struct buf text = { 0 };
    AUTOFREE char *arguments = NULL;

    free(make_data(scratch));
    assert_true(asprintf(&arguments, "%s 2>&1", row->arguments) > 0);
    int status = run(scratch, arguments, &text);
    if (status != row->status || !strstr(buf_cstr(&text), row->word))
        fail_msg("status %d, wanted %d and '%s': %s", status, row->status, row->word,
                 buf_cstr(&text));
    scratch_free(scratch);
}

static double number(const char *line, const char *key)
{
    AUTOJSON json_t *o = json_parse(line, strlen(line), NULL);

    assert_non_null(o);
    assert_true(json_is_number(json_object_get(o, key)));
    return json_number_value(json_object_get(o, key));
}

static void test_train_and_evaluate(void **state)
{
    AUTO(buf_clear) struct buf text = { 0 };

    assert_int_equal(run(*state,
                         "train --data=data.safetensors --out out --layers 2,8,2 --steps 300 "
                         "--every 100 --rate 0.3 --json",
                         &text),
                     0);
    assert_true(number(buf_cstr(&text), "checkpoints") == 3);
    assert_true(number(buf_cstr(&text), "last_step") == 300);
    double training = number(buf_cstr(&text), "training_loss");
    assert_int_equal(run(*state,
                         "evaluate out/step-300.safetensors --data data.safetensors --split train "
                         "--json",
                         &text),
                     0);
    assert_true(number(buf_cstr(&text), "loss") == training);
    assert_true(number(buf_cstr(&text), "accuracy") >= 0.95);
    assert_true(number(buf_cstr(&text), "examples") == 40);
    assert_int_equal(run(*state,
                         "evaluate --data data.safetensors -- out/step-100.safetensors "
                         "out/step-200.safetensors",
                         &text),
                     0);
    assert_non_null(strstr(buf_cstr(&text), "out/step-100.safetensors: loss "));
    assert_non_null(strstr(buf_cstr(&text), "accuracy "));
    assert_non_null(strstr(buf_cstr(&text), "40 examples of report\n"));
}

/* One bad file among good ones: the others are judged, and the status says that one was not. */
static void test_evaluate_goes_on(void **state)
{
    AUTO(buf_clear) struct buf text = { 0 };

    assert_int_equal(
        run(*state, "train --data data.safetensors --out out --layers 2,2 --steps 10", &text), 0);
    assert_non_null(strstr(buf_cstr(&text), "1 checkpoints in 'out', steps 10 to 10"));
    scratch_write(*state, "bad.safetensors", "xxxxxxxxxxxx", 12);
    assert_int_equal(run(*state,
                         "evaluate bad.safetensors out/step-10.safetensors --data data.safetensors "
                         "2>/dev/null",
                         &text),
                     1);
    assert_non_null(strstr(buf_cstr(&text), "step-10.safetensors: loss"));
    assert_int_equal(
        run(*state, "train --data data.safetensors --out out --layers 2,2 --steps 10 2>&1", &text),
        1);
    assert_non_null(strstr(buf_cstr(&text), "--overwrite"));
    assert_int_equal(run(*state,
                         "train --data data.safetensors --out out --layers 2,2 --steps 10 "
                         "--overwrite --fsync",
                         &text),
                     0);
}

/* The network of the quickstart learns its digits in spite of the noise. */
static void test_digits(void **state)
{
    AUTO(buf_clear) struct buf text = { 0 };

    assert_int_equal(run(*state,
                         "train --data '" DIGITS "' --out out --layers 64,48,10 --burn-in 1500 "
                         "--steps 1000 --every 500 --label-noise 0.3 --json",
                         &text),
                     0);
    assert_true(number(buf_cstr(&text), "checkpoints") == 2);
    assert_int_equal(
        run(*state, "evaluate out/step-2500.safetensors --data '" DIGITS "' --json", &text), 0);
    assert_true(number(buf_cstr(&text), "examples") == 997);
    assert_true(number(buf_cstr(&text), "accuracy") > 0.6);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].arguments, test_row, NULL, NULL,
                                        (void *)(uintptr_t)&rows[n] };
    static const struct CMUnitTest others[] = {
        cmocka_unit_test_setup_teardown(test_train_and_evaluate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evaluate_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digits, setup, teardown),
    };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        tests[n++] = others[i];
    return _cmocka_run_group_tests("commands", tests, n, NULL, NULL);
}
