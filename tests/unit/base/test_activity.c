/*
 * test_activity - reading and writing move the number, nothing else does.
 */
#include "support/support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/activity.h"
#include "base/fdio.h"
#include "base/path.h"

static void test_begins_idle_and_has_names(void **state)
{
    (void)state;
    assert_int_equal(activity_current(), ACTIVITY_IDLE);
    for (int a = 0; a < ACTIVITIES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(activity_names[a], activity_names[b]);
    assert_null(activity_names[ACTIVITIES]);
}

static void test_a_beginning_moves(void **state)
{
    int64_t before = activity_progress();

    (void)state;
    activity_begin(ACTIVITY_MIX);
    assert_int_equal(activity_current(), ACTIVITY_MIX);
    assert_int_equal(activity_progress(), before + 1);
    activity_begin(ACTIVITY_IDLE);
}

static void test_reads_and_writes_move(void **state)
{
    AUTOFREE char *directory = scratch_new();
    AUTOFREE char *path = path_join(directory, "x");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int64_t at = activity_progress();
    char c[8];

    (void)state;
    assert_int_equal(pwrite_full(fd, "abcd", 4, 0), 0);
    assert_int_equal(activity_progress(), at + 1);
    assert_int_equal(write_full(fd, "abcd", 4), 0);
    assert_int_equal(activity_progress(), at + 2);
    assert_int_equal(pread_full(fd, c, 4, 0), 4);
    assert_int_equal(activity_progress(), at + 3);
    assert_int_equal(pread_full(fd, c, 4, 4), 0); /* the end is no progress */
    assert_int_equal(activity_progress(), at + 3);
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(read_full(fd, c, 4), 4);
    assert_int_equal(activity_progress(), at + 4);
    close(fd);
    scratch_free(TAKE(directory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_idle_and_has_names),
        cmocka_unit_test(test_a_beginning_moves),
        cmocka_unit_test(test_reads_and_writes_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
