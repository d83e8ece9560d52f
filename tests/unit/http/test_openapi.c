/*
 * test_openapi - proto/openapi.json and the table of routes say the same, in both directions.
 * That answers look as it says is shown with a running service (tests/integration/test_openapi.py).
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "http/router.h"

extern const unsigned char openapi_json[];
extern const size_t openapi_json_size;

static json_t *document;

static const char *const method_names[] = { "get", "post", "put", "patch", "delete", "options" };

static const char *method_name(const struct route *r)
{
    for (unsigned i = 0; i < COUNT_OF(method_names); i++)
        if (r->method == 1u << i)
            return method_names[i];
    fail_msg("'%s' has no method", r->path);
    return NULL;
}

/* "#/components/parameters/Run" -> the value there; other values are themselves. */
static const json_t *resolve(const json_t *value)
{
    const char *p = json_string_value(json_object_get(value, "$ref"));

    if (!p)
        return value;
    const json_t *at = document;
    char name[80];
    assert_memory_equal(p, "#/", 2);
    for (p += 2; *p;) {
        size_t n = strcspn(p, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        at = json_object_get(at, name);
        p += n + (p[n] == '/');
    }
    if (!at)
        fail_msg("'%s' leads nowhere", json_string_value(json_object_get(value, "$ref")));
    return at;
}

static const json_t *paths(void)
{
    return json_object_get(document, "paths");
}

static const json_t *operation_of(const struct route *r)
{
    return json_object_get(json_object_get(paths(), r->path), method_name(r));
}

/* Names of the parameters of an operation and of its path: those that stand @where. */
static json_t *parameters_of(const struct route *r, const char *where)
{
    const json_t *lists[] = { json_object_get(json_object_get(paths(), r->path), "parameters"),
                              json_object_get(operation_of(r), "parameters") };
    json_t *names = json_array();

    for (size_t l = 0; l < COUNT_OF(lists); l++)
        for (size_t i = 0; i < json_array_size(lists[l]); i++) {
            const json_t *p = resolve(json_array_get(lists[l], i));
            if (strcmp(json_string_value(json_object_get(p, "in")), where) == 0)
                json_array_append(names, json_object_get(p, "name"));
        }
    return names;
}

static void test_every_route_is_described(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++)
        if (routes[i].flags & ROUTE_PUBLIC && !operation_of(&routes[i]))
            fail_msg("%s %s is not described", method_name(&routes[i]), routes[i].path);
}

static bool is_routed(const char *path, const char *method)
{
    for (size_t i = 0; i < route_count; i++)
        if (routes[i].flags & ROUTE_PUBLIC && strcmp(routes[i].path, path) == 0 &&
            strcmp(method_name(&routes[i]), method) == 0)
            return true;
    return false;
}

static void test_everything_described_is_routed(void **state)
{
    (void)state;
    const char *path, *method;
    json_t *item, *operation;

    json_object_foreach((json_t *)paths(), path, item)
    {
        json_object_foreach(item, method, operation)
        {
            if (strcmp(method, "parameters") != 0 && !is_routed(path, method))
                fail_msg("%s %s is described and not routed", method, path);
        }
    }
}

static void test_path_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        if (!(routes[i].flags & ROUTE_PUBLIC))
            continue;
        AUTOJSON json_t *expected = json_array();
        AUTOJSON json_t *names = parameters_of(&routes[i], "path");
        for (const char *p = routes[i].path; (p = strchr(p, '{')) != NULL; p++)
            json_array_append_new(expected, json_stringn(p + 1, strcspn(p, "}") - 1));
        if (!json_equal(names, expected))
            fail_msg("%s: other path parameters", routes[i].path);
    }
}

static void test_query_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        if (!(routes[i].flags & ROUTE_PUBLIC))
            continue;
        AUTOJSON json_t *expected = json_array();
        AUTOJSON json_t *names = parameters_of(&routes[i], "query");
        for (int q = 0; routes[i].query && routes[i].query[q]; q++)
            json_array_append_new(expected, json_string(routes[i].query[q]));
        if (!json_equal(names, expected))
            fail_msg("%s %s: other query parameters", method_name(&routes[i]), routes[i].path);
    }
}

/* A body is described where one is read, and a key where something is made by POST. */
static void test_bodies_and_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        if (!(routes[i].flags & ROUTE_PUBLIC))
            continue;
        const json_t *body = json_object_get(operation_of(&routes[i]), "requestBody");
        if ((body != NULL) != (routes[i].body_max > 0))
            fail_msg("%s %s: body", method_name(&routes[i]), routes[i].path);
        bool has_key = false;
        AUTOJSON json_t *names = parameters_of(&routes[i], "header");
        for (size_t n = 0; n < json_array_size(names); n++)
            if (strcmp(json_string_value(json_array_get(names, n)), "Idempotency-Key") == 0)
                has_key = true;
        if (has_key != (routes[i].method == HTTP_POST))
            fail_msg("%s %s: Idempotency-Key", method_name(&routes[i]), routes[i].path);
    }
}

static void test_codes(void **state)
{
    (void)state;
    const json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    const json_t *words = json_object_get(json_object_get(schemas, "Code"), "enum");
    size_t n = 0;

    for (const struct sewa_code_info *info; (info = sewa_code_at(n)) != NULL; n++)
        if (strcmp(json_string_value(json_array_get(words, n)), info->slug) != 0)
            fail_msg("code %zu is '%s', the document says '%s'", n, info->slug,
                     json_string_value(json_array_get(words, n)));
    assert_int_equal(json_array_size(words), n);
}

/* ---- the document in itself ---- */

static void each_value(const json_t *value, void (*visit)(const json_t *object, void *arg),
                       void *arg)
{
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_object(value))
        visit(value, arg);
    json_object_foreach((json_t *)value, key, member)
    {
        each_value(member, visit, arg);
    }
    json_array_foreach((json_t *)value, i, member)
    {
        each_value(member, visit, arg);
    }
}

static void collect_reference(const json_t *object, void *arg)
{
    const char *target = json_string_value(json_object_get(object, "$ref"));

    if (target) {
        assert_non_null(resolve(object));
        json_object_set_new(arg, target, json_true());
    }
}

static void test_components_are_there_and_used(void **state)
{
    (void)state;
    AUTOJSON json_t *used = json_object();
    const char *kind, *name;
    json_t *group, *component;
    char target[200];

    each_value(document, collect_reference, used);
    json_object_foreach(json_object_get(document, "components"), kind, group)
    {
        json_object_foreach(group, name, component)
        {
            snprintf(target, sizeof target, "#/components/%s/%s", kind, name);
            if (!json_object_get(used, target))
                fail_msg("'%s' is used nowhere", target);
        }
    }
}

static void collect_id(const json_t *object, void *arg)
{
    const char *id = json_string_value(json_object_get(object, "operationId"));

    if (!id)
        return;
    if (json_object_get(arg, id))
        fail_msg("operation '%s' is there twice", id);
    json_object_set_new(arg, id, json_true());
}

static void test_operations_have_names(void **state)
{
    (void)state;
    AUTOJSON json_t *ids = json_object();
    size_t count = 0;

    each_value(paths(), collect_id, ids);
    for (size_t i = 0; i < route_count; i++)
        count += (routes[i].flags & ROUTE_PUBLIC) != 0;
    assert_int_equal(json_object_size(ids), count);
}

static int parse_document(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };

    document = json_parse((const char *)openapi_json, openapi_json_size, &err);
    return document ? 0 : -1;
}

static int free_document(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_described),
        cmocka_unit_test(test_everything_described_is_routed),
        cmocka_unit_test(test_path_parameters),
        cmocka_unit_test(test_query_parameters),
        cmocka_unit_test(test_bodies_and_keys),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_components_are_there_and_used),
        cmocka_unit_test(test_operations_have_names),
    };

    return cmocka_run_group_tests(tests, parse_document, free_document);
}
