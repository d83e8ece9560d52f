/*
 * test_engine - opening the team and the kernels; passes do not care which.
 */
#include "support/support.h"

#include <stdlib.h>

#include "engine/engine.h"

static void test_init(void **state)
{
    struct engine e = { 0 };
    struct sewa_error err = { 0 };

    (void)state;
    setenv("SEWA_KERNELS", "reference", 1);
    assert_ok(engine_init(&e, 3, &err), err);
    assert_int_equal(pool_threads(e.pool), 3);
    assert_string_equal(e.kernels->name, "reference");
    engine_clear(&e);
    assert_null(e.pool);
    engine_clear(&e);
    setenv("SEWA_KERNELS", "abacus", 1);
    assert_failed(engine_init(&e, 3, &err), err, SEWA_E_CONFIG, "abacus");
    unsetenv("SEWA_KERNELS");
    assert_failed(engine_init(&e, 100000, &err), err, SEWA_E_INVALID, "100000");
    assert_null(e.pool);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_init) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
