/*
 * test_text - clock, parse, path, ulid, digest, rng, buf and error: everything that is a pure
 * function.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/ulid.h"

static void test_clock(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        int rc;
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0, 0 },
        { "2000-02-29T12:00:00.5Z", 951825600500, 0 },
        { "2026-11-22T01:02:03.004+01:30", 1795303923004, 0 },
        { "1969-12-31T23:59:59.999Z", -1, 0 },
        { "2026-02-29T00:00:00Z", 0, -1 },
        { "2026-11-22", 0, -1 },
        { "2026-11-22T25:00:00Z", 0, -1 },
        { "2026-11-22T00:00:00", 0, -1 },
        { "2026-11-22T00:00:00Zx", 0, -1 },
    };
    char text[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = 0;
        assert_int_equal(clock_parse(rows[i].text, &ms), rows[i].rc);
        if (rows[i].rc == 0)
            assert_int_equal(ms, rows[i].ms);
    }
    assert_string_equal(clock_format(951825600500, text), "2000-02-29T12:00:00.500Z");
    assert_string_equal(clock_format(-1, text), "1969-12-31T23:59:59.999Z");
}

static void test_parse(void **state)
{
    (void)state;
    int64_t n;
    double x;

    assert_int_equal(parse_i64("42", 0, 100, &n), 0);
    assert_int_equal(n, 42);
    assert_int_equal(parse_i64("-1", -5, 5, &n), 0);
    static const char *const bad[] = { "",   " 1", "1 ", "1x", "+1", "-", "99999999999999999999",
                                       "101" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(parse_i64(bad[i], 0, 100, &n), -1);
    assert_int_equal(parse_f64("-1.5e-3", &x), 0);
    assert_true(x == -1.5e-3);
    static const char *const bad_real[] = { "", "nan", "inf", "1e999", "0x1", " 1", "1,5", "-" };
    for (size_t i = 0; i < COUNT_OF(bad_real); i++)
        assert_int_equal(parse_f64(bad_real[i], &x), -1);
}

static void test_path(void **state)
{
    (void)state;
    static const char *const clean[] = { "/", "/a", "/a/b.c", "/a/..b" };
    static const char *const dirty[] = {
        "", "a", "/a/", "//a", "/a/../b", "/a/./b", "/a/..", "/a\n"
    };

    for (size_t i = 0; i < COUNT_OF(clean); i++)
        assert_true(path_is_clean(clean[i]));
    for (size_t i = 0; i < COUNT_OF(dirty); i++)
        assert_false(path_is_clean(dirty[i]));
    assert_true(path_is_under("/data/x", "/data"));
    assert_true(path_is_under("/data", "/data"));
    assert_true(path_is_under("/x", "/"));
    assert_false(path_is_under("/database", "/data"));
    assert_true(path_is_name("a b"));
    assert_false(path_is_name(".."));
    assert_false(path_is_name("a/b"));
    assert_false(path_is_name(""));
    assert_true(path_is_run_name("a.B_c-9"));
    assert_false(path_is_run_name(".a"));
    assert_false(path_is_run_name("a b"));
    AUTOFREE char *joined = path_join("/a/", "b");
    assert_string_equal(joined, "/a/b");
    AUTOFREE char *absolute = path_join("/a", "/b");
    assert_string_equal(absolute, "/b");
    AUTOFREE char *shown = path_to_text("/\xc3\xa4/\xff%\n");
    assert_string_equal(shown, "/\xc3\xa4/%FF%25%0A");
    AUTOFREE char *back = path_from_text(shown);
    assert_string_equal(back, "/\xc3\xa4/\xff%\n");
    assert_null(path_from_text("/a%"));
    assert_null(path_from_text("/a%0"));
    assert_null(path_from_text("/a%00"));
    assert_null(path_from_text("/a%zz"));
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        { "plain", true },
        { "\xc3\xa4", true },
        { "\xf0\x9f\x98\x80", true },
        { "\xc0\x80", false },
        { "\xe0\x80\x80", false },
        { "\xed\xa0\x80", false },
        { "\xf4\x90\x80\x80", false },
        { "\x80", false },
        { "\xc3", false },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(utf8_is_valid(rows[i].text, strlen(rows[i].text)), rows[i].valid);
}

static void test_ulid(void **state)
{
    (void)state;
    char last[ULID_TEXT_SIZE], next[ULID_TEXT_SIZE], id[ID_TEXT_SIZE];

    ulid_new(1000, last);
    for (int i = 0; i < 1000; i++) {
        ulid_new(i % 3 ? 1000 : 5, next); /* also when the clock steps back */
        assert_true(strcmp(last, next) < 0);
        memcpy(last, next, sizeof last);
    }
    id_new("job", 1234567890123, id);
    assert_true(id_is(id, "job"));
    assert_false(id_is(id, "run"));
    assert_false(id_is("job_01", "job"));
    assert_false(id_is("job_01J0000000000000000000000U", "job"));
    assert_memory_equal(id, "job_013XRZP16B", 14); /* the time part of that millisecond */
}

static void test_digest(void **state)
{
    (void)state;
    uint8_t digest[SHA256_SIZE], back[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE], b64[64];

    sha256_of("abc", 3, digest);
    assert_string_equal(hex_encode(digest, SHA256_SIZE, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(hex_decode(hex, back, SHA256_SIZE), 0);
    assert_memory_equal(digest, back, SHA256_SIZE);
    assert_int_equal(hex_decode("zz", back, 1), -1);
    assert_int_equal(hex_decode("0", back, 1), -1);
    assert_string_equal(base64_encode((const uint8_t *)"foobar!", 7, b64), "Zm9vYmFyIQ==");
}

/* Known answers of the authors' own library (Random123, kat_vectors, philox 4x32 10). */
static void test_philox(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], wanted[4];
    } rows[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ~0u, ~0u, ~0u, ~0u },
          { ~0u, ~0u },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t out[4];
        philox4x32(rows[i].counter, rows[i].key, out);
        assert_memory_equal(out, rows[i].wanted, sizeof out);
    }
    /* 0x6627e8d5e169c58d >> 11, plus a half, times 2^-53 */
    assert_true(rng_uniform(0, 0, 0, 0, 0) ==
                ((double)(0x6627e8d5e169c58dull >> 11) + 0.5) * 0x1p-53);
}

static void test_buf(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = { 0 };

    assert_string_equal(buf_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 3890);
    buf_consume(&b, 2);
    assert_memory_equal(b.data, "1,2,", 4);
    AUTOFREE char *text = buf_take(&b);
    assert_int_equal(strlen(text), 3888);
    assert_null(b.data);
    assert_null(buf_reserve(&b, (size_t)-8));
    assert_true(buf_failed(&b));
    buf_text(&b, "ignored");
    assert_null(buf_take(&b));
}

static void test_error(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    char long_text[2000];

    assert_int_equal(sewa_fail(&err, SEWA_E_IO, "cannot read '%s'", "x"), SEWA_E_IO);
    assert_int_equal(sewa_context(&err, SEWA_E_IO, "checkpoint %d", 7), SEWA_E_IO);
    assert_string_equal(err.text, "checkpoint 7: cannot read 'x'");
    sewa_context(&err, 0, "not a failure");
    assert_string_equal(err.text, "checkpoint 7: cannot read 'x'");
    errno = ENOSPC;
    assert_int_equal(sewa_fail_errno(&err, SEWA_E_IO, "cannot write"), SEWA_E_NO_SPACE);
    assert_string_equal(err.text, "cannot write: No space left on device");
    for (size_t i = 0; i + 2 < sizeof long_text; i += 2)
        memcpy(long_text + i, "\xc3\xa4", 3);
    long_text[0] = 'x'; /* the cut falls inside a character for one of the two parities */
    long_text[1] = 'y';
    sewa_fail(&err, SEWA_E_IO, "%s", long_text);
    assert_true(utf8_is_valid(err.text, strlen(err.text)));
    sewa_fail(&err, SEWA_E_IO, "%s", long_text + 1);
    assert_true(utf8_is_valid(err.text, strlen(err.text)));
    for (size_t before = 0; before < 4; before++) { /* cut behind 1, 2, 3 and 4 bytes of the last */
        memset(long_text, 'x', before);
        for (size_t i = before; i + 5 < sizeof long_text; i += 4)
            memcpy(long_text + i, "\xf0\x90\x80\x80", 5);
        sewa_fail(&err, SEWA_E_IO, "%s", long_text);
        assert_int_equal((strlen(err.text) - before) % 4, 0);
        assert_null(strchr(err.text, '%'));
    }
    long_text[0] = 'y';
    sewa_fail(&err, SEWA_E_IO, "%s", long_text);
    sewa_fail(&err, SEWA_E_IO, "again: %.20s", err.text);
    assert_memory_equal(err.text, "again: y", 8);
    assert_int_equal(sewa_fail(NULL, SEWA_E_IO, "nobody listens"), SEWA_E_IO);
}

/* Names of files and what clients send may be any bytes; the text of a failure goes into JSON. */
static void test_error_is_utf8(void **state)
{
    (void)state;
    static const unsigned char bytes[] = { 'a',  0x20, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                           0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed,
                                           0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff };
    enum { N = sizeof bytes };
    struct sewa_error err;
    char text[5] = "";

    for (size_t i = 0; i < (size_t)N * N * N * N; i++) {
        for (size_t j = 0, rest = i; j < 4; j++, rest /= N)
            text[j] = (char)bytes[rest % N];
        sewa_fail_at(&err, SEWA_E_INVALID, text, "%s", text);
        assert_true(utf8_is_valid(err.text, strlen(err.text)));
        if (utf8_is_valid(text, 4)) {
            assert_string_equal(err.text, text);
            assert_string_equal(err.pointer, text);
        }
    }
    sewa_fail_at(&err, SEWA_E_INVALID, "/a\x7f", "'%s'", "\x01\n\x7f\xc3\xa4\xc3\xff");
    assert_string_equal(err.text, "'%01%0A%7F\xc3\xa4%C3%FF'");
    assert_string_equal(err.pointer, "/a%7F");
    errno = ENOENT;
    sewa_fail_errno(&err, SEWA_E_IO, "cannot open '%s'", "run-\xff");
    assert_string_equal(err.text, "cannot open 'run-%FF': No such file or directory");
    sewa_context(&err, SEWA_E_IO, "run '\xc3'");
    assert_string_equal(err.text, "run '%C3': cannot open 'run-%FF': No such file or directory");

    char full[SEWA_ERROR_TEXT_MAX]; /* what grows is cut between characters, not within an escape */
    memset(full, 0xff, sizeof full);
    full[sizeof full - 1] = '\0';
    sewa_fail(&err, SEWA_E_IO, "%s", full);
    assert_int_equal(strlen(err.text), (SEWA_ERROR_TEXT_MAX - 1) / 3 * 3);
    assert_string_equal(err.text + strlen(err.text) - 3, "%FF");
}

static void test_codes_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; sewa_code_at(i); i++) {
        const struct sewa_code_info *a = sewa_code_at(i);
        assert_true(a->code < 0 && a->http_status >= 400 && a->http_status < 600);
        assert_int_equal(sewa_code_from_slug(a->slug), a->code);
        assert_ptr_equal(sewa_code_info(a->code), a);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(a->slug, sewa_code_at(j)->slug);
            assert_int_not_equal(a->code, sewa_code_at(j)->code);
        }
    }
    assert_int_equal(sewa_code_info(-9999)->code, SEWA_E_INTERNAL);
    assert_int_equal(sewa_code_from_slug("no_such"), 0);
}

/*
 * Every code says whose failure it is. Those of a worker are tried again: one more in that list is
 * a decision about jobs (sewa/codes.def), so it is made here too.
 */
static void test_codes_have_somebody_to_blame(void **state)
{
    (void)state;
    static const int workers[] = {
        SEWA_E_INTERNAL,        SEWA_E_NO_MEMORY,          SEWA_E_UNAVAILABLE,
        SEWA_E_TIMEOUT,         SEWA_E_NO_SPACE,           SEWA_E_IO,
        SEWA_E_LEASE_LOST,      SEWA_E_CANCELLED,          SEWA_E_UNREACHABLE,
        SEWA_E_EVALUATOR_START, SEWA_E_EVALUATOR_DIED,     SEWA_E_EVALUATOR_TIMEOUT,
        SEWA_E_EVALUATOR_ERROR, SEWA_E_EVALUATOR_PROTOCOL, SEWA_E_WORKER_DIED,
    };
    static const int jobs[] = { SEWA_E_CHANGED, SEWA_E_GONE, SEWA_E_NONFINITE, SEWA_E_MISMATCH,
                                SEWA_E_EVALUATOR_MISMATCH };
    static const int services[] = { SEWA_E_DATABASE, SEWA_E_CONFIG, SEWA_E_BAD_JSON };
    size_t of_workers = 0;

    for (size_t i = 0; sewa_code_at(i); i++) {
        enum sewa_blame blame = sewa_code_at(i)->blame;
        assert_true(blame >= SEWA_BLAME_WORKER && blame <= SEWA_BLAME_SERVICE);
        assert_int_equal(sewa_code_blame(sewa_code_at(i)->code), blame);
        of_workers += blame == SEWA_BLAME_WORKER;
    }
    assert_int_equal(of_workers, COUNT_OF(workers));
    for (size_t i = 0; i < COUNT_OF(workers); i++)
        assert_int_equal(sewa_code_blame(workers[i]), SEWA_BLAME_WORKER);
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        assert_int_equal(sewa_code_blame(jobs[i]), SEWA_BLAME_JOB);
    for (size_t i = 0; i < COUNT_OF(services); i++)
        assert_int_equal(sewa_code_blame(services[i]), SEWA_BLAME_SERVICE);
    assert_int_equal(sewa_code_blame(-9999), SEWA_BLAME_WORKER); /* as SEWA_E_INTERNAL */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_ulid),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_error_is_utf8),
        cmocka_unit_test(test_codes_are_unique),
        cmocka_unit_test(test_codes_have_somebody_to_blame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
