/*
 * test_shard_index - the index that we write: its text, names that need escapes, and what our own
 * reader would refuse.
 */
#include "support/support.h"

#include <string.h>

#include "formats/shard_index.h"
#include "support/alloc.h"

static const char *const files[] = { "model-00001-of-00002.safetensors",
                                     "model-00002-of-00002.safetensors" };

static void test_the_text(void **state)
{
    static const struct shard_index_entry entries[] = { { "a.\"weight\"", 1 }, { "b\\\n", 0 } };
    AUTO(buf_clear) struct buf text = { 0 };
    struct sewa_error err = { 0 };

    (void)state;
    assert_ok(shard_index_text(entries, 2, files, 123, &text, &err), err);
    buf_char(&text, '\0');
    assert_string_equal(buf_cstr(&text),
                        "{\n  \"metadata\": {\n    \"total_size\": 123\n  },\n"
                        "  \"weight_map\": {\n"
                        "    \"a.\\\"weight\\\"\": \"model-00002-of-00002.safetensors\",\n"
                        "    \"b\\\\\\u000a\": \"model-00001-of-00002.safetensors\"\n  }\n}\n");
}

static void test_it_is_read_back(void **state)
{
    static const struct shard_index_entry entries[] = { { "a", 1 }, { "b", 0 }, { "\xce\xba", 1 } };
    AUTO(buf_clear) struct buf text = { 0 };
    AUTOPTR(shard_index_free) struct shard_index *x = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    assert_ok(shard_index_text(entries, 3, files, 0, &text, &err), err);
    struct window_source source = { .name = "text", .bytes = text.data, .n = text.len };
    assert_ok(shard_index_read(&source, (int64_t)text.len, &x, &err), err);
    assert_int_equal(x->count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct shard_index_entry *found = shard_index_find(x, entries[i].name);
        assert_non_null(found);
        assert_string_equal(x->files[found->file], files[entries[i].file]);
    }
}

static void test_what_is_not_written(void **state)
{
    static const struct {
        struct shard_index_entry entries[2];
        const char *file;
    } rows[] = {
        { { { "a", 0 }, { "a", 0 } }, "x.safetensors" },
        { { { "a\xff", 0 }, { "b", 0 } }, "x.safetensors" },
        { { { "a", 0 }, { "b", 0 } }, "../x.safetensors" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(buf_clear) struct buf text = { 0 };
        struct sewa_error err = { 0 };
        assert_failed(shard_index_text(rows[i].entries, 2, &rows[i].file, 1, &text, &err), err,
                      SEWA_E_INVALID, "the new index");
        assert_int_equal(text.len, 0);
        assert_int_equal(shard_index_text(rows[i].entries, 2, &rows[i].file, 1, &text, NULL),
                         SEWA_E_INVALID);
    }
}

static void test_no_memory(void **state)
{
    static const struct shard_index_entry entries[] = { { "a", 1 }, { "b", 0 } };
    struct sewa_error err = { 0 };

    (void)state;
    for (int64_t n = 0;; n++) {
        AUTO(buf_clear) struct buf text = { 0 };
        alloc_fail_at(n);
        int rc = shard_index_text(entries, 2, files, 1, &text, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 3);
            return;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_text),
        cmocka_unit_test(test_it_is_read_back),
        cmocka_unit_test(test_what_is_not_written),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
