/*
 * test_plan_tensors - what a plan says of tensors that are not simply averaged, and which it
 * refuses because no average of them would mean anything.
 */
#include "index.h"

#include <string.h>

struct fixture {
    struct index ix;
    int64_t run;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    index_open(&f->ix);
    f->run = index_run(f->ix.db, "digits");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    index_close(&f->ix);
    free(f);
    return 0;
}

static int make(struct fixture *f, const char *body, struct job_plan **ret, struct sewa_error *err)
{
    AUTOPTR(job_request_free) struct job_request *q = index_request(body);

    return job_plan_make(f->ix.db, q, &f->ix.limits, ret, err);
}

static void refuse(struct fixture *f, const char *body, int code, const char *pointer,
                   const char *word)
{
    struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    assert_failed(make(f, body, &p, &err), err, code, word);
    assert_string_equal(err.pointer, pointer);
    assert_null(p);
}

#define LAST "{\"run\":\"digits\",\"method\":\"last\""

/* Integers and how they are decided, and statistics of batch norm; names are a few. */
static void test_special_tensors(void **state)
{
    struct fixture *f = *state;
    int64_t layout = index_layout(
        f->ix.db,
        "a.num_batches_tracked:I64: a.running_mean:F32:3 a.running_var:F32:3 b.mask:BOOL:2 "
        "c1:I8:1 c2:I8:1 c3:I8:1 c4:I8:1 w:F32:5");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    index_checkpoint(f->ix.db, f->run, layout, 10, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, LAST ",\"integers\":\"oldest\"}", &p, &err), err);
    AUTOFREE char *text = json_canonical(p->tensors);
    assert_string_equal(
        text, "{\"batch_norm\":{\"count\":2,\"names\":[\"a.running_mean\",\"a.running_var\"]},"
              "\"integer_policy\":\"oldest\",\"integers\":{\"count\":6,\"names\":["
              "\"a.num_batches_tracked\",\"b.mask\",\"c1\",\"c2\",\"c3\"]},"
              "\"steered\":{\"count\":0,\"names\":[]},"
              "\"tied\":{\"count\":0,\"names\":[]}}");
}

/* All of them by name: nobody finds them otherwise. */
static void test_steered_buffers(void **state)
{
    struct fixture *f = *state;
    int64_t layout = index_layout(
        f->ix.db, "1.expert_bias:F32:3 2.expert_bias:F32:3 3.expert_bias:F32:3 4.expert_bias:F32:3 "
                  "5.expert_bias:F32:3 6.expert_bias:F32:3 7.expert_bias:I64:3 w:F32:5");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    index_checkpoint(f->ix.db, f->run, layout, 10, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    const json_t *steered = json_object_get(p->tensors, "steered");
    assert_int_equal(json_integer_value(json_object_get(steered, "count")), 6);
    assert_int_equal(json_array_size(json_object_get(steered, "names")), 6);
    assert_string_equal(json_string_value(json_array_get(json_object_get(steered, "names"), 5)),
                        "6.expert_bias");
}

static void test_carried_type(void **state)
{
    struct fixture *f = *state;
    int64_t odd = index_layout(f->ix.db, "w:F32:10 scale:F8_E8M0:10");

    index_checkpoint(f->ix.db, f->run, odd, 10, CHECKPOINT_COMPLETE, NULL);
    refuse(f, LAST "}", SEWA_E_UNSUPPORTED, "/run",
           "tensor 'scale' of type F8_E8M0 cannot be averaged");
}

/* Of adapters one can be chosen: it is the average that means nothing, also that of a baseline. */
static void test_unfit(void **state)
{
    struct fixture *f = *state;
    int64_t lora = index_layout(f->ix.db, "q.lora_A:F32:10 q.lora_B:F32:10");
    AUTOPTR(job_plan_free) struct job_plan *one = NULL, *last = NULL, *best = NULL;
    struct sewa_error err = { 0 };

    index_checkpoint(f->ix.db, f->run, lora, 1, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, "{\"run\":\"digits\",\"method\":\"uniform\"}", &one, &err), err);
    index_checkpoint(f->ix.db, f->run, lora, 2, CHECKPOINT_COMPLETE, NULL);
    refuse(f, "{\"run\":\"digits\",\"method\":\"uniform\"}", SEWA_E_UNSUPPORTED, "/run",
           "these checkpoints cannot be averaged: tensor 'q.lora_A' is a factor of an adapter");
    refuse(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":1}", SEWA_E_UNSUPPORTED,
           "/run", "merge each adapter into its model");
    assert_ok(make(f, LAST "}", &last, &err), err);
    refuse(f, "{\"run\":\"digits\",\"method\":\"best\",\"evaluator\":\"digits\"}",
           SEWA_E_UNSUPPORTED, "/baselines", "which baseline 'uniform' does (name others");
    assert_ok(make(f,
                   "{\"run\":\"digits\",\"method\":\"best\",\"evaluator\":\"digits\","
                   "\"baselines\":[\"last\"]}",
                   &best, &err),
              err);
}

/* Of the first candidate, and what others have beside; "." is the file itself. */
static void test_state(void **state)
{
    struct fixture *f = *state;
    int64_t first = index_layout(f->ix.db, "w:F32:5 @app.model -app.optim -app.step");
    int64_t second = index_layout(f->ix.db, "w:F32:5 @app.model -app.ema -app.optim");
    int64_t plain = index_layout(f->ix.db, "v:F32:5");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL, *q = NULL;
    struct sewa_error err = { 0 };

    index_checkpoint(f->ix.db, f->run, second, 1, CHECKPOINT_COMPLETE, NULL);
    index_checkpoint(f->ix.db, f->run, first, 2, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    AUTOFREE char *text = json_canonical(p->state);
    assert_string_equal(text, "{\"left\":[\"app.optim\",\"app.step\",\"app.ema\"],"
                              "\"taken\":\"app.model\"}");
    int64_t other = index_run(f->ix.db, "plain");
    index_checkpoint(f->ix.db, other, plain, 1, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, "{\"run\":\"plain\",\"method\":\"last\"}", &q, &err), err);
    AUTOFREE char *alone = json_canonical(q->state);
    assert_string_equal(alone, "{\"left\":[],\"taken\":\".\"}");
}

/* Of version 0.1: nobody knows. */
static void test_a_plan_without_state(void **state)
{
    struct fixture *f = *state;
    int64_t layout = index_layout(f->ix.db, "w:F32:5 -optimizer");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL, *with = NULL, *without = NULL;
    struct sewa_error err = { 0 };

    index_checkpoint(f->ix.db, f->run, layout, 1, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    AUTOJSON json_t *stored = job_plan_json(p);
    assert_ok(job_plan_parse(stored, &with, &err), err);
    assert_true(json_equal(with->state, p->state));
    json_object_del(stored, "state");
    assert_ok(job_plan_parse(stored, &without, &err), err);
    assert_null(without->state);
    AUTOJSON json_t *shown = job_plan_show(without);
    assert_true(json_is_null(json_object_get(shown, "state")));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_special_tensors), TEST(test_steered_buffers), TEST(test_carried_type),
        TEST(test_unfit),           TEST(test_state),           TEST(test_a_plan_without_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
