/*
 * test_request - every field of POST /jobs: what is accepted, what is refused with which pointer
 * and words, what is filled in, and that the stored form is read back.
 */
#include "support/support.h"

#include <string.h>

#include "base/buf.h"
#include "base/ulid.h"
#include "jobs/request.h"
#include "support/alloc.h"

#define RUN  "\"run\":\"digits\""
#define CKPT "ckpt_01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define LAST RUN ",\"method\":\"last\""
#define SEWA RUN ",\"evaluator\":\"e\""

static const struct row {
    const char *fields; /* of the body, without the braces */
    int code;
    const char *pointer;
    const char *word;
} rows[] = {
    /* where the checkpoints come from */
    { "\"method\":\"last\"", SEWA_E_INVALID, "/run", "'run' or 'checkpoints' is missing" },
    { "\"method\":\"last\",\"run\":null", SEWA_E_INVALID, "/run", "missing" },
    { LAST, 0, NULL, NULL },
    { "\"method\":\"last\",\"run\":\"run_01ARZ3NDEKTSV4RRFFQ69G5FAV\"", 0, NULL, NULL },
    { "\"method\":\"last\",\"run\":7", SEWA_E_INVALID, "/run", "must be a string" },
    { "\"method\":\"last\",\"run\":\"\"", SEWA_E_INVALID, "/run", "no name of a run" },
    { "\"method\":\"last\",\"run\":\"../x\"", SEWA_E_INVALID, "/run", "'../x' is no name" },
    { "\"method\":\"last\",\"run\":\"a b\"", SEWA_E_INVALID, "/run", "no name" },
    { "\"method\":\"last\",\"run\":\".hidden\"", SEWA_E_INVALID, "/run", "no name" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\"]", 0, NULL, NULL },
    { LAST ",\"checkpoints\":[\"" CKPT "\"]", SEWA_E_INVALID, "/checkpoints",
      "exclude each other" },
    { "\"method\":\"last\",\"checkpoints\":[]", SEWA_E_INVALID, "/checkpoints", "is empty" },
    { "\"method\":\"last\",\"checkpoints\":\"" CKPT "\"", SEWA_E_INVALID, "/checkpoints",
      "must be an array" },
    { "\"method\":\"last\",\"checkpoints\":[7]", SEWA_E_INVALID, "/checkpoints",
      "must be a string" },
    { "\"method\":\"last\",\"checkpoints\":[\"job_01ARZ3NDEKTSV4RRFFQ69G5FAV\"]", SEWA_E_INVALID,
      "/checkpoints", "no id of a checkpoint" },
    { "\"method\":\"last\",\"checkpoints\":[\"ckpt_01ARZ3NDEKTSV4RRFFQ69G5FAVX\"]", SEWA_E_INVALID,
      "/checkpoints", "no id" },
    { "\"method\":\"last\",\"checkpoints\":[\"ckpt_01arz3ndektsv4rrffq69g5fav\"]", SEWA_E_INVALID,
      "/checkpoints", "no id" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\",\"" CKPT "\"]", SEWA_E_INVALID,
      "/checkpoints", "named twice" },

    /* filters */
    { LAST ",\"min_step\":0", 0, NULL, NULL },
    { LAST ",\"min_step\":-1", SEWA_E_INVALID, "/min_step", "is -1, allowed is 0 to" },
    { LAST ",\"min_step\":1.5", SEWA_E_INVALID, "/min_step", "whole number" },
    { LAST ",\"min_step\":\"5\"", SEWA_E_INVALID, "/min_step", "whole number" },
    { LAST ",\"max_step\":-1", SEWA_E_INVALID, "/max_step", "is -1" },
    { LAST ",\"max_step\":9223372036854775807", 0, NULL, NULL },
    { LAST ",\"min_step\":5,\"max_step\":5", 0, NULL, NULL },
    { LAST ",\"min_step\":6,\"max_step\":5", SEWA_E_INVALID, "/max_step",
      "5 is below 'min_step' 6" },
    { LAST ",\"exclude_steps\":[]", 0, NULL, NULL },
    { LAST ",\"exclude_steps\":[0,7,7]", 0, NULL, NULL },
    { LAST ",\"exclude_steps\":7", SEWA_E_INVALID, "/exclude_steps", "must be an array" },
    { LAST ",\"exclude_steps\":[7,\"8\"]", SEWA_E_INVALID, "/exclude_steps", "element 1" },
    { LAST ",\"exclude_steps\":[-1]", SEWA_E_INVALID, "/exclude_steps", "element 0" },
    { LAST ",\"exclude_steps\":[1.0]", SEWA_E_INVALID, "/exclude_steps", "is no step" },
    { LAST ",\"window\":1", 0, NULL, NULL },
    { LAST ",\"window\":4096", 0, NULL, NULL },
    { LAST ",\"window\":0", SEWA_E_INVALID, "/window", "is 0, allowed is 1 to 4096" },
    { LAST ",\"window\":4097", SEWA_E_INVALID, "/window", "is 4097" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\"],\"window\":3", SEWA_E_INVALID,
      "/checkpoints", "cannot filter them" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\"],\"min_step\":3", SEWA_E_INVALID,
      "/checkpoints", "cannot filter" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\"],\"max_step\":3", SEWA_E_INVALID,
      "/checkpoints", "cannot filter" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\"],\"exclude_steps\":[3]", SEWA_E_INVALID,
      "/checkpoints", "cannot filter" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\"],\"exclude_steps\":[]", 0, NULL, NULL },

    /* method, select, evaluator, params */
    { RUN, SEWA_E_INVALID, "/evaluator", "'sewa' needs an evaluator" },
    { SEWA, 0, NULL, NULL },
    { RUN ",\"method\":\"best\"", SEWA_E_INVALID, "/evaluator", "'best' needs an evaluator" },
    { RUN ",\"method\":\"uniform\"", 0, NULL, NULL },
    { RUN ",\"method\":\"lawa\"", 0, NULL, NULL },
    { RUN ",\"method\":\"magic\"", SEWA_E_UNKNOWN_NAME, "/method",
      "there is no method 'magic'; there are last, best" },
    { RUN ",\"method\":\"unifrom\"", SEWA_E_UNKNOWN_NAME, "/method",
      "is it 'uniform'? There are " },
    { RUN ",\"windwo\":3", SEWA_E_UNKNOWN_FIELD, "/windwo", "is it 'window'? There are run, " },
    { RUN ",\"method\":\"check\",\"evaluator\":\"e\"", SEWA_E_UNKNOWN_NAME, "/method", "'check'" },
    { RUN ",\"method\":\"\"", SEWA_E_UNKNOWN_NAME, "/method", "there is no method ''" },
    { RUN ",\"method\":[]", SEWA_E_INVALID, "/method", "must be a string" },
    { SEWA ",\"select\":10", 0, NULL, NULL },
    { SEWA ",\"select\":\"auto\"", 0, NULL, NULL },
    { RUN ",\"method\":\"last\",\"evaluator\":5", SEWA_E_INVALID, "/evaluator",
      "must be a string" },
    { SEWA ",\"params\":{\"iterations\":5}", 0, NULL, NULL },
    { SEWA ",\"params\":[]", SEWA_E_INVALID, "/params", "must be an object" },

    /* baselines */
    { SEWA ",\"baselines\":[]", 0, NULL, NULL },
    { SEWA ",\"baselines\":[\"lawa\",\"last\"]", 0, NULL, NULL },
    { SEWA ",\"baselines\":[\"last\",\"last\"]", SEWA_E_INVALID, "/baselines",
      "'last' is named twice" },
    { SEWA ",\"baselines\":[\"sewa\"]", SEWA_E_INVALID, "/baselines", "'sewa' is no baseline" },
    { SEWA ",\"baselines\":[5]", SEWA_E_INVALID, "/baselines", "must be a string" },
    { SEWA ",\"baselines\":\"last\"", SEWA_E_INVALID, "/baselines", "must be an array" },
    { SEWA ",\"baselines\":[\"last\",\"best\",\"uniform\",\"lawa\",\"last\"]", SEWA_E_INVALID,
      "/baselines", "has 5 elements, at most 4" },
    { RUN ",\"method\":\"uniform\",\"baselines\":[\"last\"]", SEWA_E_INVALID, "/baselines",
      "none is named" },
    { RUN ",\"method\":\"uniform\",\"evaluator\":\"e\",\"baselines\":[\"last\"]", 0, NULL, NULL },

    /* output */
    { LAST ",\"output\":{}", 0, NULL, NULL },
    { LAST ",\"output\":{\"dtype\":\"BF16\"}", 0, NULL, NULL },
    { LAST ",\"output\":{\"dtype\":\"F64\"}", SEWA_E_INVALID, "/output/dtype",
      "input, F32, BF16, F16" },
    { LAST ",\"output\":{\"dtype\":\"bf16\"}", SEWA_E_INVALID, "/output/dtype", "'bf16'" },
    { LAST ",\"output\":{\"max_shard_bytes\":0}", 0, NULL, NULL },
    { LAST ",\"output\":{\"max_shard_bytes\":1}", 0, NULL, NULL },
    { LAST ",\"output\":{\"max_shard_bytes\":null}", 0, NULL, NULL },
    { LAST ",\"output\":{\"max_shard_bytes\":9223372036854775807}", 0, NULL, NULL },
    { LAST ",\"output\":{\"max_shard_bytes\":\"5GB\"}", SEWA_E_INVALID, "/output/max_shard_bytes",
      "must be a whole number" },
    { LAST ",\"output\":{\"max_shard_bytes\":-1}", SEWA_E_INVALID, "/output/max_shard_bytes",
      "is -1" },
    { LAST ",\"output\":{\"type\":\"F32\"}", SEWA_E_UNKNOWN_FIELD, "/output/type",
      "unknown field 'type'" },
    { LAST ",\"output\":\"F32\"", SEWA_E_INVALID, "/output", "must be an object" },

    /* the rest */
    { LAST ",\"seed\":0", 0, NULL, NULL },
    { LAST ",\"seed\":9223372036854775807", 0, NULL, NULL },
    { LAST ",\"seed\":-1", SEWA_E_INVALID, "/seed", "is -1" },
    { LAST ",\"integers\":\"equal\"", 0, NULL, NULL },
    { LAST ",\"integers\":\"mean\"", SEWA_E_INVALID, "/integers", "newest, oldest, max, equal" },
    { LAST ",\"allow_nonfinite\":1", SEWA_E_INVALID, "/allow_nonfinite", "true or false" },
    { LAST ",\"force\":\"yes\"", SEWA_E_INVALID, "/force", "true or false" },
    { LAST ",\"digests\":0", SEWA_E_INVALID, "/digests", "true or false" },
    { LAST ",\"allow_nonfinite\":true,\"force\":true,\"digests\":true", 0, NULL, NULL },
    { LAST ",\"if_new_checkpoints\":10", 0, NULL, NULL },
    { LAST ",\"if_new_checkpoints\":-1", SEWA_E_INVALID, "/if_new_checkpoints", "is -1" },
    { "\"method\":\"last\",\"checkpoints\":[\"" CKPT "\"],\"if_new_checkpoints\":1", SEWA_E_INVALID,
      "/if_new_checkpoints", "needs a 'run'" },
    { LAST ",\"workers\":256", 0, NULL, NULL },
    { LAST ",\"workers\":0", SEWA_E_INVALID, "/workers", "is 0, allowed is 1 to 256" },
    { LAST ",\"workers\":257", SEWA_E_INVALID, "/workers", "is 257" },
    { LAST ",\"labels\":{\"team\":\"vision\",\"b\":\"\"}", 0, NULL, NULL },
    { LAST ",\"labels\":{\"team\":5}", SEWA_E_INVALID, "/labels", "'team' of 'labels'" },
    { LAST ",\"labels\":{\"team\":null}", SEWA_E_INVALID, "/labels", "'team'" },
    { LAST ",\"labels\":{\"\":\"x\"}", SEWA_E_INVALID, "/labels", "0 bytes" },
    { LAST ",\"labels\":[]", SEWA_E_INVALID, "/labels", "must be an object" },
    { LAST ",\"methods\":\"last\"", SEWA_E_UNKNOWN_FIELD, "/methods", "unknown field 'methods'" },
    { RUN ",\"evalutor\":\"e\"", SEWA_E_UNKNOWN_FIELD, "/evalutor", "'evalutor'" },
    { "\"runn\":\"r\",\"method\":\"last\"", SEWA_E_UNKNOWN_FIELD, "/runn", "'runn'" },
    { LAST ",\"a/b~c\":1", SEWA_E_UNKNOWN_FIELD, "/a~1b~0c", "unknown field" },
    { LAST
      ",\"min_step\":null,\"window\":null,\"evaluator\":null,\"select\":null,\"params\":null,\"output\":null,\"labels\":null,\"seed\":null",
      0, NULL, NULL },
};

static json_t *body_of(const char *fields)
{
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    buf_printf(&b, "{%s}", fields);
    json_t *body = json_parse(buf_cstr(&b), b.len, &err);
    if (!body)
        fail_msg("{%s}: %s", fields, err.text);
    return body;
}

static void test_row(void **state)
{
    const struct row *r = *state;
    AUTOJSON json_t *body = body_of(r->fields);
    AUTOPTR(job_request_free) struct job_request *q = NULL;
    struct sewa_error err = { 0 };
    int rc = job_request_parse(body, &q, &err);

    if (r->code == 0) {
        assert_ok(rc, err);
        assert_non_null(q);
        return;
    }
    assert_failed(rc, err, r->code, r->word);
    assert_string_equal(err.pointer, r->pointer);
    assert_null(q);
}

static void test_body_is_no_object(void **state)
{
    (void)state;
    static const char *const texts[] = { "[]", "null", "7", "\"run\"" };
    struct job_request *q = NULL;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTOJSON json_t *body = json_parse(texts[i], strlen(texts[i]), &err);
        assert_failed(job_request_parse(body, &q, &err), err, SEWA_E_INVALID, "must be an object");
        assert_failed(job_request_parse_check("e", body, &q, &err), err, SEWA_E_INVALID,
                      "must be an object");
    }
}

/* Limits that no table should spell out. */
static void test_counts(void **state)
{
    (void)state;
    AUTOJSON json_t *body = body_of(LAST);
    json_t *steps = json_array(), *ids = json_array();
    struct job_request *q = NULL;
    struct sewa_error err = { 0 };

    for (int i = 0; i <= 10000; i++)
        json_array_append_new(steps, json_integer(i));
    json_object_set_new(body, "exclude_steps", steps);
    assert_failed(job_request_parse(body, &q, &err), err, SEWA_E_INVALID, "10001 elements");
    json_array_remove(steps, 0);
    assert_ok(job_request_parse(body, &q, &err), err);
    job_request_free(q);

    json_object_del(body, "run");
    json_object_del(body, "exclude_steps");
    for (int i = 0; i <= JOB_CANDIDATES_MAX; i++) {
        char id[ID_TEXT_SIZE];
        id_new("ckpt", 1700000000000 + i, id);
        json_array_append_new(ids, json_string(id));
    }
    json_object_set_new(body, "checkpoints", ids);
    assert_failed(job_request_parse(body, &q, &err), err, SEWA_E_INVALID, "4097 elements");
    assert_string_equal(err.pointer, "/checkpoints");
    json_array_remove(ids, 0);
    assert_ok(job_request_parse(body, &q, &err), err);
    assert_int_equal(json_array_size(q->checkpoints), JOB_CANDIDATES_MAX);
    job_request_free(q);
}

static void test_defaults(void **state)
{
    (void)state;
    AUTOJSON json_t *body = body_of(SEWA);
    AUTOPTR(job_request_free) struct job_request *q = NULL;
    struct sewa_error err = { 0 };

    assert_ok(job_request_parse(body, &q, &err), err);
    AUTOJSON json_t *shown = job_request_json(q);
    AUTOFREE char *text = json_canonical(shown);
    assert_string_equal(
        text,
        "{\"allow_nonfinite\":false,\"baselines\":[\"last\",\"best\",\"uniform\",\"lawa\"],"
        "\"checkpoints\":null,\"digests\":false,\"evaluator\":\"e\",\"exclude_steps\":[],"
        "\"force\":false,\"if_new_checkpoints\":0,\"integers\":\"newest\",\"labels\":{},"
        "\"max_step\":null,\"method\":\"sewa\",\"min_step\":null,"
        "\"output\":{\"dtype\":\"input\",\"max_shard_bytes\":null},\"params\":{},\"run\":\"digits\","
        "\"seed\":0,\"select\":null,\"window\":null,\"workers\":1}");
}

/* Neither the method itself is compared with, nor one checkpoint under two names. */
static void test_baselines_that_count(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t k, select;
        const char *wanted; /* those that count, in order */
        int listed;
    } cases[] = {
        { SEWA, 20, 5, "last best uniform lawa ", 4 },
        { SEWA, 20, 0, "last best uniform lawa ", 4 },
        { SEWA, 20, 1, "last best uniform ", 4 },
        { SEWA, 1, 1, "last best ", 4 },
        { SEWA ",\"baselines\":[\"lawa\"]", 20, 1, "lawa ", 1 },
        { RUN ",\"method\":\"best\",\"evaluator\":\"e\"", 20, 1, "last uniform ", 3 },
        { RUN ",\"method\":\"best\",\"evaluator\":\"e\",\"baselines\":[\"best\"]", 20, 1, "", 1 },
        { RUN ",\"method\":\"lawa\",\"evaluator\":\"e\",\"baselines\":[\"lawa\",\"last\"]", 20, 3,
          "last ", 2 },
        { RUN ",\"method\":\"last\",\"evaluator\":\"e\",\"baselines\":[\"lawa\",\"best\"]", 20, 1,
          "best ", 2 },
    };
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTOJSON json_t *body = body_of(cases[i].body);
        AUTOPTR(job_request_free) struct job_request *q = NULL;
        char counted[80] = "";
        int n = 0;
        assert_ok(job_request_parse(body, &q, &err), err);
        assert_int_equal(q->baseline_count, cases[i].listed);
        for (int b = 0; b < q->baseline_count; b++) {
            if (!job_baseline_counts(q, q->baselines[b], cases[i].k, cases[i].select))
                continue;
            strcat(strcat(counted, q->baselines[b]), " ");
            n++;
        }
        assert_string_equal(counted, cases[i].wanted);
        assert_int_equal(job_baseline_count(q, cases[i].k, cases[i].select), n);
    }
}

/* What is stored is read again, and says the same. */
static void test_stored(void **state)
{
    (void)state;
    static const char *const texts[] = {
        SEWA,
        LAST,
        SEWA
        ",\"select\":\"auto\",\"window\":60,\"min_step\":3,\"max_step\":99,\"exclude_steps\":[4],"
        "\"params\":{\"iterations\":7,\"temperature\":{\"start\":1,\"end\":0.2}},"
        "\"baselines\":[\"best\"],\"seed\":12,\"integers\":\"max\",\"allow_nonfinite\":true,"
        "\"force\":true,\"digests\":true,\"if_new_checkpoints\":2,\"output\":{\"dtype\":\"F16\"},"
        "\"workers\":3,\"labels\":{\"a\":\"b\"}",
        "\"method\":\"uniform\",\"checkpoints\":[\"" CKPT "\"]",
    };
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTOJSON json_t *body = body_of(texts[i]);
        AUTOPTR(job_request_free) struct job_request *q = NULL;
        AUTOPTR(job_request_free) struct job_request *again = NULL;
        assert_ok(job_request_parse(body, &q, &err), err);
        AUTOJSON json_t *stored = job_request_json(q);
        assert_ok(job_request_parse_stored(stored, &again, &err), err);
        AUTOJSON json_t *shown = job_request_json(again);
        assert_true(json_equal(stored, shown));
    }
}

static void test_check(void **state)
{
    (void)state;
    static const struct row checks[] = {
        { RUN, 0, NULL, NULL },
        { RUN ",\"labels\":{\"a\":\"b\"}", 0, NULL, NULL },
        { "\"checkpoints\":[\"" CKPT "\"]", 0, NULL, NULL },
        { "\"labels\":{}", SEWA_E_INVALID, "/run", "missing" },
        { RUN ",\"method\":\"sewa\"", SEWA_E_UNKNOWN_FIELD, "/method", "unknown field" },
        { RUN ",\"window\":5", SEWA_E_UNKNOWN_FIELD, "/window", "unknown field" },
        { RUN ",\"labels\":{\"a\":1}", SEWA_E_INVALID, "/labels", "'a'" },
    };
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        AUTOJSON json_t *body = body_of(checks[i].fields);
        AUTOPTR(job_request_free) struct job_request *q = NULL;
        AUTOPTR(job_request_free) struct job_request *again = NULL;
        int rc = job_request_parse_check("digits", body, &q, &err);
        if (checks[i].code) {
            assert_failed(rc, err, checks[i].code, checks[i].word);
            assert_string_equal(err.pointer, checks[i].pointer);
            continue;
        }
        assert_ok(rc, err);
        assert_string_equal(q->method, "check");
        assert_string_equal(q->evaluator, "digits");
        assert_int_equal(q->window, q->checkpoints ? 0 : 2);
        AUTOJSON json_t *stored = job_request_json(q);
        assert_ok(job_request_parse_stored(stored, &again, &err), err);
        AUTOJSON json_t *shown = job_request_json(again);
        assert_true(json_equal(stored, shown));
    }
}

/* Rows that nobody wrote. */
static void test_stored_rubbish(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "\"method\":5", "\"method\":\"check\"",
                                         "\"method\":\"check\",\"run\":{}", "\"method\":\"gone\"" };
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTOJSON json_t *stored = body_of(texts[i]);
        struct job_request *q = NULL;
        assert_true(job_request_parse_stored(stored, &q, &err) < 0);
        assert_null(q);
    }
    struct job_request *q = NULL;
    assert_true(job_request_parse_stored(NULL, &q, &err) < 0);
}

static json_t *everything(void)
{
    return body_of(SEWA ",\"select\":5,\"window\":60,\"exclude_steps\":[4,5],"
                        "\"params\":{\"iterations\":7},\"labels\":{\"a\":\"b\"},"
                        "\"output\":{\"dtype\":\"F16\"}");
}

/* parse() copies with strdup and jansson, which the harness sees when jansson uses our malloc. */
static void test_no_memory(void **state)
{
    (void)state;
    json_set_alloc_funcs(malloc, free);
    AUTOJSON json_t *body = everything();
    AUTOPTR(job_request_free) struct job_request *whole = NULL;
    struct sewa_error err = { 0 };

    assert_ok(job_request_parse(body, &whole, &err), err);
    for (int64_t n = 0;; n++) {
        AUTOPTR(job_request_free) struct job_request *q = NULL;
        alloc_fail_at(n);
        int rc = job_request_parse(body, &q, &err);
        bool fired = alloc_fired();
        /* one allocation is for the words of an error that does not happen */
        if (rc < 0)
            assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_true((q != NULL) == (rc == 0));
        if (!fired) {
            assert_ok(rc, err);
            break;
        }
    }
    for (int64_t n = 0;; n++) {
        int64_t held = alloc_held();
        alloc_fail_at(n);
        json_t *shown = job_request_json(whole);
        bool fired = alloc_fired();
        assert_true((shown == NULL) == fired);
        json_decref(shown);
        assert_int_equal(alloc_held(), held);
        if (!fired)
            break;
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 8];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ .name = rows[n].fields,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_body_is_no_object);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_counts);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_defaults);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_baselines_that_count);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stored);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_check);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stored_rubbish);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_no_memory);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
