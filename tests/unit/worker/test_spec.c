/*
 * test_spec - what a worker is told about its job: every field, right and wrong.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "support/alloc.h"
#include "worker/spec.h"

#define HEX8  "00000000"
#define HEX64 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 "000000ab"

#define CANDIDATE                                                                                                   \
    "{\"checkpoint\":\"ckpt_A\",\"row\":7,\"run\":\"digits\",\"step\":100,\"root\":\"/data\","                      \
    "\"file\":\"a%FF.safetensors\",\"state_key\":\"model\",\"size\":123,\"mtime_ns\":-5,\"header_digest\":\"" HEX64 \
    "\",\"sha256\":null}"
#define EVALUATOR                                                                           \
    "{\"name\":\"digits\",\"command\":[\"python3\",\"e.py\"],\"environment\":[\"A=b\"],"    \
    "\"directory\":\"/srv\",\"options\":{\"x\":1},\"start_timeout_ms\":5,\"timeout_ms\":6," \
    "\"memory_mib\":7}"
#define SPEC                                                                                  \
    "{\"protocol\":1,\"worker\":\"wrk_A\",\"job\":\"job_A\",\"heartbeat_seconds\":2,"         \
    "\"candidates\":[" CANDIDATE "],\"evaluator\":" EVALUATOR ",\"integers\":\"max\","        \
    "\"allow_nonfinite\":true,\"output_dtype\":\"BF16\",\"threads\":3,\"memory_bytes\":1000," \
    "\"streams\":true,\"banks\":4}"

static int read_text(const char *text, struct spec **ret, struct sewa_error *err)
{
    AUTOJSON json_t *message = json_parse(text, strlen(text), err);

    if (!message)
        fail_msg("%s: %s", err->text, text);
    return spec_read(message, ret, err);
}

static void test_everything(void **state)
{
    (void)state;
    AUTOPTR(spec_free) struct spec *s = NULL;
    struct sewa_error err = { 0 };

    assert_ok(read_text(SPEC, &s, &err), err);
    assert_string_equal(s->worker, "wrk_A");
    assert_string_equal(s->job, "job_A");
    assert_int_equal(s->heartbeat_ms, 2000);
    assert_int_equal(s->k, 1);
    assert_string_equal(s->candidates[0].id, "ckpt_A");
    assert_string_equal(s->candidates[0].directory, "/data");
    assert_string_equal(s->candidates[0].file, "a\xff.safetensors");
    assert_string_equal(s->candidates[0].state_key, "model");
    assert_int_equal(s->candidates[0].step, 100);
    assert_int_equal(s->candidates[0].bytes, 123);
    assert_int_equal(s->candidates[0].mtime_ns, -5);
    assert_int_equal(s->candidates[0].header_digest[31], 0xab);
    assert_true(s->has_evaluator && s->allow_nonfinite);
    assert_string_equal(s->evaluator.name, "digits");
    assert_string_equal(s->evaluator.argv[1], "e.py");
    assert_null(s->evaluator.argv[2]);
    assert_string_equal(s->evaluator.environment[0], "A=b");
    assert_string_equal(s->evaluator.directory, "/srv");
    assert_string_equal(s->evaluator.options, "{\"x\":1}");
    assert_int_equal(s->evaluator.start_timeout_ms, 5);
    assert_int_equal(s->evaluator.timeout_ms, 6);
    assert_int_equal(s->evaluator.memory_mib, 7);
    assert_string_equal(integer_policy_names[s->integers], "max");
    assert_int_equal(s->output, OUTPUT_BF16);
    assert_int_equal(s->threads, 3);
    assert_int_equal(s->memory_bytes, 1000);
    assert_true(s->streams);
    assert_int_equal(s->banks, 4);
}

static void test_what_may_be_left_out(void **state)
{
    (void)state;
    AUTOPTR(spec_free) struct spec *s = NULL;
    struct sewa_error err = { 0 };

    assert_ok(
        read_text(
            "{\"worker\":\"w\",\"job\":\"j\",\"evaluator\":null,\"new\":[1],"
            "\"candidates\":[{\"checkpoint\":\"c\",\"step\":null,\"root\":\"/\","
            "\"file\":\"f\",\"state_key\":\"\",\"size\":0,\"mtime_ns\":0,\"header_digest\":\"" HEX64
            "\",\"new\":{}}]}",
            &s, &err),
        err);
    assert_int_equal(s->candidates[0].step, -1);
    assert_false(s->has_evaluator || s->allow_nonfinite);
    assert_string_equal(integer_policy_names[s->integers], "newest");
    assert_int_equal(s->output, OUTPUT_INPUT);
    assert_int_equal(s->heartbeat_ms, 5000);
    assert_int_equal(s->memory_bytes, 0);
    assert_false(s->streams);
    assert_int_equal(s->banks, 1); /* there is always one */

    spec_free(s);
    s = NULL;
    assert_ok(read_text("{\"worker\":\"w\",\"job\":\"j\",\"candidates\":[" CANDIDATE "],"
                        "\"evaluator\":{\"name\":\"e\",\"command\":[\"c\"],\"start_timeout_ms\":1,"
                        "\"timeout_ms\":1}}",
                        &s, &err),
              err);
    assert_null(s->evaluator.directory);
    assert_null(s->evaluator.environment[0]);
    assert_string_equal(s->evaluator.options, "{}");
    assert_int_equal(s->evaluator.memory_mib, 0);
}

/* In the whole message one part is replaced by another. */
struct row {
    const char *part, *by, *word;
};

static const struct row rows[] = {
    { "\"worker\":\"wrk_A\",", "", "'worker' is missing" },
    { "\"wrk_A\"", "5", "'worker' must be a string" },
    { "\"job\":\"job_A\",", "", "'job' is missing" },
    { "\"heartbeat_seconds\":2", "\"heartbeat_seconds\":0", "'heartbeat_seconds' is 0" },
    { "\"heartbeat_seconds\":2", "\"heartbeat_seconds\":\"2\"", "'heartbeat_seconds'" },
    { "\"max\"", "\"median\"", "'median'" },
    { "\"allow_nonfinite\":true", "\"allow_nonfinite\":1", "'allow_nonfinite'" },
    { "\"BF16\"", "\"F64\"", "'F64'" },
    { "\"threads\":3", "\"threads\":-1", "'threads' is -1" },
    { "\"threads\":3", "\"threads\":1025", "'threads' is 1025" },
    { "\"memory_bytes\":1000", "\"memory_bytes\":-1", "'memory_bytes' is -1" },
    { "\"streams\":true", "\"streams\":1", "'streams'" },
    { "\"banks\":4", "\"banks\":-1", "'banks' is -1" },
    { "\"banks\":4", "\"banks\":1000000", "'banks' is 1000000" },
    { "[" CANDIDATE "]", "[]", "no candidates" },
    { "[" CANDIDATE "]", "null", "no candidates" },
    { "[" CANDIDATE "]", "{}", "'candidates' must be an array" },
    { "[" CANDIDATE "]", "[5]", "must be an object" },
    { "[" CANDIDATE "]", "[" CANDIDATE ",null]", "must be an object" },
    { "\"checkpoint\":\"ckpt_A\",", "", "'checkpoint' is missing" },
    { "\"root\":\"/data\",", "", "'root' is missing" },
    { "\"/data\"", "\"/da%0\"", "'root' is no path" },
    { "\"/data\"", "\"/da%00ta\"", "'root' is no path" },
    { "\"file\":\"a%FF.safetensors\",", "", "'file' is missing" },
    { "a%FF", "a%", "'file' is no path" },
    { "\"state_key\":\"model\",", "", "'state_key' is missing" },
    { "\"state_key\":\"model\"", "\"state_key\":5", "'state_key' must be a string" },
    { "\"step\":100", "\"step\":-1", "'step' is -1" },
    { "\"step\":100", "\"step\":1.5", "'step'" },
    { "\"size\":123,", "", "'size' is missing" },
    { "\"size\":123", "\"size\":-1", "'size' is -1" },
    { "\"mtime_ns\":-5,", "", "'mtime_ns' is missing" },
    { "\"header_digest\":\"" HEX64 "\",", "", "'header_digest' is missing" },
    { HEX64, HEX8, "'header_digest' is no digest" },
    { HEX64, HEX64 "00", "'header_digest' is no digest" },
    { HEX8, "0000000x", "'header_digest' is no digest" },
    { EVALUATOR, "\"digits\"", "'evaluator' must be an object" },
    { "\"name\":\"digits\",", "", "'name' is missing" },
    { "[\"python3\",\"e.py\"]", "[]", "has no command" },
    { "[\"python3\",\"e.py\"]", "null", "has no command" },
    { "[\"python3\",\"e.py\"]", "\"python3 e.py\"", "'command' must be an array" },
    { "[\"python3\",\"e.py\"]", "[\"python3\",5]", "'command'" },
    { "[\"A=b\"]", "{\"A\":\"b\"}", "'environment' must be an array" },
    { "[\"A=b\"]", "[null]", "'environment'" },
    { "\"/srv\"", "[]", "'directory' must be a string" },
    { "{\"x\":1}", "\"x=1\"", "'options' must be an object" },
    { "\"start_timeout_ms\":5,", "", "'start_timeout_ms' is missing" },
    { "\"start_timeout_ms\":5", "\"start_timeout_ms\":0", "'start_timeout_ms' is 0" },
    { "\"timeout_ms\":6,", "", "'timeout_ms' is missing" },
    { "\"timeout_ms\":6", "\"timeout_ms\":-6", "'timeout_ms' is -6" },
    { "\"memory_mib\":7", "\"memory_mib\":9223372036854775807", "'memory_mib'" },
    { SPEC, "[]", "must be an object" },
    { SPEC, "null", "must be an object" },
};

static char *replaced(const struct row *r)
{
    struct buf b = { 0 };
    const char *at = strstr(SPEC, r->part);

    assert_non_null(at);
    buf_append(&b, SPEC, (size_t)(at - SPEC));
    buf_text(&b, r->by);
    buf_text(&b, at + strlen(r->part));
    return buf_take(&b);
}

static void test_row(void **state)
{
    const struct row *r = *state;
    AUTOFREE char *text = replaced(r);
    struct spec *s = NULL;
    struct sewa_error err = { 0 };
    int rc = read_text(text, &s, &err);

    assert_true(rc == SEWA_E_INVALID || rc == SEWA_E_PROTOCOL);
    assert_failed(rc, err, rc, r->word);
    assert_non_null(strstr(err.text, "the description of the job: "));
    assert_null(s);
}

/* Whatever cannot be allocated: refused, and nothing is left. */
static void test_no_memory(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    AUTOJSON json_t *message = json_parse(SPEC, strlen(SPEC), &err);

    for (int64_t n = 0;; n++) {
        struct spec *s = NULL;
        alloc_fail_at(n);
        int rc = spec_read(message, &s, &err);
        bool fired = alloc_fired();
        assert_true((rc == 0) == (s != NULL));
        if (rc < 0 && rc != SEWA_E_NO_MEMORY && rc != SEWA_E_PROTOCOL)
            fail_msg("%s", err.text);
        spec_free(s);
        if (!fired) {
            assert_ok(rc, err);
            break;
        }
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ .name = rows[n].word,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_everything);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_what_may_be_left_out);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_no_memory);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
