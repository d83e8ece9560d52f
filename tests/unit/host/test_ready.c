/*
 * test_ready - what an evaluator says of itself, right and wrong in every field.
 */
#include "support/alloc.h"
#include "support/support.h"

#include <string.h>

#include "host/messages.h"
#include "host/ready.h"

static const int64_t shape[] = { 2 };
static const struct evaluator_tensor tensors[] = {
    { "w", DTYPE_F32, 1, shape, 0, 0 },
    { "b", DTYPE_F64, 1, shape, 64, 64 },
    { "steps", DTYPE_I64, 0, NULL, 128, 0 },
};

struct row {
    const char *name, *text;
    int code;
    const char *word;
};

#define GOOD   "\"protocol\":1,\"splits\":[\"selection\"]"
#define LONG16 "xxxxxxxxxxxxxxxx"
#define LONG64 LONG16 LONG16 LONG16 LONG16

static const struct row rows[] = {
    { "smallest", "{" GOOD "}", 0, "" },
    { "unknown fields", "{" GOOD ",\"colour\":[{}],\"mixes\":true}", 0, "" },
    { "all parameters", "{" GOOD ",\"gradient\":true,\"parameters\":\"all\"}", 0, "" },
    { "named parameters", "{" GOOD ",\"gradient\":true,\"parameters\":[\"b\",\"b\"]}", 0, "" },
    { "parameters without gradient", "{" GOOD ",\"parameters\":[\"nope\"]}", 0, "" },
    { "null lists", "{" GOOD ",\"metrics\":null,\"examples\":null}", 0, "" },
    { "no protocol", "{\"splits\":[\"selection\"]}", SEWA_E_EVALUATOR_START, "'protocol'" },
    { "other protocol", "{\"protocol\":2}", SEWA_E_EVALUATOR_START, "protocol 2" },
    { "no splits", "{\"protocol\":1}", SEWA_E_EVALUATOR_START, "'splits'" },
    { "empty splits", "{\"protocol\":1,\"splits\":[]}", SEWA_E_EVALUATOR_START, "'splits'" },
    { "splits without selection", "{\"protocol\":1,\"splits\":[\"report\"]}",
      SEWA_E_EVALUATOR_START, "'selection'" },
    { "split twice", "{\"protocol\":1,\"splits\":[\"selection\",\"selection\"]}",
      SEWA_E_EVALUATOR_START, "different names" },
    { "split as number", "{\"protocol\":1,\"splits\":[1]}", SEWA_E_EVALUATOR_START, "'splits'" },
    { "split with a line end", "{\"protocol\":1,\"splits\":[\"a\\nb\"]}", SEWA_E_EVALUATOR_START,
      "'splits'" },
    { "long name of a split",
      "{\"protocol\":1,\"splits\":[\"" LONG64 LONG64 LONG64 LONG64 "\",\"selection\"]}",
      SEWA_E_EVALUATOR_START, "255 bytes" },
    { "gradient as number", "{" GOOD ",\"gradient\":1}", SEWA_E_EVALUATOR_START, "'gradient'" },
    { "recalibrates as text", "{" GOOD ",\"recalibrates\":\"no\"}", SEWA_E_EVALUATOR_START,
      "'recalibrates'" },
    { "metrics as object", "{" GOOD ",\"metrics\":{}}", SEWA_E_EVALUATOR_START, "'metrics'" },
    { "metric without name", "{" GOOD ",\"metrics\":[{\"direction\":\"max\"}]}",
      SEWA_E_EVALUATOR_START, "names" },
    { "metric without direction", "{" GOOD ",\"metrics\":[{\"name\":\"a\"}]}",
      SEWA_E_EVALUATOR_START, "direction" },
    { "metric with another direction",
      "{" GOOD ",\"metrics\":[{\"name\":\"a\",\"direction\":\"up\"}]}", SEWA_E_EVALUATOR_START,
      "direction" },
    { "metric twice",
      "{" GOOD ",\"metrics\":[{\"name\":\"a\",\"direction\":\"max\"},"
      "{\"name\":\"a\",\"direction\":\"min\"}]}",
      SEWA_E_EVALUATOR_START, "different names" },
    { "examples as array", "{" GOOD ",\"examples\":[]}", SEWA_E_EVALUATOR_START, "'examples'" },
    { "no examples", "{" GOOD ",\"examples\":{\"selection\":0}}", SEWA_E_EVALUATOR_START,
      "'examples'" },
    { "too many examples", "{" GOOD ",\"examples\":{\"selection\":1000000001}}",
      SEWA_E_EVALUATOR_START, "1000000000" },
    { "parameters as number", "{" GOOD ",\"gradient\":true,\"parameters\":7}",
      SEWA_E_EVALUATOR_START, "'parameters'" },
    { "parameters by another word", "{" GOOD ",\"gradient\":true,\"parameters\":\"w\"}",
      SEWA_E_EVALUATOR_START, "\"all\"" },
    { "no parameters", "{" GOOD ",\"gradient\":true,\"parameters\":[]}", SEWA_E_EVALUATOR_START,
      "names nothing" },
    { "parameter as number", "{" GOOD ",\"gradient\":true,\"parameters\":[1]}",
      SEWA_E_EVALUATOR_START, "'parameters'" },
    { "integers as parameter", "{" GOOD ",\"gradient\":true,\"parameters\":[\"steps\"]}",
      SEWA_E_EVALUATOR_MISMATCH, "'steps' holds integers" },
    { "unknown parameters",
      "{" GOOD ",\"gradient\":true,\"parameters\":[\"1\",\"2\",\"w\",\"3\",\"4\",\"5\",\"6\"]}",
      SEWA_E_EVALUATOR_MISMATCH, "'5' is no tensor of the checkpoints, ... (6 of 7" },
};

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTO(ready_clear) struct ready r = { 0 };
    struct sewa_error err = { 0 };
    AUTOJSON json_t *message = json_parse(row->text, strlen(row->text), &err);

    assert_non_null(message);
    int rc = ready_parse(message, tensors, COUNT_OF(tensors), &r, &err);
    if (row->code == 0)
        assert_ok(rc, err);
    else
        assert_failed(rc, err, row->code, row->word);
}

static const char full[] =
    "{\"protocol\":1,\"gradient\":true,\"parameters\":[\"b\"],\"splits\":[\"selection\",\"report\"],"
    "\"metrics\":[{\"name\":\"accuracy\",\"direction\":\"max\"},{\"name\":\"ece\",\"direction\":"
    "\"min\"}],\"recalibrates\":true,\"examples\":{\"selection\":400,\"train\":9000}}";

static void assert_full(const struct ready *r)
{
    const struct evaluator_traits *t = &r->traits;

    assert_true(t->gradient && t->recalibrates);
    assert_true(!t->is_parameter[0] && t->is_parameter[1] && !t->is_parameter[2]);
    assert_int_equal(t->split_count, 2);
    assert_string_equal(t->splits[0].name, "selection");
    assert_int_equal(t->splits[0].examples, 400);
    assert_int_equal(t->splits[1].examples, 0);
    assert_int_equal(r->examples_max, 400); /* of a split that it does not offer: no matter */
    assert_int_equal(t->metric_count, 2);
    assert_true(t->metrics[0].bigger_is_better && !t->metrics[1].bigger_is_better);
}

/* Nothing borrowed from the message but by holding it: the caller lets it go before the use. */
static void test_full(void **state)
{
    (void)state;
    AUTO(ready_clear) struct ready r = { 0 };
    struct sewa_error err = { 0 };
    json_t *message = json_parse(full, strlen(full), &err);

    int rc = ready_parse(message, tensors, COUNT_OF(tensors), &r, &err);
    json_decref(message);
    assert_ok(rc, err);
    assert_full(&r);
}

static void test_without_memory(void **state)
{
    (void)state;
    AUTOJSON json_t *message = json_parse(full, strlen(full), NULL);

    for (int64_t n = 0;; n++) {
        AUTO(ready_clear) struct ready r = { 0 };
        struct sewa_error err = { 0 };
        alloc_fail_at(n);
        int rc = ready_parse(message, tensors, COUNT_OF(tensors), &r, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 0);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
    }
}

static void test_unknown_names_are_clean(void **state)
{
    (void)state;
    static const char text[] = "{" GOOD ",\"gradient\":true,\"parameters\":[\"a\\u0007\\nb\"]}";
    AUTO(ready_clear) struct ready r = { 0 };
    struct sewa_error err = { 0 };
    AUTOJSON json_t *message = json_parse(text, strlen(text), &err);

    int rc = ready_parse(message, tensors, COUNT_OF(tensors), &r, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_MISMATCH, "'a  b' is no tensor");
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 3];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] =
            (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)(uintptr_t)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_full);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_without_memory);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_unknown_names_are_clean);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
