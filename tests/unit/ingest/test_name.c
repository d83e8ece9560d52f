/*
 * test_name - the step of a file from its name, shards, and the names of runs below a root.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/pattern.h"
#include "ingest/name.h"

#define NO_STEP (-1)

/* pattern, path, the step or NO_STEP, and then a word of the reason */
struct row {
    const char *pattern, *path;
    int64_t step;
    const char *word;
};

static const struct row rows[] = {
    /* the examples that define the rule */
    { NULL, "ckpt_1000_fp16", 1000, NULL },
    { NULL, "epoch=3-step=1000-v1", 1000, NULL },
    { NULL, "epoch=3-step=1000-v1.ckpt", 1000, NULL },
    { NULL, "resnet50", NO_STEP, "no number" },
    { NULL, "resnet50.safetensors", NO_STEP, "no number" },
    { NULL, "model-00001-of-00002.safetensors", NO_STEP, "shard 1 of 2" },
    { NULL, "step_100.pt", 100, NULL },
    { NULL, "step_1000.pt", 1000, NULL },
    { NULL, "step-10000.safetensors", 10000, NULL },
    { NULL, "step-9900.safetensors", 9900, NULL },
    /* every word, with every separator and none */
    { NULL, "step100", 100, NULL },
    { NULL, "step=100", 100, NULL },
    { NULL, "step.100.pt", 100, NULL },
    { NULL, "step--100.pt", 100, NULL },
    { NULL, "step_=100.pt", 100, NULL },
    { NULL, "iter_0000100.pth", 100, NULL },
    { NULL, "iter100", 100, NULL },
    { NULL, "global_step1234", 1234, NULL },
    { NULL, "global_step_1234.pt", 1234, NULL },
    { NULL, "checkpoint-500", 500, NULL },
    { NULL, "checkpoint_0042.pth.tar", 42, NULL },
    { NULL, "ckpt-7.index", 7, NULL },
    { NULL, "model.ckpt-1000.data", 1000, NULL },
    { NULL, "STEP-12.pt", 12, NULL },
    { NULL, "Checkpoint12.pt", 12, NULL },
    /* the order of the words */
    { NULL, "iter-5-step-10.pt", 10, NULL },
    { NULL, "checkpoint-3-iter-9.pt", 9, NULL },
    { NULL, "ckpt-1-checkpoint-2.pt", 2, NULL },
    { NULL, "ckpt-of-step-8.pt", 8, NULL },
    /* a word is a whole word, a number a whole number */
    { NULL, "substep10.pt", NO_STEP, "no number" },
    { NULL, "timestep_10.pt", 10, NULL }, /* by the only number, not by the word */
    { NULL, "timestep_10_epoch_2.pt", NO_STEP, "several numbers (10 and 2)" },
    { NULL, "fu\xc3\x9fstep1_2.pt", 2, NULL },
    { NULL, "epoch3step100.pt", 100, NULL },
    { NULL, "step1000k.pt", NO_STEP, "no number" },
    { NULL, "step1e5.pt", NO_STEP, "no number" },
    { NULL, "step.pt", NO_STEP, "no number" },
    { NULL, "steps_1000.pt", 1000, NULL },
    { NULL, "1000_steps.pt", 1000, NULL },
    { NULL, "step1000\xff.pt", NO_STEP, "no number" },
    /* two numbers behind one word */
    { NULL, "step-100-to-step-200.pt", NO_STEP, "100 and 200 both stand behind the word step" },
    { NULL, "step-100-step-100.pt", 100, NULL },
    { NULL, "step-100-step-0100.pt", 100, NULL },
    /* the only number that stands alone */
    { NULL, "1000.pt", 1000, NULL },
    { NULL, "model_1000.safetensors", 1000, NULL },
    { NULL, "model 1000.safetensors", 1000, NULL },
    { NULL, "model(1000).safetensors", 1000, NULL },
    { NULL, "epoch_3.pt", 3, NULL },
    { NULL, "vit-b16-1000.pt", 1000, NULL },
    { NULL, "resnet50_90.pth", 90, NULL },
    { NULL, "2024-05-01.pt", NO_STEP, "several numbers (2024 and 5)" },
    { NULL, "epoch=3-val_loss=0.25.ckpt", NO_STEP, "several numbers" },
    { NULL, "best.pt", NO_STEP, "no number" },
    { NULL, "", NO_STEP, "no number" },
    /* unicode, and names that are not UTF-8 */
    { NULL, "schritt-\xc3\xa4-100.pt", 100, NULL },
    { NULL,
      "\xe6\xad\xa5\xe9\xaa\xa4"
      "100.pt",
      NO_STEP, "no number" },
    { NULL, "\xff\xfe_100.pt", 100, NULL },
    { NULL, "\xff\xfe-step-100.pt", 100, NULL },
    /* leading zeros and the ends of int64 */
    { NULL, "step-000.pt", 0, NULL },
    { NULL, "step-0000000000000000000000000000000000000009.pt", 9, NULL },
    { NULL, "step-9223372036854775807.pt", INT64_MAX, NULL },
    { NULL, "step-9223372036854775808.pt", NO_STEP, "does not fit" },
    { NULL, "99999999999999999999.pt", NO_STEP, "does not fit" },
    { NULL, "step-1-step-99999999999999999999.pt", NO_STEP, "does not fit" },
    /* shards of one step, and directories above */
    { NULL, "step-1000-00001-of-00002.safetensors", 1000, NULL },
    { NULL, "1000-00001-of-00002.safetensors", 1000, NULL },
    { NULL, "checkpoint-1000/model-00001-of-00002.safetensors", 1000, NULL },
    { NULL, "checkpoint-1000/model.safetensors", 1000, NULL },
    { NULL, "checkpoint-1000/model_2.safetensors", 1000, NULL },
    { NULL, "checkpoint-1000/step-5.safetensors", 5, NULL },
    { NULL, "step-1/checkpoint-2/model.pt", 2, NULL },
    { NULL, "1000/model.pt", 1000, NULL },
    { NULL, "v1000/model.pt", NO_STEP, "no number" },
    { NULL, "2000/weights_7.pt", 7, NULL },
    { NULL, "2000/weights_7_8.pt", 2000, NULL },
    { NULL, "3/x/model.pt", 3, NULL },
    /* with a pattern */
    { "", "step-7.pt", 7, NULL },
    { "step-{step}.safetensors", "step-1000.safetensors", 1000, NULL },
    { "step-{step}.safetensors", "step-1000.pt", NO_STEP, "does not match" },
    { "resnet{step}", "resnet50", 50, NULL },
    { "*-v{step}.ckpt", "epoch=3-step=1000-v1.ckpt", 1, NULL },
    { "*{step}*", "ckpt_1000_fp16", NO_STEP, "1000 and 16 both fit" },
    { "*_{step}_*", "ckpt_1000_fp16", 1000, NULL },
    { "step_{step}", "step_1000", 1000, NULL },
    { "checkpoint-{step}/*.safetensors", "checkpoint-5/model.safetensors", 5, NULL },
    { "{step}", "9223372036854775807", INT64_MAX, NULL },
    { "{step}", "9223372036854775808", NO_STEP, "does not fit" },
};

static void test_step(void **state)
{
    const struct row *row = *state;
    char reason[NAME_REASON_SIZE] = "";
    struct sewa_error err = { 0 };
    int64_t step = NO_STEP;
    int rc = name_step(row->pattern, row->path, &step, reason, &err);

    assert_int_equal(rc, row->step == NO_STEP ? 0 : 1);
    assert_int_equal(step, row->step);
    if (rc == 0) {
        if (!strstr(reason, row->word))
            print_error("'%s' does not stand in: %s\n", row->word, reason);
        assert_non_null(strstr(reason, row->word));
        assert_true(utf8_is_valid(reason, strlen(reason)));
    }
}

static void test_bad_patterns_are_refused(void **state)
{
    (void)state;
    char reason[NAME_REASON_SIZE];
    struct sewa_error err = { 0 };
    int64_t step;

    assert_failed(name_step("step-*", "step-1", &step, reason, &err), err, SEWA_E_INVALID,
                  "no {step}");
    assert_failed(name_step("{step}{step}", "1", &step, reason, &err), err, SEWA_E_INVALID,
                  "more than once");
}

static void test_shards(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t index, count; /* 0 for no shard */
    } shards[] = {
        { "model-00001-of-00002.safetensors", 1, 2 },
        { "model-00002-of-00002", 2, 2 },
        { "pytorch_model-00000-of-00001.bin", 0, 1 },
        { "model-1-of-12.safetensors", 1, 12 },
        { "model-00003-of-00002.safetensors", 0, 0 },
        { "model-00000-of-00000.safetensors", 0, 0 },
        { "model-of-5.pt", 0, 0 },
        { "model-1-of-.pt", 0, 0 },
        { "model-1-of-2x.pt", 0, 0 },
        { "model_1_of_2.pt", 0, 0 },
        { "-1-of", 0, 0 },
        { "-99999999999999999999-of-3", 0, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(shards); i++) {
        int64_t index = 0, count = 0;
        assert_int_equal(name_shard(shards[i].name, &index, &count), shards[i].count != 0);
        assert_int_equal(index, shards[i].index);
        assert_int_equal(count, shards[i].count);
    }
}

static void test_run_names(void **state)
{
    (void)state;
    static const struct {
        const char *root, *directory, *name; /* NULL: too long */
    } runs[] = {
        { "lab", "cifar", "lab.cifar" },
        { "lab", "A.b_c-9", "lab.A.b_c-9" },
        { "lab", "exp 1", "lab.exp_201" },
        { "lab", "\xc3\xa4", "lab._C3_A4" },
        { "lab", "50%", "lab.50_25" },
        { "lab", "\xff", "lab._FF" },
        { "l", "1234567890123456789012345678901234567890123456789012345678901",
          "l.1234567890123456789012345678901234567890123456789012345678901" },
        { "l", "12345678901234567890123456789012345678901234567890123456789012", NULL },
        { "l", "123456789012345678901234567890123456789012345678901234567890 ", NULL },
    };

    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        char name[NAME_RUN_SIZE] = "", reason[NAME_REASON_SIZE] = "";
        int rc = name_run(runs[i].root, runs[i].directory, name, reason);
        assert_int_equal(rc, runs[i].name != NULL);
        if (rc) {
            assert_string_equal(name, runs[i].name);
            assert_true(path_is_run_name(name));
        } else {
            assert_non_null(strstr(reason, "63 bytes"));
        }
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3];
    char names[COUNT_OF(rows)][128];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++) {
        snprintf(names[n], sizeof names[n], "%zu: %s", n, rows[n].path);
        tests[n] = (struct CMUnitTest){ .name = names[n],
                                        .test_func = test_step,
                                        .initial_state = (void *)(uintptr_t)&rows[n] };
    }
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_bad_patterns_are_refused);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_shards);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_run_names);
    return _cmocka_run_group_tests("name", tests, n, NULL, NULL);
}
