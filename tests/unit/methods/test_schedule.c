/*
 * test_schedule - values over the iterations, and reading them from a request.
 */
#include "toy.h"

#include <string.h>

#include "methods/schedule.h"

struct value_row {
    const char *name;
    struct schedule schedule;
    int64_t t, iterations;
    double wanted;
};

static const struct value_row values[] = {
    { "constant", { SCHEDULE_CONSTANT, 0.5, 0.5 }, 30, 60, 0.5 },
    { "linear starts", { SCHEDULE_LINEAR, 2, 0.2 }, 0, 61, 2 },
    { "linear in the middle", { SCHEDULE_LINEAR, 2, 0.2 }, 30, 61, 1.1 },
    { "linear ends", { SCHEDULE_LINEAR, 2, 0.2 }, 60, 61, 0.2 },
    { "exponential starts", { SCHEDULE_EXPONENTIAL, 4, 0.25 }, 0, 5, 4 },
    { "exponential quarter", { SCHEDULE_EXPONENTIAL, 4, 0.25 }, 1, 5, 2 },
    { "exponential in the middle", { SCHEDULE_EXPONENTIAL, 4, 0.25 }, 2, 5, 1 },
    { "exponential ends", { SCHEDULE_EXPONENTIAL, 4, 0.25 }, 4, 5, 0.25 },
    { "cosine starts", { SCHEDULE_COSINE, 2, 0.2 }, 0, 5, 2 },
    { "cosine quarter", { SCHEDULE_COSINE, 1, 0 }, 1, 5, 0.85355339059327378 },
    { "cosine in the middle", { SCHEDULE_COSINE, 2, 0.2 }, 2, 5, 1.1 },
    { "cosine ends", { SCHEDULE_COSINE, 2, 0.2 }, 4, 5, 0.2 },
    { "rising", { SCHEDULE_LINEAR, 0.2, 2 }, 60, 61, 2 },
    { "linear of one", { SCHEDULE_LINEAR, 2, 0.2 }, 0, 1, 2 },
    { "exponential of one", { SCHEDULE_EXPONENTIAL, 2, 0.2 }, 0, 1, 2 },
    { "cosine of one", { SCHEDULE_COSINE, 2, 0.2 }, 0, 1, 2 },
    { "two iterations", { SCHEDULE_COSINE, 2, 0.2 }, 1, 2, 0.2 },
};

static void test_value(void **state)
{
    const struct value_row *row = *state;

    assert_close(schedule_at(&row->schedule, row->t, row->iterations), row->wanted);
}

struct read_row {
    const char *text; /* also the name */
    int code;
    struct schedule wanted;
    const char *pointer;
    const char *word;
};

static const struct read_row reads[] = {
    { "{}", 0, { SCHEDULE_CONSTANT, 0.5, 0.5 }, "", "" },
    { "{\"x\": null}", 0, { SCHEDULE_CONSTANT, 0.5, 0.5 }, "", "" },
    { "{\"x\": 2}", 0, { SCHEDULE_CONSTANT, 2, 2 }, "", "" },
    { "{\"x\": {\"start\": 2}}", 0, { SCHEDULE_CONSTANT, 2, 2 }, "", "" },
    { "{\"x\": {\"start\": 2, \"schedule\": \"constant\"}}",
      0,
      { SCHEDULE_CONSTANT, 2, 2 },
      "",
      "" },
    { "{\"x\": {\"start\": 2, \"end\": 0.2}}", 0, { SCHEDULE_LINEAR, 2, 0.2 }, "", "" },
    { "{\"x\": {\"start\": 2, \"end\": 0.2, \"schedule\": \"exponential\"}}",
      0,
      { SCHEDULE_EXPONENTIAL, 2, 0.2 },
      "",
      "" },
    { "{\"x\": {\"start\": 2, \"end\": 0.2, \"schedule\": \"cosine\"}}",
      0,
      { SCHEDULE_COSINE, 2, 0.2 },
      "",
      "" },
    { "{\"x\": 0}", SEWA_E_INVALID, { 0 }, "/p/x", "allowed is 0.01 to 100" },
    { "{\"x\": \"2\"}", SEWA_E_INVALID, { 0 }, "/p/x", "must be a number" },
    { "{\"x\": []}", SEWA_E_INVALID, { 0 }, "/p/x", "must be a number" },
    { "{\"x\": {}}", SEWA_E_INVALID, { 0 }, "/p/x/start", "'start' is missing" },
    { "{\"x\": {\"start\": 1000}}", SEWA_E_INVALID, { 0 }, "/p/x/start", "1000" },
    { "{\"x\": {\"start\": 1, \"end\": 0.001}}", SEWA_E_INVALID, { 0 }, "/p/x/end", "0.001" },
    { "{\"x\": {\"start\": 1, \"end\": 0.1, \"schedule\": \"step\"}}",
      SEWA_E_INVALID,
      { 0 },
      "/p/x/schedule",
      "constant, linear, exponential, cosine" },
    { "{\"x\": {\"start\": 1, \"end\": 0.1, \"schedule\": \"constant\"}}",
      SEWA_E_INVALID,
      { 0 },
      "/p/x/end",
      "no meaning" },
    { "{\"x\": {\"start\": 1, \"schedule\": \"cosine\"}}",
      SEWA_E_INVALID,
      { 0 },
      "/p/x/end",
      "'end' is missing" },
    { "{\"x\": {\"start\": 1, \"stop\": 0.1}}", SEWA_E_UNKNOWN_FIELD, { 0 }, "/p/x/stop", "stop" },
};

static void test_read(void **state)
{
    const struct read_row *row = *state;
    struct sewa_error err = { 0 };
    struct schedule s = { SCHEDULE_CONSTANT, 0.5, 0.5 };
    struct json_reader r;
    AUTOJSON json_t *object = json_parse(row->text, strlen(row->text), &err);

    json_reader_init(&r, object, "/p", &err);
    schedule_read(&r, "x", 0.01, 100, &s);
    int rc = json_reader_end(&r);
    if (row->code != 0) {
        assert_failed(rc, err, row->code, row->word);
        assert_string_equal(err.pointer, row->pointer);
        return;
    }
    assert_ok(rc, err);
    assert_int_equal(s.kind, row->wanted.kind);
    assert_close(s.start, row->wanted.start);
    assert_close(s.end, row->wanted.end);

    struct schedule again = { SCHEDULE_CONSTANT, 7, 7 };
    AUTOJSON json_t *written = json_object();
    assert_int_equal(json_put(written, "x", schedule_json(&s)), 0);
    json_reader_init(&r, written, "/p", &err);
    schedule_read(&r, "x", 0.01, 100, &again);
    assert_ok(json_reader_end(&r), err);
    assert_int_equal(again.kind, s.kind);
    assert_true(again.start == s.start && again.end == s.end);
}

/* Without an error to fill, a failure inside the object is still a failure. */
static void test_read_without_error(void **state)
{
    (void)state;
    static const char text[] = "{\"x\": {\"start\": 1000}}";
    struct schedule s = { SCHEDULE_CONSTANT, 0.5, 0.5 };
    struct json_reader r;
    AUTOJSON json_t *object = json_parse(text, strlen(text), NULL);

    json_reader_init(&r, object, "/p", NULL);
    schedule_read(&r, "x", 0.01, 100, &s);
    assert_int_equal(json_reader_end(&r), SEWA_E_INVALID);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(values) + COUNT_OF(reads) + 1];
    size_t n = 0;

    for (size_t i = 0; i < COUNT_OF(values); i++)
        tests[n++] =
            (struct CMUnitTest){ values[i].name, test_value, NULL, NULL, (void *)&values[i] };
    for (size_t i = 0; i < COUNT_OF(reads); i++)
        tests[n++] = (struct CMUnitTest){ reads[i].text, test_read, NULL, NULL, (void *)&reads[i] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_read_without_error);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
