/*
 * test_directory - checkpoints that are directories: which kind they are taken for, what a sharded
 * one must hold (row 7 of what must be right), and what is said of kinds that are not read.
 *
 * A directory of a row is a list of entries:
 *     "file=a,b"     a safetensors file with these tensors, F32 of one element
 *     "file@text"    a file with this text
 *     "name/"        a directory
 *     "link>target"  a symbolic link
 *     "file<golden"  a copy of that file of tests/golden/torch
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "formats/checkpoint.h"
#include "formats/pickle.h"

#include "header_text.h"

enum { ENTRIES_MAX = 8 };

#define S1         "model-00001-of-00002.safetensors"
#define S2         "model-00002-of-00002.safetensors"
#define INDEX      "model.safetensors.index.json"
#define MAP(pairs) INDEX "@{\"metadata\":{\"total_size\":8},\"weight_map\":{" pairs "}}"
#define AB         "\"a\":\"" S1 "\",\"b\":\"" S2 "\""

struct row {
    const char *name;
    const char *entries[ENTRIES_MAX];
    int code;
    const char *word;      /* of the message, or of the names of tensors: "a b" */
    const char *last_file; /* NULL: none */
};

static const struct row rows[] = {
    { "two shards", { S1 "=a", S2 "=b", MAP(AB) }, 0, "a b", INDEX },
    { "an index in another order",
      { S1 "=a", S2 "=b", MAP("\"b\":\"" S2 "\",\"a\":\"" S1 "\"") },
      0,
      "a b",
      INDEX },
    { "a trainer's directory",
      { S1 "=a", S2 "=b", MAP(AB), "trainer_state.json@{}", "optimizer.pt@x" },
      0,
      "a b",
      "trainer_state.json" },
    { "stale extra shards are ignored",
      { S1 "=a", S2 "=b", MAP(AB), "model-00003-of-00003.safetensors=c" },
      0,
      "a b",
      INDEX },
    { "prefixes are taken off",
      { S1 "=module.a", S2 "=module.b", MAP("\"module.a\":\"" S1 "\",\"module.b\":\"" S2 "\"") },
      0,
      "a b",
      INDEX },
    { "prefixes collide",
      { S1 "=module.a", S2 "=a", MAP("\"module.a\":\"" S1 "\",\"a\":\"" S2 "\"") },
      SEWA_E_CORRUPT,
      "are both 'a' without the prefixes",
      NULL },
    { "a missing shard is incomplete",
      { S1 "=a", MAP(AB) },
      SEWA_E_INCOMPLETE,
      S2 "' is not there, and the index names it",
      NULL },
    { "a shard that is half written",
      { S1 "=a", S2 "@\x10", MAP(AB) },
      SEWA_E_INCOMPLETE,
      S2 "' has 1 bytes",
      NULL },
    { "one shard of one", { "model-00001-of-00001.safetensors=a,b" }, 0, "a b", NULL },
    { "one shard of one, and its index",
      { "model-00001-of-00001.safetensors=a", MAP("\"a\":\"model-00001-of-00001.safetensors\"") },
      0,
      "a",
      INDEX },
    { "one shard of one, and another",
      { "model-00001-of-00001.safetensors=a", S1 "=a" },
      SEWA_E_INCOMPLETE,
      "no index yet",
      NULL },
    { "the first shard of two", { S1 "=a" }, SEWA_E_INCOMPLETE, "no index yet", NULL },
    { "no index yet", { S1 "=a", S2 "=b" }, SEWA_E_INCOMPLETE, "no index yet", NULL },
    { "an index that is half written",
      { S1 "=a", S2 "=b", INDEX "@{\"weight_map\":{\"a\":\"" S1 "\"" },
      SEWA_E_INCOMPLETE,
      INDEX "' breaks off",
      NULL },
    { "an index without a byte", { S1 "=a", INDEX "@" }, SEWA_E_INCOMPLETE, "breaks off", NULL },
    { "one tensor in two shards",
      { S1 "=a,b", S2 "=b", MAP(AB) },
      SEWA_E_CORRUPT,
      S1 "' has tensor 'b', which is in '" S2 "' by the index",
      NULL },
    { "one tensor twice in the index",
      { S1 "=a", S2 "=a", MAP("\"a\":\"" S1 "\",\"a\":\"" S2 "\"") },
      SEWA_E_CORRUPT,
      "has tensor 'a' twice",
      NULL },
    { "a tensor that the index does not name",
      { S1 "=a,c", S2 "=b", MAP(AB) },
      SEWA_E_CORRUPT,
      "has tensor 'c', which the index does not name",
      NULL },
    { "a tensor that no shard has",
      { S1 "=a", S2 "=b", MAP(AB ",\"c\":\"" S2 "\"") },
      SEWA_E_CORRUPT,
      "lacks tensor 'c', which is in '" S2 "' by the index",
      NULL },
    { "a path in the index",
      { S1 "=a", MAP("\"a\":\"../" S1 "\"") },
      SEWA_E_CORRUPT,
      "is not the name of a file beside it",
      NULL },
    { "an absolute path in the index",
      { MAP("\"a\":\"/etc/passwd\"") },
      SEWA_E_CORRUPT,
      "'/etc/passwd' is not the name of a file beside it",
      NULL },
    { "a hidden file in the index",
      { MAP("\"a\":\".hidden.safetensors\"") },
      SEWA_E_CORRUPT,
      "is not the name of a file beside it",
      NULL },
    { "a file of another format in the index",
      { S1 "=a", MAP("\"a\":\"model.bin\"") },
      SEWA_E_CORRUPT,
      "names 'model.bin', which is no safetensors file",
      NULL },
    { "an index without a map",
      { INDEX "@{\"metadata\":{}}" },
      SEWA_E_CORRUPT,
      "has no 'weight_map'",
      NULL },
    { "an index with an empty map", { MAP("") }, SEWA_E_CORRUPT, "has no 'weight_map'", NULL },
    { "an index with two maps",
      { INDEX "@{\"weight_map\":{\"a\":\"x\"},\"weight_map\":{}}" },
      SEWA_E_CORRUPT,
      "'weight_map' is there twice",
      NULL },
    { "an index that is a list", { INDEX "@[]" }, SEWA_E_CORRUPT, "'{'", NULL },
    { "an index of numbers", { INDEX "@{\"weight_map\":{\"a\":1}}" }, SEWA_E_CORRUPT, "", NULL },
    { "an index with a tail",
      { S1 "=a", INDEX "@{\"weight_map\":{\"a\":\"" S1 "\"}}x" },
      SEWA_E_CORRUPT,
      "behind the end of the object",
      NULL },
    { "two indexes",
      { MAP(AB), "ema.safetensors.index.json@{}" },
      SEWA_E_UNSUPPORTED,
      "has 2 indexes of shards",
      NULL },
    { "an index and a whole model",
      { S1 "=a", S2 "=b", MAP(AB), "model.safetensors=a" },
      SEWA_E_UNSUPPORTED,
      "and nothing says which of them counts",
      NULL },
    { "a shard that is a link",
      { "real.safetensors=a", S1 ">real.safetensors", MAP("\"a\":\"" S1 "\"") },
      SEWA_E_UNSUPPORTED,
      "nothing says which",
      NULL },
    { "a shard that is a link out of the directory",
      { S1 ">/etc/passwd", MAP("\"a\":\"" S1 "\"") },
      SEWA_E_UNSUPPORTED,
      "is a symbolic link, which is not followed",
      NULL },
    { "a shard that is a directory",
      { S1 "/", MAP("\"a\":\"" S1 "\"") },
      SEWA_E_UNSUPPORTED,
      "is no regular file",
      NULL },
    { "an index that is a link",
      { "x@{}", INDEX ">x" },
      SEWA_E_UNSUPPORTED,
      "is a symbolic link, which is not followed",
      NULL },
    { "one safetensors file",
      { "model.safetensors=a,b", "config.json@{}", "training_args.bin@x" },
      0,
      "a b",
      NULL },
    { "one safetensors file of the trainer",
      { "adapter_model.safetensors=a,b", "trainer_state.json@{}" },
      0,
      "a b",
      "trainer_state.json" },
    { "safetensors before PyTorch",
      { "model.safetensors=a", "pytorch_model.bin@x" },
      0,
      "a",
      NULL },
    { "two whole models",
      { "a.safetensors=a", "b.safetensors=a" },
      SEWA_E_UNSUPPORTED,
      "has 2 files that end in '.safetensors' and no index",
      NULL },
    { "one PyTorch file",
      { "pytorch_model.bin<pytorch_model.bin", "optimizer.bin@x", "training_args.bin@x" },
      0,
      "embedding.weight head.weight norm.bias norm.num_batches_tracked norm.running_mean "
      "norm.running_var norm.weight",
      NULL },
    { "PyTorch shards",
      { "pytorch_model-00001-of-00002.bin<slice_of_more.pt",
        "pytorch_model-00002-of-00002.bin<attributes.pt",
        "pytorch_model.bin.index.json@{\"weight_map\":{\"w\":\"pytorch_model-00001-of-00002.bin\","
        "\"t\":\"pytorch_model-00002-of-00002.bin\",\"p\":\"pytorch_model-00002-of-00002.bin\"}}" },
      0,
      "p t w",
      "pytorch_model.bin.index.json" },
    { "shards with different states",
      { "m-00001-of-00002.bin<slice_of_more.pt", "m-00002-of-00002.bin<unknown_key.pt",
        "m.bin.index.json@{\"weight_map\":{\"w\":\"m-00001-of-00002.bin\","
        "\"t\":\"m-00002-of-00002.bin\"}}" },
      SEWA_E_CORRUPT,
      "in its 'generator', those of other shards in ''",
      NULL },
    { "nothing yet", { NULL }, SEWA_E_INCOMPLETE, "there is nothing in", NULL },
    { "something else",
      { "readme.txt@x" },
      SEWA_E_UNSUPPORTED,
      "no checkpoint that is known",
      NULL },
    { "DeepSpeed",
      { "zero_to_fp32.py@x", "latest@global_step10", "global_step10/" },
      SEWA_E_UNSUPPORTED,
      "a DeepSpeed checkpoint: convert it with 'python zero_to_fp32.py . pytorch_model.bin'",
      NULL },
    { "inside DeepSpeed",
      { "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt@x", "mp_rank_00_model_states.pt@x" },
      SEWA_E_UNSUPPORTED,
      "part of a DeepSpeed checkpoint",
      NULL },
    { "Megatron-LM",
      { "latest_checkpointed_iteration.txt@10", "iter_0000010/" },
      SEWA_E_UNSUPPORTED,
      "tools/checkpoint/convert.py",
      NULL },
    { "inside Megatron-LM",
      { "mp_rank_00/" },
      SEWA_E_UNSUPPORTED,
      "a Megatron-LM checkpoint",
      NULL },
    { "Orbax", { "_CHECKPOINT_METADATA@{}" }, SEWA_E_UNSUPPORTED, "an Orbax checkpoint", NULL },
    { "TensorFlow", { "saved_model.pb@x" }, SEWA_E_UNSUPPORTED, "a TensorFlow model", NULL },
    { "a distributed checkpoint",
      { ".metadata<flat.dcp/.metadata", "__0_0.distcp<flat.dcp/__0_0.distcp",
        "__1_0.distcp<flat.dcp/__1_0.distcp" },
      0,
      "bias steps weight",
      ".metadata" },
    { "a distributed checkpoint with an optimizer",
      { ".metadata<nested.dcp/.metadata", "__0_0.distcp<nested.dcp/__0_0.distcp",
        "__1_0.distcp<nested.dcp/__1_0.distcp" },
      0,
      "bias steps weight",
      ".metadata" },
    { "a part is missing",
      { ".metadata<flat.dcp/.metadata", "__0_0.distcp<flat.dcp/__0_0.distcp" },
      SEWA_E_INCOMPLETE,
      "__1_0.distcp' is not there, and .metadata names it",
      NULL },
    { "a part that is half written",
      { ".metadata<flat.dcp/.metadata", "__0_0.distcp<flat.dcp/__1_0.distcp",
        "__1_0.distcp<flat.dcp/__1_0.distcp" },
      SEWA_E_INCOMPLETE,
      "tensor 'steps' goes on behind them",
      NULL },
    { "parts of another checkpoint",
      { ".metadata<flat.dcp/.metadata", "__0_0.distcp<many.pt",
        "__1_0.distcp<flat.dcp/__1_0.distcp" },
      SEWA_E_INCOMPLETE,
      "does not end with the end record",
      NULL },
    { "a part that is a link",
      { ".metadata<flat.dcp/.metadata", "__0_0.distcp>__1_0.distcp",
        "__1_0.distcp<flat.dcp/__1_0.distcp" },
      SEWA_E_UNSUPPORTED,
      "is a symbolic link",
      NULL },
    { "tensors in several parts",
      { ".metadata<parts.dcp/.metadata", "__0_0.distcp<parts.dcp/__0_0.distcp" },
      SEWA_E_UNSUPPORTED,
      "in 2 parts: put it together with",
      NULL },
    { "an empty .metadata",
      { ".metadata@", "__0_0.distcp@" },
      SEWA_E_INCOMPLETE,
      ".metadata' is empty",
      NULL },
    { "a .metadata that is no pickle",
      { ".metadata@text", "__0_0.distcp@" },
      SEWA_E_CORRUPT,
      "this is no pickle",
      NULL },
    { "a .metadata of something else",
      { ".metadata@\x80\x02}.", "__0_0.distcp@" },
      SEWA_E_CORRUPT,
      "this is not the metadata of a distributed checkpoint",
      NULL },
    { "a .metadata that would run something",
      { ".metadata@\x80\x02"
        "cos\nsystem\n)R.",
        "__0_0.distcp@" },
      SEWA_E_CORRUPT,
      "this is not the metadata of a distributed checkpoint",
      NULL },
    { "parts without .metadata",
      { "__0_0.distcp@x" },
      SEWA_E_INCOMPLETE,
      "no .metadata yet",
      NULL },
};

static void put_tensors(struct buf *file, const char *names)
{
    AUTO(buf_clear) struct buf text = { 0 };
    int i = 0;

    buf_char(&text, '{');
    for (const char *at = names; *at; i++) {
        size_t n = strcspn(at, ",");
        buf_printf(&text, "%s\"%.*s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                   i ? "," : "", (int)n, at, 4 * i, 4 * i + 4);
        at += n + (at[n] == ',');
    }
    buf_char(&text, '}');
    put_header(file, text.data, text.len);
    for (; i > 0; i--)
        buf_append(file, "data", 4);
}

static void make_entry(const char *directory, const char *entry)
{
    AUTO(buf_clear) struct buf file = { 0 };
    struct sewa_error err = { 0 };
    size_t n = strcspn(entry, "=@/><");
    char name[256], path[1024];

    snprintf(name, sizeof name, "%.*s", (int)n, entry);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    switch (entry[n]) {
    case '=': put_tensors(&file, entry + n + 1); break;
    case '@': buf_text(&file, entry + n + 1); break;
    case '/': assert_int_equal(mkdir(path, 0700), 0); return;
    case '>': assert_int_equal(symlink(entry + n + 1, path), 0); return;
    default:
        snprintf(path, sizeof path, "golden/torch/%s", entry + n + 1);
        assert_ok(file_read(path, 1 << 20, &file, &err), err);
    }
    scratch_write(directory, name, buf_cstr(&file), file.len);
}

static void assert_names(const struct layout *l, const char *names)
{
    AUTO(buf_clear) struct buf found = { 0 };

    for (size_t i = 0; i < l->count; i++)
        buf_printf(&found, "%s%s", i ? " " : "", l->tensors[l->by_name[i]].name);
    assert_string_equal(buf_cstr(&found), names);
}

static int read_directory(const char *path, struct layout **ret, struct sewa_error *err)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return checkpoint_read_directory(fd, "run/checkpoint-10", NULL, ret, err);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    char *directory = scratch_new();
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < ENTRIES_MAX && row->entries[i]; i++)
        make_entry(directory, row->entries[i]);
    int rc = read_directory(directory, &l, &err);
    scratch_free(directory);
    if (row->code) {
        assert_failed(rc, err, row->code, row->word);
        assert_non_null(strstr(err.text, "run/checkpoint-10"));
        return;
    }
    assert_ok(rc, err);
    assert_names(l, row->word);
    assert_true(l->file_count > 0);
    for (size_t i = 0; i < l->count; i++)
        assert_true(l->tensors[i].file < l->file_count);
    if (row->last_file)
        assert_string_equal(l->last_file, row->last_file);
    else
        assert_null(l->last_file);
}

/* What names and digests of files are told, and that a new shard is a new checkpoint. */
static void test_files(void **state)
{
    (void)state;
    char *directory = scratch_new();
    AUTOPTR(layout_free) struct layout *l = NULL, *again = NULL, *changed = NULL;
    struct sewa_error err = { 0 };

    make_entry(directory, S1 "=a");
    make_entry(directory, S2 "=b");
    make_entry(directory, MAP(AB));
    assert_ok(read_directory(directory, &l, &err), err);
    assert_int_equal(l->file_count, 2);
    assert_string_equal(l->files[0].name, S1);
    assert_string_equal(l->files[1].name, S2);
    assert_int_equal(layout_find(l, "a")->file, 0);
    assert_int_equal(layout_find(l, "b")->file, 1);
    assert_int_equal(layout_find(l, "a")->offset + 4, l->files[0].bytes);
    assert_true(l->files[0].mtime_ns > 0);
    assert_string_equal(l->format, "safetensors");
    assert_false(layout_is_plain(l, NULL));
    assert_ok(read_directory(directory, &again, &err), err);
    assert_memory_equal(l->header_digest, again->header_digest, 32);
    AUTO(buf_clear) struct buf file = { 0 };
    static const char text[] =
        "{" METADATA("{\"x\":\"y\"}") ",\"b\":" TENSOR("F32", "[1]", "[0,4]") "}";
    put_header(&file, text, sizeof text - 1);
    buf_text(&file, "data");
    scratch_write(directory, S2, file.data, file.len);
    assert_ok(read_directory(directory, &changed, &err), err);
    assert_memory_not_equal(l->header_digest, changed->header_digest, 32);
    scratch_free(directory);
}

/* A copy of a golden directory whose files have one time. */
static char *copy_golden(const char *name)
{
    static const char *const files[] = { ".metadata", "__0_0.distcp", "__1_0.distcp" };
    static const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    char *directory = scratch_new();
    char entry[256], path[1024];

    for (size_t i = 0; i < COUNT_OF(files); i++) {
        snprintf(entry, sizeof entry, "%s<%s/%s", files[i], name, files[i]);
        make_entry(directory, entry);
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    return directory;
}

/* Neither names nor sizes nor times say that a distributed checkpoint is another one. */
static void test_twins(void **state)
{
    (void)state;
    static const char *const twins[] = { "flat.dcp", "flat.dcp", "twin_elements.dcp",
                                         "twin_metadata.dcp" };
    uint8_t digests[COUNT_OF(twins)][32];
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(twins); i++) {
        AUTOPTR(layout_free) struct layout *l = NULL;
        char *directory = copy_golden(twins[i]);
        int rc = read_directory(directory, &l, &err);
        scratch_free(directory);
        assert_ok(rc, err);
        memcpy(digests[i], l->header_digest, 32);
    }
    assert_memory_equal(digests[0], digests[1], 32);
    assert_memory_not_equal(digests[0], digests[2], 32);
    assert_memory_not_equal(digests[0], digests[3], 32);
}

/* No memory is taken for what says that it is so large. */
static void test_metadata_past_every_size(void **state)
{
    (void)state;
    char *directory = copy_golden("flat.dcp");
    struct layout *l = NULL;
    struct sewa_error err = { 0 };
    char path[1024];

    snprintf(path, sizeof path, "%s/.metadata", directory);
    assert_int_equal(truncate(path, PICKLE_BYTES_MAX + 1), 0);
    int rc = read_directory(directory, &l, &err);
    scratch_free(directory);
    assert_failed(rc, err, SEWA_E_UNSUPPORTED, "has 268435457 bytes, at most 268435456");
}

static void test_a_directory_that_cannot_be_listed(void **state)
{
    (void)state;
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    assert_failed(checkpoint_read_directory(-1, "gone", NULL, &l, &err), err, SEWA_E_IO,
                  "cannot list 'gone'");
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 4];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_files);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_twins);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_metadata_past_every_size);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_directory_that_cannot_be_listed);
    return _cmocka_run_group_tests("directory", tests, n, NULL, NULL);
}
