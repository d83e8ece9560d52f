/*
 * test_data - data files and models that are not what they should be, and the options of serve.
 */
#include "made_file.h"

#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "data.h"
#include "weights.h"

struct row {
    const char *name;
    struct made_tensor tensors[7];
    int code;
    const char *word;
};

static const int64_t labels_4[] = { 0, 1, 2, 1 }, labels_bad[] = { 0, 1, 3, 1 },
                     labels_negative[] = { 0, -1, 2, 1 };

#define X(part)                  \
    {                            \
        part ".x", DTYPE_F32, 2, \
        {                        \
            4, 2                 \
        }                        \
    }
#define Y(part, v)                        \
    {                                     \
        part ".y", DTYPE_I64, 1, { 4 }, v \
    }

/* The network has 2 inputs and 3 outputs; the part that is checked is selection. */
static const struct row rows[] = {
    { "labels", { X("selection"), Y("selection", labels_4) }, 0, "" },
    { "values", { X("selection"), { "selection.y", DTYPE_F32, 2, { 4, 3 } } }, 0, "" },
    { "three parts",
      { X("train"), Y("train", labels_4), X("selection"), Y("selection", labels_4), X("report"),
        Y("report", labels_4) },
      0,
      "" },
    { "other tensors beside",
      { X("selection"), Y("selection", labels_4), { "notes", DTYPE_U8, 0 } },
      0,
      "" },
    { "nothing", { { "notes", DTYPE_U8, 0 } }, SEWA_E_MISMATCH, "none of train.x" },
    { "no y", { X("selection") }, SEWA_E_MISMATCH, "'selection.x' and no 'selection.y'" },
    { "no x", { Y("selection", labels_4) }, SEWA_E_MISMATCH, "'selection.y' and no 'selection.x'" },
    { "x is F64",
      { { "selection.x", DTYPE_F64, 2, { 4, 2 } }, Y("selection", labels_4) },
      SEWA_E_MISMATCH,
      "is F64 [4, 2], wanted is F32 [n, d]" },
    { "x of rank 3",
      { { "selection.x", DTYPE_F32, 3, { 4, 2, 1 } }, Y("selection", labels_4) },
      SEWA_E_MISMATCH,
      "[4, 2, 1]" },
    { "x is empty",
      { { "selection.x", DTYPE_F32, 2, { 0, 2 } }, { "selection.y", DTYPE_I64, 1, { 0 } } },
      SEWA_E_MISMATCH,
      "[0, 2]" },
    { "y is too short",
      { X("selection"), { "selection.y", DTYPE_I64, 1, { 3 } } },
      SEWA_E_MISMATCH,
      "is I64 [3], wanted is I64 [4] or F32 [4, m]" },
    { "y is I32",
      { X("selection"), { "selection.y", DTYPE_I32, 1, { 4 } } },
      SEWA_E_MISMATCH,
      "I32 [4]" },
    { "y is I64 of rank 2",
      { X("selection"), { "selection.y", DTYPE_I64, 2, { 4, 1 } } },
      SEWA_E_MISMATCH,
      "I64 [4, 1], wanted" },
    { "y is F32 of another count",
      { X("selection"), { "selection.y", DTYPE_F32, 2, { 3, 2 } } },
      SEWA_E_MISMATCH,
      "F32 [3, 2], wanted" },
    { "y is F32 without values",
      { X("selection"), { "selection.y", DTYPE_F32, 2, { 4, 0 } } },
      SEWA_E_MISMATCH,
      "F32 [4, 0], wanted" },
    { "y is F32 of rank 1",
      { X("selection"), { "selection.y", DTYPE_F32, 1, { 4 } } },
      SEWA_E_MISMATCH,
      "F32 [4], wanted" },
    { "parts of other widths",
      { X("selection"),
        Y("selection", labels_4),
        { "report.x", DTYPE_F32, 2, { 4, 3 } },
        Y("report", labels_4) },
      SEWA_E_MISMATCH,
      "selection has 2 features and 0 values an example, report has 3 and 0" },
    { "labels here, values there",
      { X("selection"),
        Y("selection", labels_4),
        X("report"),
        { "report.y", DTYPE_F32, 2, { 4, 1 } } },
      SEWA_E_MISMATCH,
      "report has 2 and 1" },
    { "part is missing",
      { X("report"), Y("report", labels_4) },
      SEWA_E_MISMATCH,
      "no selection.x and selection.y" },
    { "features do not fit",
      { { "selection.x", DTYPE_F32, 2, { 4, 5 } }, Y("selection", labels_4) },
      SEWA_E_MISMATCH,
      "selection.x is [4, 5], but 'layers.0.weight' is [3, 2]" },
    { "label too large",
      { X("selection"), Y("selection", labels_bad) },
      SEWA_E_MISMATCH,
      "label 3 of example 2 of selection.y is not within the 3 outputs" },
    { "label below zero",
      { X("selection"), Y("selection", labels_negative) },
      SEWA_E_MISMATCH,
      "label -1 of example 1" },
    { "values do not fit",
      { X("selection"), { "selection.y", DTYPE_F32, 2, { 4, 2 } } },
      SEWA_E_MISMATCH,
      "selection.y is [4, 2], but the network has 3 outputs" },
};

static int check(const char *path, struct settings *settings, struct sewa_error *err)
{
    static const int64_t widths[] = { 2, 3 };
    AUTO(data_clear) struct data d;
    AUTO(weights_clear) struct weights w;

    assert_ok(weights_make(&w, widths, COUNT_OF(widths), 0, err), *err);
    int rc = data_load(&d, path, err);
    return rc < 0 ? rc : data_check(&d, PART_SELECTION, &w.network, settings, err);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    char *scratch = scratch_new();
    AUTOFREE char *path = made_file(scratch, "data.safetensors", row->tensors);
    struct settings settings = SETTINGS_DEFAULT;
    struct sewa_error err = { 0 };

    int rc = check(path, &settings, &err);
    scratch_free(scratch);
    if (row->code < 0) {
        assert_failed(rc, err, row->code, row->word);
        assert_non_null(strstr(err.text, path));
        return;
    }
    assert_ok(rc, err);
    assert_int_equal(settings.loss,
                     row->tensors[1].dtype == DTYPE_I64 ? LOSS_CROSS_ENTROPY : LOSS_MSE);
}

static void test_loss_and_kind_of_y(void **state)
{
    (void)state;
    char *scratch = scratch_new();
    AUTOFREE char *labels = made_file(scratch, "labels.safetensors", rows[0].tensors);
    AUTOFREE char *values = made_file(scratch, "values.safetensors", rows[1].tensors);
    struct settings mse = { .loss = LOSS_MSE }, entropy = { .loss = LOSS_CROSS_ENTROPY };
    struct sewa_error err = { 0 };

    assert_failed(check(labels, &mse, &err), err, SEWA_E_MISMATCH, "'mse' wants F32 values");
    assert_failed(check(values, &entropy, &err), err, SEWA_E_MISMATCH,
                  "'cross_entropy' wants I64 labels");
    scratch_free(scratch);
}

/* Files that somebody else made, or that are no files. */
static void test_hostile_files(void **state)
{
    (void)state;
    char *scratch = scratch_new();
    struct made_tensor network[] = { { "layers.0.weight", DTYPE_F32, 2, { 3, 2 } }, { 0 } };
    struct made_tensor eight_bits[] = { { "layers.0.weight", DTYPE_F8_E8M0, 2, { 3, 2 } }, { 0 } };
    struct made_tensor other[] = { { "w", DTYPE_F32, 2, { 3, 2 } }, { 0 } };
    AUTOFREE char *missing = path_join(scratch, "missing.safetensors");
    AUTOFREE char *text = path_join(scratch, "text.safetensors");
    AUTOFREE char *cut = path_join(scratch, "cut.safetensors");
    AUTOFREE char *other_name = path_join(scratch, "model.onnx");
    AUTOFREE char *whole = made_file(scratch, "whole.safetensors", network);
    AUTOFREE char *narrow = made_file(scratch, "narrow.safetensors", eight_bits);
    AUTOFREE char *strange = made_file(scratch, "strange.safetensors", other);
    const struct {
        const char *path;
        int code;
        const char *word;
    } files[] = {
        { missing, SEWA_E_NOT_FOUND, "missing.safetensors" },
        { scratch, SEWA_E_IO, "not a regular file" },
        { text, SEWA_E_CORRUPT, "text.safetensors" },
        { cut, SEWA_E_INCOMPLETE, "cut.safetensors" },
        { other_name, SEWA_E_UNSUPPORTED, "model.onnx" },
        { narrow, SEWA_E_UNSUPPORTED, "'layers.0.weight' of" },
        { strange, SEWA_E_MISMATCH, "strange.safetensors': tensor 'w' is no part" },
    };

    scratch_write(scratch, "text.safetensors", "this is no safetensors file at all", 34);
    scratch_write(scratch, "cut.safetensors", "\x40\0\0\0\0\0\0\0{\"a\"", 12);
    scratch_write(scratch, "model.onnx", "x", 1);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTO(weights_clear) struct weights w = { 0 };
        struct sewa_error err = { 0 };
        int rc = weights_load(&w, files[i].path, &err);
        assert_failed(rc, err, files[i].code, files[i].word);
        assert_null(w.values);
    }
    AUTO(weights_clear) struct weights w = { 0 };
    struct sewa_error err = { 0 };
    assert_ok(weights_load(&w, whole, &err), err);
    scratch_free(scratch);
}

/* Tensors of every float type make the same network. */
static void test_types_of_weights(void **state)
{
    (void)state;
    static const double f64[] = { 1, -0.5, 2 };
    static const uint16_t f16[] = { 0x3c00, 0xb800, 0x4000 }, bf16[] = { 0x3f80, 0xbf00, 0x4000 };
    static const uint8_t e5m2[] = { 0x3c, 0xb8, 0x40 }, e4m3[] = { 0x38, 0xb0, 0x40 };
    static const float f32[] = { 1, -0.5f, 2 };
    const struct {
        enum dtype dtype;
        const void *values;
    } types[] = { { DTYPE_F64, f64 }, { DTYPE_F16, f16 },      { DTYPE_BF16, bf16 },
                  { DTYPE_F32, f32 }, { DTYPE_F8_E5M2, e5m2 }, { DTYPE_F8_E4M3, e4m3 } };

    for (size_t i = 0; i < COUNT_OF(types); i++) {
        char *scratch = scratch_new();
        struct made_tensor tensors[] = {
            { "layers.0.weight", types[i].dtype, 2, { 1, 3 }, types[i].values }, { 0 }
        };
        AUTOFREE char *path = made_file(scratch, "m.safetensors", tensors);
        AUTO(weights_clear) struct weights w = { 0 };
        struct sewa_error err = { 0 };
        assert_ok(weights_load(&w, path, &err), err);
        assert_memory_equal(w.values[0], f32, sizeof f32);
        scratch_free(scratch);
    }
}

/* ---- options of the protocol ---- */

static const struct option_row {
    const char *text;
    int code;
    const char *word;
} option_rows[] = {
    { "{\"data\":\"d\"}", 0, "" },
    { "{\"data\":\"d\",\"activation\":\"gelu\",\"loss\":\"mse\",\"output_activation\":\"tanh\","
      "\"output_scale\":2,\"batch_size\":64}",
      0, "" },
    { "{}", SEWA_E_INVALID, "'data' is missing" },
    { "{\"data\":7}", SEWA_E_INVALID, "'data' must be a string" },
    { "{\"data\":\"d\",\"activaton\":\"relu\"}", SEWA_E_UNKNOWN_FIELD, "'activaton'" },
    { "{\"data\":\"d\",\"activation\":\"swish\"}", SEWA_E_INVALID, "relu, tanh, gelu" },
    { "{\"data\":\"d\",\"loss\":\"hinge\"}", SEWA_E_INVALID, "cross_entropy, mse" },
    { "{\"data\":\"d\",\"output_activation\":\"relu\"}", SEWA_E_INVALID, "none, tanh" },
    { "{\"data\":\"d\",\"output_scale\":\"2\"}", SEWA_E_INVALID, "'output_scale'" },
    { "{\"data\":\"d\",\"batch_size\":0}", SEWA_E_INVALID, "'batch_size' is 0" },
};

static void test_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(option_rows); i++) {
        const struct option_row *row = &option_rows[i];
        AUTOJSON json_t *options = json_parse(row->text, strlen(row->text), NULL);
        struct settings s;
        struct sewa_error err = { 0 };
        int rc = settings_parse(options, &s, &err);
        if (row->code < 0) {
            assert_failed(rc, err, row->code, row->word);
            continue;
        }
        assert_ok(rc, err);
        assert_string_equal(s.data, "d");
        assert_int_equal(s.activation, i ? ACTIVATION_GELU : ACTIVATION_RELU);
        assert_int_equal(s.loss, i ? LOSS_MSE : LOSS_AUTO);
        assert_true(s.output_scale == (i ? 2 : 1));
        assert_int_equal(s.batch_size, i ? 64 : 32);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 4];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] =
            (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)(uintptr_t)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_loss_and_kind_of_y);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_hostile_files);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_types_of_weights);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_options);
    return _cmocka_run_group_tests("data", tests, n, NULL, NULL);
}
