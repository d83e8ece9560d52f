/*
 * test_ranking - descending, ties to the later candidate.
 */
#include "toy.h"

#include <math.h>
#include <stdlib.h>

#include "methods/ranking.h"

static int ascending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

static void test_golden(void **state)
{
    (void)state;
    const json_t *rows = golden("topk", NULL);
    double s[TOY_K_MAX];
    size_t order[TOY_K_MAX];

    assert_int_equal(json_array_size(rows), 2);
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        const json_t *indices = json_object_get(row, "indices");
        size_t top = (size_t)json_integer_value(json_object_get(row, "K"));
        size_t k = golden_numbers(json_object_get(row, "s"), s, TOY_K_MAX);
        ranking_descending(s, k, order);
        assert_int_equal(json_array_size(indices), top);
        qsort(order, top, sizeof *order, ascending);
        for (size_t n = 0; n < top; n++)
            assert_int_equal(order[n], json_integer_value(json_array_get(indices, n)));
    }
}

static void test_order(void **state)
{
    (void)state;
    static const double value[] = { 0.5, -INFINITY, 0.5, -0.0, INFINITY, 0.0, -1 };
    static const size_t wanted[] = { 4, 2, 0, 5, 3, 6, 1 };
    size_t order[COUNT_OF(value)];

    ranking_descending(value, COUNT_OF(value), order);
    for (size_t n = 0; n < COUNT_OF(value); n++)
        assert_int_equal(order[n], wanted[n]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_order),
    };

    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
