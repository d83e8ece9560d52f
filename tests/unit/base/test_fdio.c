/*
 * test_fdio - publishing, reading and removing files, on a real directory.
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"

static int setup(void **state)
{
    *state = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static void test_publish_and_read(void **state)
{
    struct sewa_error err = { 0 };
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOFREE char *path = path_join(*state, "x.json");
    struct stat st;

    assert_ok(file_publish(*state, "x.json", 0640, "one", 3, &err), err);
    assert_ok(file_publish(*state, "x.json", 0640, "second", 6, &err), err);
    assert_ok(file_read(path, 100, &b, &err), err);
    assert_string_equal(buf_cstr(&b), "second");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_failed(file_read(path, 5, &b, &err), err, SEWA_E_TOO_LARGE, "5");
    assert_int_equal(rmdir(*state), -1); /* one file and no temporary one: */
    unlink(path);
    assert_int_equal(rmdir(*state), 0);
    mkdir(*state, 0700);
}

static void test_replace(void **state)
{
    struct sewa_error err = { 0 };
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOFREE char *path = path_join(*state, "x.json");

    assert_ok(file_replace(*state, "x.json", 0600, "one", 3, &err), err);
    assert_ok(file_replace(*state, "x.json", 0600, "two", 3, &err), err);
    assert_ok(file_read(path, 100, &b, &err), err);
    assert_string_equal(buf_cstr(&b), "two");
    unlink(path);
    assert_int_equal(rmdir(*state), 0); /* and no temporary one */
    assert_failed(file_replace(*state, "x", 0600, "", 0, &err), err, SEWA_E_IO, *state);
    mkdir(*state, 0700);
}

static void test_failures_name_the_file(void **state)
{
    struct sewa_error err = { 0 };
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOFREE char *missing = path_join(*state, "missing");

    assert_failed(file_read(missing, 5, &b, &err), err, SEWA_E_NOT_FOUND, "missing");
    assert_failed(file_read(*state, 5, &b, &err), err, SEWA_E_IO, "cannot read");
    assert_failed(file_publish(missing, "x", 0600, "", 0, &err), err, SEWA_E_IO, "missing");
    scratch_write(*state, "plain", "x", 1);
    AUTOFREE char *below = path_join(*state, "plain/below");
    assert_failed(directory_make(below, 0700, &err), err, SEWA_E_IO, "plain");
    int64_t bytes;
    assert_failed(disk_free(missing, &bytes, &err), err, SEWA_E_IO, "missing");
    assert_ok(disk_free(*state, &bytes, &err), err);
    assert_true(bytes > 0);
}

static void test_tree_remove_stays_inside(void **state)
{
    struct sewa_error err = { 0 };
    AUTOFREE char *tree = path_join(*state, "a/b/c");
    AUTOFREE char *top = path_join(*state, "a");
    AUTOFREE char *outside = path_join(*state, "outside");
    AUTOFREE char *link = path_join(*state, "a/b/link");
    AUTOFREE char *kept = path_join(outside, "kept");

    assert_ok(directory_make(tree, 0755, &err), err);
    assert_ok(directory_make(outside, 0755, &err), err);
    scratch_write(tree, "f", "x", 1);
    scratch_write(outside, "kept", "x", 1);
    assert_int_equal(symlink(outside, link), 0);
    assert_ok(tree_remove(top, &err), err);
    assert_int_equal(access(top, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0);
    assert_ok(tree_remove(top, &err), err); /* nothing there is fine */
}

static void test_full_reads(void **state)
{
    AUTOFREE char *path = path_join(*state, "f");
    char data[8] = { 0 };

    scratch_write(*state, "f", "0123456789", 10);
    AUTOCLOSE int fd = open(path, O_RDWR);
    assert_int_equal(pread_full(fd, data, 4, 3), 4);
    assert_memory_equal(data, "3456", 4);
    assert_int_equal(pread_full(fd, data, 8, 7), 3);
    assert_int_equal(pread_full(fd, data, 8, 70), 0);
    assert_int_equal(pwrite_full(fd, "ab", 2, 0), 0);
    assert_int_equal(read_full(fd, data, 4), 4);
    assert_memory_equal(data, "ab23", 4);
    assert_int_equal(pread_full(-1, data, 4, 0), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_publish_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_name_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tree_remove_stays_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_reads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
