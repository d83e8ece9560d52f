/*
 * cmocka - as much of the library of this name as test_variants.c needs, for processors of another
 * kind: a system that can compile and emulate for one seldom has its libraries. A failed assertion
 * ends the program.
 */
#ifndef TESTS_KERNELS_CROSS_CMOCKA_H
#define TESTS_KERNELS_CROSS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define fail_msg(...)                                   \
    do {                                                \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__);                   \
        fputc('\n', stderr);                            \
        exit(1);                                        \
    } while (0)

#define assert_true(condition)          \
    do {                                \
        if (!(condition))               \
            fail_msg("%s", #condition); \
    } while (0)

#define assert_int_equal(a, b)       assert_true((long long)(a) == (long long)(b))
#define assert_non_null(p)           assert_true((p) != NULL)
#define assert_memory_equal(a, b, n) assert_true(memcmp((a), (b), (n)) == 0)

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(function) \
    {                              \
#function, function        \
    }

#define cmocka_run_group_tests(tests, setup, teardown) \
    run_tests(tests, sizeof(tests) / sizeof((tests)[0]))

static inline int run_tests(const struct CMUnitTest *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *state = NULL;
        tests[i].run(&state);
        printf("%s: passed\n", tests[i].name);
    }
    return 0;
}

#endif
