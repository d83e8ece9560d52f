/*
 * test_adam - Adam's updates against the golden trajectories, and its saved state.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

#include "methods/adam.h"

static void check_trajectory(const json_t *rows)
{
    struct sewa_error err = { 0 };
    struct adam adam;
    double gradient[6], x[6];

    assert_ok(adam_init(&adam, 6, &err), err);
    assert_int_equal(json_array_size(rows), 3);
    for (size_t t = 0; t < json_array_size(rows); t++) {
        const json_t *row = json_array_get(rows, t);
        memset(x, 0, sizeof x);
        golden_numbers(json_object_get(row, "grad_used"), gradient, 6);
        adam_step(&adam, gradient, json_number_value(json_object_get(row, "lr")), x);
        for (size_t i = 0; i < 6; i++)
            x[i] = -x[i]; /* the file has what is subtracted */
        assert_numbers(json_object_get(row, "update"), x, 6);
    }
    adam_clear(&adam);
}

static void test_golden(void **state)
{
    (void)state;
    check_trajectory(golden("trajectory_cap_adam", NULL));
    check_trajectory(golden("trajectory_logit_shift_adam_lr0.2", NULL));
}

/* A gradient that is zero everywhere, always, moves nothing: 0 / (0 + tiny), not 0 / 0. */
static void test_zero_gradient(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct adam adam;
    double gradient[2] = { 0 }, x[2] = { 0.25, 0.75 };

    assert_ok(adam_init(&adam, 2, &err), err);
    for (int t = 0; t < 5; t++)
        adam_step(&adam, gradient, 0.1, x);
    assert_true(x[0] == 0.25 && x[1] == 0.75);
    adam_clear(&adam);
}

/* The largest gradient that is let through does not overflow inside. */
static void test_large_gradient(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct adam adam;
    double gradient[2] = { 1e152, -1e-150 }, x[2] = { 0 };

    assert_ok(adam_init(&adam, 2, &err), err);
    adam_step(&adam, gradient, 0.1, x);
    assert_close(x[0], -0.1);
    assert_true(isfinite(x[1]));
    adam_clear(&adam);
}

static void test_state_survives(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct adam a, b;
    struct json_reader r;
    double gradient[] = { 1.0 / 3, -0.0, 5e-324 }, x[3] = { 0 }, y[3];
    AUTOJSON json_t *object = json_object();

    assert_ok(adam_init(&a, 3, &err), err);
    assert_ok(adam_init(&b, 3, &err), err);
    adam_step(&a, gradient, 0.1, x);
    assert_int_equal(adam_save(&a, object), 0);
    AUTOFREE char *text = json_text(object);
    AUTOJSON json_t *read = json_parse(text, strlen(text), &err);
    json_reader_init(&r, read, "", &err);
    adam_load(&b, &r);
    assert_ok(json_reader_end(&r), err);
    memcpy(y, x, sizeof y);
    gradient[1] = 7;
    adam_step(&a, gradient, 0.1, x);
    adam_step(&b, gradient, 0.1, y);
    assert_memory_equal(x, y, sizeof x);
    adam_clear(&a);
    adam_clear(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_zero_gradient),
        cmocka_unit_test(test_large_gradient),
        cmocka_unit_test(test_state_survives),
    };

    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
