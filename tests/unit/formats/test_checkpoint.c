/*
 * test_checkpoint - which format claims which name, and what is said of names that none claims.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "formats/checkpoint.h"

#include "header_text.h"

struct row {
    const char *filename;
    const char *format; /* NULL: none */
    const char *word;   /* of the sentence */
};

static const struct row rows[] = {
    { "model.safetensors", "safetensors", NULL },
    { "/runs/a.pt/step-100.safetensors", "safetensors", NULL },
    { "model-00001-of-00002.safetensors", "safetensors", NULL },
    { "a.safetensors.safetensors", "safetensors", NULL },
    { "model.SAFETENSORS", NULL, "names of checkpoints end in '.safetensors'" },
    { ".safetensors", NULL, "'.safetensors'" },
    { "/runs/.safetensors", NULL, "no format is known for '/runs/.safetensors'" },
    { "model.safetensors.tmp", NULL, "'model.safetensors.tmp'" },
    { "modelsafetensors", NULL, "'modelsafetensors'" },
    { "model.safetensors/", NULL, "'model.safetensors/'" },
    { "", NULL, "no format is known for ''" },
    { "model.safetensors.index.json", NULL, "; it is the index of a checkpoint of several files" },
    { "model.pt", "torch", NULL },
    { "step_100.pth", "torch", NULL },
    { "epoch=3-step=1000.ckpt", "torch", NULL },
    { "pytorch_model.bin", "torch", NULL },
    { "checkpoint-10.pth.tar", "torch", NULL },
    { "checkpoint-10.tar", NULL, "; it is an archive" },
    { "model.PT", NULL, "'.safetensors', '.pt', '.pth', '.pth.tar', '.ckpt', '.bin'" },
    { "model.gguf", NULL, "; GGUF files are made for inference" },
    { "model.onnx", NULL, "; ONNX files are made for inference" },
    { "arrays.npz", NULL, "; save the weights with safetensors.numpy" },
    { "model.ckpt.index", NULL, "; TensorFlow checkpoints are not read" },
    { "model.ckpt.data-00000-of-00001", NULL, "; TensorFlow checkpoints are not read" },
    { "model.pt2", NULL, "; exported programs are not read" },
    { "__0_0.distcp", NULL, "; it is a part of a distributed checkpoint" },
    { "optimizer.pt", NULL, "has the name of what trainers write beside the weights" },
    { "checkpoint-10/optimizer_1.bin", NULL, "beside the weights" },
    { "rng_state_0.pth", NULL, "beside the weights" },
    { "training_args.bin", NULL, "beside the weights" },
    { "scheduler.pt", NULL, "beside the weights" },
    { "schedulers.pt", "torch", NULL },
    { "optimizer", NULL, "no format is known" },
    { "README.md", NULL, "end in '.safetensors'" },
};

static void test_row(void **state)
{
    const struct row *row = *state;
    const struct checkpoint_format *format = checkpoint_format_for(row->filename);
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    if (row->format) {
        assert_non_null(format);
        assert_string_equal(format->name, row->format);
        return;
    }
    assert_null(format);
    assert_failed(checkpoint_unclaimed(row->filename, &err), err, SEWA_E_UNSUPPORTED, row->word);
    assert_failed(checkpoint_read(-1, row->filename, 10, &l, &err), err, SEWA_E_UNSUPPORTED,
                  row->word);
}

static void test_every_format(void **state)
{
    (void)state;
    size_t i = 0;

    for (const struct checkpoint_format *f; (f = checkpoint_format_at(i)) != NULL; i++) {
        assert_ptr_equal(checkpoint_format_named(f->name), f);
        for (const char *const *suffix = f->suffixes; *suffix; suffix++) {
            char name[64];
            snprintf(name, sizeof name, "model%s", *suffix);
            assert_ptr_equal(checkpoint_format_for(name), f);
        }
    }
    assert_true(i > 0);
    assert_null(checkpoint_format_named("zip of pickles"));
}

static void test_reading(void **state)
{
    (void)state;
    AUTOCLOSE int fd = memfd_create("checkpoint", 0);
    AUTO(buf_clear) struct buf file = { 0 };
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    static const char text[] = "{\"w\":" TENSOR("F32", "[1]", "[0,4]") "}";

    put_header(&file, text, sizeof text - 1);
    buf_text(&file, "data");
    assert_int_equal(write(fd, file.data, file.len), file.len);
    assert_failed(checkpoint_read(fd, "w.safetensors", 20, &l, &err), err, SEWA_E_INCOMPLETE,
                  "'w.safetensors'");
    assert_ok(checkpoint_read(fd, "w.safetensors", (int64_t)file.len, &l, &err), err);
    assert_string_equal(l->format, "safetensors");
    assert_int_equal(l->count, 1);
}

static int read_text(const char *text, const struct checkpoint_options *options,
                     struct layout **ret, struct sewa_error *err)
{
    AUTOCLOSE int fd = memfd_create("checkpoint", 0);
    AUTO(buf_clear) struct buf file = { 0 };

    put_header(&file, text, strlen(text));
    buf_text(&file, "datadata");
    assert_int_equal(write(fd, file.data, file.len), file.len);
    return checkpoint_read_file(fd, "w.safetensors", (int64_t)file.len, options, ret, err);
}

/* Prefixes are a matter of every format, and of nobody who does not want it. */
static void test_prefixes(void **state)
{
    (void)state;
    static const char text[] =
        "{\"module.w\":" TENSOR("F32", "[1]", "[0,4]") ",\"v\":" TENSOR("F32", "[1]", "[4,8]") "}";
    static const char collision[] =
        "{\"module.v\":" TENSOR("F32", "[1]", "[0,4]") ",\"v\":" TENSOR("F32", "[1]", "[4,8]") "}";
    const struct checkpoint_options keeps = { .keeps_prefixes = true };
    AUTOPTR(layout_free) struct layout *stripped = NULL, *kept = NULL, *both = NULL;
    struct sewa_error err = { 0 };

    assert_ok(read_text(text, NULL, &stripped, &err), err);
    assert_non_null(layout_find(stripped, "w"));
    assert_int_equal(stripped->note_count, 1);
    assert_ok(read_text(text, &keeps, &kept, &err), err);
    assert_non_null(layout_find(kept, "module.w"));
    assert_ok(read_text(collision, &keeps, &both, &err), err);
    layout_free(TAKE(both));
    assert_failed(read_text(collision, NULL, &both, &err), err, SEWA_E_CORRUPT,
                  "'w.safetensors': tensors");
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].filename, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_every_format);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_reading);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_prefixes);
    return _cmocka_run_group_tests("checkpoint", tests, n, NULL, NULL);
}
