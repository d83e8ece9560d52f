/*
 * test_write - a change is answered after its commit, and once for each Idempotency-Key. With a
 * real store on a loop.
 */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "store/runs.h"
#include "store/service.h"
#include "support/alloc.h"

#define RUNS   "/api/v1/runs"
#define CANCEL "/api/v1/jobs/job_1/cancel"

static uv_loop_t loop;
static struct api api;
static char *dir;

/* What one request does: insert a run of this name, and then fail or not. */
struct change {
    const char *name;
    bool fails;
    int applied, committed, released;
};

static int apply(struct api_write *w, struct db *db, struct sewa_error *err)
{
    struct change *c = w->arg;
    char *name = strdup(c->name), *path = strdup("/data");
    struct run_row row = { .name = name, .path = path, .origin = RUN_FROM_API, .updated_ms = 5 };
    int rc = run_put(db, &row, true, err);

    c->applied++;
    free(name);
    free(path);
    if (rc == 0 && c->fails)
        rc = sewa_fail(err, SEWA_E_CONFLICT, "'%s' is to fail", c->name);
    if (rc < 0)
        return rc;
    w->location = strdup("/here");
    return api_write_body(w, 201, json_pack("{s:s, s:s}", "name", c->name, "id", row.uid), err);
}

static int apply_nothing(struct api_write *w, struct db *db, struct sewa_error *err)
{
    (void)db;
    (void)err;
    ((struct change *)w->arg)->applied++;
    w->status = 204;
    return 0;
}

static void committed(struct api_write *w)
{
    ((struct change *)w->arg)->committed++;
}

static void released(void *arg)
{
    ((struct change *)arg)->released++;
}

/* A POST with this key (or none) and body. */
static void post(struct fake *f, const char *target, const char *key, const char *body)
{
    fake_open(f, HTTP_POST, target);
    if (key)
        fake_field(f, "Idempotency-Key", key);
    fake_body(f, body);
}

static struct api_write *begin(struct fake *f, struct change *c)
{
    struct api_write *w = api_write_new(&api, &f->rq, c, released);

    if (w) {
        w->apply = apply;
        w->committed = committed;
    }
    return w;
}

static void finish(struct fake *f)
{
    while (!f->rq.reply)
        uv_run(&loop, UV_RUN_ONCE);
}

/* The whole way; the answer is in f. */
static void make(struct fake *f, struct change *c, const char *key, const char *body)
{
    post(f, RUNS, key, body);
    struct api_write *w = begin(f, c);
    if (w) {
        api_write_submit(w);
        assert_true(f->rq.held);
        finish(f);
    }
    assert_int_equal(c->released, 1);
}

static bool has_run(const char *name)
{
    AUTO(run_row_clear) struct run_row row = { 0 };
    struct sewa_error err = { 0 };
    int rc = run_find(store_reader(api.o.store), name, &row, &err);

    assert_ok(rc, err);
    return rc > 0;
}

/* ---- tests ---- */

static void test_without_a_key(void **state)
{
    (void)state;
    struct change c = { .name = "plain" };
    struct fake f;

    make(&f, &c, NULL, "{}");
    assert_int_equal(f.rq.status, 201);
    assert_string_equal(fake_answer_field(&f, "Location"), "/here");
    assert_null(fake_answer_field(&f, "Idempotent-Replayed"));
    assert_non_null(strstr(fake_answer_body(), "\"plain\""));
    assert_null(f.rq.on_lost);
    assert_true(c.applied == 1 && c.committed == 1 && has_run("plain"));
    fake_close(&f);

    struct change again = { .name = "plain" }; /* nothing is remembered without a key */
    make(&f, &again, NULL, "{}");
    fake_assert_problem(&f, SEWA_E_CONFLICT, "plain");
    assert_true(again.applied == 1 && again.committed == 0);
    fake_close(&f);
}

static void test_replayed(void **state)
{
    (void)state;
    struct change c = { .name = "once" }, again = { .name = "once" };
    struct fake f;

    make(&f, &c, "key of once", "{\"a\":1,\"b\":[{\"c\":2,\"d\":3}]}");
    AUTOFREE char *body = strdup(fake_answer_body());
    fake_close(&f);
    make(&f, &again, "key of once", "{ \"b\": [{\"d\": 3, \"c\": 2}],\n \"a\": 1}");
    assert_int_equal(f.rq.status, 201);
    assert_string_equal(fake_answer_body(), body);
    assert_string_equal(fake_answer_field(&f, "Location"), "/here");
    assert_string_equal(fake_answer_field(&f, "Content-Type"), "application/json");
    assert_string_equal(fake_answer_field(&f, "Idempotent-Replayed"), "true");
    assert_true(again.applied == 0 && again.committed == 0);
    fake_close(&f);
}

/* As version 0.1 has written it, before it was replaced by this one. */
static int apply_old(struct api_write *w, struct db *db, struct sewa_error *err)
{
    static const char request[] = "\0{\"old\": 1 }";
    char body[] = "{\"made\":\"long ago\"}";
    struct idempotency_row row = { .status = 201, .body = body };

    sha256_of(request, sizeof request - 1, row.request);
    w->status = 204;
    return idempotency_put(db, w->scope, "key of old", &row, w->now_ms, err);
}

static void test_replayed_after_an_upgrade(void **state)
{
    (void)state;
    struct change c = { .name = "" }, again = { .name = "old" };
    struct fake f;

    post(&f, RUNS, NULL, "{}");
    struct api_write *w = begin(&f, &c);
    w->apply = apply_old;
    api_write_submit(w);
    finish(&f);
    assert_int_equal(f.rq.status, 204);
    fake_close(&f);
    make(&f, &again, "key of old", "{\"old\": 1 }");
    assert_int_equal(f.rq.status, 201);
    assert_non_null(strstr(fake_answer_body(), "long ago"));
    assert_int_equal(again.applied, 0);
    fake_close(&f);
}

static int match_with(const char *if_match, enum http_method method, const char *etag)
{
    struct change c = { .name = "" };
    struct sewa_error err = { 0 };
    struct fake f;

    fake_open(&f, method, RUNS "/x");
    if (if_match)
        fake_field(&f, "If-Match", if_match);
    struct api_write *w = begin(&f, &c);
    int rc = api_write_match(w, etag, &err);
    api_write_drop(w);
    fake_close(&f);
    return rc;
}

static void test_if_match(void **state)
{
    (void)state;
    assert_int_equal(match_with(NULL, HTTP_DELETE, "\"v1\""), 0);
    assert_int_equal(match_with("\"v1\"", HTTP_DELETE, "\"v1\""), 0);
    assert_int_equal(match_with("\"v0\", \"v1\"", HTTP_PATCH, "\"v1\""), 0);
    assert_int_equal(match_with("*", HTTP_PATCH, "\"v1\""), 0);
    assert_int_equal(match_with("*", HTTP_PATCH, NULL), 0);
    assert_int_equal(match_with("\"v0\"", HTTP_DELETE, "\"v1\""), SEWA_E_PRECONDITION);
    assert_int_equal(match_with("W/\"v1\"", HTTP_DELETE, "\"v1\""), SEWA_E_PRECONDITION);
    assert_int_equal(match_with("\"v1\"", HTTP_PATCH, NULL), SEWA_E_PRECONDITION);
    assert_int_equal(match_with("", HTTP_PATCH, "\"v1\""), SEWA_E_PRECONDITION);
}

static void test_replayed_without_a_body(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct change c = { .name = "" };
        struct fake f;
        post(&f, CANCEL, "no body", "");
        struct api_write *w = begin(&f, &c);
        if (w) {
            w->apply = apply_nothing;
            api_write_submit(w);
            finish(&f);
        }
        assert_int_equal(f.rq.status, 204);
        assert_string_equal(fake_answer_body(), "");
        assert_int_equal(fake_answer_field(&f, "Idempotent-Replayed") != NULL, i);
        assert_null(fake_answer_field(&f, "Location"));
        assert_int_equal(c.applied, 1 - i);
        fake_close(&f);
    }
}

/* Another body, another query: refused. Another address: another key. */
static void test_other_requests(void **state)
{
    (void)state;
    static const struct {
        const char *target, *body;
        bool refused;
    } rows[] = {
        { CANCEL "?a=1", "{}", false },
        { CANCEL "?a=1", "{}", false },
        { CANCEL "?a=1", " {\n} ", false },
        { CANCEL "?a=1", "{\"a\": 1}", true },
        { CANCEL "?a=1", "{}x", true },
        { CANCEL "?a=1", "", true },
        { CANCEL "?a=2", "{}", true },
        { CANCEL "?b=1", "{}", true },
        { CANCEL, "{}", true },
        { CANCEL "?a=1&b=2", "{}", true },
        { CANCEL, "a=1&{}", true },
        { "/api/v1/jobs/job_2/cancel?a=1", "{} ", false },
        { "/api/v1/jobs/job_1/retry?a=1", "{} ", false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct change c = { .name = "" };
        struct fake f;
        post(&f, rows[i].target, "others", rows[i].body);
        struct api_write *w = begin(&f, &c);
        if (w) {
            w->apply = apply_nothing;
            api_write_submit(w);
            finish(&f);
        }
        if (rows[i].refused)
            fake_assert_problem(&f, SEWA_E_IDEMPOTENCY_MISMATCH, "'others'");
        else
            assert_int_equal(f.rq.status, 204);
        assert_int_equal(c.released, 1);
        fake_close(&f);
    }
}

static void test_failures_are_not_remembered(void **state)
{
    (void)state;
    struct change bad = { .name = "later", .fails = true }, good = { .name = "later" };
    struct fake f;

    make(&f, &bad, "key of later", "{}");
    fake_assert_problem(&f, SEWA_E_CONFLICT, "is to fail");
    assert_null(fake_answer_field(&f, "Location"));
    assert_true(bad.applied == 1 && bad.committed == 0 && !has_run("later"));
    fake_close(&f);
    make(&f, &good, "key of later", "{}");
    assert_int_equal(f.rq.status, 201);
    assert_true(good.applied == 1 && has_run("later"));
    fake_close(&f);
}

/* The same request twice before the first one is answered: one change, two equal answers. */
static void test_both_in_the_queue(void **state)
{
    (void)state;
    struct change c[2] = { { .name = "twin" }, { .name = "twin" } };
    struct fake f[2];
    struct api_write *w[2];

    for (int i = 0; i < 2;
         i++) { /* both have looked for the key before the writer sees one of them */
        post(&f[i], RUNS, "key of twin", "{}");
        w[i] = begin(&f[i], &c[i]);
        assert_non_null(w[i]);
    }
    api_write_submit(w[0]);
    api_write_submit(w[1]);
    finish(&f[0]);
    finish(&f[1]);
    assert_true(f[0].rq.status == 201 && f[1].rq.status == 201);
    assert_null(fake_answer_field(&f[0], "Idempotent-Replayed"));
    assert_string_equal(fake_answer_field(&f[1], "Idempotent-Replayed"), "true");
    assert_true(c[0].applied == 1 && c[1].applied == 0);
    assert_true(c[0].committed == 1 && c[1].committed == 0 && c[1].released == 1);
    fake_close(&f[0]);
    fake_close(&f[1]);
}

/* The server closes before the commit: nobody is answered, and the change and its answer stay. */
static void test_lost(void **state)
{
    (void)state;
    struct change c = { .name = "lost" }, again = { .name = "lost" };
    struct fake f;

    post(&f, RUNS, "key of lost", "{}");
    struct api_write *w = begin(&f, &c);
    assert_non_null(w);
    api_write_submit(w);
    f.rq.on_lost(&f.rq);
    fake_close(&f);
    memset(&f, 0x55, sizeof f); /* nothing looks at it any more */
    while (!c.released)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(c.applied == 1 && c.committed == 0 && has_run("lost"));
    make(&f, &again, "key of lost", "{}");
    assert_string_equal(fake_answer_field(&f, "Idempotent-Replayed"), "true");
    fake_close(&f);
}

static void test_bad_keys(void **state)
{
    (void)state;
    char longest[257];
    static const char *const bad[] = { "", "a\tb", "a\x7f", "\xc3\xa4" };

    memset(longest, 'k', sizeof longest);
    longest[256] = '\0';
    for (size_t i = 0; i <= COUNT_OF(bad); i++) {
        struct change c = { .name = "" };
        struct fake f;
        post(&f, RUNS, i < COUNT_OF(bad) ? bad[i] : longest, "{}");
        assert_null(begin(&f, &c));
        fake_assert_problem(&f, SEWA_E_BAD_REQUEST, "Idempotency-Key");
        assert_int_equal(c.released, 1);
        fake_close(&f);
    }
    longest[255] = '\0';
    struct change c = { .name = "longest" };
    struct fake f;
    make(&f, &c, longest, "{}");
    assert_int_equal(f.rq.status, 201);
    fake_close(&f);
}

/* Only POST has keys: PATCH and DELETE may be repeated anyway. */
static void test_other_methods(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct change c = { .name = "" };
        struct fake f;
        fake_open(&f, i ? HTTP_DELETE : HTTP_PATCH, RUNS "/digits");
        fake_field(&f, "Idempotency-Key", "\xff");
        struct api_write *w = begin(&f, &c);
        assert_non_null(w);
        w->apply = apply_nothing;
        api_write_submit(w);
        finish(&f);
        assert_int_equal(f.rq.status, 204);
        fake_close(&f);
    }
}

static void test_refused_and_dropped(void **state)
{
    (void)state;
    struct change c = { .name = "" };
    struct sewa_error err = { 0 };
    struct fake f;

    post(&f, RUNS, "refused", "{}");
    struct api_write *w = begin(&f, &c);
    sewa_fail_at(&err, SEWA_E_INVALID, "/name", "no such name");
    api_write_refuse(w, &err);
    fake_assert_problem(&f, SEWA_E_INVALID, "no such name");
    assert_true(c.released == 1 && c.applied == 0);
    fake_close(&f);
}

/* Whatever cannot be allocated at the beginning: answered with 503, and arg is released. */
static void test_no_memory(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        struct change c = { .name = "" };
        struct fake f;
        post(&f, RUNS, "no memory", "{}");
        alloc_fail_at(n);
        struct api_write *w = begin(&f, &c);
        bool fired = alloc_fired();
        if (w) {
            assert_null(f.rq.reply);
            api_write_drop(w);
        } else {
            assert_int_equal(f.rq.status, 503);
        }
        assert_int_equal(c.released, 1);
        fake_close(&f);
        if (!fired)
            break;
    }
}

/* ---- all ---- */

static int open_store(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };

    dir = scratch_new();
    uv_loop_init(&loop);
    return store_open(dir, &loop, &api.o.store, &err);
}

static int close_store(void **state)
{
    (void)state;
    store_close(api.o.store, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    scratch_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_key),
        cmocka_unit_test(test_replayed),
        cmocka_unit_test(test_replayed_after_an_upgrade),
        cmocka_unit_test(test_if_match),
        cmocka_unit_test(test_replayed_without_a_body),
        cmocka_unit_test(test_other_requests),
        cmocka_unit_test(test_failures_are_not_remembered),
        cmocka_unit_test(test_both_in_the_queue),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_other_methods),
        cmocka_unit_test(test_refused_and_dropped),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, open_store, close_store);
}
