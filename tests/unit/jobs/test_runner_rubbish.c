/*
 * test_runner_rubbish - what a broken worker may answer and a broken disk may hold: refused with
 * its reason, and the job can still be finished afterwards.
 */
#include "toy_worker.h"

#include <string.h>

#include "sewa/protocol.h"

#define SEWA                                                                \
    "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":3,\"seed\":3," \
    "\"params\":{\"iterations\":3,\"samples\":2,\"polish\":5}}"

static void prepared(struct toy_job *j, const char *body)
{
    struct sewa_error err = { 0 };

    toy_job_open(j, body, 8);
    AUTOJSON json_t *traits = j->request->evaluator ? toy_traits(&j->toy) : NULL;
    assert_ok(runner_prepared(j->runner, traits, &err), err);
}

static void finish(struct toy_job *j)
{
    struct sewa_error err = { 0 };
    int rc = 1;

    while (rc > 0)
        rc = toy_job_step(j, TOY_IN_ORDER, &err);
    assert_ok(rc, err);
    assert_int_equal(runner_stage(j->runner), RUNNER_FINISHED);
}

static char *result_text(struct toy_job *j)
{
    AUTOJSON json_t *result = runner_result(j->runner, 1);

    return json_canonical(result);
}

/* ---- answers of a worker ---- */

#define FILES(members) "{\"files\":[{" members "}]}"
#define ZEROS_32       "00000000000000000000000000000000"
#define FACTS(name)    "{\"name\":\"" name "\",\"size\":1,\"sha256\":\"" ZEROS_32 ZEROS_32 "\"}"

static const struct rubbish {
    const char *name;
    enum runner_stage stage;
    const char *result;
    const char *word;
} rubbish[] = {
    { "nothing", RUNNER_METHOD, "null", "number of points" },
    { "a list", RUNNER_METHOD, "[]", "number of points" },
    { "no points", RUNNER_METHOD, "{}", "number of points" },
    { "points are no list", RUNNER_METHOD, "{\"points\":7}", "number of points" },
    { "too few points", RUNNER_METHOD, "{\"points\":[]}", "number of points" },
    { "points that are none", RUNNER_METHOD, "{\"points\":[1,2]}", "selection split" },
    { "a split that is none", RUNNER_METHOD,
      "{\"points\":[{\"splits\":{\"selection\":3}},{\"splits\":{\"selection\":3}}]}",
      "selection split" },
    { "no products", RUNNER_METHOD,
      "{\"points\":[{\"splits\":{\"selection\":{\"loss\":1}}},"
      "{\"splits\":{\"selection\":{\"loss\":1}}}]}",
      "no products" },
    { "too few products", RUNNER_METHOD,
      "{\"points\":[{\"c\":[1],\"splits\":{\"selection\":{\"loss\":1}}},"
      "{\"c\":[1],\"splits\":{\"selection\":{\"loss\":1}}}]}",
      "number of products" },
    { "products that are no list", RUNNER_METHOD,
      "{\"points\":[{\"c\":{},\"splits\":{\"selection\":{\"loss\":1}}},"
      "{\"c\":{},\"splits\":{\"selection\":{\"loss\":1}}}]}",
      "number of products" },
    { "a verdict without points", RUNNER_VERDICT, "{\"points\":[]}", "number of points" },
    { "a verdict without splits", RUNNER_VERDICT, "{\"points\":[{},{},{},{},{}]}",
      "split of the verdict" },
    { "no files", RUNNER_AVERAGE, "{}", "has no files" },
    { "files that are no list", RUNNER_AVERAGE, "{\"files\":{}}", "has no files" },
    { "an empty list of files", RUNNER_AVERAGE, "{\"files\":[]}", "has no files" },
    { "a file that is none", RUNNER_AVERAGE, "{\"files\":[5]}", "file 1 of 1" },
    { "another file", RUNNER_AVERAGE,
      "{\"files\":[{\"name\":\"../x\",\"size\":1,\"sha256\":\"00\"}]}",
      "is not 'model.safetensors'" },
    { "no size", RUNNER_AVERAGE, FILES("\"name\":\"" WORKER_ARTIFACT "\""), "size or sha256" },
    { "a negative size", RUNNER_AVERAGE, FILES("\"name\":\"" WORKER_ARTIFACT "\",\"size\":-1"),
      "size or sha256" },
    { "a short digest", RUNNER_AVERAGE,
      FILES("\"name\":\"" WORKER_ARTIFACT "\",\"size\":1,\"sha256\":\"00\""), "size or sha256" },
    { "shards without an index", RUNNER_AVERAGE,
      "{\"files\":[" FACTS("model-00001-of-00001.safetensors") "," FACTS(
          "model-00002-of-00002.safetensors") "]}",
      "file 2 of 2 of the average is not '" WORKER_INDEX "'" },
    { "a shard of more than there are", RUNNER_AVERAGE,
      "{\"files\":[" FACTS("model-00001-of-00002.safetensors") "," FACTS(
          "model-00002-of-00003.safetensors") "," FACTS(WORKER_INDEX) "]}",
      "file 2 of 3 of the average is not 'model-00002-of-00002.safetensors'" },
    { "an index without a size", RUNNER_AVERAGE,
      "{\"files\":[" FACTS("model-00001-of-00001.safetensors") ",{\"name\":\"" WORKER_INDEX "\"}]}",
      "size or sha256" },
};

static void test_rubbish(void **state)
{
    const struct rubbish *row = *state;
    struct toy_job j, plain;
    struct sewa_error err = { 0 };

    prepared(&j, SEWA);
    while (runner_stage(j.runner) != row->stage)
        assert_true(toy_job_step(&j, TOY_IN_ORDER, &err) > 0);
    AUTOJSON json_t *result = json_loads(row->result, JSON_DECODE_ANY, NULL);
    assert_non_null(result);
    assert_failed(runner_accept(j.runner, 0, result, &err), err, SEWA_E_PROTOCOL, row->word);
    finish(&j);
    prepared(&plain, SEWA);
    finish(&plain);
    AUTOFREE char *after = result_text(&j), *expected = result_text(&plain);
    assert_string_equal(after, expected); /* nothing of what was refused was counted */
    toy_job_close(&j);
    toy_job_close(&plain);
}

/* A loss that is not finite is an answer: the sample is dropped, and the job goes on. */
static void test_losses_that_are_not_finite(void **state)
{
    (void)state;
    struct toy_job j;
    struct sewa_error err = { 0 };
    struct trace_row row;

    prepared(&j, SEWA);
    AUTOJSON json_t *task = runner_task(j.runner, 0);
    AUTOJSON json_t *result = toy_result(&j.toy, task);
    json_t *points = json_object_get(result, "points");
    json_t *split =
        json_object_get(json_object_get(json_array_get(points, 0), "splits"), "selection");
    json_object_set_new(split, "loss", json_null());
    json_object_del(json_array_get(points, 0), "c");
    assert_ok(runner_accept(j.runner, 0, result, &err), err);
    for (size_t i = 1; i < runner_task_count(j.runner); i++) {
        AUTOJSON json_t *other = runner_task(j.runner, i);
        AUTOJSON json_t *answer = toy_result(&j.toy, other);
        assert_ok(runner_accept(j.runner, i, answer, &err), err);
    }
    assert_true(runner_advance(j.runner, &err) > 0);
    assert_true(runner_trace(j.runner, &row));
    assert_int_equal(row.dropped, 1);
    finish(&j);
    toy_job_close(&j);
}

static void test_answers_that_nobody_asked_for(void **state)
{
    (void)state;
    struct toy_job j;
    struct sewa_error err = { 0 };

    prepared(&j, SEWA);
    AUTOJSON json_t *task = runner_task(j.runner, 0);
    AUTOJSON json_t *result = toy_result(&j.toy, task);
    assert_failed(runner_accept(j.runner, 99, result, &err), err, SEWA_E_LEASE_LOST, "task 99");
    assert_ok(runner_accept(j.runner, 0, result, &err), err);
    assert_failed(runner_accept(j.runner, 0, result, &err), err, SEWA_E_LEASE_LOST, "is done");
    toy_job_close(&j);
}

/* ---- states of a broken disk ---- */

/* Visit every member and element below o: it is taken away, then replaced by each of some values.
 */
struct damage {
    struct toy_job *j;
    json_t *root;
    size_t tried, refused;
};

static void try_state(struct damage *d)
{
    struct sewa_error err = { 0 };
    struct runner *r = NULL;

    assert_ok(runner_new(d->j->request, d->j->plan, &r, &err), err);
    int rc = runner_load(r, d->root, &err);
    d->tried++;
    if (rc < 0) {
        d->refused++;
        assert_true(err.code == rc && err.text[0]);
    } else { /* what was loaded must be usable as far as it goes */
        size_t n = runner_task_count(r);
        for (size_t i = 0; i < n; i++)
            json_decref(runner_task(r, i));
        json_decref(runner_save(r));
        if (runner_stage(r) == RUNNER_FINISHED)
            json_decref(runner_result(r, 1));
    }
    runner_free(r);
}

static const char *const values[] = { "null",     "true",   "-1", "1e300", "9223372036854775807",
                                      "\"\"",     "\"zz\"", "[]", "[1]",   "{}",
                                      "{\"a\":1}" };

static void damage_below(struct damage *d, json_t *o);

static void damage_member(struct damage *d, json_t *o, const char *name)
{
    json_t *was = json_incref(json_object_get(o, name));

    damage_below(d, was);
    json_object_del(o, name);
    try_state(d);
    for (size_t v = 0; v < COUNT_OF(values); v++) {
        json_object_set_new(o, name, json_loads(values[v], JSON_DECODE_ANY, NULL));
        try_state(d);
    }
    json_object_set_new(o, name, was);
}

static void damage_element(struct damage *d, json_t *o, size_t i)
{
    json_t *was = json_incref(json_array_get(o, i));

    damage_below(d, was);
    for (size_t v = 0; v < COUNT_OF(values); v++) {
        json_array_set_new(o, i, json_loads(values[v], JSON_DECODE_ANY, NULL));
        try_state(d);
    }
    json_array_set_new(o, i, was);
}

static void damage_below(struct damage *d, json_t *o)
{
    AUTOJSON json_t *names = json_array(); /* a member that was put back stands last in o */
    const char *name;
    json_t *value;

    json_object_foreach(o, name, value) json_array_append_new(names, json_string(name));
    for (size_t i = 0; i < json_array_size(names); i++)
        damage_member(d, o, json_string_value(json_array_get(names, i)));
    for (size_t i = 0; i < json_array_size(o) && i < 2; i++)
        damage_element(d, o, i);
}

static void damage_state(struct toy_job *j)
{
    struct damage d = { .j = j, .root = runner_save(j->runner) };
    AUTOFREE char *before = json_canonical(d.root);

    damage_below(&d, d.root);
    AUTOFREE char *after = json_canonical(d.root);
    assert_string_equal(before, after);
    assert_true(d.tried > 100 && d.refused > d.tried / 3);
    json_decref(d.root);
}

/* Once in every stage. */
static void test_damaged_states(void **state)
{
    (void)state;
    static const char *const bodies[] = { SEWA, "{\"run\":\"digits\",\"method\":\"check\"}",
                                          "{\"run\":\"digits\",\"method\":\"lawa\"}" };

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct toy_job j;
        struct sewa_error err = { 0 };
        enum runner_stage last = RUNNER_STAGE_COUNT;

        prepared(&j, bodies[i]);
        for (int rc = 1; rc >= 0;) {
            if (runner_stage(j.runner) != last)
                damage_state(&j);
            last = runner_stage(j.runner);
            rc = last == RUNNER_FINISHED ? -1 : toy_job_step(&j, TOY_IN_ORDER, &err);
        }
        assert_int_equal(last, RUNNER_FINISHED);
        toy_job_close(&j);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rubbish) + 3];
    size_t n = 0;

    for (; n < COUNT_OF(rubbish); n++)
        tests[n] = (struct CMUnitTest){ .name = rubbish[n].name,
                                        .test_func = test_rubbish,
                                        .initial_state = (void *)&rubbish[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_losses_that_are_not_finite);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_answers_that_nobody_asked_for);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_damaged_states);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
