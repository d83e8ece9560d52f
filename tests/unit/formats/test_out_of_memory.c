/*
 * test_out_of_memory - every allocation of every function that allocates fails once. Each time: the
 * right code, nothing handed out, nothing kept (the address sanitizer looks for leaks, too).
 */
#include "support/support.h"
#include "support/alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "formats/shard_index.h"
#include "formats/window.h"

#include "header_text.h"

enum { TENSORS = 200 }; /* more than one chunk of the arena, more than one growth of the arrays */

static struct buf file;
static int64_t file_bytes;

/* Everything that takes memory: escapes, unknown fields, metadata, unsorted names. */
static int setup(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = { 0 };

    buf_text(&text, "{\"__metadata__\":{\"a\\nb\":\"c\\td\"");
    for (int i = 0; i < 100; i++)
        buf_printf(&text, ",\"key %d\":\"value\\u00e4 %d\"", 7 * i % 100, i);
    buf_char(&text, '}');
    for (int i = 0; i < TENSORS; i++)
        buf_printf(&text,
                   ",\"layer\\\\%d.weight\":{\"dtype\":\"U8\",\"x%d\":[{}],\"shape\":[1,1],"
                   "\"data_offsets\":[%d,%d]}",
                   7 * i % TENSORS, i, i, i + 1);
    buf_char(&text, '}');
    put_header(&file, text.data, text.len);
    file_bytes = (int64_t)file.len + TENSORS;
    return buf_failed(&file) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_clear(&file);
    return 0;
}

static int parse(size_t window, struct layout **ret, struct sewa_error *err)
{
    struct window_source source = { .name = "f", .fd = -1, .bytes = file.data, .n = file.len };

    return safetensors_read_from(&source, window, file_bytes, ret, err);
}

/* Run until no allocation fails any more; at least @least of them must have failed. */
static void fail_all(int (*run)(struct sewa_error *err), int64_t least)
{
    int64_t n = 0;

    for (;; n++) {
        struct sewa_error err = { 0 };
        int64_t before = alloc_held();
        alloc_fail_at(n);
        int rc = run(&err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_int_equal(alloc_held(), before);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(alloc_held(), before);
    }
    assert_true(n >= least);
}

static int run_parse(struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    int rc = parse(WINDOW_BYTES, &l, err);

    assert_true((l != NULL) == (rc == 0));
    return rc;
}

static int run_parse_narrow(struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL;

    return parse(WINDOW_BYTES_MIN, &l, err);
}

static int run_codec(struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL, *back = NULL;
    AUTO(buf_clear) struct buf bytes = { 0 };
    int rc = parse(WINDOW_BYTES, &l, err);

    if (rc == 0)
        rc = layout_encode(l, &bytes, err);
    if (rc == 0)
        rc = layout_decode(bytes.data, bytes.len, &back, err);
    assert_true((back != NULL) == (rc == 0));
    return rc;
}

static int run_signature(struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    uint8_t signature[32];
    int rc = parse(WINDOW_BYTES, &l, err);

    return rc < 0 ? rc : layout_signature(l, signature, err);
}

static int run_header(struct sewa_error *err)
{
    static const struct safetensors_item items[] = { { "a\n", DTYPE_F32, 0, NULL },
                                                     { "b", DTYPE_F32, 0, NULL } };
    static const struct layout_metadata metadata[] = { { "k\n", "v\n" } };
    AUTO(buf_clear) struct buf bytes = { 0 };
    int rc = safetensors_header(items, 2, metadata, 1, &bytes, err);

    assert_true((bytes.len > 0) == (rc == 0));
    return rc;
}

static const char index_text[] =
    "{\"metadata\":{},\"weight_map\":{\"a\\n\":\"x.bin\",\"b\":\"y.bin\",\"c\":\"y.bin\"}}";

static int run_index(struct sewa_error *err)
{
    AUTOPTR(shard_index_free) struct shard_index *x = NULL;
    struct window_source source = {
        .name = "f", .fd = -1, .bytes = index_text, .n = sizeof index_text - 1
    };
    int rc = shard_index_read(&source, sizeof index_text - 1, &x, err);

    assert_true((x != NULL) == (rc == 0));
    return rc;
}

/* Everything that a layout may have, prefixes included: stripped, encoded, decoded. */
static int run_rest(struct sewa_error *err)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("x");
    AUTOPTR(layout_free) struct layout *l = NULL, *back = NULL;
    AUTO(buf_clear) struct buf bytes = { 0 };
    static const int64_t shape[] = { 2, 3 }, stride[] = { 1, 2 };
    const struct layout_file one = { .name = "a" };
    const struct layout_storage storage = { .bytes = 24 };
    struct tensor t = { .dtype = DTYPE_F32, .rank = 2, .shape = shape, .bytes = 24 };
    static const char *const names[] = { "module.a", "module.b", "c", "d" };
    int rc = b ? layout_builder_file(b, &one, err)
               : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a builder");

    for (size_t i = 0; i < COUNT_OF(names) && rc == 0; i++) {
        t.name = names[i];
        t.stride = i % 2 ? stride : NULL;
        rc = layout_builder_tensor(b, &t, err);
    }
    if (rc == 0)
        rc = layout_builder_storage(b, &storage, err);
    if (rc == 0)
        rc = layout_builder_note(b, err, "note");
    if (rc == 0)
        rc = layout_builder_state_key(b, "model", err);
    if (rc == 0)
        rc = layout_builder_last_file(b, "last", err);
    if (rc == 0)
        rc = layout_builder_finish(b, &l, err);
    if (rc == 0)
        rc = layout_strip_prefixes(&l, err);
    if (rc == 0)
        rc = layout_encode(l, &bytes, err);
    return rc < 0 ? rc : layout_decode(bytes.data, bytes.len, &back, err);
}

static int read_directory(const char *path, struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    int rc = checkpoint_read_directory(fd, "d", NULL, &l, err);
    assert_true((l != NULL) == (rc == 0));
    return rc;
}

static int run_distributed(struct sewa_error *err)
{
    return read_directory("golden/torch/nested.dcp", err);
}

static char *shards;

/* Two shards and their index. */
static int setup_shards(void **state)
{
    (void)state;
    static const char one[] = "{\"w\":" TENSOR("F32", "[1]", "[0,4]") "}";
    static const char two[] = "{\"v\":" TENSOR("F32", "[1]", "[0,4]") "}";
    AUTO(buf_clear) struct buf first = { 0 }, second = { 0 };
    static const char index[] = "{\"weight_map\":{\"w\":\"m-00001-of-00002.safetensors\","
                                "\"v\":\"m-00002-of-00002.safetensors\"}}";

    shards = scratch_new();
    put_header(&first, one, sizeof one - 1);
    buf_text(&first, "data");
    put_header(&second, two, sizeof two - 1);
    buf_text(&second, "data");
    scratch_write(shards, "m-00001-of-00002.safetensors", first.data, first.len);
    scratch_write(shards, "m-00002-of-00002.safetensors", second.data, second.len);
    scratch_write(shards, "m.safetensors.index.json", index, sizeof index - 1);
    return buf_failed(&first) || buf_failed(&second) ? -1 : 0;
}

static int run_shards(struct sewa_error *err)
{
    return read_directory(shards, err);
}

static int teardown_shards(void **state)
{
    (void)state;
    scratch_free(shards);
    return 0;
}

static void test_parser(void **state)
{
    (void)state;
    fail_all(run_parse, 12);
}

static void test_parser_with_a_narrow_window(void **state)
{
    (void)state;
    fail_all(run_parse_narrow, 12);
}

static void test_codec(void **state)
{
    (void)state;
    fail_all(run_codec, 20);
}

static void test_signature(void **state)
{
    (void)state;
    fail_all(run_signature, 12);
}

static void test_header(void **state)
{
    (void)state;
    fail_all(run_header, 10);
}

static void test_index(void **state)
{
    (void)state;
    fail_all(run_index, 8);
}

static void test_rest(void **state)
{
    (void)state;
    fail_all(run_rest, 20);
}

static void test_shards(void **state)
{
    (void)state;
    fail_all(run_shards, 30);
}

static void test_distributed(void **state)
{
    (void)state;
    fail_all(run_distributed, 40);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parser),
        cmocka_unit_test(test_parser_with_a_narrow_window),
        cmocka_unit_test(test_codec),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_rest),
        cmocka_unit_test_setup_teardown(test_shards, setup_shards, teardown_shards),
        cmocka_unit_test(test_distributed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
