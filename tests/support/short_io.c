/*
 * short_io - the linker sends our calls of read() and the like here (--wrap).
 */
#include "support/short_io.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_size_t most, calls;

size_t short_io(size_t new_most)
{
    atomic_store(&most, new_most);
    return atomic_exchange(&calls, 0);
}

/* How many of n bytes; false: the call is interrupted. */
static bool cut(size_t *n)
{
    size_t limit = atomic_load(&most), call = atomic_fetch_add(&calls, 1);

    if (limit == 0)
        return true;
    if (call % 3 == 2) {
        errno = EINTR;
        return false;
    }
    limit = 1 + call * 7 % limit;
    *n = *n < limit ? *n : limit;
    return true;
}

/* The first n bytes of what a vector says. Returns its length then. */
static int cut_vector(const struct iovec *from, int count, size_t n, struct iovec *to)
{
    int i = 0;

    for (; i < count && n > 0; i++) {
        to[i] = from[i];
        to[i].iov_len = to[i].iov_len < n ? to[i].iov_len : n;
        n -= to[i].iov_len;
    }
    return i;
}

static size_t sum(const struct iovec *vector, int count)
{
    size_t n = 0;

    for (int i = 0; i < count; i++)
        n += vector[i].iov_len;
    return n;
}

ssize_t __real_read(int fd, void *data, size_t n);
ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __real_pread(int fd, void *data, size_t n, off_t offset);
ssize_t __real_pwrite(int fd, const void *data, size_t n, off_t offset);
ssize_t __real_preadv(int fd, const struct iovec *vector, int count, off_t offset);
ssize_t __real_preadv2(int fd, const struct iovec *vector, int count, off_t offset, int flags);

ssize_t __wrap_read(int fd, void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_pread(int fd, void *data, size_t n, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t n, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *vector, int count, off_t offset);
ssize_t __wrap_preadv2(int fd, const struct iovec *vector, int count, off_t offset, int flags);

ssize_t __wrap_read(int fd, void *data, size_t n)
{
    return cut(&n) ? __real_read(fd, data, n) : -1;
}

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    return cut(&n) ? __real_write(fd, data, n) : -1;
}

ssize_t __wrap_pread(int fd, void *data, size_t n, off_t offset)
{
    return cut(&n) ? __real_pread(fd, data, n, offset) : -1;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t n, off_t offset)
{
    return cut(&n) ? __real_pwrite(fd, data, n, offset) : -1;
}

ssize_t __wrap_preadv(int fd, const struct iovec *vector, int count, off_t offset)
{
    return __wrap_preadv2(fd, vector, count, offset, 0);
}

ssize_t __wrap_preadv2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
    struct iovec shorter[IOV_MAX];
    size_t n = sum(vector, count);

    if (!cut(&n))
        return -1;
    count = cut_vector(vector, count, n, shorter);
    return flags ? __real_preadv2(fd, shorter, count, offset, flags)
                 : __real_preadv(fd, shorter, count, offset);
}
