/*
 * test_train - training is decided by its seed, does what the formula says, and writes whole files.
 */
#include "made_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/path.h"
#include "tensors.h"
#include "train.h"
#include "weights.h"

enum { EXAMPLES = 40, INPUTS = 3, CLASSES = 4 };

/* The same data in each test: labels are never changed on disk, so noise is seen in memory. */
static void load(struct data *d, const char *scratch)
{
    float x[EXAMPLES * INPUTS];
    int64_t y[EXAMPLES];
    struct sewa_error err = { 0 };

    for (uint32_t i = 0; i < COUNT_OF(x); i++)
        x[i] = (float)made_number(1, i);
    for (int i = 0; i < EXAMPLES; i++)
        y[i] = i % CLASSES;
    const struct made_tensor tensors[] = { { "train.x", DTYPE_F32, 2, { EXAMPLES, INPUTS }, x },
                                           { "train.y", DTYPE_I64, 1, { EXAMPLES }, y },
                                           { "report.x", DTYPE_F32, 2, { EXAMPLES, INPUTS }, x },
                                           { "report.y", DTYPE_I64, 1, { EXAMPLES }, y },
                                           { 0 } };
    AUTOFREE char *path = made_file(scratch, "data.safetensors", tensors);
    assert_ok(data_load(d, path, &err), err);
}

static struct train_options options_for(const char *directory)
{
    return (struct train_options){ .settings = SETTINGS_DEFAULT,
                                   .widths = { INPUTS, 6, CLASSES },
                                   .width_count = 3,
                                   .directory = directory,
                                   .batch = 5,
                                   .burn_in = 7,
                                   .steps = 25,
                                   .every = 10,
                                   .rate = 0.1,
                                   .momentum = 0.9,
                                   .weight_decay = 1e-3,
                                   .label_noise = 0.25,
                                   .seed = 3 };
}

static void train_into(const char *scratch, const char *name, uint64_t seed, bool is_durable,
                       struct buf *ret_last)
{
    AUTO(data_clear) struct data d;
    AUTOFREE char *directory = path_join(scratch, name);
    AUTOFREE char *last = path_join(directory, "step-27.safetensors");
    struct train_options o = options_for(directory);
    struct train_result r;
    struct sewa_error err = { 0 };

    load(&d, scratch);
    o.seed = seed;
    o.is_durable = is_durable;
    assert_ok(train_run(&o, &d, &r, &err), err);
    assert_int_equal(r.checkpoints, 2);
    assert_int_equal(r.first_step, 17);
    assert_int_equal(r.last_step, 27);
    assert_true(isfinite(r.loss));
    assert_ok(file_read(last, 1 << 20, ret_last, &err), err);
}

static void test_seed_decides(void **state)
{
    (void)state;
    char *scratch = scratch_new();
    AUTO(buf_clear) struct buf a = { 0 }, same = { 0 }, other = { 0 };

    train_into(scratch, "a", 3, false, &a);
    train_into(scratch, "b", 3, true, &same);
    train_into(scratch, "c", 4, false, &other);
    assert_int_equal(a.len, same.len);
    assert_memory_equal(a.data, same.data, a.len);
    assert_int_equal(a.len, other.len);
    assert_true(memcmp(a.data, other.data, a.len) != 0);
    scratch_free(scratch);
}

/* Nothing is left beside the checkpoints, and their metadata says what they are. */
static void test_files(void **state)
{
    (void)state;
    char *scratch = scratch_new();
    AUTO(buf_clear) struct buf last = { 0 };
    AUTOFREE char *directory = path_join(scratch, "a");
    AUTOFREE char *path = path_join(directory, "step-27.safetensors");
    AUTO(tensor_file_close) struct tensor_file f;
    struct sewa_error err = { 0 };

    train_into(scratch, "a", 3, false, &last);
    assert_int_equal(scratch_entries(directory), 2);
    assert_ok(tensor_file_open(&f, path, &err), err);
    assert_int_equal(f.layout->count, 4);
    assert_non_null(layout_find(f.layout, "layers.1.bias"));
    assert_int_equal(f.layout->metadata_count, 2);
    assert_string_equal(f.layout->metadata[0].key, "step");
    assert_string_equal(f.layout->metadata[0].value, "27");
    assert_string_equal(f.layout->metadata[1].value, "3");
    scratch_free(scratch);
}

/* About a quarter of the labels get a class at random, which is the old one in a quarter of cases;
 * the other parts keep theirs. */
static void test_label_noise(void **state)
{
    (void)state;
    char *scratch = scratch_new();
    AUTO(data_clear) struct data d;
    AUTOFREE char *directory = path_join(scratch, "a");
    struct train_options o = options_for(directory);
    struct train_result r;
    struct sewa_error err = { 0 };
    int changed[PART_COUNT] = { 0 };

    load(&d, scratch);
    o.label_noise = 0.5;
    assert_ok(train_run(&o, &d, &r, &err), err);
    for (int i = 0; i < EXAMPLES; i++) {
        changed[PART_TRAIN] += d.parts[PART_TRAIN].labels[i] != i % CLASSES;
        changed[PART_REPORT] += d.parts[PART_REPORT].labels[i] != i % CLASSES;
        assert_in_range(d.parts[PART_TRAIN].labels[i], 0, CLASSES - 1);
    }
    assert_in_range(changed[PART_TRAIN], 5, 25);
    assert_int_equal(changed[PART_REPORT], 0);
    scratch_free(scratch);
}

/* out = w x + b on one example, x = 2, y = 1: the gradient is 4 (out - y), 2 (out - y). */
static void test_formula(void **state)
{
    (void)state;
    static const int64_t widths[] = { 1, 1 };
    static const float two[] = { 2 }, one[] = { 1 };
    const struct made_tensor tensors[] = { { "train.x", DTYPE_F32, 2, { 1, 1 }, two },
                                           { "train.y", DTYPE_F32, 2, { 1, 1 }, one },
                                           { 0 } };
    char *scratch = scratch_new();
    AUTOFREE char *path = made_file(scratch, "data.safetensors", tensors);
    AUTOFREE char *directory = path_join(scratch, "out");
    AUTOFREE char *saved = path_join(directory, "step-3.safetensors");
    AUTO(data_clear) struct data d;
    AUTO(weights_clear) struct weights start, end;
    struct train_options o = options_for(directory);
    struct train_result r;
    struct sewa_error err = { 0 };

    assert_ok(data_load(&d, path, &err), err);
    o.widths[0] = o.widths[1] = 1;
    o.width_count = 2;
    o.batch = 1;
    o.burn_in = 0;
    o.steps = o.every = 3;
    o.label_noise = 0;
    assert_ok(train_run(&o, &d, &r, &err), err);
    assert_ok(weights_make(&start, widths, 2, o.seed, &err), err);
    assert_ok(weights_load(&end, saved, &err), err);
    double w = start.values[0][0], b = start.values[1][0], vw = 0, vb = 0;
    for (int i = 0; i < 3; i++) {
        double out = 2 * w + b;
        vw = o.momentum * vw + (4 * (out - 1) + o.weight_decay * w);
        vb = o.momentum * vb + (2 * (out - 1) + o.weight_decay * b);
        w -= o.rate * vw;
        b -= o.rate * vb;
    }
    assert_true(fabs(end.values[0][0] - w) < 1e-5 && fabs(end.values[1][0] - b) < 1e-5);
    assert_true(fabs(r.loss - (2 * w + b - 1) * (2 * w + b - 1)) < 1e-5);
    scratch_free(scratch);
}

/* Uniform within 1 / sqrt(inputs), and using the room. */
static void test_start(void **state)
{
    (void)state;
    static const int64_t widths[] = { 100, 50, 10 };
    AUTO(weights_clear) struct weights w;
    struct sewa_error err = { 0 };
    float most = 0;
    double sum = 0;

    assert_ok(weights_make(&w, widths, 3, 1, &err), err);
    assert_int_equal(w.count, 4);
    assert_int_equal(w.sizes[2], 500);
    for (int i = 0; i < 5000; i++) {
        most = fmaxf(most, fabsf(w.values[0][i]));
        sum += w.values[0][i];
    }
    assert_true(most <= 0.1f && most > 0.099f);
    assert_true(fabs(sum / 5000) < 0.005);
}

static void test_refusals(void **state)
{
    (void)state;
    char *scratch = scratch_new();
    AUTOFREE char *directory = path_join(scratch, "a");
    AUTOFREE char *file = path_join(scratch, "data.safetensors");
    AUTO(data_clear) struct data d;
    AUTO(buf_clear) struct buf last = { 0 };
    struct train_options o = options_for(directory);
    struct train_result r;
    struct sewa_error err = { 0 };

    train_into(scratch, "a", 3, false, &last);
    load(&d, scratch);
    assert_failed(train_run(&o, &d, &r, &err), err, SEWA_E_CONFLICT, "step-17.safetensors' exists");
    o.overwrite = true;
    assert_ok(train_run(&o, &d, &r, &err), err);
    o.widths[2] = 3;
    assert_failed(train_run(&o, &d, &r, &err), err, SEWA_E_MISMATCH, "label 3");
    o.widths[2] = CLASSES;
    o.widths[0] = 9;
    assert_failed(train_run(&o, &d, &r, &err), err, SEWA_E_MISMATCH, "'layers.0.weight' is [6, 9]");
    o.widths[0] = INPUTS;
    o.directory = file;
    assert_failed(train_run(&o, &d, &r, &err), err, SEWA_E_IO, "not a directory");
    scratch_free(scratch);
}

static void test_noise_wants_labels(void **state)
{
    (void)state;
    const struct made_tensor tensors[] = { { "train.x", DTYPE_F32, 2, { 4, INPUTS } },
                                           { "train.y", DTYPE_F32, 2, { 4, CLASSES } },
                                           { 0 } };
    char *scratch = scratch_new();
    AUTOFREE char *path = made_file(scratch, "values.safetensors", tensors);
    AUTOFREE char *directory = path_join(scratch, "a");
    AUTO(data_clear) struct data d;
    struct train_options o = options_for(directory);
    struct train_result r;
    struct sewa_error err = { 0 };

    assert_ok(data_load(&d, path, &err), err);
    assert_failed(train_run(&o, &d, &r, &err), err, SEWA_E_INVALID, "label noise of 0.25");
    scratch_free(scratch);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_decides),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_label_noise),
        cmocka_unit_test(test_formula),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_noise_wants_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
