/*
 * test_problem - what an answer that is no success becomes.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "problem.h"

struct row {
    const char *name;
    long status;
    const char *body;
    int code;
    const char *word, *pointer;
};

static const struct row rows[] = {
    { "of the service", 422,
      "{\"code\":\"invalid\",\"detail\":\"'select' is 99\",\"errors\":[{\"pointer\":\"/select\"},"
      "{\"pointer\":\"/b\"}]}",
      SEWA_E_INVALID, "'select' is 99", "/select" },
    { "the code wins over the status", 409,
      "{\"code\":\"idempotency_busy\",\"detail\":\"still running\"}", SEWA_E_IDEMPOTENCY_BUSY,
      "still running", "" },
    { "a newer code", 409, "{\"code\":\"brand_new\",\"detail\":\"no\"}", SEWA_E_CONFLICT, "no",
      "" },
    { "a title only", 404, "{\"title\":\"There is no such thing\"}", SEWA_E_NOT_FOUND,
      "There is no such thing", "" },
    { "internal, with its number", 500,
      "{\"code\":\"internal\",\"detail\":\"oops\",\"request_id\":\"req-7\"}", SEWA_E_INTERNAL,
      "request req-7: oops", "" },
    { "away for a while", 503,
      "{\"code\":\"unavailable\",\"detail\":\"stopping\",\"request_id\":\"req-7\"}",
      SEWA_E_UNAVAILABLE, "stopping", "" },
    { "a page of a proxy", 502, "<html>Bad Gateway</html>", SEWA_E_UNAVAILABLE,
      "GET /x was answered with status 502", "" },
    { "an empty body", 401, "", SEWA_E_UNAUTHORIZED, "status 401", "" },
    { "other types", 403, "{\"code\":7,\"detail\":[],\"errors\":{}}", SEWA_E_FORBIDDEN,
      "status 403", "" },
    { "errors that are none", 422, "{\"detail\":\"d\",\"errors\":[7]}", SEWA_E_INVALID, "d", "" },
    { "an array", 404, "[]", SEWA_E_NOT_FOUND, "status 404", "" },
    { "a status that nobody knows, 4", 499, "x", SEWA_E_BAD_REQUEST, "status 499", "" },
    { "a status that nobody knows, 5", 599, "x", SEWA_E_INTERNAL, "status 599", "" },
    { "no status of an error", 101, "x", SEWA_E_PROTOCOL, "status 101", "" },
    { "percent signs are no format", 400, "{\"detail\":\"%s%n\"}", SEWA_E_BAD_REQUEST, "%s%n", "" },
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct sewa_error err = { 0 };
    int rc = sewa_problem_read(r->status, r->body, strlen(r->body), "GET /x", &err);

    assert_failed(rc, err, r->code, r->word);
    assert_string_equal(err.pointer, r->pointer);
    assert_int_equal(sewa_problem_read(r->status, r->body, strlen(r->body), "GET /x", NULL),
                     r->code);
}

/* Every code of the table comes back as itself, so that both sides agree. */
static void all_codes(void **state)
{
    (void)state;
    const struct sewa_code_info *info;

    for (size_t i = 0; (info = sewa_code_at(i)); i++) {
        char body[128];
        struct sewa_error err;
        int n = snprintf(body, sizeof body, "{\"code\":\"%s\",\"detail\":\"d\"}", info->slug);
        assert_int_equal(sewa_problem_read(info->http_status, body, (size_t)n, "x", &err),
                         info->code);
        assert_true(sewa_problem_read(info->http_status, "", 0, "x", &err) < 0);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 1] = { cmocka_unit_test(all_codes) };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i + 1] = (struct CMUnitTest){ rows[i].name, check_row, NULL, NULL, (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
