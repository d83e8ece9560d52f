/*
 * test_fields - lists of entity tags and of media types.
 */
#include "support/support.h"

#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "http/fields.h"

static void test_entity_tags(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool named;
    } rows[] = {
        { "\"v1\"", true },
        { "*", true },
        { "W/\"v1\"", true },
        { "\"v2\", \"v1\"", true },
        { "\"v1\",\"v2\"", true },
        { "\"v2\" , W/\"v1\"", true },
        { ",, \"v1\"", true },
        { "\"a,b\", \"v1\"", true },
        { "", false },
        { "v1", false },
        { "\"v2\"", false },
        { "\"v1", false },
        { "\"v11\"", false },
        { "\"\"", false },
        { "w/\"v1\"", false },
        { "\"V1\"", false },
        { "\"x\", v1, \"v1\"", false },
        { "**", false },
        { "\"v2\", *", false },
        { "\"v1 \"", false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (fields_name_etag(rows[i].list, "\"v1\"") != rows[i].named ||
            fields_match_etag(rows[i].list, "\"v1\"") !=
                (rows[i].named && !strstr(rows[i].list, "W/")))
            fail_msg("'%s'", rows[i].list);
}

static void test_media_types(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        bool is;
    } rows[] = {
        { "application/json", true },
        { "APPLICATION/Json", true },
        { "application/json; charset=utf-8", true },
        { "application/json;charset=utf-8", true },
        { "application/json ", true },
        { "application/jsonp", false },
        { "application/jso", false },
        { "text/json", false },
        { " application/json", false },
        { "", false },
        { ";", false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (fields_is_type(rows[i].field, "application/json") != rows[i].is)
            fail_msg("'%s'", rows[i].field);
}

static void test_accept(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        int json, csv;
    } rows[] = {
        { NULL, 1000, 1000 },
        { "", 1000, 1000 },
        { "*/*", 1000, 1000 },
        { "text/csv", 0, 1000 },
        { "TEXT/CSV", 0, 1000 },
        { "text/*", 0, 1000 },
        { "application/*", 1000, 0 },
        { "text/csv, application/json", 1000, 1000 },
        { "text/csv;q=0.5, application/json;q=0.9", 900, 500 },
        { "text/csv; q=0.123", 0, 123 },
        { "text/csv;header=present;q=0.4", 0, 400 },
        { "text/csv;q=1.000", 0, 1000 },
        { "text/csv;q=1.5", 0, 1000 },
        { "text/csv;q=0", 0, 0 },
        { "text/csv;q=0.0, */*", 1000, 0 },
        { "*/*;q=0.1, text/*;q=0.2, text/csv;q=0.3", 100, 300 },
        { "text/csv;q=0.3, text/*;q=0.2, */*;q=0.1", 100, 300 },
        { "text/*;q=0.2, */*;q=0.9", 900, 200 },
        { "*/*;q=0.8,image/png", 800, 800 },
        { "text/csv;Q=0.7", 0, 700 },
        { "text/csv;q=0.1239", 0, 123 },
        { "text/csv;q=x", 0, 1000 },
        { "text/csvx", 0, 0 },
        { "text/cs", 0, 0 },
        { "*", 0, 0 },
        { "text", 0, 0 },
        { "image/png", 0, 0 },
        { ", ,text/csv,", 0, 1000 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int json = fields_quality(rows[i].accept, "application/json");
        int csv = fields_quality(rows[i].accept, "text/csv");
        if (json != rows[i].json || csv != rows[i].csv)
            fail_msg("'%s': json %d, csv %d", rows[i].accept ? rows[i].accept : "none", json, csv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entity_tags),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_accept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
