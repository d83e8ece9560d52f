/*
 * files - files with a structure, and the look into them.
 */
#include "support/support.h"

#include "files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fdio.h"

enum { HEADER_BYTES = 32, FILE_BYTES_MAX = 1 << 20 };

/* Nothing here allocates: tests let allocations fail while files change. */
struct path {
    char text[4096];
};

static struct path join(const char *directory, const char *name)
{
    struct path p;

    snprintf(p.text, sizeof p.text, "%s/%s", directory, name);
    return p;
}

static void fill_header(char header[HEADER_BYTES], size_t n, char fill)
{
    memset(header, fill, HEADER_BYTES);
    char digits[32];
    snprintf(digits, sizeof digits, "%08zu", n);
    memcpy(header, digits, 8);
}

static void write_bytes(const char *directory, const char *name, size_t n, size_t have, char fill)
{
    struct path path = join(directory, name);
    static char data[FILE_BYTES_MAX];

    assert_true(n >= HEADER_BYTES && n <= sizeof data);
    memset(data, fill, n);
    fill_header(data, n, fill);
    AUTOCLOSE int fd = open(path.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_full(fd, data, have), 0);
}

void write_whole(const char *directory, const char *name, size_t n, char fill)
{
    write_bytes(directory, name, n, n, fill);
}

void write_part(const char *directory, const char *name, size_t n, size_t have)
{
    write_bytes(directory, name, n, have, 'p');
}

void set_mtime(const char *directory, const char *name, int64_t mtime_ns)
{
    struct path path = join(directory, name);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                 { .tv_sec = mtime_ns / 1000000000,
                                   .tv_nsec = mtime_ns % 1000000000 } };

    assert_int_equal(utimensat(AT_FDCWD, path.text, times, 0), 0);
}

struct look look_at(const char *directory, const char *name)
{
    struct path path = join(directory, name);
    struct stat st;

    assert_int_equal(lstat(path.text, &st), 0);
    return (struct look){ .size = st.st_size,
                          .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                          .inode = st.st_ino };
}

void move(const char *directory, const char *from, const char *to)
{
    struct path a = join(directory, from);
    struct path b = join(directory, to);

    assert_int_equal(rename(a.text, b.text), 0);
}

void remove_file(const char *directory, const char *name)
{
    struct path path = join(directory, name);

    assert_int_equal(remove(path.text), 0);
}

void make_directory(const char *directory, const char *name)
{
    struct path path = join(directory, name);

    assert_int_equal(mkdir(path.text, 0755), 0);
}

void make_symlink(const char *directory, const char *target, const char *name)
{
    struct path path = join(directory, name);

    assert_int_equal(symlink(target, path.text), 0);
}

void make_link(const char *directory, const char *from, const char *to)
{
    struct path a = join(directory, from);
    struct path b = join(directory, to);

    assert_int_equal(link(a.text, b.text), 0);
}

static void free_inspection(struct inspection *i)
{
    free(i);
}

int inspect_whole(const struct target_spec *spec, const char *name, int fd, const struct look *look,
                  struct inspection **ret, struct sewa_error *err)
{
    char header[HEADER_BYTES + 1] = "";
    ssize_t n = pread_full(fd, header, HEADER_BYTES, 0);

    (void)spec;
    if (n < HEADER_BYTES)
        return sewa_fail(err, SEWA_E_INCOMPLETE, "'%s' has no header yet", name);
    if (strncmp(header, "EIO", 3) == 0)
        return sewa_fail(err, SEWA_E_IO, "cannot read '%s': the test says so", name);
    long long wanted = strtoll(strndupa(header, 8), NULL, 10);
    if (wanted != look->size)
        return sewa_fail(err, SEWA_E_INCOMPLETE, "'%s' has %lld of %lld bytes", name,
                         (long long)look->size, wanted);
    *ret = calloc(1, sizeof **ret);
    if (!*ret)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for '%s'", name);
    (*ret)->free = free_inspection;
    (*ret)->has_digest = true;
    sha256_of(header, HEADER_BYTES, (*ret)->header_digest);
    return 0;
}

void header_of(size_t n, char fill, uint8_t ret[32])
{
    char header[HEADER_BYTES];

    fill_header(header, n, fill);
    sha256_of(header, HEADER_BYTES, ret);
}
