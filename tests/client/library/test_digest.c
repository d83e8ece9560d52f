/*
 * test_digest - SHA-256, and the header fields that carry it or a range.
 */
#include "support/support.h"

#include <string.h>

#include "cleanup.h"
#include "digest.h"

/* FIPS 180-2 and the empty text. */
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void hashes(void **state)
{
    (void)state;
    AUTO(sewa_sha256_clear) struct sha256 s = { 0 };
    char hex[SHA256_HEX_SIZE];
    struct sewa_error err;

    assert_ok(sewa_sha256_hex("", 0, hex, &err), err);
    assert_string_equal(hex, SHA_EMPTY);
    assert_ok(sewa_sha256_begin(&s, &err), err);
    assert_ok(sewa_sha256_add(&s, "xyz", 3, &err), err);
    assert_ok(sewa_sha256_begin(&s, &err), err); /* forgets what came before */
    assert_ok(sewa_sha256_add(&s, "a", 1, &err), err);
    assert_ok(sewa_sha256_add(&s, "bc", 2, &err), err);
    assert_ok(sewa_sha256_end(&s, hex, &err), err);
    assert_string_equal(hex, SHA_ABC);
}

static void etags(void **state)
{
    (void)state;
    static const struct {
        const char *etag;
        bool is_digest;
    } rows[] = {
        { "\"sha256-" SHA_ABC "\"", true },
        { "\"sha256-" SHA_ABC, false },
        { "W/\"sha256-" SHA_ABC "\"", false },
        { "\"sha256-" SHA_ABC "0\"", false },
        { "\"sha256-BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD\"", false },
        { "\"id-4711-1-abc\"", false },
        { "\"sha256-\"", false },
        { "", false },
    };
    char hex[SHA256_HEX_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(sewa_etag_digest(rows[i].etag, hex), rows[i].is_digest);
        if (rows[i].is_digest)
            assert_string_equal(hex, SHA_ABC);
    }
}

#define ABC_BASE64 "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="

static void repr_digests(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        bool is_there;
    } rows[] = {
        { "sha-256=:" ABC_BASE64 ":", true },
        { "sha-512=:AAAA:, sha-256=:" ABC_BASE64 ":", true },
        { "md5=:AAAA:,\tsha-256=:" ABC_BASE64 ":;a=1", true },
        { "sha-256=" ABC_BASE64, false },
        { "sha-256=:" ABC_BASE64, false },
        { "sha-256=:AAAA:", false },
        { "sha-256=:****************************************"
          "***=:",
          false },
        { "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0A:", false },
        { "xsha-256=:" ABC_BASE64 ":", false },
        { "sha-256", false },
        { ",,,", false },
        { "", false },
    };
    char hex[SHA256_HEX_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(sewa_repr_digest(rows[i].field, hex), rows[i].is_there);
        if (rows[i].is_there)
            assert_string_equal(hex, SHA_ABC);
    }
}

static void content_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        int64_t first, size; /* size 0: it is none */
    } rows[] = {
        { "bytes 5-9/10", 5, 10 },
        { "bytes 0-0/1", 0, 1 },
        { "bytes 0-99999999999/100000000000", 0, 100000000000 },
        { "bytes 5-9/*", 0, 0 },
        { "bytes */10", 0, 0 },
        { "bytes 9-5/10", 0, 0 },
        { "bytes 5-10/10", 0, 0 },
        { "bytes -5-9/10", 0, 0 },
        { "bytes 5-9/10,", 0, 0 },
        { "bytes 5-9/99999999999999999999", 0, 0 },
        { "items 5-9/10", 0, 0 },
        { "", 0, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t first = -1, size = -1;
        bool there = sewa_content_range(rows[i].field, &first, &size);
        assert_int_equal(there, rows[i].size > 0);
        assert_int_equal(first, there ? rows[i].first : -1);
        assert_int_equal(size, there ? rows[i].size : -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(etags),
        cmocka_unit_test(repr_digests),
        cmocka_unit_test(content_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
