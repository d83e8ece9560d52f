/*
 * test_document - answers that are JSON and those that are none; members, times, and the items of a
 * list as they came.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"

static int parse(const char *text, struct sewa_document **ret, struct sewa_error *err)
{
    return sewa_document_new(strdup(text), strlen(text), "GET /x", ret, err);
}

/* ---- documents ---- */

static void refuses_what_is_no_object(void **state)
{
    (void)state;
    static const char *const texts[] = { "",          "<html>",         "[]",  "7",
                                         "{\"a\":1",  "{} {}",          "nul", "{\"a\":1,\"a\":2}",
                                         "\xff\xfe{", "{\"\\ud800\":1}" };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct sewa_document *d = NULL;
        struct sewa_error err;
        assert_failed(parse(texts[i], &d, &err), err, SEWA_E_PROTOCOL, "is this address a sewad");
        assert_null(d);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    char *text = malloc(DEEP + 6);
    struct sewa_document *d = NULL;
    struct sewa_error err;

    assert_non_null(text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEEP);
    text[DEEP + 5] = '\0';
    assert_failed(sewa_document_new(text, DEEP + 5, "GET /x", &d, &err), err, SEWA_E_PROTOCOL,
                  "100005 bytes");
}

static void reads_members(void **state)
{
    (void)state;
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    const struct sewa_label *labels;
    const char *const *texts;
    const char *text;
    struct sewa_error err;
    size_t n;

    assert_ok(parse("{\"t\":\"x\",\"i\":-7,\"f\":0.5,\"b\":true,\"z\":null,\"l\":{\"a\":\"b\","
                    "\"c\":7},\"s\":[\"p\",7,\"q\"],\"at\":\"1970-01-01T00:00:01Z\"}",
                    &d, &err),
              err);
    assert_string_equal(sewa_get_text(d->root, "t"), "x");
    assert_null(sewa_get_text(d->root, "i"));
    assert_null(sewa_get_text(d->root, "none"));
    assert_null(sewa_get_text(NULL, "t"));
    assert_int_equal(sewa_get_integer(d->root, "i", 3), -7);
    assert_int_equal(sewa_get_integer(d->root, "f", 3), 3);
    assert_int_equal(sewa_get_integer(NULL, "i", 3), 3);
    assert_true(sewa_get_number(d->root, "f") == 0.5 && sewa_get_number(d->root, "i") == -7);
    assert_true(isnan(sewa_get_number(d->root, "z")) && isnan(sewa_get_number(d->root, "t")));
    assert_true(sewa_get_bool(d->root, "b"));
    assert_false(sewa_get_bool(d->root, "i"));
    assert_int_equal(sewa_get_time(d->root, "at"), 1000);
    assert_int_equal(sewa_get_time(d->root, "i"), 0);
    assert_failed(sewa_need_text(d->root, "i", &text, &err), err, SEWA_E_PROTOCOL, "'i'");
    assert_ok(sewa_get_labels(d, d->root, "l", &labels, &n, &err), err);
    assert_int_equal(n, 1);
    assert_string_equal(labels[0].key, "a");
    assert_string_equal(labels[0].value, "b");
    assert_ok(sewa_get_texts(d, d->root, "s", &texts, &n, &err), err);
    assert_int_equal(n, 2);
    assert_string_equal(texts[1], "q");
    assert_ok(sewa_get_texts(d, d->root, "none", &texts, &n, &err), err);
    assert_int_equal(n, 0);
}

static void reads_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        { "1970-01-01T00:00:00.001Z", 1 },
        { "2026-11-22T04:41:38.323Z", 1795322498323 },
        { "2026-11-22T04:41:38Z", 1795322498000 },
        { "2000-02-29T12:00:00.5Z", 951825600500 },
        { "2000-02-29T12:00:00.123456Z", 951825600123 },
        { "1969-12-31T23:59:59Z", -1000 },
        { "2026-11-22T04:41:38", 0 },
        { "2026-11-22T04:41:38+01:00", 0 },
        { "2026-13-22T04:41:38Z", 0 },
        { "2026-11-22T24:41:38Z", 0 },
        { "2026-11-22 04:41:38Z", 0 },
        { "2026-11-22T04:41:38ZZ", 0 },
        { "", 0 },
        { "yesterday", 0 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(sewa_time_parse(rows[i].text), rows[i].ms);
}

/* ---- lists ---- */

struct slices {
    const char *text;
    const char *items[4]; /* NULL-terminated */
};

static const struct slices slices[] = {
    { "{\"items\":[{\"a\":1},{\"b\":[2,3]}]}", { "{\"a\":1}", "{\"b\":[2,3]}" } },
    { " { \"items\" : [ {} , { } ] , \"x\":1}", { "{}", "{ }" } },
    { "{\"x\":{\"items\":[7]},\"items\":[{\"y\":\"],}\\\"{\"}]}", { "{\"y\":\"],}\\\"{\"}" } },
    { "{\"x\":\"\\\"items\\\":[1]\",\"items\":[\"p\",7,null]}", { "\"p\"", "7", "null" } },
    { "{\"n\":1.5e3,\"t\":true,\"a\":[[],{}],\"items\":[1e5]}", { "1e5" } },
    { "{\"s\":\"\\\\\",\"items\":[\"\\\\\", \"\\u0022\"]}", { "\"\\\\\"", "\"\\u0022\"" } },
    { "{\"items\":[]}", { NULL } },
    { "{\"items\":7}", { NULL } },
    { "{\"itemsx\":[1]}", { NULL } },
    { "{}", { NULL } },
};

static void cuts_items(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(slices); i++) {
        AUTOFREE char *text = strdup(slices[i].text);
        const char *found[4] = { NULL };
        size_t n = sewa_slice(text, "items", found, 4), wanted = 0;
        while (slices[i].items[wanted])
            wanted++;
        assert_int_equal(n, wanted);
        for (size_t k = 0; k < n; k++)
            assert_string_equal(found[k], slices[i].items[k]);
    }
}

/* Never more than there is room for. */
static void cuts_no_more_than_wanted(void **state)
{
    (void)state;
    char text[] = "{\"items\":[1,2,3]}";
    const char *found[3] = { "x", "x", "x" };

    assert_int_equal(sewa_slice(text, "items", found, 2), 2);
    assert_string_equal(found[1], "2");
    assert_string_equal(found[2], "x");
}

/* A key that is written with escapes is the same to a parser of JSON, but not here: it is said. */
static void items_that_cannot_be_told_apart(void **state)
{
    (void)state;
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    struct list list;
    struct sewa_error err;

    assert_ok(parse("{\"\\u0069tems\":[1]}", &d, &err), err);
    assert_failed(sewa_document_list(d, &list, &err), err, SEWA_E_PROTOCOL, "1 items");
}

/* ---- any JSON ---- */

static uint32_t seed;

static uint32_t below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void put_space(struct text *t)
{
    static const char *const spaces[] = { "", "", "", " ", "\n", "\t \r" };

    sewa_text_put(t, spaces[below(COUNT_OF(spaces))]);
}

/* A value with everything that could be taken for the end of one. */
static void put_value(struct text *t, int depth)
{
    static const char *const plain[] = {
        "7",         "-1.5e-3",  "true",     "null",         "\"\"",
        "\"],}{[\"", "\"\\\"\"", "\"\\\\\"", "\"\xc3\xa4\"", "\"\\u005d,\\n\"",
        "\"items\""
    };
    uint32_t kind = depth > 4 ? 0 : below(4), n = below(4);

    if (kind < 2) {
        sewa_text_put(t, plain[below(COUNT_OF(plain))]);
        return;
    }
    sewa_text_put(t, kind == 2 ? "[" : "{");
    for (uint32_t i = 0; i < n; i++) {
        put_space(t);
        if (kind == 3)
            sewa_text_printf(t, "\"items%u\":", i);
        put_space(t);
        put_value(t, depth + 1);
        put_space(t);
        sewa_text_put(t, i + 1 < n ? "," : "");
    }
    put_space(t);
    sewa_text_put(t, kind == 2 ? "]" : "}");
}

/* The items that are cut out are those that a parser sees. */
static void cuts_any_json(void **state)
{
    (void)state;
    for (seed = 0; seed < 2000; seed++) {
        AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
        AUTO(sewa_text_clear) struct text t = { 0 };
        uint32_t was = seed;
        struct sewa_error err;
        struct list list;
        sewa_text_put(&t, "{\"before\":");
        put_value(&t, 0);
        sewa_text_put(&t, ",\"items\":[");
        for (uint32_t i = 0, n = below(5); i < n; i++) {
            put_value(&t, 0);
            put_space(&t);
            sewa_text_put(&t, i + 1 < n ? "," : "");
        }
        sewa_text_put(&t, "],\"after\":1}");
        assert_ok(parse(sewa_text_get(&t), &d, &err), err);
        assert_ok(sewa_document_list(d, &list, &err), err);
        for (size_t i = 0; i < json_array_size(list.items); i++) {
            json_t *item = json_loads(list.json[i], JSON_DECODE_ANY, NULL);
            assert_true(json_equal(item, json_array_get(list.items, i)));
            json_decref(item);
        }
        seed = was;
    }
}

static int read_everything(struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    const struct sewa_label *labels;
    const char *const *texts;
    struct list list;
    size_t n;
    int rc = parse("{\"items\":[1,2],\"l\":{\"a\":\"b\"},\"s\":[\"p\"]}", &d, err);

    if (rc == 0)
        rc = sewa_document_list(d, &list, err);
    if (rc == 0)
        rc = sewa_get_labels(d, d->root, "l", &labels, &n, err);
    return rc < 0 ? rc : sewa_get_texts(d, d->root, "s", &texts, &n, err);
}

static void memory_runs_out(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        struct sewa_error err = { 0 };
        alloc_fail_at(n);
        int rc = read_everything(&err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n >= 4);
            return;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
    }
}

static void no_text_is_no_memory(void **state)
{
    (void)state;
    struct sewa_document *d = NULL;
    struct sewa_error err;

    assert_failed(sewa_document_new(NULL, 0, "GET /x", &d, &err), err, SEWA_E_NO_MEMORY, "memory");
    assert_null(sewa_document_alloc((struct sewa_document *)&d, SIZE_MAX / 2, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_object),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(reads_members),
        cmocka_unit_test(reads_times),
        cmocka_unit_test(cuts_items),
        cmocka_unit_test(cuts_no_more_than_wanted),
        cmocka_unit_test(items_that_cannot_be_told_apart),
        cmocka_unit_test(cuts_any_json),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(no_text_is_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
