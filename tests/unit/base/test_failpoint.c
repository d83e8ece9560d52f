/*
 * test_failpoint - places fail when their turn has come, and only then.
 */
#include "support/support.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"

#ifdef SEWA_FAILPOINTS

static void test_the_nth_passage_fails(void **state)
{
    (void)state;
    failpoint_set("one=errno:EIO@2,other=errno:ENOSPC");
    assert_false(failpoint_errno("one"));
    assert_true(failpoint_errno("other"));
    assert_int_equal(errno, ENOSPC);
    assert_true(failpoint_errno("one"));
    assert_int_equal(errno, EIO);
    assert_false(failpoint_errno("one"));
    assert_false(failpoint_errno("unknown"));
}

static void test_from_the_nth_passage_on(void **state)
{
    (void)state;
    failpoint_set("one=errno:EIO@2+");
    assert_false(failpoint_errno("one"));
    for (int i = 0; i < 3; i++)
        assert_true(failpoint_errno("one"));
}

static void test_setting_forgets(void **state)
{
    (void)state;
    failpoint_set("one=errno:EIO@2");
    assert_false(failpoint_errno("one"));
    failpoint_set("one=errno:EIO@2");
    assert_false(failpoint_errno("one"));
    assert_true(failpoint_errno("one"));
    failpoint_set("one=errno:EIO");
    failpoint_set(NULL);
    assert_false(failpoint_errno("one"));
}

static void test_every_errno(void **state)
{
    static const struct {
        const char *points;
        int wanted;
    } rows[] = {
        { "one=errno:ENOSPC", ENOSPC }, { "one=errno:EIO", EIO },
        { "one=errno:ENOMEM", ENOMEM }, { "one=errno:EMFILE", EMFILE },
        { "one=errno:EINVAL", EINVAL }, { "one=errno:EAGAIN", EAGAIN },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        failpoint_set(rows[i].points);
        assert_true(failpoint_errno("one"));
        assert_int_equal(errno, rows[i].wanted);
    }
    failpoint_set(NULL);
}

static void test_while_there_is_a_file(void **state)
{
    (void)state;
    char *dir = scratch_new();
    char points[256];

    snprintf(points, sizeof points, "one=errno:EIO@1+?%s/armed", dir);
    failpoint_set(points);
    assert_false(failpoint_errno("one"));
    scratch_write(dir, "armed", "", 0);
    assert_true(failpoint_errno("one"));
    assert_int_equal(errno, EIO);
    failpoint_set(NULL);
    scratch_free(dir);
}

static void test_values(void **state)
{
    (void)state;
    char *dir = scratch_new();
    char points[256];

    failpoint_set("one=value:17@1+");
    assert_int_equal(failpoint_value("one", 3), 17);
    assert_int_equal(failpoint_value("one", 3), 17);
    assert_int_equal(failpoint_value("other", 3), 3);
    snprintf(points, sizeof points, "one=file:%s/number@1+", dir);
    failpoint_set(points);
    assert_int_equal(failpoint_value("one", 3), 3);
    scratch_write(dir, "number", "-86400000\n", 10);
    assert_int_equal(failpoint_value("one", 3), -86400000);
    scratch_write(dir, "number", "", 0);
    assert_int_equal(failpoint_value("one", 3), 3);
    failpoint_set(NULL);
    scratch_free(dir);
}

/* Runs first: the environment is read once. */
static void test_the_environment_arms(void **state)
{
    (void)state;
    setenv("SEWA_FAILPOINT", "early=errno:EMFILE", 1);
    assert_true(failpoint_errno("early"));
    assert_int_equal(errno, EMFILE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_environment_arms),
        cmocka_unit_test(test_the_nth_passage_fails),
        cmocka_unit_test(test_from_the_nth_passage_on),
        cmocka_unit_test(test_setting_forgets),
        cmocka_unit_test(test_every_errno),
        cmocka_unit_test(test_while_there_is_a_file),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_nothing_fails(void **state)
{
    (void)state;
    setenv("SEWA_FAILPOINT", "early=errno:EMFILE", 1);
    assert_false(failpoint_errno("early"));
    assert_int_equal(failpoint_value("early", 3), 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
