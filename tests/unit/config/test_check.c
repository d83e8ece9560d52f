/*
 * test_check - which values each kind of option accepts, and what it says of the others.
 */
#include "support/support.h"

#include <string.h>

#include "base/cleanup.h"
#include "config/check.h"

static const struct {
    enum config_kind kind;
    const char *value;
    const char *word; /* NULL: accepted */
} rows[] = {
    { KIND_NUMBER, "1", NULL },
    { KIND_NUMBER, "10", NULL },
    { KIND_NUMBER, "0", "x is 0, allowed are 1 to 20" },
    { KIND_NUMBER, "21", "x is 21, allowed are 1 to 20" },
    { KIND_NUMBER, "-1", "x is -1" },
    { KIND_NUMBER, "", "no whole number" },
    { KIND_NUMBER, "5s", "no whole number" },
    { KIND_NUMBER, "0x5", "no whole number" },
    { KIND_NUMBER, "1.0", "no whole number" },
    { KIND_NUMBER, "99999999999999999999", "no whole number" },
    { KIND_AUTHENTICATION, "none", NULL },
    { KIND_AUTHENTICATION, "tokens", NULL },
    { KIND_AUTHENTICATION, "token", "allowed are none, tokens" },
    { KIND_LOG_LEVEL, "debug", NULL },
    { KIND_LOG_LEVEL, "INFO", "allowed are error, warn, info, debug" },
    { KIND_LOG_LEVEL, "none", "allowed are error" },
    { KIND_TEXT, "", NULL },
    { KIND_TEXT, "model.state", NULL },
    { KIND_TEXT, "123456789012345678901", "has 21 bytes, at most 20" },
    { KIND_TEXT, "a\nb", "control character" },
    { KIND_TEXT, "\xff", "UTF-8" },
    { KIND_ADDRESS, "1.2.3.4:5", NULL },
    { KIND_ADDRESS, "[::]:65535", NULL },
    { KIND_ADDRESS, "[::1]:0", NULL },
    { KIND_ADDRESS, "[::1]:70000", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "[::1]:7x", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "::1:80", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "[]:80", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "[::1:80", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "1::1]:80", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "[::1]", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "host:80", "no ADDRESS:PORT" },
    { KIND_ADDRESS, ":80", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "1.2.3.4:65536", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "1.2.3.4", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "1.2.3:80", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "1.2.3.4:", "no ADDRESS:PORT" },
    { KIND_ADDRESS, "", "no ADDRESS:PORT" },
    { KIND_PATH, "/", NULL },
    { KIND_PATH, "/a/b", NULL },
    { KIND_PATH, "", "no absolute path" },
    { KIND_PATH, "a/b", "no absolute path" },
    { KIND_PATH, "~/a", "no absolute path" },
    { KIND_PATH, "/a/", "slash at its end" },
    { KIND_PATH, "/a/../b", "'..' part" },
    { KIND_PATH, "/a//b", "empty" },
    { KIND_OPTIONAL_PATH, "", NULL },
    { KIND_OPTIONAL_PATH, "a", "no absolute path" },
    { KIND_OPTIONAL_PATTERN, "", NULL },
    { KIND_OPTIONAL_PATTERN, "a-{step}", NULL },
    { KIND_OPTIONAL_PATTERN, "a-*", "no {step}" },
    { KIND_OPTIONAL_PATTERN, "\xff{step}", "UTF-8" },
    { KIND_OPTIONAL_MARKER, "", NULL },
    { KIND_OPTIONAL_MARKER, "{name}.ok", NULL },
    { KIND_OPTIONAL_MARKER, "ok-{stem}", NULL },
    { KIND_OPTIONAL_MARKER, "*.done", "must have {name} or {stem} once" },
    { KIND_OPTIONAL_MARKER, "done", "must have {name}" },
    { KIND_OPTIONAL_MARKER, "{name}", "the checkpoint itself" },
    { KIND_OPTIONAL_MARKER, "{stem}", "the checkpoint itself" },
    { KIND_OPTIONAL_MARKER, "a/{name}", "no slash" },
    { KIND_JSON_OBJECT, "{}", NULL },
    { KIND_JSON_OBJECT, "{\"a\":1}", NULL },
    { KIND_JSON_OBJECT, "", "not valid JSON" },
    { KIND_JSON_OBJECT, "[]", "no object" },
    { KIND_JSON_OBJECT, "{a:1}", "not valid JSON" },
    { KIND_OPTIONAL_DURATION, "", NULL },
    { KIND_OPTIONAL_DURATION, "90", NULL },
    { KIND_OPTIONAL_DURATION, "90:00", NULL },
    { KIND_OPTIONAL_DURATION, "2:00:00", NULL },
    { KIND_OPTIONAL_DURATION, "1-12", NULL },
    { KIND_OPTIONAL_DURATION, "1-12:30", NULL },
    { KIND_OPTIONAL_DURATION, "1-2:30:00", NULL },
    { KIND_OPTIONAL_DURATION, "1:2:3:4", "no time" },
    { KIND_OPTIONAL_DURATION, "-1", "no time" },
    { KIND_OPTIONAL_DURATION, "1-", "no time" },
    { KIND_OPTIONAL_DURATION, "2h", "no time" },
    { KIND_OPTIONAL_DURATION, "1:", "no time" },
    { KIND_OPTIONAL_DURATION, "a-1", "no time" },
    { KIND_OPTIONAL_URL, "", NULL },
    { KIND_OPTIONAL_URL, "http://h:1", NULL },
    { KIND_OPTIONAL_URL, "https://h", NULL },
    { KIND_OPTIONAL_URL, "http://[::1]:8", NULL },
    { KIND_OPTIONAL_URL, "http://[", "no URL" },
    { KIND_OPTIONAL_URL, "http://", "no URL" },
    { KIND_OPTIONAL_URL, "ftp://h", "no URL" },
    { KIND_OPTIONAL_URL, "http://a b", "no URL" },
    { KIND_PATH_LIST, "/a", NULL },
    { KIND_PATH_LIST, "", "no absolute path" },
    { KIND_TEXT_LIST, "", NULL },
    { KIND_TEXT_LIST, "longer than twenty bytes", NULL },
    { KIND_TEXT_LIST, "\x01", "control character" },
    { KIND_WORD_LIST, "0", NULL },
    { KIND_WORD_LIST, "GPU-1a2b", NULL },
    { KIND_WORD_LIST, "", "no single word" },
    { KIND_WORD_LIST, "0,1", "no single word" },
    { KIND_ENVIRONMENT_LIST, "A=", NULL },
    { KIND_ENVIRONMENT_LIST, "_A1=b=c", NULL },
    { KIND_ENVIRONMENT_LIST, "A", "no NAME=VALUE" },
    { KIND_ENVIRONMENT_LIST, "=b", "no NAME=VALUE" },
    { KIND_ENVIRONMENT_LIST, "1A=b", "no NAME=VALUE" },
    { KIND_ENVIRONMENT_LIST, "A B=c", "no NAME=VALUE" },
    { KIND_ENVIRONMENT_LIST, "SEWA_FD=3", "set by the worker" },
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        int rc = config_check(rows[i].kind, "x", rows[i].value, 1, 20, &err);
        if ((rc < 0) != (rows[i].word != NULL))
            print_error("row %zu: '%s': %s\n", i, rows[i].value, err.text);
        if (rows[i].word)
            assert_failed(rc, err, SEWA_E_CONFIG, rows[i].word);
        else
            assert_ok(rc, err);
    }
}

/* More than any address has, and a good port behind it. */
static void test_a_long_address(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    char text[120];

    memset(text, '1', sizeof text);
    memcpy(text + 80, ":80", 4);
    assert_failed(config_check(KIND_ADDRESS, "x", text, 1, 200, &err), err, SEWA_E_CONFIG,
                  "no ADDRESS:PORT");
}

static void test_words_are_in_the_order_of_their_enums(void **state)
{
    (void)state;
    assert_int_equal(config_word(KIND_AUTHENTICATION, "none"), 0);
    assert_int_equal(config_word(KIND_AUTHENTICATION, "tokens"), 1);
    assert_int_equal(config_word(KIND_LOG_LEVEL, "error"), 0);
    assert_int_equal(config_word(KIND_LOG_LEVEL, "debug"), 3);
    assert_int_equal(config_word(KIND_LOG_LEVEL, "none"), -1);
}

static void test_loopback(void **state)
{
    (void)state;
    assert_true(config_address_is_loopback("127.0.0.1:1"));
    assert_true(config_address_is_loopback("127.9.9.9:1"));
    assert_true(config_address_is_loopback("[::1]:1"));
    assert_false(config_address_is_loopback("0.0.0.0:1"));
    assert_false(config_address_is_loopback("[::]:1"));
    assert_false(config_address_is_loopback("128.0.0.1:1"));
    assert_false(config_address_is_loopback("nonsense"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_a_long_address),
        cmocka_unit_test(test_words_are_in_the_order_of_their_enums),
        cmocka_unit_test(test_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
