/*
 * test_page - tokens of pages come back as they went out, and nothing else is taken.
 */
#include "support/support.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "http/page.h"

static const struct page_key keys[] = {
    { .order = "jobs", .id = 17 },
    { .order = "runs", .text = "digits" },
    { .order = "checkpoints 3 step+", .number = -1, .id = INT64_MAX },
    { .order = "checkpoints 3 step-", .number = INT64_MIN, .id = 0 },
    { .order = "checkpoints 3 metric.a;b;c+", .number = INT64_MAX, .value = 0.1, .id = 5 },
    { .order = "checkpoints 3 metric.loss-", .value = -DBL_MAX, .id = 5 },
    { .order = "checkpoints 3 metric.loss+", .value = DBL_TRUE_MIN, .id = 5 },
    { .order = "checkpoints 3 metric.\xc3\xa4 \xe2\x82\xac+", .value = -0.0, .id = 5 },
    { .order = "", .text = "" },
};

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char token[PAGE_TOKEN_SIZE];
        struct page_key back;
        struct sewa_error err = { 0 };
        assert_ptr_equal(page_encode(&keys[i], token), token);
        assert_int_equal(strspn(token, "0123456789abcdef"), strlen(token));
        assert_ok(page_decode(token, keys[i].order, &back, &err), err);
        assert_memory_equal(&back.value, &keys[i].value, sizeof back.value);
        assert_int_equal(back.number, keys[i].number);
        assert_int_equal(back.id, keys[i].id);
        assert_string_equal(back.text, keys[i].text);
        assert_string_equal(back.order, keys[i].order);
    }
}

/* The longest of everything fits. */
static void test_longest(void **state)
{
    (void)state;
    struct page_key key = { .number = INT64_MIN, .value = -DBL_TRUE_MIN, .id = INT64_MAX }, back;
    char token[PAGE_TOKEN_SIZE];
    struct sewa_error err = { 0 };

    memset(key.order, 'o', sizeof key.order - 1);
    memset(key.text, 't', sizeof key.text - 1);
    page_encode(&key, token);
    assert_ok(page_decode(token, key.order, &back, &err), err);
    assert_string_equal(back.text, key.text);
    assert_int_equal(back.number, INT64_MIN);
}

static void test_other_lists(void **state)
{
    (void)state;
    static const char *const others[] = { "jobs", "checkpoints 3 step-", "checkpoints 4 step+",
                                          "checkpoints 3 step", "" };
    struct page_key key = { .order = "checkpoints 3 step+", .id = 1 }, back;
    char token[PAGE_TOKEN_SIZE];
    struct sewa_error err = { 0 };

    page_encode(&key, token);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_failed(page_decode(token, others[i], &back, &err), err, SEWA_E_INVALID,
                      "another list or order");
}

static const char *const plain_forgeries[] = {
    "",
    "1",
    "1;0x1p+0;2;text",
    ";0x1p+0;2;;jobs",
    "1;;2;;jobs",
    "1;0x1p+0;;;jobs",
    "x;0x1p+0;2;;jobs",
    "1;x;2;;jobs",
    "1;1 ;2;;jobs",
    "1;nan;2;;jobs",
    "1;inf;2;;jobs",
    "1;-infinity;2;;jobs",
    "1;1e999;2;;jobs",
    "1;0x1p+0;-1;;jobs",
    "1;0x1p+0;9223372036854775808;;jobs",
    "9223372036854775808;0x1p+0;2;;jobs",
    "1;0x1p+0; 2;;jobs",
    "1;0x1p+0;2;ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt;jobs",
};

static void test_forged(void **state)
{
    (void)state;
    struct page_key back;
    char token[PAGE_TOKEN_SIZE];
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(plain_forgeries); i++) {
        const char *p = plain_forgeries[i];
        hex_encode((const uint8_t *)p, strlen(p), token);
        assert_failed(page_decode(token, "jobs", &back, &err), err, SEWA_E_INVALID, "none of ours");
    }
    hex_encode((const uint8_t *)"1;0;2;;jobs\0x", 13, token); /* a NUL inside */
    assert_failed(page_decode(token, "jobs", &back, &err), err, SEWA_E_INVALID, "none of ours");
}

static void test_no_tokens(void **state)
{
    (void)state;
    static const char *const texts[] = { "zz", "3", "313", "31 ", "3g", "\xc3\xa4" };
    struct page_key back;
    char longer[2 * PAGE_TOKEN_SIZE];
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_failed(page_decode(texts[i], "jobs", &back, &err), err, SEWA_E_INVALID,
                      "none of ours");
    memset(longer, '3', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_failed(page_decode(longer, "jobs", &back, &err), err, SEWA_E_INVALID, "none of ours");
}

/* An order that is longer than any of ours, in a token that is not too long. */
static void test_long_order(void **state)
{
    (void)state;
    char plain[PAGE_TOKEN_SIZE / 2 - 1], token[PAGE_TOKEN_SIZE];
    struct page_key back;
    struct sewa_error err = { 0 };

    memset(plain, 'o', sizeof plain - 1);
    plain[sizeof plain - 1] = '\0';
    memcpy(plain, "1;0;2;;", 7);
    hex_encode((const uint8_t *)plain, strlen(plain), token);
    assert_failed(page_decode(token, plain + 7, &back, &err), err, SEWA_E_INVALID, "none of ours");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_longest),
        cmocka_unit_test(test_other_lists), cmocka_unit_test(test_forged),
        cmocka_unit_test(test_no_tokens),   cmocka_unit_test(test_long_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
