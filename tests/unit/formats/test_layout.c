/*
 * test_layout - what the builder refuses, orders and promises; signatures; comparisons.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/layout.h"
#include "formats/shown.h"

struct tensor_row {
    const char *name;
    const char *tensor;
    enum dtype dtype;
    uint8_t rank;
    int64_t shape[17];
    int64_t offset, bytes;
    int code;
    const char *word;
};

static const struct tensor_row rows[] = {
    { "plain", "w", DTYPE_F32, 2, { 2, 3 }, 0, 24, 0, "" },
    { "rank 0", "w", DTYPE_F64, 0, { 0 }, 8, 8, 0, "" },
    { "17 dimensions",
      "w",
      DTYPE_U8,
      17,
      { 0 },
      0,
      0,
      SEWA_E_UNSUPPORTED,
      "tensor 'w' has 17 dimensions, at most 16" },
    { "negative dimension",
      "w",
      DTYPE_U8,
      2,
      { 0, -1 },
      0,
      0,
      SEWA_E_CORRUPT,
      "shape [0, -1] of tensor 'w'" },
    { "bytes of another type",
      "w",
      DTYPE_F16,
      1,
      { 4 },
      0,
      16,
      SEWA_E_CORRUPT,
      "tensor 'w' of type F16 and shape [4] needs 8 bytes and is given 16" },
    { "negative offset", "w", DTYPE_U8, 1, { 4 }, -1, 4, SEWA_E_CORRUPT, "behind every file" },
    { "end past 2^63",
      "w",
      DTYPE_U8,
      1,
      { 4 },
      INT64_MAX - 3,
      4,
      SEWA_E_CORRUPT,
      "4 bytes at offset 9223372036854775804 ends behind every file" },
    { "a name that is not UTF-8",
      "plain\xff",
      DTYPE_U8,
      1,
      { 4 },
      0,
      4,
      SEWA_E_CORRUPT,
      "not UTF-8" },
    { "a name that is not UTF-8, late",
      "12345678\xc3",
      DTYPE_U8,
      1,
      { 4 },
      0,
      4,
      SEWA_E_CORRUPT,
      "not UTF-8" },
    { "a name that is not UTF-8, early",
      "1234\xff"
      "5678",
      DTYPE_U8,
      1,
      { 4 },
      0,
      4,
      SEWA_E_CORRUPT,
      "not UTF-8" },
    { "a name in UTF-8", "12345678\xc3\xa4", DTYPE_U8, 1, { 4 }, 0, 4, 0, "" },
};

static void test_row(void **state)
{
    const struct tensor_row *row = *state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    struct tensor t = { .name = row->tensor,
                        .dtype = row->dtype,
                        .rank = row->rank,
                        .shape = row->shape,
                        .offset = row->offset,
                        .bytes = row->bytes };
    int rc = layout_builder_tensor(b, &t, &err);

    if (row->code) {
        assert_failed(rc, err, row->code, row->word);
        return;
    }
    assert_ok(rc, err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    assert_int_equal(l->count, 1);
    assert_string_equal(l->tensors[0].name, row->tensor);
    assert_ptr_not_equal(l->tensors[0].name, row->tensor);
    assert_int_equal(layout_data_bytes(l), row->bytes);
}

static int add(struct layout_builder *b, const char *name, uint32_t file, int64_t offset,
               int64_t bytes, struct sewa_error *err)
{
    struct tensor t = { .name = name,
                        .dtype = DTYPE_U8,
                        .rank = 1,
                        .shape = &bytes,
                        .file = file,
                        .offset = offset,
                        .bytes = bytes };

    return layout_builder_tensor(b, &t, err);
}

static void test_a_name_that_is_too_long(void **state)
{
    (void)state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    char name[LAYOUT_NAME_MAX + 2] = { 0 };
    struct sewa_error err = { 0 };

    memset(name, 'n', LAYOUT_NAME_MAX + 1);
    assert_failed(add(b, name, 0, 0, 1, &err), err, SEWA_E_UNSUPPORTED,
                  "has 1025 bytes, at most 1024 are supported");
    name[LAYOUT_NAME_MAX] = '\0';
    assert_ok(add(b, name, 0, 0, 1, &err), err);
}

static void test_a_sum_past_int64(void **state)
{
    (void)state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    struct sewa_error err = { 0 };
    int64_t eighth = (int64_t)1 << 60;

    for (int i = 0; i < 7; i++) {
        char name[2] = { (char)('a' + i), '\0' };
        assert_ok(add(b, name, 0, 0, eighth, &err), err);
    }
    assert_failed(add(b, "h", 0, 0, eighth, &err), err, SEWA_E_CORRUPT, "behind every file");
}

static void test_a_million_and_one(void **state)
{
    (void)state;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    struct sewa_error err = { 0 };
    char name[16];

    for (int i = 0; i < LAYOUT_TENSORS_MAX; i++) {
        snprintf(name, sizeof name, "%x", i);
        assert_int_equal(add(b, name, 0, 0, 0, &err), 0);
    }
    assert_failed(add(b, "w", 0, 0, 0, &err), err, SEWA_E_UNSUPPORTED, "more than 1000000 tensors");
    for (int i = 0; i < LAYOUT_METADATA_MAX; i++) {
        snprintf(name, sizeof name, "%x", i);
        assert_int_equal(layout_builder_metadata(b, name, "", &err), 0);
    }
    assert_failed(layout_builder_metadata(b, "w", "", &err), err, SEWA_E_UNSUPPORTED,
                  "more than 1000000 metadata keys");
}

static void test_order_of_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t file;
        int64_t offset, bytes;
    } given[] = {
        { "c", 1, 0, 4 },  { "b", 0, 8, 4 }, { "y", 0, 8, 0 },
        { "a", 0, 12, 4 }, { "x", 0, 8, 0 }, { "d", 0, 0, 8 },
    };
    static const char *const wanted[] = { "d", "x", "y", "b", "a", "c" };
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(given); i++)
        assert_ok(add(b, given[i].name, given[i].file, given[i].offset, given[i].bytes, &err), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    assert_int_equal(l->count, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        assert_string_equal(l->tensors[i].name, wanted[i]);
}

/*
 * Names that differ in the first, the eighth, the ninth byte behind what they have in common, that
 * are the beginning of another, and bytes past ASCII: found again all, in strcmp order.
 */
static void test_order_of_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a\xc3\xa4",    "b\xc3\xa4",    "",
        "pre",          "pre1234567",   "pre12345678",
        "pre123456789", "pre12345678a", "pre1234567\xc3\xa4",
        "pre2",         "pre12",        "qre",
        "\xc3\xa4",     "pre123456780", "\x01",
        "pre\x7f",
    };
    for (size_t from = 0; from < 2;
         from++) { /* without the empty name they have nothing in common */
        AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
        AUTOPTR(layout_free) struct layout *l = NULL;
        struct sewa_error err = { 0 };
        for (size_t i = from; i < COUNT_OF(names); i++)
            assert_ok(add(b, names[i], 0, 0, 0, &err), err);
        assert_ok(layout_builder_finish(b, &l, &err), err);
        for (size_t i = 1; i < l->count; i++)
            assert_true(strcmp(l->tensors[l->by_name[i - 1]].name, l->tensors[l->by_name[i]].name) <
                        0);
        for (size_t i = from; i < COUNT_OF(names); i++)
            assert_string_equal(layout_find(l, names[i])->name, names[i]);
        assert_null(layout_find(l, "pre123"));
        assert_null(layout_find(l, "\xff"));
    }
}

static void test_duplicates(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "pre12345678", "pre123456789", "pre1234567" };
    struct sewa_error err = { 0 };

    for (size_t twice = 0; twice < COUNT_OF(names); twice++) {
        AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
        AUTOPTR(layout_builder_free) struct layout_builder *m = layout_builder_new("test");
        AUTOPTR(layout_free) struct layout *l = NULL;
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            assert_ok(add(b, names[i], 0, (int64_t)i, 1, &err), err);
            assert_ok(layout_builder_metadata(m, names[i], "", &err), err);
        }
        assert_ok(add(b, names[twice], 1, 10, 1, &err), err);
        assert_ok(layout_builder_metadata(m, names[twice], "", &err), err);
        assert_failed(layout_builder_finish(b, &l, &err), err, SEWA_E_CORRUPT, names[twice]);
        assert_failed(layout_builder_finish(m, &l, &err), err, SEWA_E_CORRUPT, names[twice]);
        assert_null(l);
    }
}

/* "w:F32:2,3 b:I64:" -> a layout; tensors lie one behind the other. */
static struct layout *layout_of(const char *text)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int64_t offset = 100;

    while (*text) {
        char name[128], type[16];
        int64_t shape[LAYOUT_RANK_MAX], elements = 1;
        struct tensor t = { .name = name, .shape = shape, .offset = offset };
        int used = 0;
        assert_int_equal(sscanf(text, "%127[^:]:%15[^:]:%n", name, type, &used), 2);
        text += used;
        for (; *text >= '0' && *text <= '9'; text += *text == ',') {
            shape[t.rank] = strtoll(text, (char **)&text, 10);
            elements *= shape[t.rank++];
        }
        t.dtype = (enum dtype)dtype_from_name(type, strlen(type));
        t.bytes = dtype_bytes(t.dtype, elements);
        offset += t.bytes;
        text += *text == ' ';
        assert_ok(layout_builder_tensor(b, &t, &err), err);
    }
    assert_ok(layout_builder_finish(b, &l, &err), err);
    return l;
}

static void test_signature(void **state)
{
    (void)state;
    AUTOPTR(layout_free) struct layout *a = layout_of("a:F32:2,3 b:I64:");
    static const struct {
        const char *text;
        bool is_same;
    } others[] = {
        { "a:F32:2,3 b:I64:", true },   { "b:I64: a:F32:2,3", true },
        { "a:F32:3,2 b:I64:", false },  { "a:F32:6 b:I64:", false },
        { "a:F32:2,3 b:F64:", false },  { "a:F32:2,3 c:I64:", false },
        { "a:F32:2,3", false },         { "a:F32:2,3 b:I64: c:U8:0", false },
        { "a:F32:2,3 b:I64:1", false },
    };
    uint8_t wanted[32], other[32];

    assert_int_equal(layout_signature(a, wanted, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        AUTOPTR(layout_free) struct layout *b = layout_of(others[i].text);
        assert_int_equal(layout_signature(b, other, NULL), 0);
        assert_int_equal(memcmp(wanted, other, 32) == 0, others[i].is_same);
        assert_int_equal(layout_compare(a, "a", b, "b", NULL),
                         others[i].is_same ? 0 : SEWA_E_MISMATCH);
    }
}

/*
 * If the rank were not signed, these two would give the same bytes: the dimensions of the first are
 * the name and type of the second's other tensor ("bbbbb", F32) as numbers.
 */
static void test_signature_has_the_rank(void **state)
{
    (void)state;
    AUTOPTR(layout_free) struct layout *a = layout_of("a:U8:0,5,3721092293218,3617311891522584576");
    AUTOPTR(layout_free) struct layout *b = layout_of("a:U8:0 bbbbb:F32:");
    uint8_t sign_a[32], sign_b[32];

    assert_int_equal(layout_signature(a, sign_a, NULL), 0);
    assert_int_equal(layout_signature(b, sign_b, NULL), 0);
    assert_memory_not_equal(sign_a, sign_b, 32);
}

struct compare_row {
    const char *name;
    const char *a, *b;
    const char *text; /* of the message; NULL: they fit */
};

static const struct compare_row compare_rows[] = {
    { "row 6: equal", "w:F32:2 v:F32:3", "w:F32:2 v:F32:3", NULL },
    { "row 6: in another order", "w:F32:2 v:F32:3", "v:F32:3 w:F32:2", NULL },
    { "nothing and nothing", "", "", NULL },
    { "row 6: one missing", "w:F32:2 v:F32:3", "w:F32:2",
      "'new' does not have the tensors of 'old': 1 missing: 'v'" },
    { "row 6: one too many", "w:F32:2", "v:F32:3 w:F32:2",
      "'new' does not have the tensors of 'old': 1 only in it: 'v'" },
    { "row 6: another shape", "w:F32:2,3", "w:F32:2,4",
      "'new' does not have the tensors of 'old': 1 of another shape: 'w' [2, 4] instead of [2, 3]" },
    { "row 6: another rank", "w:F32:", "w:F32:1",
      "'new' does not have the tensors of 'old': 1 of another shape: 'w' [1] instead of []" },
    { "row 6: another type", "w:BF16:2", "w:F32:2",
      "'new' does not have the tensors of 'old': 1 of another type: 'w' F32 instead of BF16" },
    { "row 6: another shape and type", "w:BF16:2", "w:F32:3",
      "'new' does not have the tensors of 'old': 1 of another shape, 1 of another type; of another "
      "shape: 'w' [3] instead of [2]; of another type: 'w' F32 instead of BF16" },
    { "row 6: everything", "a:F32:1 b:F32:1 c:F32:1 d:F32:1", "b:F32:2 c:F64:1 d:F32:1 e:F32:1",
      "'new' does not have the tensors of 'old': 1 missing, 1 only in it, 1 of another shape, 1 of "
      "another type; missing: 'a'; only in it: 'e'; of another shape: 'b' [2] instead of [1]; of "
      "another type: 'c' F64 instead of F32" },
    { "row 6: no common tensor", "a:F32:1", "b:F32:1",
      "'new' does not have the tensors of 'old': 1 missing, 1 only in it; missing: 'a'; only in it: "
      "'b'" },
    { "row 6: exactly five", "a:U8: b:U8: c:U8: d:U8: e:U8:", "",
      "'new' does not have the tensors of 'old': 5 missing: 'a', 'b', 'c', 'd', 'e'" },
    { "row 6: the first five of seven", "g:U8: a:U8: b:U8: c:U8: d:U8: e:U8: f:U8:", "",
      "'new' does not have the tensors of 'old': 7 missing: 'a', 'b', 'c', 'd', 'e', ..." },
};

static void test_compare(void **state)
{
    const struct compare_row *row = *state;
    AUTOPTR(layout_free) struct layout *a = layout_of(row->a);
    AUTOPTR(layout_free) struct layout *b = layout_of(row->b);
    struct sewa_error err = { 0 };
    int rc = layout_compare(a, "old", b, "new", &err);

    if (!row->text) {
        assert_ok(rc, err);
        return;
    }
    assert_int_equal(rc, SEWA_E_MISMATCH);
    assert_int_equal(err.code, SEWA_E_MISMATCH);
    assert_string_equal(err.text, row->text);
}

/* Long names in all four kinds: the counts are all there, each kind has an example, nothing is cut
 * in the middle of the last one. */
static void test_compare_long_names(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf a = { 0 }, b = { 0 };
    struct sewa_error err = { 0 };
    static const char stem[] = "model.decoder.layers.31.block_sparse_moe.experts.7.weight";
    static const char *const both[] = { ":F32:2,3,4,5 ", ":F32:2,3,4,6 ", ":F32:9 ", ":BF16:9 " };

    for (int i = 0; i < 9; i++) {
        buf_printf(&a, "%s.a%d:F32:1 %s.s%d%s%s.t%d%s", stem, i, stem, i, both[0], stem, i,
                   both[2]);
        buf_printf(&b, "%s.b%d:F32:1 %s.s%d%s%s.t%d%s", stem, i, stem, i, both[1], stem, i,
                   both[3]);
    }
    AUTOPTR(layout_free) struct layout *x = layout_of(buf_cstr(&a));
    AUTOPTR(layout_free) struct layout *y = layout_of(buf_cstr(&b));
    assert_failed(layout_compare(x, stem, y, stem, &err), err, SEWA_E_MISMATCH,
                  "9 missing, 9 only in it, 9 of another shape, 9 of another type");
    assert_non_null(strstr(err.text, "; missing: '"));
    assert_non_null(strstr(err.text, "; only in it: '"));
    assert_non_null(strstr(err.text, "; of another shape: '"));
    assert_non_null(strstr(err.text, "; of another type: '"));
    assert_non_null(strstr(err.text, "[2, 3, 4, 6] instead of [2, 3, 4, 5]"));
    assert_non_null(strstr(err.text, "BF16 instead of F32, ..."));
    assert_true(strlen(err.text) < SEWA_ERROR_TEXT_MAX - 1);
}

static void test_shown(void **state)
{
    (void)state;
    char name[SHOWN_NAME_SIZE], shape[SHOWN_SHAPE_SIZE];
    int64_t dims[LAYOUT_RANK_MAX];

    assert_string_equal(shown_name("a\x1b\n\x7f\xc2\x9b\xc2\xa0", name), "a?????\xc2\xa0");
    /* cut between characters: 40 of two bytes, then 40 */
    char long_name[2 * 40 + 1];
    for (int i = 0; i < 40; i++)
        memcpy(long_name + 2 * i, "\xc3\xa4", 3);
    shown_name(long_name + 1, name); /* begins within a character: not ours to mend */
    assert_true(strlen(name) < SHOWN_NAME_SIZE);
    shown_name(long_name, name);
    assert_int_equal(strlen(name), 20 + 3 + 40);
    assert_string_equal(name + 20 + 3 + 38, "\xc3\xa4");
    char between[2 * 40 + 3] = "x";
    memcpy(between + 1, long_name, sizeof long_name);
    memcpy(between + 81, "y", 2);
    shown_name(between, name); /* both cuts would fall into a character */
    assert_int_equal(strlen(name), 19 + 3 + 39);
    assert_memory_equal(name + 17, "\xc3\xa4...\xc3\xa4", 7);
    assert_string_equal(shown_shape(NULL, 0, shape), "[]");
    for (unsigned i = 0; i < LAYOUT_RANK_MAX; i++)
        dims[i] = INT64_MAX;
    assert_string_equal(shown_shape(dims, LAYOUT_RANK_MAX, shape),
                        "[9223372036854775807, 9223372036854775807, ...]");
    dims[0] = 1;
    assert_string_equal(shown_shape(dims, 2, shape), "[1, 9223372036854775807]");
}

int main(void)
{
    static struct CMUnitTest tests[COUNT_OF(rows) + COUNT_OF(compare_rows) + 16];
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_a_name_that_is_too_long), cmocka_unit_test(test_a_sum_past_int64),
        cmocka_unit_test(test_a_million_and_one),       cmocka_unit_test(test_order_of_tensors),
        cmocka_unit_test(test_order_of_names),          cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_signature_has_the_rank),  cmocka_unit_test(test_signature),
        cmocka_unit_test(test_compare_long_names),      cmocka_unit_test(test_shown),
    };
    size_t n = 0;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[n++] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
    for (size_t i = 0; i < COUNT_OF(compare_rows); i++)
        tests[n++] = (struct CMUnitTest){ compare_rows[i].name, test_compare, NULL, NULL,
                                          (void *)&compare_rows[i] };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        tests[n++] = others[i];
    return _cmocka_run_group_tests("layout", tests, n, NULL, NULL);
}
