/*
 * test_link - calls to a sewad that refuses, is busy, is away, or talks rubbish.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "sewad.h"
#include "worker/link.h"

enum { LONG_MS = 60000 };

struct world {
    struct sewad *sewad;
    struct link *link;
    atomic_bool cancel;
    size_t busy; /* so many calls are answered with 503 */
    struct sewad_answer answer;
};

static struct sewad_answer answer(const char *call, size_t number, void *arg)
{
    const struct world *w = arg;

    (void)call;
    if (number < w->busy)
        return (struct sewad_answer){ 503,
                                      "{\"code\": \"unavailable\", \"detail\": \"stopping\"}" };
    return w->answer;
}

static void open_world(struct world *w, int64_t patience_ms)
{
    struct sewa_error err = { 0 };

    w->sewad = sewad_start(answer, w);
    struct link_options o = { .socket = sewad_socket(w->sewad),
                              .token = "0123456789abcdef",
                              .patience_ms = patience_ms,
                              .cancel = &w->cancel };
    assert_ok(link_open(&o, &w->link, &err), err);
}

static void close_world(struct world *w)
{
    link_close(w->link);
    sewad_stop(w->sewad);
}

static int call(struct world *w, json_t **ret, struct sewa_error *err)
{
    AUTOJSON json_t *message = json_pack("{s:i}", "n", 7);

    *ret = NULL;
    return link_call(w->link, "lease", message, ret, err);
}

static void test_an_answer(void **state)
{
    struct world w = { .answer.body = "{\"task\": null}" };
    struct sewa_error err = { 0 };
    json_t *o;

    (void)state;
    open_world(&w, LONG_MS);
    assert_ok(call(&w, &o, &err), err);
    assert_true(json_is_null(json_object_get(o, "task")));
    json_decref(o);
    AUTOFREE char *body = sewad_body(w.sewad, "lease", 0, NULL);
    assert_string_equal(body, "{\"n\":7}");
    assert_ok(link_send(w.link, "log", "a\0b", 3, &err), err);
    size_t n;
    AUTOFREE char *log = sewad_body(w.sewad, "log", 0, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(log, "a\0b", 3);
    close_world(&w);
}

/* One that restarts is waited for: the same question again, until it answers. */
static void test_a_busy_one_is_asked_again(void **state)
{
    struct world w = { .busy = 4, .answer.body = "{}" };
    struct sewa_error err = { 0 };
    json_t *o;

    (void)state;
    open_world(&w, LONG_MS);
    assert_ok(call(&w, &o, &err), err);
    json_decref(o);
    assert_int_equal(sewad_count(w.sewad, "lease"), 5);
    for (size_t i = 0; i < 5; i++) {
        AUTOFREE char *body = sewad_body(w.sewad, "lease", i, NULL);
        assert_string_equal(body, "{\"n\":7}");
    }
    close_world(&w);
}

/* Output is not worth waiting for. */
static void test_bytes_are_sent_once(void **state)
{
    struct world w = { .busy = 1000 };
    struct sewa_error err = { 0 };

    (void)state;
    open_world(&w, LONG_MS);
    assert_failed(link_send(w.link, "log", "x", 1, &err), err, SEWA_E_UNAVAILABLE, "stopping");
    assert_int_equal(sewad_count(w.sewad, "log"), 1);
    close_world(&w);
}

/* Patience: it ends, and what sewad said last is the failure. */
static void test_patience_ends(void **state)
{
    struct world w = { .busy = 100000 };
    struct sewa_error err = { 0 };
    json_t *o;

    (void)state;
    open_world(&w, 300);
    int64_t begin_ms = clock_monotonic_ms();
    assert_failed(call(&w, &o, &err), err, SEWA_E_UNAVAILABLE, "stopping (status 503)");
    assert_true(clock_monotonic_ms() - begin_ms >= 300);
    sewad_stop(w.sewad);
    assert_failed(call(&w, &o, &err), err, SEWA_E_UNREACHABLE, "does not answer at");
    link_close(w.link);
}

static void test_a_cancelled_one_does_not_wait(void **state)
{
    struct world w = { .busy = 100000 };
    struct sewa_error err = { 0 };
    json_t *o;

    (void)state;
    open_world(&w, (int64_t)1 << 40); /* for ever */
    atomic_store(&w.cancel, true);
    assert_failed(call(&w, &o, &err), err, SEWA_E_CANCELLED, "told to stop");
    close_world(&w);
}

static const struct row {
    const char *name;
    struct sewad_answer answer;
    int code;
    const char *word;
} rows[] = {
    { "nobody's token",
      { 401, "{\"code\": \"unauthorized\", \"detail\": \"who is it\"}" },
      SEWA_E_UNAUTHORIZED,
      "who is it (status 401)" },
    { "a lost lease",
      { 409, "{\"code\": \"lease_lost\", \"detail\": \"attempt 1\"}" },
      SEWA_E_LEASE_LOST,
      "attempt 1" },
    { "an unknown word", { 418, "{\"code\": \"teapot\"}" }, SEWA_E_PROTOCOL, "(status 418)" },
    { "no JSON", { 200, "<html>" }, SEWA_E_PROTOCOL, "(status 200)" },
    { "no object", { 200, "[1]" }, SEWA_E_PROTOCOL, "(status 200)" },
    { "a failure without words", { 500, "" }, SEWA_E_PROTOCOL, "(status 500)" },
};

static void test_refused(void **state)
{
    const struct row *row = *state;
    struct world w = { .answer = row->answer };
    struct sewa_error err = { 0 };
    json_t *o;

    open_world(&w, LONG_MS);
    assert_failed(call(&w, &o, &err), err, row->code, row->word);
    assert_null(o);
    assert_int_equal(sewad_count(w.sewad, "lease"), 1);
    close_world(&w);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_an_answer),
        cmocka_unit_test(test_a_busy_one_is_asked_again),
        cmocka_unit_test(test_bytes_are_sent_once),
        cmocka_unit_test(test_patience_ends),
        cmocka_unit_test(test_a_cancelled_one_does_not_wait),
    };
    struct CMUnitTest tests[COUNT_OF(others) + COUNT_OF(rows)];

    memcpy(tests, others, sizeof others);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[COUNT_OF(others) + i] = (struct CMUnitTest){ rows[i].name, test_refused, NULL, NULL,
                                                           (void *)(uintptr_t)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
