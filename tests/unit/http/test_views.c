/*
 * test_views - rows as the API shows them: every field, empty ones included, whatever bytes a path
 * has.
 */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/migrate.h"
#include "support/alloc.h"

/* The value is this text, whatever the order of keys. */
static void assert_shown(json_t *value, const char *expected)
{
    AUTOJSON json_t *owned = value;
    struct sewa_error err = { 0 };
    AUTOJSON json_t *wanted = json_parse(expected, strlen(expected), &err);
    AUTOFREE char *text = json_canonical(owned);

    assert_ok(err.code, err);
    if (!json_equal(owned, wanted))
        fail_msg("%s\nis not\n%s", text, expected);
}

static void test_pieces(void **state)
{
    (void)state;
    assert_shown(json_pack("[o, o]", view_time(0), view_time(1769860800123)),
                 "[null, \"2026-01-31T12:00:00.123Z\"]");
    assert_shown(json_pack("[o, o]", view_path("/data/\xc3\xa4 b"), view_path("/a\xff%\n")),
                 "[\"/data/\xc3\xa4 b\", \"/a%FF%25%0A\"]");
    assert_shown(json_pack("[o, o]", view_parsed(NULL), view_parsed("{\"a\":1}")),
                 "[null, {\"a\":1}]");
    assert_null(view_parsed("{"));
    assert_shown(json_pack("[o, o, o]", view_reason(NULL, NULL), view_reason("", "x"),
                           view_reason("gone", "it is gone")),
                 "[null, null, {\"code\":\"gone\", \"detail\":\"it is gone\"}]");
}

/* Rows own heap memory; these views only read, so literals will do. */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

static const struct run_row run = { .id = 3,
                                    .uid = "run_01K9Z5V7QH8M3N2P4R6S8T0VWX",
                                    .name = TEXT("digits"),
                                    .origin = RUN_FROM_ROOT,
                                    .watched = true,
                                    .path = TEXT("/data/\xff"),
                                    .pattern = TEXT("step-{step}"),
                                    .state_key = TEXT("model"),
                                    .marker = TEXT("DONE"),
                                    .settle_ms = 5999,
                                    .labels = TEXT("{\"team\":\"vision\"}"),
                                    .created_ms = 1,
                                    .updated_ms = 2 };

static void test_run(void **state)
{
    (void)state;
    static const struct checkpoint_counts counts = {
        .states = { [CHECKPOINT_INCOMPLETE] = 1,
                    [CHECKPOINT_COMPLETE] = 9,
                    [CHECKPOINT_CHANGED] = 3,
                    [CHECKPOINT_GONE] = 4 },
        .units = { [UNIT_STEP] = 5, [UNIT_EPOCH] = 2, [UNIT_NUMBER] = 1 },
        .without_step = 1
    };

    assert_shown(view_run(&run, &counts),
                 "{\"id\":\"run_01K9Z5V7QH8M3N2P4R6S8T0VWX\",\"name\":\"digits\","
                 "\"origin\":\"root\",\"watched\":true,\"path\":\"/data/%FF\","
                 "\"pattern\":\"step-{step}\",\"state_key\":\"model\",\"marker\":\"DONE\","
                 "\"settle_seconds\":5,\"labels\":{\"team\":\"vision\"},"
                 "\"checkpoints\":{\"incomplete\":1,\"complete\":9,\"changed\":3,\"gone\":4},"
                 "\"steps\":{\"step\":5,\"epoch\":2,\"number\":1,\"none\":1,\"advice\":\"its "
                 "complete checkpoints have no common order: 5 with a step, 2 with an epoch and 1 "
                 "with a number that nothing says more of; a pattern for the run, such as "
                 "'epoch={step}*', says which are meant\"},"
                 "\"created_at\":\"1970-01-01T00:00:00.001Z\","
                 "\"updated_at\":\"1970-01-01T00:00:00.002Z\"}");
    struct run_row bare = run;
    bare.pattern = bare.state_key = bare.marker = TEXT("");
    AUTOJSON json_t *o = view_run(&bare, &counts);
    assert_true(json_is_null(json_object_get(o, "pattern")));
    assert_true(json_is_null(json_object_get(o, "state_key")));
    assert_true(json_is_null(json_object_get(o, "marker")));
}

static const struct checkpoint_row whole = { .uid = "ckpt_01K9Z5V7QH8M3N2P4R6S8T0VWX",
                                             .file = TEXT("a/step-7\xfe.safetensors"),
                                             .has_step = true,
                                             .step = 7,
                                             .step_reason = TEXT(""),
                                             .state = CHECKPOINT_COMPLETE,
                                             .reason_code = TEXT(""),
                                             .reason = TEXT(""),
                                             .evidence = TEXT("{\"rule\":\"settled\"}"),
                                             .format = TEXT("safetensors"),
                                             .size = 123,
                                             .mtime_ns = 1769860800123456789,
                                             .has_header_digest = true,
                                             .header_digest = { 0xab },
                                             .has_sha256 = true,
                                             .sha256 = { 0xcd },
                                             .labels = TEXT("{}"),
                                             .metrics = TEXT("{\"loss\":0.5}"),
                                             .pinned = true,
                                             .discovered_ms = 1,
                                             .completed_ms = 2,
                                             .updated_ms = 3 };

#define ZEROS_62 "00000000000000000000000000000000000000000000000000000000000000"

static void test_checkpoint(void **state)
{
    (void)state;
    static const struct layout_row layout = { .tensor_count = 4, .float_elements = 3610 };

    assert_shown(
        view_checkpoint(&whole, &run, &layout),
        "{\"id\":\"ckpt_01K9Z5V7QH8M3N2P4R6S8T0VWX\",\"run\":\"digits\","
        "\"file\":\"a/step-7%FE.safetensors\",\"path\":\"/data/%FF/a/step-7%FE.safetensors\","
        "\"step\":7,\"step_unit\":\"step\",\"step_reason\":null,\"state\":\"complete\",\"reason\":null,"
        "\"evidence\":{\"rule\":\"settled\"},\"format\":\"safetensors\",\"size\":123,"
        "\"mtime\":\"2026-01-31T12:00:00.123Z\",\"mtime_ns\":1769860800123456789,"
        "\"header_digest\":\"ab" ZEROS_62 "\",\"sha256\":\"cd" ZEROS_62 "\","
        "\"tensors\":4,\"parameters\":3610,\"averaging_refused\":null,\"labels\":{},\"metrics\":{\"loss\":0.5},"
        "\"pinned\":true,\"discovered_at\":\"1970-01-01T00:00:00.001Z\","
        "\"completed_at\":\"1970-01-01T00:00:00.002Z\","
        "\"updated_at\":\"1970-01-01T00:00:00.003Z\"}");
}

static const char *refusal(const json_t *checkpoint)
{
    static char text[300];
    const json_t *o = json_object_get(checkpoint, "averaging_refused");

    snprintf(text, sizeof text, "%s: %s", json_string_value(json_object_get(o, "code")),
             json_string_value(json_object_get(o, "detail")));
    return text;
}

/* It is complete, and whoever looks at it sees that no average of it will be made. */
static void test_unfit_checkpoint(void **state)
{
    (void)state;
    static const struct layout_row unfit = { .unfit = "an adapter", .carried = "tensor 'x'" };
    static const struct layout_row carried = { .carried = "tensor 'x' of type F4" };
    AUTOJSON json_t *a = view_checkpoint(&whole, &run, &unfit);
    AUTOJSON json_t *b = view_checkpoint(&whole, &run, &carried);

    assert_string_equal(refusal(a), "unsupported: an adapter");
    assert_string_equal(refusal(b),
                        "unsupported: tensor 'x' of type F4 cannot be averaged by this version");
}

static void test_bare_checkpoint(void **state)
{
    (void)state;
    struct checkpoint_row bare = { .uid = "ckpt_X",
                                   .file = TEXT("f"),
                                   .step_reason = TEXT("no number"),
                                   .state = CHECKPOINT_INCOMPLETE,
                                   .reason_code = TEXT("corrupt"),
                                   .reason = TEXT("is short"),
                                   .evidence = TEXT("{}"),
                                   .format = TEXT(""),
                                   .labels = TEXT("{}"),
                                   .metrics = TEXT("{}"),
                                   .discovered_ms = 1,
                                   .updated_ms = 1 };

    assert_shown(
        view_checkpoint(&bare, &run, NULL),
        "{\"id\":\"ckpt_X\",\"run\":\"digits\",\"file\":\"f\",\"path\":\"/data/%FF/f\","
        "\"step\":null,\"step_unit\":null,\"step_reason\":\"no number\",\"state\":\"incomplete\","
        "\"reason\":{\"code\":\"corrupt\",\"detail\":\"is short\"},\"evidence\":null,"
        "\"format\":null,\"size\":0,\"mtime\":null,\"mtime_ns\":0,\"header_digest\":null,"
        "\"sha256\":null,\"tensors\":null,\"parameters\":null,\"averaging_refused\":null,\"labels\":{},"
        "\"metrics\":{},\"pinned\":false,\"discovered_at\":\"1970-01-01T00:00:00.001Z\","
        "\"completed_at\":null,\"updated_at\":\"1970-01-01T00:00:00.001Z\"}");
}

static struct job_row a_job(void)
{
    return (struct job_row){ .uid = "job_01K9Z5V7QH8M3N2P4R6S8T0VWX",
                             .run_name = TEXT("digits"),
                             .method = TEXT("sewa"),
                             .state = "queued",
                             .reason = TEXT(""),
                             .request = TEXT("{\"run\":\"run_X\",\"method\":\"sewa\",\"seed\":0}"),
                             .plan = TEXT("{}"),
                             .labels = TEXT("{\"a\":\"b\"}"),
                             .evaluations_total = 400,
                             .created_ms = 1000 };
}

static void test_queued_job(void **state)
{
    (void)state;
    struct job_row job = a_job();

    assert_shown(view_job(&job, NULL, 5000),
                 "{\"id\":\"job_01K9Z5V7QH8M3N2P4R6S8T0VWX\",\"state\":\"queued\","
                 "\"reason\":null,\"run\":\"digits\",\"method\":\"sewa\",\"seed\":0,"
                 "\"labels\":{\"a\":\"b\"},\"retry_of\":null,"
                 "\"progress\":{\"iteration\":0,\"iterations\":0,\"evaluations\":0,"
                 "\"evaluations_total\":400,\"eta_seconds\":null},\"result\":null,"
                 "\"artifacts\":[],\"created_at\":\"1970-01-01T00:00:01.000Z\","
                 "\"started_at\":null,\"finished_at\":null}");
}

static void test_finished_job(void **state)
{
    (void)state;
    struct job_row job = a_job();

    memcpy(job.state, "failed", 7);
    memcpy(job.reason_code, "no_space", 9);
    job.reason = TEXT("the disk is full");
    job.result = TEXT("{\"verdict\":\"improved\"}");
    memcpy(job.retry_of, "job_Y", 6);
    job.started_ms = 2000;
    job.finished_ms = 4000;
    AUTOJSON json_t *o = view_job(&job, json_pack("[{s:s}]", "name", "model.safetensors"), 9000);
    assert_shown(json_deep_copy(json_object_get(o, "reason")),
                 "{\"code\":\"no_space\",\"detail\":\"the disk is full\"}");
    assert_shown(json_deep_copy(json_object_get(o, "artifacts")),
                 "[{\"name\":\"model.safetensors\"}]");
    assert_shown(json_deep_copy(json_object_get(o, "result")), "{\"verdict\":\"improved\"}");
    assert_string_equal(json_string_value(json_object_get(o, "retry_of")), "job_Y");
    assert_string_equal(json_string_value(json_object_get(o, "finished_at")),
                        "1970-01-01T00:00:04.000Z");
}

static void test_time_that_is_left(void **state)
{
    (void)state;
    static const struct {
        int64_t started, finished, evaluations, now;
        double eta; /* -1: null */
    } rows[] = {
        { 0, 0, 0, 5000, -1 },     { 2000, 0, 0, 5000, -1 },   { 2000, 0, 100, 5000, 9 },
        { 2000, 0, 400, 5000, 0 }, { 2000, 4000, 0, 5000, 0 }, { 2000, 4000, 100, 5000, 0 },
        { 2000, 0, 200, 2000, 0 }, { 2000, 0, 100, 1999, -1 }, /* the clock was set back */
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct job_row job = a_job();
        job.started_ms = rows[i].started;
        job.finished_ms = rows[i].finished;
        job.evaluations = rows[i].evaluations;
        AUTOJSON json_t *o = view_job(&job, NULL, rows[i].now);
        const json_t *eta = json_object_get(json_object_get(o, "progress"), "eta_seconds");
        assert_int_equal(json_is_null(eta), rows[i].eta < 0);
        if (rows[i].eta >= 0)
            assert_true(json_number_value(eta) == rows[i].eta);
    }
}

/* ---- artifacts, from a database ---- */

static struct db *open_index(const char *dir)
{
    AUTOFREE char *path = NULL;
    struct db *db = NULL;
    struct sewa_error err = { 0 };

    assert_true(asprintf(&path, "%s/sewad.db", dir) > 0);
    assert_ok(db_open(path, DB_WRITE, &db, &err), err);
    assert_ok(migrate(db, path, sql_migrations, &err), err);
    return db;
}

static void test_artifacts(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct db *db = open_index(dir);
    struct job_row job = a_job();
    struct artifact_row row = { .name = "model.safetensors",
                                .size = 99,
                                .sha256 = { 0xef },
                                .media_type = "application/vnd.safetensors",
                                .created_ms = 5 };
    struct sewa_error err = { 0 };

    assert_ok(job_insert(db, &job, NULL, 0, &err), err);
    assert_shown(view_artifacts(db, &job, &err), "[]");
    assert_ok(artifact_put(db, job.id, &row, &err), err);
    assert_shown(view_artifacts(db, &job, &err),
                 "[{\"name\":\"model.safetensors\",\"size\":99,\"sha256\":\"ef" ZEROS_62 "\","
                 "\"media_type\":\"application/vnd.safetensors\",\"href\":"
                 "\"/api/v1/jobs/job_01K9Z5V7QH8M3N2P4R6S8T0VWX/artifacts/model.safetensors\"}]");
    db_close(db);
    scratch_free(dir);
}

/* ---- no memory ---- */

static json_t *show_run(void)
{
    static const struct checkpoint_counts counts = { .units = {
                                                         [UNIT_STEP] = 1, [UNIT_EPOCH] = 1 } };

    return view_run(&run, &counts);
}

static json_t *show_checkpoint(void)
{
    return view_checkpoint(&whole, &run, NULL);
}

static json_t *show_job(void)
{
    struct job_row job = a_job();

    return view_job(&job, NULL, 5000);
}

/* Whatever cannot be allocated: NULL, never half of a view, and nothing is kept. */
static void test_no_memory(void **state)
{
    (void)state;
    json_t *(*const views[])(void) = { show_run, show_checkpoint, show_job };

    for (size_t v = 0; v < COUNT_OF(views); v++) {
        AUTOJSON json_t *all = views[v]();
        for (int64_t n = 0;; n++) {
            int64_t held = alloc_held();
            alloc_fail_at(n);
            json_t *o = views[v]();
            bool fired = alloc_fired();
            AUTOFREE char *half = o && !json_equal(o, all) ? json_canonical(o) : NULL;
            if (half)
                fail_msg("half of a view: %s", half);
            assert_true(fired || o);
            json_decref(o);
            assert_true(alloc_held() <= held);
            if (!fired)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),           cmocka_unit_test(test_run),
        cmocka_unit_test(test_checkpoint),       cmocka_unit_test(test_bare_checkpoint),
        cmocka_unit_test(test_unfit_checkpoint), cmocka_unit_test(test_queued_job),
        cmocka_unit_test(test_finished_job),     cmocka_unit_test(test_time_that_is_left),
        cmocka_unit_test(test_artifacts),        cmocka_unit_test(test_no_memory),
    };

    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
