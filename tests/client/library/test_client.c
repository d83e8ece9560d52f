/*
 * test_client - options that are refused before anything is sent, and handles that are half-built.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <string.h>

#include "cleanup.h"
#include "sewa/client.h"

struct row {
    const char *name;
    struct sewa_client_options options;
    const char *word;  /* of the refusal; NULL: taken */
    const char *shown; /* sewa_client_address() */
};

static const struct row rows[] = {
    { "nothing", { 0 }, NULL, "http://127.0.0.1:8787" },
    { "an address", { .url = "head:1/x/" }, NULL, "http://head:1/x" },
    { "a socket", { .unix_socket = "/run/s" }, NULL, "unix:/run/s" },
    { "both", { .url = "http://head", .unix_socket = "/run/s" }, NULL, "unix:/run/s" },
    { "a token", { .token = "abc.DEF~" }, NULL, "http://127.0.0.1:8787" },
    { "a wrong address", { .url = "ftp://x" }, "'ftp'", NULL },
    { "an empty socket", { .unix_socket = "" }, "socket", NULL },
    { "an empty token", { .token = "" }, "0 bytes", NULL },
    { "a token with a space", { .token = "a b" }, "byte 2", NULL },
    { "a token with a line end", { .token = "ab\r\nX: y" }, "byte 3", NULL },
    { "a token that is no ASCII", { .token = "\xc3\xa4" }, "byte 1", NULL },
    { "a time below 0", { .timeout_ms = -1 }, "-1 ms", NULL },
    { "more than a day", { .timeout_ms = 86400001 }, "86400001 ms", NULL },
    { "a user agent with blanks", { .user_agent = " a ~" }, NULL, "http://127.0.0.1:8787" },
    { "a user agent with a DEL", { .user_agent = "a\x7f" }, "user agent", NULL },
    { "a user agent with a line end", { .user_agent = "a\nb" }, "user agent", NULL },
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct sewa_client *c = NULL;
    struct sewa_error err;
    int rc = sewa_client_open(&r->options, &c, &err);

    if (r->word) {
        assert_failed(rc, err, SEWA_E_INVALID, r->word);
        assert_null(c);
        if (r->options.token)
            assert_true(!*r->options.token || !strstr(err.text, r->options.token));
        return;
    }
    assert_ok(rc, err);
    assert_string_equal(sewa_client_address(c), r->shown);
    sewa_client_close(c);
}

static void memory_runs_out(void **state)
{
    (void)state;
    const struct sewa_client_options o = { .url = "head", .token = "t", .unix_socket = "/s" };

    for (int64_t n = 0;; n++) {
        struct sewa_client *c = NULL;
        struct sewa_error err;
        alloc_fail_at(n);
        int rc = sewa_client_open(&o, &c, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n >= 3);
            sewa_client_close(c);
            return;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_null(c);
    }
}

/* Every _clear() on a zeroed struct, twice; and closing nothing. */
static void clears_nothing(void **state)
{
    (void)state;
    struct sewa_job job = { 0 };
    struct sewa_submission s = { 0 };
    struct sewa_plan p = { 0 };
    struct sewa_run_list runs = { 0 };

    for (int i = 0; i < 2; i++) {
        sewa_job_clear(&job);
        sewa_submission_clear(&s);
        sewa_plan_clear(&p);
        sewa_run_list_clear(&runs);
    }
    sewa_client_close(NULL);
}

static bool always(void *arg)
{
    return ++*(int *)arg > 0;
}

/* Not a byte is sent when the caller has had enough. */
static void interrupted_before_it_begins(void **state)
{
    (void)state;
    int asked = 0;
    const struct sewa_client_options o = { .url = "127.0.0.1:1",
                                           .interrupted = always,
                                           .arg = &asked };
    struct sewa_client *c = NULL;
    struct sewa_job job = { 0 };
    struct sewa_error err;

    assert_ok(sewa_client_open(&o, &c, &err), err);
    assert_failed(sewa_job_wait(c, "job_1", -1, &job, &err), err, SEWA_E_CANCELLED, "interrupted");
    assert_failed(sewa_service_ready(c, &err), err, SEWA_E_CANCELLED, "interrupted");
    assert_int_equal(sewa_service_ready(c, NULL), SEWA_E_CANCELLED);
    assert_int_equal(asked, 3);
    sewa_client_close(c);
}

/* What can be judged without the service. */
static void arguments_that_are_refused(void **state)
{
    (void)state;
    const struct sewa_client_options o = { .url = "127.0.0.1:1" };
    char long_key[257] = { 0 }, key[65];
    struct sewa_submission s = { 0 };
    struct sewa_client *c = NULL;
    struct sewa_error err;

    memset(long_key, 'k', 256);
    assert_ok(sewa_client_open(&o, &c, &err), err);
    assert_failed(sewa_job_submit(c, "{}", "", &s, &err), err, SEWA_E_INVALID, "0 characters");
    assert_failed(sewa_job_submit(c, "{}", long_key, &s, &err), err, SEWA_E_INVALID, "256");
    assert_failed(sewa_job_submit(c, "{}", "a\nb", &s, &err), err, SEWA_E_INVALID, "character 2");
    assert_failed(sewa_job_key(c, "[]", key, &err), err, SEWA_E_INVALID, "no JSON object");
    assert_failed(sewa_job_key(c, "{", key, &err), err, SEWA_E_INVALID, "no JSON object");
    sewa_client_close(c);
}

/* Without a run nothing has to be asked: the order of members and space do not matter. */
static void keys_are_of_the_request(void **state)
{
    (void)state;
    const struct sewa_client_options o = { .url = "127.0.0.1:1" };
    struct sewa_client *c = NULL;
    char a[65], b[65], other[65];
    struct sewa_error err;

    assert_ok(sewa_client_open(&o, &c, &err), err);
    assert_ok(sewa_job_key(c, "{\"checkpoints\":[\"x\"],\"seed\":1}", a, &err), err);
    assert_ok(sewa_job_key(c, " {\"seed\": 1, \"checkpoints\": [\"x\"]}", b, &err), err);
    assert_ok(sewa_job_key(c, "{\"checkpoints\":[\"x\"],\"seed\":2}", other, &err), err);
    assert_int_equal(strlen(a), 64);
    assert_string_equal(a, b);
    assert_string_not_equal(a, other);
    assert_failed(sewa_job_key(c, "{\"run\":\"r\"}", a, &err), err, SEWA_E_UNREACHABLE,
                  "127.0.0.1:1");
    sewa_client_close(c);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 5] = {
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(clears_nothing),
        cmocka_unit_test(interrupted_before_it_begins),
        cmocka_unit_test(arguments_that_are_refused),
        cmocka_unit_test(keys_are_of_the_request),
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i + 5] = (struct CMUnitTest){ rows[i].name, check_row, NULL, NULL, (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
