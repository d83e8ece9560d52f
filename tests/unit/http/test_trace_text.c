/*
 * test_trace_text - rows of a trace: what sums them up, and how they stand in JSON and in a table.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "http/trace_text.h"

/* Probabilities at an odd address, as they come out of a database. */
struct row {
    struct trace_row row;
    char bytes[1 + 8 * sizeof(float)];
};

static void make_row(struct row *r, double loss, const float *p, size_t n)
{
    memset(r, 0, sizeof *r);
    memcpy(r->bytes + 1, p, n * sizeof *p);
    r->row = (struct trace_row){ .iteration = 7,
                                 .loss = loss,
                                 .temperature = 0.5,
                                 .learning_rate = 0.1,
                                 .dropped = 2,
                                 .probabilities = r->bytes + 1,
                                 .probability_count = n };
}

static void test_statistics(void **state)
{
    (void)state;
    static const float halves[] = { 0.5f, 0.5f, 0.5f, 0.5f }, sure[] = { 0, 1, 1 },
                       mixed[] = { 0.25f, 0.75f };
    struct trace_statistics st;
    struct row r;

    make_row(&r, 1, halves, 4);
    st = trace_summarise(&r.row);
    assert_true(st.min == 0.5 && st.mean == 0.5 && st.max == 0.5 && st.spread == 1.0);
    assert_true(fabs(st.entropy - 4 * log(2)) < 1e-12);
    make_row(&r, 1, sure, 3);
    st = trace_summarise(&r.row);
    assert_true(st.min == 0 && st.max == 1 && st.entropy == 0 && st.spread == 0);
    assert_true(fabs(st.mean - 2.0 / 3) < 1e-12);
    make_row(&r, 1, mixed, 2);
    st = trace_summarise(&r.row);
    assert_true(st.min == 0.25 && st.mean == 0.5 && st.max == 0.75 && st.spread == 0.375);
    assert_true(fabs(st.entropy + 2 * (0.25 * log(0.25) + 0.75 * log(0.75))) < 1e-12);
    make_row(&r, 1, mixed, 0);
    st = trace_summarise(&r.row);
    assert_true(isnan(st.min) && isnan(st.mean) && isnan(st.max) && isnan(st.entropy) &&
                isnan(st.spread));
}

static json_t *object_of(const struct trace_row *row)
{
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    trace_put_object(&b, row);
    json_t *o = json_parse(buf_cstr(&b), b.len, &err);
    assert_ok(err.code, err);
    return o;
}

static void test_object(void **state)
{
    (void)state;
    static const float p[] = { 0.25f, 0.1f, NAN };
    struct row r;

    make_row(&r, 0.1, p, 2);
    AUTOJSON json_t *o = object_of(&r.row);
    static const char *const names[] = { "iteration", "loss",  "temperature", "learning_rate",
                                         "dropped",   "min",   "mean",        "max",
                                         "entropy",   "spread" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_true(json_is_number(json_object_get(o, names[i])));
    assert_int_equal(json_object_size(o), COUNT_OF(names) + 1);
    assert_true(json_real_value(json_object_get(o, "loss")) == 0.1); /* to the bit */
    const json_t *list = json_object_get(o, "probabilities");
    assert_int_equal(json_array_size(list), 2);
    assert_true((float)json_number_value(json_array_get(list, 1)) == 0.1f); /* to the bit */

    make_row(&r, NAN, p, 3);
    r.row.temperature = INFINITY;
    AUTOJSON json_t *odd = object_of(&r.row);
    assert_true(json_is_null(json_object_get(odd, "loss")));
    assert_true(json_is_null(json_object_get(odd, "temperature")));
    assert_true(json_is_null(json_array_get(json_object_get(odd, "probabilities"), 2)));

    make_row(&r, -INFINITY, p, 0);
    AUTOJSON json_t *none = object_of(&r.row);
    assert_int_equal(json_array_size(json_object_get(none, "probabilities")), 0);
    assert_true(json_is_null(json_object_get(none, "entropy")));
}

static void test_table(void **state)
{
    (void)state;
    static const float p[] = { 0.25f, 0.75f, NAN };
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOJSON json_t *candidates =
        json_pack("[{s:i}, {s:n}, {s:I}]", "step", 100, "step", "step", (json_int_t)INT64_MAX);
    struct row r;

    trace_put_heading(&b, candidates);
    assert_string_equal(buf_cstr(&b),
                        "iteration,loss,temperature,learning_rate,dropped,min,mean,max,entropy,"
                        "spread,step_100,candidate_1,step_9223372036854775807\r\n");
    buf_reset(&b);
    trace_put_heading(&b, NULL);
    assert_non_null(strstr(buf_cstr(&b), ",spread\r\n"));

    buf_reset(&b);
    make_row(&r, 0.125, p, 2);
    trace_put_line(&b, &r.row);
    assert_string_equal(buf_cstr(&b),
                        "7,0.125,0.5,0.1,2,0.25,0.5,0.75,1.12467029,0.375,0.25,0.75\r\n");
    buf_reset(&b);
    make_row(&r, NAN, p + 2, 1);
    r.row.temperature = r.row.learning_rate = NAN;
    trace_put_line(&b, &r.row);
    assert_string_equal(buf_cstr(&b), "7,,,,2,,,,,,\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_object),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
