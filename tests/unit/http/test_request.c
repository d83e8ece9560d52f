/*
 * test_request - what handlers ask of a request: query parameters and bodies.
 */
#include "fake.h"

#include <stdio.h>
#include <string.h>

#include "support/alloc.h"

/* ---- query parameters ---- */

static const char *const known[] = { "limit", "wait", "follow", NULL };

static void test_known(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int code;
        const char *word;
    } rows[] = {
        { "/x", 0, NULL },
        { "/x?", 0, NULL },
        { "/x?limit=5", 0, NULL },
        { "/x?wait=1&limit=&follow", 0, NULL },
        { "/x?Limit=5", SEWA_E_UNKNOWN_FIELD, "unknown query parameter 'Limit'" },
        { "/x?limi=5", SEWA_E_UNKNOWN_FIELD, "'limi'" },
        { "/x?limits=5", SEWA_E_UNKNOWN_FIELD, "'limits'" },
        { "/x?=5", SEWA_E_UNKNOWN_FIELD, "''" },
        { "/x?limit=5&limit=5", SEWA_E_INVALID, "'limit' is given twice" },
        { "/x?limit=5&wait=2&l%69mit=6", SEWA_E_INVALID, "'limit' is given twice" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake f;
        struct sewa_error err = { 0 };
        fake_open(&f, HTTP_GET, rows[i].target);
        int rc = request_query_known(&f.rq, known, &err);
        if (rows[i].code)
            assert_failed(rc, err, rows[i].code, rows[i].word);
        else
            assert_ok(rc, err);
        rc = request_query_known(&f.rq, NULL, &err);
        assert_int_equal(rc<0, f.rq.target.query_count> 0);
        fake_close(&f);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int64_t value; /* -1: refused */
    } rows[] = {
        { "/x", 50 },           { "/x?limit=1", 1 },     { "/x?limit=500", 500 },
        { "/x?limit=007", 7 },  { "/x?limit=0", -1 },    { "/x?limit=501", -1 },
        { "/x?limit=-5", -1 },  { "/x?limit=", -1 },     { "/x?limit", -1 },
        { "/x?limit=+5", -1 },  { "/x?limit=%205", -1 }, { "/x?limit=5%20", -1 },
        { "/x?limit=5.0", -1 }, { "/x?limit=0x5", -1 },  { "/x?limit=99999999999999999999", -1 },
        { "/x?limit=ten", -1 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake f;
        struct sewa_error err = { 0 };
        int64_t value;
        fake_open(&f, HTTP_GET, rows[i].target);
        int rc = request_query_int(&f.rq, "limit", 1, 500, 50, &value, &err);
        if (rows[i].value < 0) {
            assert_failed(rc, err, SEWA_E_INVALID, "allowed is 1 to 500");
        } else {
            assert_ok(rc, err);
            assert_int_equal(value, rows[i].value);
        }
        fake_close(&f);
    }
}

static void test_truth(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        bool fallback;
        int value; /* -1: refused */
    } rows[] = {
        { "/x", false, 0 },
        { "/x", true, 1 },
        { "/x?follow=true", false, 1 },
        { "/x?follow=false", true, 0 },
        { "/x?follow", false, -1 },
        { "/x?follow=", true, -1 },
        { "/x?follow=1", false, -1 },
        { "/x?follow=True", false, -1 },
        { "/x?follow=yes", false, -1 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake f;
        struct sewa_error err = { 0 };
        bool value;
        fake_open(&f, HTTP_GET, rows[i].target);
        int rc = request_query_bool(&f.rq, "follow", rows[i].fallback, &value, &err);
        if (rows[i].value < 0) {
            assert_failed(rc, err, SEWA_E_INVALID, "allowed is true or false");
        } else {
            assert_ok(rc, err);
            assert_int_equal(value, rows[i].value);
        }
        fake_close(&f);
    }
}

/* ---- bodies ---- */

struct body {
    const char *name;
    enum http_method method;
    const char *type, *text;
    bool may_be_empty;
    int code;
    const char *word;
};

#define JSON  "application/json"
#define MERGE "application/merge-patch+json"

static const struct body bodies[] = {
    { "an object", HTTP_POST, JSON, "{\"a\":1}", false, 0, NULL },
    { "with a charset", HTTP_POST, JSON "; charset=utf-8", "{}", false, 0, NULL },
    { "an array", HTTP_POST, JSON, "[1]", false, 0, NULL },
    { "a patch", HTTP_PATCH, MERGE, "{}", false, 0, NULL },
    { "a patch as JSON", HTTP_PATCH, JSON, "{}", false, 0, NULL },
    { "empty where it may be", HTTP_POST, NULL, "", true, 0, NULL },
    { "empty, of any type", HTTP_POST, "text/plain", "", true, 0, NULL },
    { "empty where it may not be", HTTP_POST, JSON, "", false, SEWA_E_BAD_JSON, "" },
    { "no type", HTTP_POST, NULL, "{}", false, SEWA_E_MEDIA_TYPE, "Content-Type is ''" },
    { "no type where it may be empty", HTTP_POST, NULL, "{}", true, SEWA_E_MEDIA_TYPE, "''" },
    { "a form", HTTP_POST, "application/x-www-form-urlencoded", "a=1", false, SEWA_E_MEDIA_TYPE,
      "wanted is 'application/json'" },
    { "text", HTTP_POST, "text/plain", "{}", false, SEWA_E_MEDIA_TYPE, "'text/plain'" },
    { "a patch by POST", HTTP_POST, MERGE, "{}", false, SEWA_E_MEDIA_TYPE, "merge-patch" },
    { "text by PATCH", HTTP_PATCH, "text/plain", "{}", false, SEWA_E_MEDIA_TYPE,
      "wanted is 'application/merge-patch+json'" },
    { "broken", HTTP_POST, JSON, "{\"a\":", false, SEWA_E_BAD_JSON, "" },
    { "two values", HTTP_POST, JSON, "{}{}", false, SEWA_E_BAD_JSON, "" },
    { "a key twice", HTTP_POST, JSON, "{\"a\":1,\"a\":2}", false, SEWA_E_BAD_JSON, "" },
    { "no UTF-8", HTTP_POST, JSON, "{\"a\":\"\xff\"}", false, SEWA_E_BAD_JSON, "" },
    { "NaN", HTTP_POST, JSON, "{\"a\":NaN}", false, SEWA_E_BAD_JSON, "" },
    { "only spaces", HTTP_POST, JSON, "  ", true, SEWA_E_BAD_JSON, "" },
};

static void test_body(void **state)
{
    const struct body *b = *state;
    AUTOJSON json_t *value = NULL;
    struct sewa_error err = { 0 };
    struct fake f;

    fake_open(&f, b->method, "/x");
    if (b->type)
        fake_field(&f, "Content-Type", b->type);
    fake_body(&f, b->text);
    int rc = request_json(&f.rq, b->may_be_empty, &value, &err);
    if (b->code) {
        assert_failed(rc, err, b->code, b->word);
        assert_null(value);
    } else {
        assert_ok(rc, err);
        assert_non_null(value);
    }
    fake_close(&f);
}

static void test_no_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } rows[] = { { "", 0 },
                 { "{}", 0 },
                 { "{\"a\":1}", SEWA_E_UNKNOWN_FIELD },
                 { "[]", SEWA_E_INVALID },
                 { "null", SEWA_E_INVALID },
                 { "{", SEWA_E_BAD_JSON } };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        struct fake f;
        fake_open(&f, HTTP_POST, "/x");
        fake_field(&f, "content-type", JSON);
        fake_body(&f, rows[i].text);
        assert_int_equal(request_no_fields(&f.rq, &err), rows[i].code);
        fake_close(&f);
    }
}

/* ---- answers ---- */

static void test_answer_fields(void **state)
{
    (void)state;
    struct fake f;
    char name[16];

    fake_open(&f, HTTP_GET, "/x");
    reply_header(&f.rq, "ETag", "\"v1\"");
    reply_headerf(&f.rq, "ETag", "\"v%d\"", 2);
    assert_int_equal(f.rq.header_count, 1);
    assert_string_equal(fake_answer_field(&f, "ETag"), "\"v2\"");
    for (int i = 0; i < 2 * REQUEST_REPLY_HEADERS_MAX; i++) { /* too many are left out */
        snprintf(name, sizeof name, "X-%d", i);
        reply_header(&f.rq, name, "1");
    }
    assert_int_equal(f.rq.header_count, REQUEST_REPLY_HEADERS_MAX);
    fake_close(&f);
}

static void test_problems(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };

    for (size_t i = 0; sewa_code_at(i); i++) {
        const struct sewa_code_info *info = sewa_code_at(i);
        struct fake f;
        fake_open(&f, HTTP_GET, "/x");
        sewa_fail_at(&err, info->code, "/a/b", "what went wrong with '%s'", "\xff\"\n");
        reply_error(&f.rq, &err);
        fake_assert_problem(&f, info->code, "what went wrong");
        AUTOJSON json_t *p = json_parse(fake_answer_body(), strlen(fake_answer_body()), &err);
        const json_t *first = json_array_get(json_object_get(p, "errors"), 0);
        assert_string_equal(json_string_value(json_object_get(first, "pointer")), "/a/b");
        assert_string_equal(json_string_value(json_object_get(p, "request_id")), f.rq.id);
        bool later = info->http_status == 503 || info->http_status == 429;
        assert_int_equal(fake_answer_field(&f, "Retry-After") != NULL, later);
        fake_close(&f);
    }
}

/* Whatever cannot be allocated: there is an answer, and it is this one or 503. */
static void test_no_memory(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };

    sewa_fail_at(&err, SEWA_E_INVALID, "/a", "wrong");
    for (int64_t n = 0;; n++) {
        struct fake f;
        fake_open(&f, HTTP_GET, "/x");
        alloc_fail_at(n);
        reply_error(&f.rq, &err);
        bool fired = alloc_fired();
        assert_non_null(f.rq.reply);
        assert_true(f.rq.status == 422 || (fired && f.rq.status == 503));
        fake_close(&f);
        if (!fired)
            break;
    }
    struct fake f;
    fake_open(&f, HTTP_GET, "/x");
    reply_json(&f.rq, 200, NULL); /* a value that could not be built */
    assert_int_equal(f.rq.status, 503);
    fake_close(&f);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(bodies) + 7];
    size_t n = 0;

    json_set_alloc_funcs(malloc, free);
    for (; n < COUNT_OF(bodies); n++)
        tests[n] = (struct CMUnitTest){ .name = bodies[n].name,
                                        .test_func = test_body,
                                        .initial_state = (void *)&bodies[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_known);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_numbers);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_truth);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_no_fields);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_answer_fields);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_problems);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_no_memory);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
