/*
 * test_beneath - both ways of opening below a directory give the same answers.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/path.h"

typedef int (*open_fn)(int directory, const char *path, int flags);

static char long_name[300];

static const struct {
    const char *path;
    int wanted; /* errno, 0 when it opens */
} rows[] = {
    { "file", 0 },
    { "sub/file", 0 },
    { "sub/deeper/../file", EXDEV },
    { "sub/", EXDEV },
    { "..", EXDEV },
    { "..file", ENOENT },
    { "sub//file", 0 },
    { "./file", 0 },
    { "missing", ENOENT },
    { "sub/missing/file", ENOENT },
    { "file/below", ENOTDIR },
    { "link", ELOOP },
    { "linked/file", ELOOP },
    { "out", ELOOP },
    { "../outside", EXDEV },
    { "/etc/passwd", EXDEV },
    { "", EXDEV },
    { long_name, ENAMETOOLONG },
};

static void check(open_fn open_it, int directory, size_t row)
{
    AUTOCLOSE int fd = open_it(directory, rows[row].path, O_RDONLY);

    if ((fd >= 0 ? 0 : errno) != rows[row].wanted)
        fail_msg("'%s': %s", rows[row].path, fd >= 0 ? "opened" : strerror(errno));
    if (fd >= 0)
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void make_link(const char *directory, const char *name, const char *target)
{
    AUTOFREE char *path = path_join(directory, name);

    assert_int_equal(symlink(target, path), 0);
}

static void test_both_ways(void **state)
{
    char *scratch = scratch_new();
    AUTOFREE char *top = path_join(scratch, "top");
    AUTOFREE char *deeper = path_join(top, "sub/deeper");
    AUTOFREE char *sub = path_join(top, "sub");
    struct sewa_error err = { 0 };

    (void)state;
    memset(long_name, 'x', sizeof long_name - 1);
    assert_ok(directory_make(deeper, 0755, &err), err);
    scratch_write(scratch, "outside", "x", 1);
    scratch_write(top, "file", "x", 1);
    scratch_write(sub, "file", "x", 1);
    make_link(top, "link", "file");
    make_link(top, "linked", "sub");
    make_link(top, "out", "../outside");
    AUTOCLOSE int directory = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check(open_beneath, directory, i);
        check(open_beneath_walk, directory, i);
    }
    scratch_free(scratch);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
