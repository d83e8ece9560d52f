/*
 * test_safetensors_header - what is written is what the reader reads, byte for byte as expected,
 * and what the reader would refuse is not written.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/safetensors.h"

static void assert_header(const struct buf *b, const char *text)
{
    size_t n = strlen(text);
    size_t padded = (n + 7) / 8 * 8;

    assert_int_equal(b->len, 8 + padded);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal((unsigned char)b->data[i], padded >> 8 * i & 0xff);
    assert_memory_equal(b->data + 8, text, n);
    for (size_t i = n; i < padded; i++)
        assert_int_equal(b->data[8 + i], ' ');
}

static void test_bytes(void **state)
{
    (void)state;
    static const int64_t shape[] = { 2, 3 }, none[] = { 0, 5 };
    static const struct safetensors_item items[] = {
        { "b", DTYPE_BF16, 2, shape },
        { "a", DTYPE_I64, 0, NULL },
        { "e", DTYPE_F32, 2, none },
    };
    static const struct layout_metadata metadata[] = { { "step", "7" }, { "format", "pt" } };
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(safetensors_header(items, 3, metadata, 2, &b, &err), err);
    assert_header(&b, "{\"__metadata__\":{\"step\":\"7\",\"format\":\"pt\"},"
                      "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                      "\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[12,20]},"
                      "\"e\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[20,20]}}");
    buf_reset(&b);
    assert_ok(safetensors_header(items + 1, 1, NULL, 0, &b, &err), err);
    assert_header(&b, "{\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}");
    buf_reset(&b);
    assert_ok(safetensors_header(NULL, 0, NULL, 0, &b, &err), err);
    assert_header(&b, "{}");
    buf_reset(&b);
    assert_ok(safetensors_header(NULL, 0, metadata, 1, &b, &err), err);
    assert_header(&b, "{\"__metadata__\":{\"step\":\"7\"}}");
}

static void test_it_is_appended(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    buf_text(&b, "abc");
    assert_ok(safetensors_header(NULL, 0, NULL, 0, &b, &err), err);
    assert_int_equal(b.len, 3 + 16);
    assert_memory_equal(b.data, "abc\x08\0\0\0\0\0\0\0{}      ", 19);
}

/* Every byte that a string can have, each type, each rank: written, read, and the same. */
static void test_round_trip(void **state)
{
    (void)state;
    static const int64_t ones[LAYOUT_RANK_MAX] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4 };
    char names[DTYPE_COUNT][64], key[128] = { 0 };
    struct safetensors_item items[DTYPE_COUNT];
    struct layout_metadata metadata[] = { { key, "\xf0\x9f\x98\x80" }, { "", key } };
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int64_t data = 0, offset;

    for (int c = 1; c < 128; c++)
        key[c - 1] = (char)c;
    for (int i = 0; i < DTYPE_COUNT; i++) {
        uint8_t rank = (uint8_t)(i % LAYOUT_RANK_MAX + 1);
        snprintf(names[i], sizeof names[i], "%c\"\\\xc3\xa4%s", 'z' - i, dtype_name((enum dtype)i));
        items[i] = (struct safetensors_item){ names[i], (enum dtype)i, rank,
                                              ones + LAYOUT_RANK_MAX - rank };
        data += dtype_bytes((enum dtype)i, 4);
    }
    assert_ok(safetensors_header(items, DTYPE_COUNT, metadata, 2, &b, &err), err);
    offset = (int64_t)b.len;
    assert_ok(safetensors_parse(b.data, b.len, "f", offset + data, &l, &err), err);
    assert_int_equal(l->count, DTYPE_COUNT);
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        const struct tensor *t = &l->tensors[i]; /* in the given order: that of the data */
        assert_string_equal(t->name, names[i]);
        assert_int_equal(t->dtype, items[i].dtype);
        assert_int_equal(t->rank, items[i].rank);
        assert_memory_equal(t->shape, items[i].shape, t->rank * sizeof *t->shape);
        assert_int_equal(t->offset, offset);
        offset += t->bytes;
    }
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(l->metadata[i].key, metadata[i].key);
        assert_string_equal(l->metadata[i].value, metadata[i].value);
    }
}

struct refusal {
    const char *name;
    struct safetensors_item items[2];
    size_t count;
    struct layout_metadata metadata[2];
    size_t metadata_count;
    const char *word;
};

static const int64_t negative[] = { -1 }, huge[] = { (int64_t)1 << 40, (int64_t)1 << 40 },
                     large[] = { INT64_MAX / 2 + 1 }, three[] = { 3 }, ones[17] = { 1 };

static const struct refusal refusals[] = {
    { "a name twice",
      { { "a", DTYPE_U8, 0, NULL }, { "a", DTYPE_U8, 0, NULL } },
      2,
      { { 0 } },
      0,
      "two tensors have the name 'a'" },
    { "a name that is not UTF-8", { { "\xff", DTYPE_U8, 0, NULL } }, 1, { { 0 } }, 0, "not UTF-8" },
    { "a negative dimension",
      { { "a", DTYPE_U8, 1, negative } },
      1,
      { { 0 } },
      0,
      "tensor 1 of 1 has no size" },
    { "an overflow", { { "a", DTYPE_U8, 2, huge } }, 1, { { 0 } }, 0, "has no size" },
    { "a sum past 2^63",
      { { "a", DTYPE_U8, 1, large }, { "b", DTYPE_U8, 1, large } },
      2,
      { { 0 } },
      0,
      "tensor 2 of 2 has no size" },
    { "half a byte", { { "a", DTYPE_F4, 1, three } }, 1, { { 0 } }, 0, "has no size" },
    { "rank 17", { { "a", DTYPE_U8, 17, ones } }, 1, { { 0 } }, 0, "more than 16 dimensions" },
    { "a metadata key twice",
      { { 0 } },
      0,
      { { "k", "1" }, { "k", "2" } },
      2,
      "the metadata have the key 'k' twice" },
    { "metadata that are not UTF-8", { { 0 } }, 0, { { "k", "\xc3" } }, 1, "not UTF-8" },
    { "a tensor with the name of the metadata",
      { { "__metadata__", DTYPE_U8, 0, NULL } },
      1,
      { { 0 } },
      0,
      "expected a string" },
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    assert_failed(
        safetensors_header(row->items, row->count, row->metadata, row->metadata_count, &b, &err),
        err, SEWA_E_INVALID, row->word);
    assert_int_equal(b.len, 0);
    assert_int_equal(
        safetensors_header(row->items, row->count, row->metadata, row->metadata_count, &b, NULL),
        SEWA_E_INVALID);
}

static void test_a_name_too_long(void **state)
{
    (void)state;
    char name[LAYOUT_NAME_MAX + 2] = { 0 };
    struct safetensors_item item = { name, DTYPE_U8, 0, NULL };
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    memset(name, 'n', LAYOUT_NAME_MAX + 1);
    assert_failed(safetensors_header(&item, 1, NULL, 0, &b, &err), err, SEWA_E_INVALID,
                  "more than 1024 bytes");
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(refusals) + 4];
    size_t n = 0;

    for (; n < COUNT_OF(refusals); n++)
        tests[n] =
            (struct CMUnitTest){ refusals[n].name, test_refusal, NULL, NULL, (void *)&refusals[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_bytes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_it_is_appended);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_round_trip);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_name_too_long);
    return _cmocka_run_group_tests("safetensors_header", tests, n, NULL, NULL);
}
