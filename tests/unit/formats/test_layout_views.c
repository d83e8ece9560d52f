/*
 * test_layout_views - tensors that do not lie in C order, tensors that are one, checkpoints of
 * several files: what the builder makes of them, and that the index gives back what it was given.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/layout.h"

struct row {
    const char *name;
    enum dtype dtype;
    uint8_t rank;
    int64_t shape[LAYOUT_RANK_MAX], stride[LAYOUT_RANK_MAX];
    int64_t offset, bytes;
    bool is_strided; /* the strides are kept */
    int64_t span;
    int code;
    const char *word;
};

#define BIG ((int64_t)1 << 62)

static const struct row rows[] = {
    { "C order", DTYPE_F32, 2, { 2, 3 }, { 3, 1 }, 0, 24, false, 24, 0, "" },
    { "transposed", DTYPE_F32, 2, { 3, 2 }, { 1, 3 }, 0, 24, true, 24, 0, "" },
    { "every other", DTYPE_F32, 1, { 3 }, { 2 }, 8, 12, true, 20, 0, "" },
    { "a column", DTYPE_F16, 2, { 4, 1 }, { 5, 1 }, 0, 8, true, 32, 0, "" },
    { "one element, any stride", DTYPE_F16, 2, { 1, 1 }, { 99, 7 }, 0, 2, false, 2, 0, "" },
    { "one row, any stride", DTYPE_F16, 2, { 1, 3 }, { 99, 1 }, 0, 6, false, 6, 0, "" },
    { "expanded", DTYPE_F32, 2, { 4, 3 }, { 0, 1 }, 0, 48, true, 12, 0, "" },
    { "no element, any stride", DTYPE_F32, 2, { 0, 3 }, { BIG, 1 }, 0, 0, false, 0, 0, "" },
    { "rank 3, a slice", DTYPE_F64, 3, { 2, 2, 2 }, { 8, 4, 1 }, 16, 64, true, 112, 0, "" },
    { "negative",
      DTYPE_F32,
      1,
      { 3 },
      { -1 },
      8,
      12,
      false,
      0,
      SEWA_E_CORRUPT,
      "the strides [-1] of tensor 'w' lead to no place" },
    { "negative, one element",
      DTYPE_F32,
      1,
      { 1 },
      { -1 },
      8,
      4,
      false,
      0,
      SEWA_E_CORRUPT,
      "the strides [-1]" },
    { "negative, no element",
      DTYPE_F32,
      1,
      { 0 },
      { -1 },
      8,
      0,
      false,
      0,
      SEWA_E_CORRUPT,
      "the strides [-1]" },
    { "a product past 2^63",
      DTYPE_U8,
      1,
      { 3 },
      { BIG },
      0,
      3,
      false,
      0,
      SEWA_E_CORRUPT,
      "lead to no place" },
    { "a sum past 2^63",
      DTYPE_U8,
      2,
      { 2, 2 },
      { BIG, BIG },
      0,
      4,
      false,
      0,
      SEWA_E_CORRUPT,
      "lead to no place" },
    { "bytes past 2^63",
      DTYPE_F32,
      1,
      { 2 },
      { BIG },
      0,
      8,
      false,
      0,
      SEWA_E_CORRUPT,
      "lead to no place" },
    { "an end past 2^63",
      DTYPE_U8,
      1,
      { 2 },
      { BIG },
      BIG,
      2,
      false,
      0,
      SEWA_E_CORRUPT,
      "ends behind every file" },
    { "half bytes", DTYPE_F4, 1, { 4 }, { 2 }, 0, 2, false, 0, SEWA_E_CORRUPT, "lead to no place" },
    { "half bytes in C order", DTYPE_F4, 1, { 4 }, { 1 }, 0, 2, false, 2, 0, "" },
};

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    struct tensor t = { .name = "w",
                        .dtype = row->dtype,
                        .rank = row->rank,
                        .shape = row->shape,
                        .stride = row->stride,
                        .offset = row->offset,
                        .bytes = row->bytes };
    int rc = layout_builder_tensor(b, &t, &err);

    if (row->code) {
        assert_failed(rc, err, row->code, row->word);
        return;
    }
    assert_ok(rc, err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    assert_int_equal(l->tensors[0].stride != NULL, row->is_strided);
    if (row->is_strided)
        assert_memory_equal(l->tensors[0].stride, row->stride, row->rank * sizeof(int64_t));
    assert_int_equal(l->tensors[0].span_bytes, row->span);
    assert_int_equal(layout_is_plain(l, NULL), !row->is_strided);
}

struct piece {
    const char *name;
    int64_t offset;
    uint32_t file;
    enum dtype dtype;
    int64_t shape[2], stride[2];
};

static struct layout *build(const struct piece *pieces, size_t count)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct tensor t = { .name = pieces[i].name,
                            .file = pieces[i].file,
                            .dtype = pieces[i].dtype,
                            .rank = 2,
                            .shape = pieces[i].shape,
                            .stride = pieces[i].stride,
                            .offset = pieces[i].offset,
                            .bytes = dtype_bytes(pieces[i].dtype,
                                                 pieces[i].shape[0] * pieces[i].shape[1]) };
        assert_ok(layout_builder_tensor(b, &t, &err), err);
    }
    assert_ok(layout_builder_finish(b, &l, &err), err);
    return l;
}

static void assert_alias(const struct layout *l, const char *name, const char *of)
{
    const struct tensor *t = layout_find(l, name);

    assert_non_null(t);
    if (!of) {
        assert_int_equal(t->alias_of, LAYOUT_NO_ALIAS);
        return;
    }
    assert_int_not_equal(t->alias_of, LAYOUT_NO_ALIAS);
    assert_string_equal(l->tensors[t->alias_of].name, of);
}

/* Row 3 of what must be right: tied tensors are one. */
static void test_tied_tensors_are_one(void **state)
{
    (void)state;
    static const struct piece pieces[] = {
        { "head", 64, 0, DTYPE_F32, { 2, 3 }, { 3, 1 } },
        { "embedding", 64, 0, DTYPE_F32, { 2, 3 }, { 3, 1 } },
        { "decoder", 64, 0, DTYPE_F32, { 2, 3 }, { 3, 1 } },
        { "other shape", 64, 0, DTYPE_F32, { 3, 2 }, { 2, 1 } },
        { "other type", 64, 0, DTYPE_I32, { 2, 3 }, { 3, 1 } },
        { "transposed", 64, 0, DTYPE_F32, { 3, 2 }, { 1, 3 } },
        { "transposed too", 64, 0, DTYPE_F32, { 3, 2 }, { 1, 3 } },
        { "other file", 64, 1, DTYPE_F32, { 2, 3 }, { 3, 1 } },
        { "other place", 68, 0, DTYPE_F32, { 2, 3 }, { 3, 1 } },
        { "empty", 64, 0, DTYPE_F32, { 0, 3 }, { 3, 1 } },
        { "empty too", 64, 0, DTYPE_F32, { 0, 3 }, { 3, 1 } },
    };
    AUTOPTR(layout_free) struct layout *l = build(pieces, COUNT_OF(pieces));

    assert_alias(l, "decoder", NULL); /* the first by name */
    assert_alias(l, "embedding", "decoder");
    assert_alias(l, "head", "decoder");
    assert_alias(l, "transposed", NULL);
    assert_alias(l, "transposed too", "transposed");
    for (size_t i = 3; i < COUNT_OF(pieces); i++)
        if (strcmp(pieces[i].name, "transposed too") != 0)
            assert_alias(l, pieces[i].name, NULL);
    assert_false(layout_is_plain(l, NULL));
}

/* A stride that never counts does not keep two tensors apart. */
static void test_strides_of_one_element_do_not_count(void **state)
{
    (void)state;
    static const struct piece pieces[] = {
        { "a", 0, 0, DTYPE_F32, { 3, 1 }, { 2, 1 } },
        { "b", 0, 0, DTYPE_F32, { 3, 1 }, { 2, 7 } },
    };
    AUTOPTR(layout_free) struct layout *l = build(pieces, COUNT_OF(pieces));

    assert_alias(l, "a", NULL);
    assert_alias(l, "b", "a");
}

/* Views of one storage that are not the same: who reads only offset and bytes is not given them. */
static void test_overlap_is_not_plain(void **state)
{
    (void)state;
    static const struct piece pieces[] = {
        { "whole", 0, 0, DTYPE_F32, { 2, 3 }, { 3, 1 } },
        { "second row", 12, 0, DTYPE_F32, { 1, 3 }, { 3, 1 } },
    };
    AUTOPTR(layout_free) struct layout *l = build(pieces, COUNT_OF(pieces));
    const struct tensor *other = NULL;

    assert_false(layout_is_plain(l, &other));
    assert_string_equal(other->name, "second row");
}

static struct layout *of_two_files(void)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("sharded");
    struct layout *l = NULL;
    struct sewa_error err = { 0 };
    static const int64_t shape[] = { 3, 2 }, stride[] = { 1, 3 };
    struct layout_file file = { .name = "a-1", .bytes = 100, .mtime_ns = -5 };

    memset(file.header_digest, 7, sizeof file.header_digest);
    assert_ok(layout_builder_file(b, &file, &err), err);
    file.name = "a-2";
    file.mtime_ns = INT64_MAX;
    assert_ok(layout_builder_file(b, &file, &err), err);
    for (uint32_t i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%u", (unsigned)i);
        struct tensor t = { .name = name,
                            .dtype = DTYPE_F32,
                            .rank = 2,
                            .file = i % 2,
                            .shape = shape,
                            .stride = i ? stride : NULL,
                            .offset = 8 + 4 * i,
                            .bytes = 24 };
        assert_ok(layout_builder_tensor(b, &t, &err), err);
    }
    assert_ok(layout_builder_note(b, &err, "'%s' was left aside", "optimizer"), err);
    assert_ok(layout_builder_left(b, "app.optim", &err), err);
    assert_ok(layout_builder_left(b, "ema", &err), err);
    assert_ok(layout_builder_left(b, "app.optim", &err), err); /* once is enough */
    assert_ok(layout_builder_state_key(b, "model", &err), err);
    assert_ok(layout_builder_last_file(b, "index.json", &err), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    return l;
}

static void assert_same_rest(const struct layout *a, const struct layout *b)
{
    assert_int_equal(a->file_count, b->file_count);
    for (size_t i = 0; i < a->file_count; i++) {
        assert_string_equal(a->files[i].name, b->files[i].name);
        assert_int_equal(a->files[i].bytes, b->files[i].bytes);
        assert_int_equal(a->files[i].mtime_ns, b->files[i].mtime_ns);
        assert_memory_equal(a->files[i].header_digest, b->files[i].header_digest, 32);
    }
    assert_string_equal(a->state_key, b->state_key);
    assert_string_equal(a->last_file, b->last_file);
    assert_int_equal(a->note_count, b->note_count);
    for (size_t i = 0; i < a->note_count; i++)
        assert_string_equal(a->notes[i], b->notes[i]);
    assert_int_equal(a->left_count, 2);
    assert_int_equal(b->left_count, 2);
    for (size_t i = 0; i < a->left_count; i++)
        assert_string_equal(a->left[i], b->left[i]);
}

static void test_the_index_gives_everything_back(void **state)
{
    (void)state;
    AUTOPTR(layout_free) struct layout *l = of_two_files(), *back = NULL;
    AUTO(buf_clear) struct buf bytes = { 0 }, again = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(layout_encode(l, &bytes, &err), err);
    assert_int_equal(bytes.data[0], 3);
    assert_ok(layout_decode(bytes.data, bytes.len, &back, &err), err);
    assert_same_rest(l, back);
    for (size_t i = 0; i < l->count; i++) {
        assert_int_equal(back->tensors[i].file, l->tensors[i].file);
        assert_int_equal(back->tensors[i].offset, l->tensors[i].offset);
        assert_int_equal(back->tensors[i].span_bytes, l->tensors[i].span_bytes);
        assert_int_equal(back->tensors[i].stride != NULL, l->tensors[i].stride != NULL);
    }
    assert_ok(layout_encode(back, &again, &err), err);
    assert_int_equal(bytes.len, again.len);
    assert_memory_equal(bytes.data, again.data, bytes.len);
}

/* Cut anywhere, the bytes are refused: nothing is read past their end, nothing is made up. */
static void test_stored_bytes_cut_anywhere(void **state)
{
    (void)state;
    AUTOPTR(layout_free) struct layout *l = of_two_files();
    AUTO(buf_clear) struct buf bytes = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(layout_encode(l, &bytes, &err), err);
    for (size_t n = 1; n < bytes.len; n++) {
        AUTOFREE char *cut = malloc(n);
        struct layout *none = NULL;
        memset(&err, 0, sizeof err);
        memcpy(cut, bytes.data, n);
        assert_failed(layout_decode(cut, n, &none, &err), err, SEWA_E_CORRUPT, "stored layout");
        assert_null(none);
    }
    buf_char(&bytes, 0);
    struct layout *none = NULL;
    memset(&err, 0, sizeof err);
    assert_failed(layout_decode(bytes.data, bytes.len, &none, &err), err, SEWA_E_CORRUPT,
                  "1 bytes behind its end");
}

static void test_a_file_that_is_not_there(void **state)
{
    (void)state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("sharded");
    struct layout_file file = { .name = "a", .bytes = 100 }, bad = { .name = "\xff" };
    struct tensor t = { .name = "w", .dtype = DTYPE_U8, .file = 1, .bytes = 1 };
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    assert_failed(layout_builder_file(b, &bad, &err), err, SEWA_E_CORRUPT, "not UTF-8");
    bad = (struct layout_file){ .name = "b", .bytes = -1 };
    memset(&err, 0, sizeof err);
    assert_failed(layout_builder_file(b, &bad, &err), err, SEWA_E_CORRUPT, "a file of -1 bytes");
    memset(&err, 0, sizeof err);
    assert_ok(layout_builder_file(b, &file, &err), err);
    assert_ok(layout_builder_tensor(b, &t, &err), err);
    assert_failed(layout_builder_finish(b, &l, &err), err, SEWA_E_CORRUPT,
                  "tensor 'w' is in file 1 of a checkpoint that has 1");
}

/* More than a hundred are not kept, and of one no more than a person reads. */
static void test_notes_are_bounded(void **state)
{
    (void)state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    for (int i = 0; i < LAYOUT_NOTES_MAX + 5; i++)
        assert_ok(layout_builder_note(b, &err, "x\xc3\xa4%0*d", 600, i), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    assert_int_equal(l->note_count, LAYOUT_NOTES_MAX);
    assert_int_equal(strlen(l->notes[0]), 500);
}

static void test_what_was_left_is_bounded(void **state)
{
    (void)state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    char name[32];

    for (int i = 0; i < LAYOUT_LEFT_MAX + 5; i++) {
        snprintf(name, sizeof name, "part %d", i);
        assert_ok(layout_builder_left(b, name, &err), err);
    }
    assert_ok(layout_builder_finish(b, &l, &err), err);
    assert_int_equal(l->left_count, LAYOUT_LEFT_MAX);
    assert_string_equal(l->left[LAYOUT_LEFT_MAX - 1], "part 63");
}

static void test_a_note_is_cut_between_characters(void **state)
{
    (void)state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    assert_ok(layout_builder_note(b, &err, "%0499d\xc3\xa4", 1), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    assert_int_equal(strlen(l->notes[0]), 499);
}

static struct layout *with_key(const char *key)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("torch");
    struct tensor t = { .name = "w", .dtype = DTYPE_U8, .bytes = 1 };
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    assert_ok(layout_builder_tensor(b, &t, &err), err);
    assert_ok(layout_builder_state_key(b, key, &err), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    return l;
}

/* Row 5 of what must be right: raw weights and their averages are never mixed. */
static void test_raw_and_averaged_weights_are_not_mixed(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool fits;
    } pairs[] = {
        { "", "", true },
        { "", "state_dict", true }, /* the same run, saved in two ways */
        { "model", "state_dict", true },
        { "state_dict_ema", "state_dict_ema", true },
        { "state_dict", "state_dict_ema", false },
        { "", "ema", false },
        { "a.model_ema", "a.model", false },
    };

    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        AUTOPTR(layout_free) struct layout *a = with_key(pairs[i].a), *b = with_key(pairs[i].b);
        struct sewa_error err = { 0 };
        int rc = layout_compare(a, "one", b, "two", &err);
        if (pairs[i].fits)
            assert_ok(rc, err);
        else
            assert_failed(rc, err, SEWA_E_MISMATCH, "averaged (EMA) and raw weights are not mixed");
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 10];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_tied_tensors_are_one);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_strides_of_one_element_do_not_count);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_overlap_is_not_plain);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_the_index_gives_everything_back);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stored_bytes_cut_anywhere);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_file_that_is_not_there);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_notes_are_bounded);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_what_was_left_is_bounded);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_note_is_cut_between_characters);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_raw_and_averaged_weights_are_not_mixed);
    return _cmocka_run_group_tests("layout_views", tests, n, NULL, NULL);
}
