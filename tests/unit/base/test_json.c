/*
 * test_json - strict parsing and the reader of fields.
 */
#include "support/alloc.h"
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"

enum field { INT, NUMBER, BOOL, STRING, NEED_STRING, OBJECT, ARRAY, WORD, STRINGS, LABELS };

struct row {
    const char *name;
    const char *text;
    enum field field;
    int code; /* 0: must be accepted */
    const char *pointer;
    const char *word;
};

static const struct row rows[] = {
    { "int", "{\"x\": 5}", INT, 0, "", "" },
    { "int at its lower end", "{\"x\": 1}", INT, 0, "", "" },
    { "int below", "{\"x\": 0}", INT, SEWA_E_INVALID, "/x", "allowed is 1 to 10" },
    { "int above", "{\"x\": 11}", INT, SEWA_E_INVALID, "/x", "11" },
    { "int as real", "{\"x\": 5.0}", INT, SEWA_E_INVALID, "/x", "whole number" },
    { "int as text", "{\"x\": \"5\"}", INT, SEWA_E_INVALID, "/x", "whole number" },
    { "null is absent", "{\"x\": null}", INT, 0, "", "" },
    { "unknown field", "{\"x\": 5, \"windwo\": 3}", INT, SEWA_E_UNKNOWN_FIELD, "/windwo",
      "unknown field 'windwo'; there is only x" },
    { "unknown field is escaped", "{\"a/b~c\": 3}", INT, SEWA_E_UNKNOWN_FIELD, "/a~1b~0c",
      "a/b~c" },
    { "no object", "[1]", INT, SEWA_E_INVALID, "", "object" },
    { "number", "{\"x\": 0.5}", NUMBER, 0, "", "" },
    { "number may be whole", "{\"x\": 1}", NUMBER, 0, "", "" },
    { "number out of range", "{\"x\": 2.5}", NUMBER, SEWA_E_INVALID, "/x", "2.5" },
    { "bool", "{\"x\": true}", BOOL, 0, "", "" },
    { "bool as number", "{\"x\": 1}", BOOL, SEWA_E_INVALID, "/x", "true or false" },
    { "string", "{\"x\": \"a\"}", STRING, 0, "", "" },
    { "string as number", "{\"x\": 1}", STRING, SEWA_E_INVALID, "/x", "string" },
    { "needed string", "{}", NEED_STRING, SEWA_E_INVALID, "/x", "missing" },
    { "object", "{\"x\": {}}", OBJECT, 0, "", "" },
    { "object as array", "{\"x\": []}", OBJECT, SEWA_E_INVALID, "/x", "object" },
    { "array", "{\"x\": []}", ARRAY, 0, "", "" },
    { "array as text", "{\"x\": \"\"}", ARRAY, SEWA_E_INVALID, "/x", "array" },
    { "word", "{\"x\": \"b\"}", WORD, 0, "", "" },
    { "unknown word", "{\"x\": \"c\"}", WORD, SEWA_E_INVALID, "/x", "a, b" },
    { "strings", "{\"x\": [\"a\", \"b\"]}", STRINGS, 0, "", "" },
    { "strings with a number", "{\"x\": [\"a\", 1]}", STRINGS, SEWA_E_INVALID, "/x", "string" },
    { "too many strings", "{\"x\": [\"a\", \"b\", \"c\"]}", STRINGS, SEWA_E_INVALID, "/x", "3" },
    { "labels", "{\"x\": {\"team\": \"vision\"}}", LABELS, 0, "", "" },
    { "label as number", "{\"x\": {\"team\": 1}}", LABELS, SEWA_E_INVALID, "/x", "team" },
    { "label without a key", "{\"x\": {\"\": \"v\"}}", LABELS, SEWA_E_INVALID, "/x", "1 to 63" },
};

static void read_field(struct json_reader *r, enum field field)
{
    static const char *const words[] = { "a", "b", NULL };

    switch (field) {
    case INT: json_get_int(r, "x", 1, 10, 7); break;
    case NUMBER: json_get_number(r, "x", 0, 1, 0.25); break;
    case BOOL: json_get_bool(r, "x", false); break;
    case STRING: json_get_string(r, "x", "y"); break;
    case NEED_STRING: json_need_string(r, "x"); break;
    case OBJECT: json_get_object(r, "x"); break;
    case ARRAY: json_get_array(r, "x"); break;
    case WORD: json_get_word(r, "x", words, 0); break;
    case STRINGS: json_get_strings(r, "x", 2); break;
    case LABELS: json_get_labels(r, "x", false); break;
    }
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct sewa_error err = { 0 };
    struct json_reader r;
    AUTOJSON json_t *value = json_parse(row->text, strlen(row->text), &err);

    assert_non_null(value);
    json_reader_init(&r, value, "", &err);
    read_field(&r, row->field);
    int rc = json_reader_end(&r);
    if (row->code == 0) {
        assert_ok(rc, err);
        return;
    }
    assert_failed(rc, err, row->code, row->word);
    assert_string_equal(err.pointer, row->pointer);
}

static void test_nul_in_string(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct json_reader r;
    AUTOJSON json_t *value = json_pack("{s:s%}", "x", "a\0b", (size_t)3);

    assert_non_null(value);
    json_reader_init(&r, value, "", &err);
    json_get_string(&r, "x", NULL);
    assert_failed(json_reader_end(&r), err, SEWA_E_INVALID, "NUL");
}

static void test_first_failure_wins(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct json_reader r;
    static const char text[] = "{\"a\": \"x\", \"b\": \"y\"}";
    AUTOJSON json_t *value = json_parse(text, strlen(text), &err);

    json_reader_init(&r, value, "/params", &err);
    assert_int_equal(json_get_int(&r, "a", 0, 9, 3), 3);
    assert_int_equal(json_get_int(&r, "b", 0, 9, 4), 4);
    assert_failed(json_reader_end(&r), err, SEWA_E_INVALID, "'a'");
    assert_string_equal(err.pointer, "/params/a");
}

static void test_optional_object(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct json_reader r;
    AUTOJSON json_t *null = json_null();
    AUTOJSON json_t *number = json_integer(3);

    json_reader_init_optional(&r, NULL, "/params", &err);
    assert_int_equal(json_get_int(&r, "a", 0, 9, 3), 3);
    assert_false(json_has(&r, "b"));
    assert_ok(json_reader_end(&r), err);
    json_reader_init_optional(&r, null, "/params", &err);
    assert_int_equal(json_get_int(&r, "a", 0, 9, 4), 4);
    assert_ok(json_reader_end(&r), err);
    json_reader_init_optional(&r, NULL, "/params", &err);
    json_need_string(&r, "name");
    assert_failed(json_reader_end(&r), err, SEWA_E_INVALID, "'name' is missing");
    assert_string_equal(err.pointer, "/params/name");
    json_reader_init_optional(&r, number, "/params", &err);
    assert_failed(json_reader_end(&r), err, SEWA_E_INVALID, "/params must be an object");
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1} x",
        "{a:1}",
        "\"\xff\"",
        "{\"a\":NaN}",
        "[1,]",
        "[\"\\ud9\xc8\x9b\"]",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct sewa_error err = { 0 };
        assert_null(json_parse(bad[i], strlen(bad[i]), &err));
        assert_int_equal(err.code, SEWA_E_BAD_JSON);
        assert_true(utf8_is_valid(err.text, strlen(err.text)));
    }
}

static void test_numbers_beyond_64_bits(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer, *word;
    } numbers[] = {
        { "9223372036854775808", "", "9223372036854775808" },
        { "{\"a\": 99999999999999999999}", "/a", "99999999999999999999" },
        { "{\"a\":-9223372036854775809}", "/a", "-9223372036854775809" },
        { "{\"b\": 1e30, \"s\": \"99999999999999999999\", \"a\": [1, {\"c/d\": 18446744073709551616\n}]}",
          "/a/1/c~1d", "18446744073709551616" },
        { "[1, 99999999999999999999, 88888888888888888888]", "/1", "9999" },
    };

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct sewa_error err = { 0 };
        assert_null(json_parse_request(numbers[i].text, strlen(numbers[i].text), &err));
        assert_failed(err.code, err, SEWA_E_INVALID, numbers[i].word);
        assert_string_equal(err.pointer, numbers[i].pointer);
        assert_null(json_parse(numbers[i].text, strlen(numbers[i].text), &err));
        assert_int_equal(err.code, SEWA_E_BAD_JSON);
    }
    static const char *const bad[] = { "1e999", "[1e999]", "{\"a\": 99999999999999999999",
                                       "{\"a\": 99999999999999999999, \"a\": 1e999}", "{\"a\"}" };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct sewa_error err = { 0 };
        assert_null(json_parse_request(bad[i], strlen(bad[i]), &err));
        assert_int_equal(err.code, SEWA_E_BAD_JSON);
    }
    struct sewa_error err = { 0 };
    AUTOJSON json_t *most = json_parse_request("[9223372036854775807, 1e30]", 27, &err);
    assert_non_null(most);
}

/* A text that lost a key for want of memory would be another text. */
static void test_text_without_memory(void **state)
{
    (void)state;
    AUTOJSON json_t *value = json_object();

    for (int i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", i);
        json_put(value, key, json_pack("[f,s]", i / 7.0, "text"));
    }
    AUTOFREE char *whole = json_canonical(value);
    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        AUTOFREE char *text = json_canonical(value);
        if (!alloc_fired()) {
            assert_string_equal(text, whole);
            assert_true(n > 3);
            break;
        }
        assert_null(text);
    }
}

static void test_doubles_survive(void **state)
{
    (void)state;
    static const double values[] = { 0.1, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, -0.0 };

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        AUTOJSON json_t *value = json_pack("[f]", values[i]);
        AUTOFREE char *text = json_text(value);
        AUTOJSON json_t *back = json_parse(text, strlen(text), NULL);
        double x = json_real_value(json_array_get(back, 0));
        assert_memory_equal(&x, &values[i], sizeof x);
    }
    AUTOJSON json_t *none = json_number_or_null(INFINITY);
    assert_true(json_is_null(none));
}

static void test_short_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } numbers[] = {
        { "0.41899999999999998", "0.419" },
        { "0.1", "0.1" },
        { "-0.001", "-0.001" },
        { "1e-06", "1e-06" },
        { "0.30000000000000004", "0.30000000000000004" }, /* another number than 0.3 */
        { "0.33333333333333331", "0.3333333333333333" },  /* sixteen digits */
        { "1.0", "1.0" },
        { "-0.0", "-0.0" },
        { "1e+17", "1e17" },
        { "5e-324", "4.94065645841247e-324" }, /* fifteen digits are as few as are tried */
        { "1.7976931348623157e308", "1.7976931348623157e308" },
        { "9007199254740993", "9007199254740993" }, /* whole: no double holds it */
        { "-9223372036854775808", "-9223372036854775808" },
        { "[0.41899999999999998,{\"0.41899999999999998\":\"0.41899999999999998\"},0.2]",
          "[0.419,{\"0.41899999999999998\":\"0.41899999999999998\"},0.2]" },
        { "[\"\\\"\",0.41899999999999998,\"a\\\"0.41899999999999998\"]",
          "[\"\\\"\",0.419,\"a\\\"0.41899999999999998\"]" },
    };

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        AUTOJSON json_t *value = json_parse(numbers[i].text, strlen(numbers[i].text), NULL);
        AUTOFREE char *text = json_text_short(value);
        assert_string_equal(text, numbers[i].shown);
        AUTOJSON json_t *back = json_parse(text, strlen(text), NULL);
        assert_true(json_equal(back, value));
    }
    AUTOJSON json_t *value = json_pack("[f]", 0.1);
    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        AUTOFREE char *text = json_text_short(value);
        if (!alloc_fired())
            break;
        assert_null(text);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 8];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_nul_in_string);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_first_failure_wins);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_optional_object);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_parse_refuses);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_numbers_beyond_64_bits);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_text_without_memory);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_doubles_survive);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_short_numbers);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
