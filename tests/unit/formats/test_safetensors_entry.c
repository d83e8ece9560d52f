/*
 * test_safetensors_entry - the pattern takes what the reference implementation writes, all of it or
 * nothing, and leaves everything else, right or wrong, where it is. That both ways give the same
 * layouts and the same refusals is what test_safetensors_mutations and small windows show.
 */
#include "support/support.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/dtype.h"
#include "formats/safetensors.h"
#include "formats/safetensors_entry.h"

#include "header_text.h"

#define ENTRY "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"

static struct window window_of(const char *text, size_t n)
{
    const uint8_t *at = (const uint8_t *)text;

    return (struct window){ .at = at, .end = at + n };
}

static void test_fields(void **state)
{
    static const char text[] = "\"a.weight\":" TENSOR("BF16", "[7,0,12]", "[123456789012345678,5]");
    struct window w = window_of(text, sizeof text - 1);
    struct safetensors_entry e;

    (void)state;
    assert_true(safetensors_entry(&w, &e));
    assert_ptr_equal(w.at, w.end);
    assert_int_equal(e.name_length, strlen("a.weight"));
    assert_memory_equal(e.name, "a.weight", e.name_length);
    assert_int_equal(e.dtype, DTYPE_BF16);
    assert_int_equal(e.rank, 3);
    assert_int_equal(e.shape[0], 7);
    assert_int_equal(e.shape[1], 0);
    assert_int_equal(e.shape[2], 12);
    assert_int_equal(e.begin, 123456789012345678);
    assert_int_equal(e.end, 5);
}

static const struct {
    const char *text;
    bool is_taken;
} rows[] = {
    { ENTRY, true },
    { ENTRY "}", true },
    { ENTRY ",\"b\"", true },
    { "\"w\":" TENSOR("F32", "[]", "[0,4]"), true },
    { "\"\":" TENSOR("F32", "[]", "[0,4]"), true },
    { "\"w\":" TENSOR("NEW", "[]", "[0,4]"), true }, /* a type that is not known: dtype < 0 */
    { "\"__metadata__\":{\"format\":\"pt\"}", false },
    { " " ENTRY, false },
    { "\"w\" :" TENSOR("F32", "[]", "[0,4]"), false },
    { "\"w\": " TENSOR("F32", "[]", "[0,4]"), false },
    { "\"w\":" TENSOR("F32", "[2, 3]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[2,]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[,2]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[-2]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[2.0]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[02]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[00]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[1234567890123456789]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[99999999999999999999999]", "[0,24]"), false },
    { "\"w\":" TENSOR("F32", "[2]", "[0]"), false },
    { "\"w\":" TENSOR("F32", "[2]", "[0,8,9]"), false },
    { "\"w\":" TENSOR("F32", "[2]", "[]"), false },
    { "\"w\\n\":" TENSOR("F32", "[2]", "[0,8]"), false },
    { "\"w\n\":" TENSOR("F32", "[2]", "[0,8]"), false },
    { "\"\xc3\xa9\":" TENSOR("F32", "[2]", "[0,8]"), false },
    { "\"w\":{\"shape\":[2],\"dtype\":\"F32\",\"data_offsets\":[0,8]}", false },
    { "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}", false },
    { "\"w\":{\"dtype\":\"F32\",\"shape\":[2]}", false },
    { "", false },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct window w = window_of(rows[i].text, strlen(rows[i].text));
        struct safetensors_entry e;
        bool is_taken = safetensors_entry(&w, &e);
        if (is_taken != rows[i].is_taken)
            fail_msg("row %zu: %s", i, rows[i].text);
        assert_true((w.at != (const uint8_t *)rows[i].text) == is_taken);
    }
}

/* Wherever the window ends before the entry does. The bytes behind it must not be looked at. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof ENTRY - 1; n++) {
        AUTOFREE char *exact = malloc(n ? n : 1); /* a sanitizer sees one byte too many */
        assert_non_null(exact);
        memcpy(exact, ENTRY, n);
        struct window w = window_of(exact, n);
        struct safetensors_entry e;
        assert_false(safetensors_entry(&w, &e));
        assert_ptr_equal(w.at, exact);
    }
}

static void test_ranks(void **state)
{
    (void)state;
    for (int rank = 0; rank <= LAYOUT_RANK_MAX + 1; rank++) {
        char text[200] = "\"w\":{\"dtype\":\"F32\",\"shape\":[";
        for (int i = 0; i < rank; i++)
            strcat(text, i ? ",1" : "1");
        strcat(text, "],\"data_offsets\":[0,4]}");
        struct window w = window_of(text, strlen(text));
        struct safetensors_entry e;
        assert_int_equal(safetensors_entry(&w, &e), rank <= LAYOUT_RANK_MAX);
        assert_int_equal(e.rank, rank <= LAYOUT_RANK_MAX ? rank : LAYOUT_RANK_MAX);
    }
}

/* What the pattern takes and the format refuses is refused by the reader as if it were not there.
 */
static void test_the_reader_says_what_is_wrong(void **state)
{
    static const struct {
        const char *header;
        int wanted;
        const char *word;
    } wrong[] = {
        { "{\"w\":" TENSOR("NEW", "[1]", "[0,4]") "}", SEWA_E_UNSUPPORTED, "'NEW' is not known" },
        { "{\"w\":" TENSOR("F32", "[1]", "[4,0]") "}", SEWA_E_CORRUPT, "from 4 back to 0" },
        { "{\"w\":" TENSOR("F32", "[2]", "[0,4]") "}", SEWA_E_CORRUPT, "needs 8 bytes" },
        { "{\"__metadata__\":" TENSOR("F32", "[1]", "[0,4]") "}", SEWA_E_CORRUPT, "a string" },
        { "{" ENTRY " " ENTRY "}", SEWA_E_CORRUPT, "','" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        AUTO(buf_clear) struct buf file = { 0 };
        struct layout *l = NULL;
        struct sewa_error err = { 0 };
        put_header(&file, wrong[i].header, strlen(wrong[i].header));
        assert_failed(safetensors_parse(file.data, file.len, "f", (int64_t)file.len + 24, &l, &err),
                      err, wrong[i].wanted, wrong[i].word);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_the_reader_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
