/*
 * test_layout_codec - a tensor table comes back as it was, equal tables give equal bytes, and bytes
 * that nobody wrote are refused.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "formats/layout.h"

struct piece {
    const char *name;
    enum dtype dtype;
    uint8_t rank;
    int64_t shape[3];
    uint32_t file;
    int64_t offset, bytes;
};

static const struct piece pieces[] = {
    { "model.layers.0.mlp.weight", DTYPE_BF16, 2, { 300, 1000 }, 0, 128, 600000 },
    { "model.layers.0.norm.weight", DTYPE_F32, 1, { 300 }, 0, 600128, 1200 },
    { "model.layers.1.mlp.weight", DTYPE_BF16, 2, { 300, 1000 }, 1, 64, 600000 },
    { "", DTYPE_U8, 0, { 0 }, 1, INT64_MAX - 1, 1 },
    { "a gap before, in reverse order", DTYPE_F4, 1, { 4 }, 1, 5, 2 },
    { "empty", DTYPE_I64, 3, { 0, INT64_MAX, 1 }, 1, INT64_MAX, 0 },
    { "\xc3\xa4", DTYPE_U64, 0, { 0 }, UINT32_MAX, 0, 8 },
    { "\xc3\xb6", DTYPE_U64, 0, { 0 }, UINT32_MAX, 8, 8 },
};

static struct layout *layout_of(const struct piece *p, size_t count)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("some format");
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct tensor t = { .name = p[i].name,
                            .dtype = p[i].dtype,
                            .rank = p[i].rank,
                            .shape = p[i].shape,
                            .file = p[i].file,
                            .offset = p[i].offset,
                            .bytes = p[i].bytes };
        assert_ok(layout_builder_tensor(b, &t, &err), err);
    }
    assert_ok(layout_builder_metadata(b, "not", "stored", &err), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    return l;
}

static void assert_same_tables(const struct layout *a, const struct layout *b)
{
    assert_string_equal(a->format, b->format);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct tensor *x = &a->tensors[i], *y = &b->tensors[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->rank, y->rank);
        if (x->rank)
            assert_memory_equal(x->shape, y->shape, x->rank * sizeof *x->shape);
        assert_int_equal(x->file, y->file);
        assert_int_equal(x->elements, y->elements);
        assert_int_equal(x->offset, y->offset);
        assert_int_equal(x->bytes, y->bytes);
        assert_int_equal(a->by_name[i], b->by_name[i]);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t count = 0; count <= COUNT_OF(pieces); count++) {
        AUTOPTR(layout_free) struct layout *l = layout_of(pieces, count);
        AUTOPTR(layout_free) struct layout *back = NULL;
        AUTO(buf_clear) struct buf bytes = { 0 }, again = { 0 };
        struct sewa_error err = { 0 };
        assert_ok(layout_encode(l, &bytes, &err), err);
        assert_ok(layout_decode(bytes.data, bytes.len, &back, &err), err);
        assert_same_tables(l, back);
        assert_int_equal(back->metadata_count, 0);
        assert_int_equal(back->file_bytes, 0);
        assert_ok(layout_encode(back, &again, &err), err);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
    }
}

/* The bytes are stored: what was written must be read for ever. */
static void test_the_bytes_of_version_1(void **state)
{
    (void)state;
    static const struct piece two[] = {
        { "w.a", DTYPE_F32, 2, { 2, 300 }, 0, 16, 2400 },
        { "w.b", DTYPE_U8, 0, { 0 }, 0, 2415, 1 },
    };
    static const uint8_t wanted[] = "\x01\x0bsome format\x02\x03"
                                    "F32\x02U8\x02"
                                    "\x00\x03w.a\x00\x02\x02\xac\x02\x00\x20"
                                    "\x02\x01"
                                    "b\x01\x00\x00\x01";
    AUTOPTR(layout_free) struct layout *l = layout_of(two, 2);
    AUTO(buf_clear) struct buf bytes = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(layout_encode(l, &bytes, &err), err);
    assert_int_equal(bytes.len, sizeof wanted - 1);
    assert_memory_equal(bytes.data, wanted, sizeof wanted - 1);
}

struct bad_row {
    const char *name;
    const char *bytes;
    size_t n;
    int code;
    const char *word;
};

#define BYTES(s) s, sizeof(s) - 1
#define HEAD     "\x01\x01x\x01\x02U8" /* version 1, format "x", one type */

static const struct bad_row bad[] = {
    { "nothing", BYTES(""), SEWA_E_CORRUPT, "is empty" },
    { "another version", BYTES("\x04\x01x"), SEWA_E_UNSUPPORTED,
      "has version 4, this program knows 3" },
    { "no format", BYTES("\x01"), SEWA_E_CORRUPT, "breaks off at byte 1 of 1" },
    { "a format too long", BYTES("\x01\x7fx"), SEWA_E_CORRUPT, "breaks off" },
    { "more types than there are", BYTES("\x01\x01x\x7f"), SEWA_E_CORRUPT, "breaks off" },
    { "a type that is not known", BYTES("\x01\x01x\x01\x02U9\x00"), SEWA_E_CORRUPT,
      "type that is not" },
    { "a type with a NUL", BYTES("\x01\x01x\x01\x03U8\x00\x00"), SEWA_E_CORRUPT, "breaks off" },
    { "no tensors", BYTES(HEAD "\x00"), 0, NULL },
    { "no count", BYTES(HEAD), SEWA_E_CORRUPT, "breaks off at byte 7 of 7" },
    { "one tensor",
      BYTES(HEAD "\x01\x00\x01"
                 "a\x00\x01\x03\x00\x10"),
      0, NULL },
    { "bytes behind the end", BYTES(HEAD "\x00\x00"), SEWA_E_CORRUPT, "1 bytes behind its end" },
    { "more than a million", BYTES(HEAD "\xc1\x84\x3d"), SEWA_E_CORRUPT, "breaks off" },
    { "fewer than it says",
      BYTES(HEAD "\x02\x00\x01"
                 "a\x00\x01\x03\x00\x10"),
      SEWA_E_CORRUPT, "breaks off at byte 16 of 16" },
    { "a number in too many bytes", BYTES(HEAD "\x80\x00"), SEWA_E_CORRUPT, "breaks off" },
    { "a number past 2^64", BYTES(HEAD "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), SEWA_E_CORRUPT,
      "breaks off" },
    { "a number of 65 bits whose low ones are zero",
      BYTES(HEAD "\x01\x00\x01"
                 "a\x00\x00\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"),
      SEWA_E_CORRUPT, "breaks off" },
    { "a number that never ends", BYTES(HEAD "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
      SEWA_E_CORRUPT, "breaks off" },
    { "a prefix of no name",
      BYTES(HEAD "\x01\x01\x01"
                 "a\x00\x00\x00\x00"),
      SEWA_E_CORRUPT, "breaks off" },
    { "a type that was not listed",
      BYTES(HEAD "\x01\x00\x01"
                 "a\x01\x00\x00\x00"),
      SEWA_E_CORRUPT, "breaks off" },
    { "rank 17",
      BYTES(HEAD "\x01\x00\x01"
                 "a\x00\x11\x00\x00"),
      SEWA_E_CORRUPT, "breaks off" },
    { "a name with a NUL", BYTES(HEAD "\x01\x00\x01\x00\x00\x00\x00\x00"), SEWA_E_CORRUPT,
      "breaks off" },
    { "a name that is not UTF-8", BYTES(HEAD "\x01\x00\x01\xff\x00\x00\x00\x00"), SEWA_E_CORRUPT,
      "not UTF-8" },
    { "a shape that overflows",
      BYTES(HEAD "\x01\x00\x01"
                 "a\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x04\x00\x00"),
      SEWA_E_CORRUPT, "no number of elements" },
    { "a negative offset",
      BYTES(HEAD "\x01\x00\x01"
                 "a\x00\x00\x00\x01"),
      SEWA_E_CORRUPT, "behind every file" },
    { "a name twice",
      BYTES(HEAD "\x02\x00\x01"
                 "a\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00"),
      SEWA_E_CORRUPT, "two tensors have the name 'a'" },
};

static void test_bad(void **state)
{
    const struct bad_row *row = *state;
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int rc = layout_decode(row->bytes, row->n, &l, &err);

    if (row->code) {
        assert_failed(rc, err, row->code, row->word);
        assert_null(l);
    } else {
        assert_ok(rc, err);
    }
}

/* Any cut, and any change of a byte: refused, or read as another valid table, but never worse. */
static void test_damage(void **state)
{
    (void)state;
    AUTOPTR(layout_free) struct layout *l = layout_of(pieces, COUNT_OF(pieces));
    AUTO(buf_clear) struct buf bytes = { 0 };
    struct sewa_error err = { 0 };
    const uint32_t key[2] = { 8, 15 };

    assert_ok(layout_encode(l, &bytes, &err), err);
    for (size_t n = 0; n < bytes.len; n++) {
        AUTOPTR(layout_free) struct layout *back = NULL;
        AUTOFREE char *part = malloc(n ? n : 1); /* exactly n, so that reading on is noticed */
        memcpy(part, bytes.data, n);
        assert_int_equal(layout_decode(part, n, &back, &err), SEWA_E_CORRUPT);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        AUTOPTR(layout_free) struct layout *back = NULL;
        uint32_t random[4];
        philox4x32((const uint32_t[4]){ i, 0, 0, 0 }, key, random);
        char *at = &bytes.data[random[0] % bytes.len], was = *at;
        *at = (char)random[1];
        int rc = layout_decode(bytes.data, bytes.len, &back, &err);
        *at = was;
        assert_true(rc == 0 || rc == SEWA_E_CORRUPT || rc == SEWA_E_UNSUPPORTED);
        assert_true((rc == 0) == (back != NULL));
        uint8_t signature[32];
        if (back)
            assert_int_equal(layout_signature(back, signature, NULL), 0);
    }
}

/* More than any writer of ours stores. */
static void test_more_left_than_there_can_be(void **state)
{
    (void)state;
    for (int count = LAYOUT_LEFT_MAX; count <= LAYOUT_LEFT_MAX + 1; count++) {
        AUTOPTR(layout_free) struct layout *l = NULL;
        AUTO(buf_clear) struct buf b = { 0 };
        struct sewa_error err = { 0 };
        buf_append(&b, "\x03\x01x\x00\x00\x00\x00\x00\x00", 9);
        buf_char(&b, (char)count);
        for (int i = 0; i < count; i++)
            buf_append(&b, "\x01y", 2);
        int rc = layout_decode(b.data, b.len, &l, &err);
        assert_int_equal(rc, count > LAYOUT_LEFT_MAX ? SEWA_E_CORRUPT : 0);
    }
}

/* What a large model costs in the index: the comment in layout_codec.c says so. */
static void test_size(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "input_layernorm",          "mlp.down_proj",    "mlp.gate_proj",    "mlp.up_proj",
        "post_attention_layernorm", "self_attn.k_proj", "self_attn.o_proj", "self_attn.q_proj",
        "self_attn.v_proj",
    };
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("safetensors");
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTO(buf_clear) struct buf bytes = { 0 };
    struct sewa_error err = { 0 };
    int64_t offset = 40000;

    for (int i = 0; i < 32; i++)
        for (size_t k = 0; k < COUNT_OF(parts); k++) {
            char name[128];
            const int64_t shape[] = { 4096, 4096 };
            struct tensor t = { .name = name, .dtype = DTYPE_BF16, .shape = shape, .rank = 2 };
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", i, parts[k]);
            t.offset = offset;
            t.bytes = 4096 * 4096 * 2;
            offset += t.bytes;
            assert_ok(layout_builder_tensor(b, &t, &err), err);
        }
    assert_ok(layout_builder_finish(b, &l, &err), err);
    assert_ok(layout_encode(l, &bytes, &err), err);
    assert_in_range(bytes.len / l->count, 20, 29);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(bad) + 5];
    size_t n = 0;

    for (; n < COUNT_OF(bad); n++)
        tests[n] = (struct CMUnitTest){ bad[n].name, test_bad, NULL, NULL, (void *)&bad[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_round_trip);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_the_bytes_of_version_1);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_damage);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_size);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_more_left_than_there_can_be);
    return _cmocka_run_group_tests("layout_codec", tests, n, NULL, NULL);
}
