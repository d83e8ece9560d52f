/*
 * test_lists - what lists have in common: pages, the link to the next one, label filters; and merge
 * patches of members.
 */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc.h"

/* A list of the numbers from 1 to @count, with what the handler of a real list does. */
static void answer_numbers(struct fake *f, int64_t count)
{
    struct list_reply l;
    struct page_key after = { 0 };
    struct sewa_error err = { 0 };
    bool has_after;

    if (list_begin(&l, &f->rq, "numbers", &after, &has_after, &err) < 0) {
        reply_error(&f->rq, &err);
        return;
    }
    assert_int_equal(has_after, after.id != 0);
    for (int64_t i = after.id + 1; i <= count; i++) {
        if (list_is_full(&l))
            break;
        json_array_append_new(l.items, json_integer(i));
        l.last.id = i;
    }
    list_finish(&l);
}

static json_t *page(const char *target, int64_t count, char **ret_link)
{
    struct fake f;

    fake_open(&f, HTTP_GET, target);
    answer_numbers(&f, count);
    assert_int_equal(f.rq.status, 200);
    const char *link = fake_answer_field(&f, "Link");
    *ret_link = link ? strdup(link) : NULL;
    json_t *o = json_parse(fake_answer_body(), strlen(fake_answer_body()), NULL);
    fake_close(&f);
    return o;
}

static void test_pages(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int64_t count;
        size_t items;
        bool more;
    } rows[] = {
        { "/x", 0, 0, false },
        { "/x", 50, 50, false },
        { "/x", 51, 50, true },
        { "/x?limit=3", 3, 3, false },
        { "/x?limit=3", 4, 3, true },
        { "/x?limit=1", 2, 1, true },
        { "/x?limit=500", 501, 500, true },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTOFREE char *link = NULL;
        AUTOJSON json_t *o = page(rows[i].target, rows[i].count, &link);
        assert_int_equal(json_array_size(json_object_get(o, "items")), rows[i].items);
        assert_int_equal(json_is_string(json_object_get(o, "next_page_token")), rows[i].more);
        assert_int_equal(json_is_null(json_object_get(o, "next_page_token")), !rows[i].more);
        assert_int_equal(link != NULL, rows[i].more);
    }
}

/* From page to page by the links alone; everything else of the query goes along. */
static void test_links_lead_through(void **state)
{
    (void)state;
    AUTOFREE char *target = strdup("/a%20b/c?limit=2&label=k%3Dv%26%20%C3%A4%2B%23");
    int64_t seen = 0;

    while (target) {
        AUTOFREE char *link = NULL;
        AUTOJSON json_t *o = page(target, 5, &link);
        const json_t *items = json_object_get(o, "items");
        for (size_t i = 0; i < json_array_size(items); i++)
            assert_int_equal(json_integer_value(json_array_get(items, i)), ++seen);
        free(target);
        target = NULL;
        if (!link)
            break;
        assert_string_equal(strchr(link, '>'), ">; rel=\"next\"");
        *strchr(link, '>') = '\0';
        target = strdup(link + 1);

        struct fake f;
        fake_open(&f, HTTP_GET, target);
        assert_string_equal(f.rq.target.segments[0], "a b");
        assert_string_equal(request_query(&f.rq, "label"), "k=v& \xc3\xa4+#");
        assert_string_equal(request_query(&f.rq, "limit"), "2");
        assert_int_equal(f.rq.target.query_count, 3);
        fake_close(&f);
    }
    assert_int_equal(seen, 5);
}

static void test_bad_pages(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/x?limit=0",     "/x?limit=501",     "/x?limit=",
        "/x?page_token=", "/x?page_token=zz", "/x?page_token=303b303b303b3b6a6f62"
    };

    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        struct fake f;
        fake_open(&f, HTTP_GET, targets[i]);
        answer_numbers(&f, 5);
        fake_assert_problem(&f, SEWA_E_INVALID, i < 3 ? "'limit'" : "'page_token'");
        fake_close(&f);
    }
}

static void test_labels(void **state)
{
    (void)state;
    static const struct {
        const char *target, *key, *value;
        bool refused;
    } rows[] = {
        { "/x", NULL, NULL, false },
        { "/x?label=team", "team", NULL, false },
        { "/x?label=team%3Dvision", "team", "vision", false },
        { "/x?label=team=", "team", "", false },
        { "/x?label=a=b=c", "a", "b=c", false },
        { "/x?label=%C3%A4=+", "\xc3\xa4", " ", false },
        { "/x?label=", "", NULL, true },
        { "/x?label==v", "", "v", true },
        { "/x?label", "", NULL, true },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTOFREE char *key = NULL;
        const char *value;
        struct sewa_error err = { 0 };
        struct fake f;
        fake_open(&f, HTTP_GET, rows[i].target);
        int rc = query_label(&f.rq, &key, &value, &err);
        if (rows[i].refused) {
            assert_failed(rc, err, SEWA_E_INVALID, "KEY or KEY=VALUE");
        } else {
            assert_ok(rc, err);
            assert_true((key == NULL) == (rows[i].key == NULL));
            assert_true(!key || strcmp(key, rows[i].key) == 0);
            assert_true((value == NULL) == (rows[i].value == NULL));
            assert_true(!value || strcmp(value, rows[i].value) == 0);
        }
        fake_close(&f);
    }
}

/* ---- merge patches ---- */

static void test_merge(void **state)
{
    (void)state;
    static const struct {
        const char *text, *patch, *merged;
    } rows[] = {
        { "{}", "{}", "{}" },
        { "{\"a\":\"1\"}", "{}", "{\"a\":\"1\"}" },
        { "{}", "{\"b\":\"2\",\"a\":\"1\"}", "{\"a\":\"1\",\"b\":\"2\"}" },
        { "{\"a\":\"1\"}", "{\"a\":\"2\"}", "{\"a\":\"2\"}" },
        { "{\"a\":\"1\",\"b\":\"2\"}", "{\"a\":null}", "{\"b\":\"2\"}" },
        { "{\"a\":\"1\"}", "{\"b\":null}", "{\"a\":\"1\"}" },
        { "{\"a\":0.5}", "{\"b\":1e300}", "{\"a\":0.5,\"b\":1.0000000000000001e300}" },
        { "{\"a\":1}", "null", "{\"a\":1}" },
    };
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTOJSON json_t *patch = json_parse(rows[i].patch, strlen(rows[i].patch), &err);
        AUTOFREE char *merged = NULL;
        assert_ok(merge_members(rows[i].text, patch, &merged, &err), err);
        AUTOJSON json_t *got = json_parse(merged, strlen(merged), &err);
        AUTOJSON json_t *wanted = json_parse(rows[i].merged, strlen(rows[i].merged), &err);
        assert_true(json_equal(got, wanted));
    }
    AUTOJSON json_t *patch = json_object();
    char *merged = NULL;
    assert_true(merge_members("{", patch, &merged, &err) < 0);
    assert_null(merged);
}

static void test_merge_has_a_limit(void **state)
{
    (void)state;
    AUTOJSON json_t *patch = json_object();
    AUTOFREE char *merged = NULL;
    char key[16], *none = NULL;
    struct sewa_error err = { 0 };

    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "k%d", i);
        json_object_set_new(patch, key, json_integer(i));
    }
    assert_ok(merge_members("{\"k5\":0}", patch, &merged, &err), err);
    assert_failed(merge_members("{\"other\":0}", patch, &none, &err), err, SEWA_E_INVALID,
                  "65 members, at most 64");
    assert_null(none);
}

static void test_no_memory(void **state)
{
    (void)state;
    AUTOJSON json_t *patch = json_pack("{s:s, s:n}", "b", "2", "a");
    struct sewa_error err = { 0 };

    for (int64_t n = 0;; n++) {
        char *merged = NULL;
        alloc_fail_at(n);
        int rc = merge_members("{\"a\":\"1\"}", patch, &merged, &err);
        bool fired = alloc_fired();
        assert_true((rc == 0) == (merged != NULL) && (fired || rc == 0));
        free(merged);
        if (!fired)
            break;
    }
    for (int64_t n = 0;; n++) {
        struct fake f;
        fake_open(&f, HTTP_GET, "/x?limit=2");
        alloc_fail_at(n);
        answer_numbers(&f, 3);
        bool fired = alloc_fired();
        assert_non_null(f.rq.reply);
        assert_true(f.rq.status == 200 || (fired && f.rq.status == 503));
        fake_close(&f);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),     cmocka_unit_test(test_links_lead_through),
        cmocka_unit_test(test_bad_pages), cmocka_unit_test(test_labels),
        cmocka_unit_test(test_merge),     cmocka_unit_test(test_merge_has_a_limit),
        cmocka_unit_test(test_no_memory),
    };

    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
