/*
 * test_answer - results, recalibrations and errors, right and wrong; and what the host says.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/path.h"
#include "host/answer.h"
#include "host/messages.h"

static const int64_t shape[] = { 2, 3 };
static const struct evaluator_tensor tensors[] = {
    { "w", DTYPE_F32, 2, shape, 0, 128 },
    { "steps", DTYPE_I64, 0, NULL, 64, 0 },
};

struct row {
    const char *text;
    int code;
    const char *word;
    double loss, accuracy;
};

static const struct row rows[] = {
    { "{\"loss\":0.25}", 0, "", 0.25, NAN },
    { "{\"loss\":1,\"metrics\":null}", 0, "", 1, NAN },
    { "{\"loss\":-3}", 0, "", -3, NAN },
    { "{\"loss\":null}", 0, "", NAN, NAN },
    { "{\"loss\":\"nan\"}", 0, "", NAN, NAN },
    { "{\"loss\":\"inf\"}", 0, "", INFINITY, NAN },
    { "{\"loss\":\"-inf\"}", 0, "", -INFINITY, NAN },
    { "{\"loss\":1,\"metrics\":{\"accuracy\":0.5,\"other\":true}}", 0, "", 1, 0.5 },
    { "{\"loss\":1,\"metrics\":{\"accuracy\":\"inf\"}}", 0, "", 1, INFINITY },
    { "{\"loss\":1,\"examples\":10,\"example_losses\":true,\"seconds\":0.5}", 0, "", 1, NAN },
    { "{\"loss\":1,\"examples\":0,\"seconds\":null}", 0, "", 1, NAN },
    { "{}", SEWA_E_EVALUATOR_PROTOCOL, "'loss' of its answer is missing", 0, 0 },
    { "{\"loss\":\"0.5\"}", SEWA_E_EVALUATOR_PROTOCOL, "'loss'", 0, 0 },
    { "{\"loss\":true}", SEWA_E_EVALUATOR_PROTOCOL, "'loss'", 0, 0 },
    { "{\"loss\":1,\"metrics\":[]}", SEWA_E_EVALUATOR_PROTOCOL, "'metrics'", 0, 0 },
    { "{\"loss\":1,\"metrics\":{\"accuracy\":{}}}", SEWA_E_EVALUATOR_PROTOCOL, "'metrics'", 0, 0 },
    { "{\"loss\":1,\"examples\":-1}", SEWA_E_EVALUATOR_PROTOCOL, "'examples'", 0, 0 },
    { "{\"loss\":1,\"examples\":1.5}", SEWA_E_EVALUATOR_PROTOCOL, "'examples'", 0, 0 },
    { "{\"loss\":1,\"example_losses\":1}", SEWA_E_EVALUATOR_PROTOCOL, "'example_losses'", 0, 0 },
    { "{\"loss\":1,\"example_losses\":true}", SEWA_E_EVALUATOR_PROTOCOL, "losses of 0", 0, 0 },
    { "{\"loss\":1,\"examples\":11,\"example_losses\":true}", SEWA_E_EVALUATOR_PROTOCOL,
      "losses of 11 examples, there is room for 10", 0, 0 },
    { "{\"loss\":1,\"seconds\":-1}", SEWA_E_EVALUATOR_PROTOCOL, "'seconds'", 0, 0 },
    { "{\"loss\":1,\"seconds\":\"1\"}", SEWA_E_EVALUATOR_PROTOCOL, "'seconds'", 0, 0 },
};

static bool is_same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    static const char ready_text[] =
        "{\"protocol\":1,\"splits\":[\"selection\"],\"examples\":{\"selection\":10},"
        "\"metrics\":[{\"name\":\"accuracy\",\"direction\":\"max\"}]}";
    AUTOJSON json_t *ready_json = json_parse(ready_text, strlen(ready_text), NULL);
    AUTOJSON json_t *message = json_parse(row->text, strlen(row->text), NULL);
    AUTO(ready_clear) struct ready ready = { 0 };
    struct evaluator_result r = { .loss = 77 };
    struct sewa_error err = { 0 };
    double metrics[1];
    bool has_losses;

    assert_ok(ready_parse(ready_json, tensors, COUNT_OF(tensors), &ready, &err), err);
    int rc = result_parse(message, &ready, &r, metrics, &has_losses, &err);
    if (row->code < 0) {
        assert_failed(rc, err, row->code, row->word);
        assert_true(r.loss == 77);
        return;
    }
    assert_ok(rc, err);
    assert_true(is_same(r.loss, row->loss) && is_same(r.metrics[0], row->accuracy));
    assert_int_equal(has_losses, r.examples == 10);
    assert_true(is_same(r.seconds, r.examples == 10 ? 0.5 : NAN));
}

static void test_recalibrated(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *word;
    } all[] = {
        { "{\"tensors\":[]}", 0, "" },
        { "{\"tensors\":[\"w\"]}", 0, "" },
        { "{}", SEWA_E_EVALUATOR_PROTOCOL, "'tensors'" },
        { "{\"tensors\":[1]}", SEWA_E_EVALUATOR_PROTOCOL, "'tensors'" },
        { "{\"tensors\":[\"v\"]}", SEWA_E_EVALUATOR_MISMATCH, "recalibrated tensors: 'v'" },
        { "{\"tensors\":[\"steps\"]}", SEWA_E_EVALUATOR_MISMATCH, "holds integers" },
    };

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        AUTOJSON json_t *message = json_parse(all[i].text, strlen(all[i].text), NULL);
        bool changed[] = { true, true };
        struct sewa_error err = { 0 };
        int rc = recalibrated_parse(message, tensors, COUNT_OF(tensors), changed, &err);
        if (all[i].code < 0) {
            assert_failed(rc, err, all[i].code, all[i].word);
            continue;
        }
        assert_ok(rc, err);
        assert_int_equal(changed[0], i == 1);
        assert_false(changed[1]);
    }
}

static void test_error(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown, *traceback;
        bool is_mismatch;
    } all[] = {
        { "{\"kind\":\"ValueError\",\"message\":\"bad\",\"traceback\":\"a\\nb\"}",
          "ValueError: bad", "a\nb", false },
        { "{\"message\":\"bad\\r\\n\\u001bluck \xc3\xa4\"}", "bad   luck \xc3\xa4", "", false },
        { "{\"kind\":\"mismatch\"}", "mismatch: it gave no message", "", true },
        { "{\"message\":\"\"}", "it gave no message", "", false },
        { "{\"kind\":7,\"message\":[]}", "it gave no message", "", false },
    };

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        AUTOJSON json_t *message = json_parse(all[i].text, strlen(all[i].text), NULL);
        char text[ANSWER_ERROR_SIZE];
        const char *traceback;
        assert_string_equal(error_text(message, text, &traceback), all[i].shown);
        assert_string_equal(traceback, all[i].traceback);
        assert_int_equal(error_is_mismatch(message), all[i].is_mismatch);
    }
}

static void test_long_error_is_cut(void **state)
{
    (void)state;
    char shown[ANSWER_ERROR_SIZE];
    AUTO(buf_clear) struct buf text = { 0 };
    const char *traceback;

    buf_char(&text, 'x');
    for (int i = 0; i < 1000; i++)
        buf_text(&text, "\xc3\xa4");
    AUTOJSON json_t *message =
        json_pack("{s:s,s:s}", "kind", buf_cstr(&text), "message", buf_cstr(&text));
    error_text(message, shown, &traceback);
    assert_true(utf8_is_valid(shown, strlen(shown)));
    assert_non_null(strstr(shown, ": x"));
}

static void test_clean_text(void **state)
{
    (void)state;
    char text[16];

    assert_string_equal(text_clean("a\tb\x7f\xff\xc3", text, sizeof text), "a b ??");
    assert_string_equal(text_clean("0123456789abcdef", text, sizeof text), "0123456789ab");
    assert_string_equal(text_clean("", text, sizeof text), "");
}

static void assert_text(json_t *message, const char *wanted)
{
    AUTOFREE char *text = json_text(message);

    json_decref(message);
    assert_string_equal(text, wanted);
}

static void test_what_the_host_says(void **state)
{
    (void)state;
    struct evaluator_options o = {
        .threads = 2, .banks = 3, .bank_bytes = 128, .gradient_bank_bytes = 192
    };
    AUTOFREE char *table = message_table(tensors, COUNT_OF(tensors));

    assert_string_equal(table,
                        "{\"tensors\":[{\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,3],\"kind\":"
                        "\"float\",\"offset\":0,\"gradient_offset\":128},{\"name\":\"steps\","
                        "\"dtype\":\"I64\",\"shape\":[],\"kind\":\"integer\",\"offset\":64}]}");
    assert_text(message_init(&o, 99, json_pack("{s:s}", "data", "x")),
                "{\"type\":\"init\",\"protocol\":1,\"banks\":3,\"bank_bytes\":128,"
                "\"gradient_bank_bytes\":192,\"table_bytes\":99,\"threads\":2,"
                "\"options\":{\"data\":\"x\"}}");
    assert_text(message_evaluate(7, &(struct evaluator_request){ 1, "report", true, 12 }),
                "{\"type\":\"evaluate\",\"id\":7,\"bank\":1,\"split\":\"report\",\"gradient\":true,"
                "\"batch\":12}");
    assert_text(message_evaluate(8, &(struct evaluator_request){ 0, "selection", false, -1 }),
                "{\"type\":\"evaluate\",\"id\":8,\"bank\":0,\"split\":\"selection\",\"gradient\":"
                "false}");
    assert_text(message_recalibrate(9, 1), "{\"type\":\"recalibrate\",\"id\":9,\"bank\":1}");
    assert_text(message_examples(1600), "{\"type\":\"examples\",\"bytes\":1600}");
    assert_text(message_stop(), "{\"type\":\"stop\"}");
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 6];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] =
            (struct CMUnitTest){ rows[n].text, test_row, NULL, NULL, (void *)(uintptr_t)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_recalibrated);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_error);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_long_error_is_cut);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_clean_text);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_what_the_host_says);
    return _cmocka_run_group_tests("answer", tests, n, NULL, NULL);
}
