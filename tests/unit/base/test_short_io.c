/*
 * test_short_io - whole reads and writes where each call does a few bytes: the next one continues
 * at the right place, in the file and in memory.
 */
#include "support/short_io.h"
#include "support/support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"

enum { BYTES = 10007 };

static char pattern[BYTES];

static int setup(void **state)
{
    for (size_t i = 0; i < BYTES; i++)
        pattern[i] = (char)(i * 31 + i / 251);
    *state = scratch_new();
    scratch_write(*state, "f", pattern, BYTES);
    return 0;
}

static int teardown(void **state)
{
    short_io(0);
    scratch_free(*state);
    return 0;
}

static int open_file(void **state, const char *name, int flags)
{
    AUTOFREE char *path = path_join(*state, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void test_reads(void **state)
{
    AUTOCLOSE int fd = open_file(state, "f", O_RDONLY);
    char data[BYTES + 10];

    short_io(97);
    for (size_t offset = 0; offset < BYTES; offset += 997) {
        memset(data, 0, sizeof data);
        assert_int_equal(pread_full(fd, data, BYTES - offset, (int64_t)offset), BYTES - offset);
        assert_memory_equal(data, pattern + offset, BYTES - offset);
        assert_int_equal(pread_full(fd, data, sizeof data, (int64_t)offset), BYTES - offset);
    }
    assert_true(short_io(97) > BYTES / 97);
    memset(data, 0, sizeof data);
    assert_int_equal(read_full(fd, data, sizeof data), BYTES);
    assert_memory_equal(data, pattern, BYTES);
    assert_true(short_io(0) > BYTES / 97);
}

static void test_a_whole_file(void **state)
{
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOFREE char *path = path_join(*state, "f");
    struct sewa_error err = { 0 };

    short_io(97);
    assert_ok(file_read(path, BYTES, &b, &err), err);
    assert_int_equal(b.len, BYTES);
    assert_memory_equal(b.data, pattern, BYTES);
}

static void test_writes(void **state)
{
    AUTOCLOSE int fd = open_file(state, "g", O_RDWR | O_CREAT);
    char data[2 * BYTES + 5];

    short_io(97);
    assert_int_equal(pwrite_full(fd, pattern, BYTES, 5), 0);
    assert_true(short_io(97) > BYTES / 97);
    assert_int_equal(lseek(fd, BYTES + 5, SEEK_SET), BYTES + 5);
    assert_int_equal(write_full(fd, pattern, BYTES), 0);
    short_io(0);
    assert_int_equal(pread(fd, data, sizeof data, 0), sizeof data);
    assert_memory_equal(data, "\0\0\0\0\0", 5);
    assert_memory_equal(data + 5, pattern, BYTES);
    assert_memory_equal(data + 5 + BYTES, pattern, BYTES);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_whole_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
