/*
 * fdio - whole reads and writes, publishing, and what one asks a directory or a file system.
 */
#include "base/fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "base/activity.h"
#include "base/failpoint.h"
#include "base/path.h"

ssize_t pread_full(int fd, void *data, size_t n, int64_t offset)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = pread(fd, (char *)data + done, n - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
        activity_moved();
    }
    return (ssize_t)done;
}

ssize_t read_full(int fd, void *data, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, (char *)data + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
        activity_moved();
    }
    return (ssize_t)done;
}

int write_full(int fd, const void *data, size_t n)
{
    size_t done = 0;

    if (failpoint_errno("fdio_write"))
        return -1;
    while (done < n) {
        ssize_t put = write(fd, (const char *)data + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        done += (size_t)put;
        activity_moved();
    }
    return 0;
}

int pwrite_full(int fd, const void *data, size_t n, int64_t offset)
{
    size_t done = 0;

    if (failpoint_errno("fdio_write"))
        return -1;
    while (done < n) {
        ssize_t put =
            pwrite(fd, (const char *)data + done, n - done, (off_t)(offset + (int64_t)done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        done += (size_t)put;
        activity_moved();
    }
    return 0;
}

int file_read(const char *path, size_t max, struct buf *ret, struct sewa_error *err)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO(buf_clear) struct buf b = { 0 };

    if (fd < 0)
        return sewa_fail_errno(err, errno == ENOENT ? SEWA_E_NOT_FOUND : SEWA_E_IO,
                               "cannot open '%s'", path);
    for (;;) {
        void *at = buf_reserve(&b, 65536);
        if (!at)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", path);
        ssize_t n = read_full(fd, at, 65536);
        if (n < 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", path);
        buf_advance(&b, (size_t)n);
        if (b.len > max)
            return sewa_fail(err, SEWA_E_TOO_LARGE, "'%s' has more than %zu bytes", path, max);
        if (n < 65536)
            break;
    }
    buf_clear(ret);
    *ret = b;
    memset(&b, 0, sizeof b);
    return 0;
}

int directory_sync(const char *path, struct sewa_error *err)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || failpoint_errno("fdio_fsync_directory") || fsync(fd) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot sync directory '%s'", path);
    return 0;
}

enum durability { DURABLE, ATOMIC_ONLY };

static int write_and_rename(const char *temporary, const char *final, unsigned mode,
                            const void *data, size_t n, enum durability durability,
                            struct sewa_error *err)
{
    AUTOCLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot create '%s'", temporary);
    if (write_full(fd, data, n) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot write '%s'", temporary);
    if (durability == DURABLE && (failpoint_errno("fdio_fsync") || fsync(fd) < 0))
        return sewa_fail_errno(err, SEWA_E_IO, "cannot sync '%s'", temporary);
    if (failpoint_errno("fdio_rename") || rename(temporary, final) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot rename '%s' to '%s'", temporary, final);
    return 0;
}

static int put_file(const char *directory, const char *name, unsigned mode, const void *data,
                    size_t n, enum durability durability, struct sewa_error *err)
{
    AUTOFREE char *final = path_join(directory, name);
    AUTOFREE char *temporary = NULL;

    if (!final || asprintf(&temporary, "%s/.%s.%d.tmp", directory, name, (int)getpid()) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to write '%s'", name);
    unlink(temporary); /* a leftover of a killed process that had our number */
    int rc = write_and_rename(temporary, final, mode, data, n, durability, err);
    if (rc < 0) {
        unlink(temporary);
        return rc;
    }
    return durability == DURABLE ? directory_sync(directory, err) : 0;
}

int file_publish(const char *directory, const char *name, unsigned mode, const void *data, size_t n,
                 struct sewa_error *err)
{
    return put_file(directory, name, mode, data, n, DURABLE, err);
}

int file_replace(const char *directory, const char *name, unsigned mode, const void *data, size_t n,
                 struct sewa_error *err)
{
    return put_file(directory, name, mode, data, n, ATOMIC_ONLY, err);
}

int directory_make(const char *path, unsigned mode, struct sewa_error *err)
{
    AUTOFREE char *copy = strdup(path);

    if (!copy)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for '%s'", path);
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot create directory '%s'", copy);
        *p = was;
        if (was == '\0')
            break;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return sewa_fail(err, SEWA_E_IO, "'%s' exists and is not a directory", path);
    return 0;
}

static int remove_at(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (depth == 0) {
        errno = ELOOP;
        return -1;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return -1;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = remove_at(dirfd(d), e->d_name, depth - 1);
    int saved = errno;
    closedir(d);
    errno = saved;
    return rc < 0 ? rc : unlinkat(parent, name, AT_REMOVEDIR);
}

int tree_remove(const char *path, struct sewa_error *err)
{
    if (remove_at(AT_FDCWD, path, 64) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot remove '%s'", path);
    return 0;
}

int disk_free(const char *path, int64_t *ret_bytes, struct sewa_error *err)
{
    struct statvfs v;

    if (statvfs(path, &v) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot ask for the free space of '%s'", path);
    *ret_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
    return 0;
}

bool is_network_path(const char *path)
{
    static const unsigned long network[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFF534D42, /* CIFS */
        0xFE534D42, /* SMB2 */
        0x0BD00BD0, /* Lustre */
        0x47504653, /* GPFS */
        0x00C36400, /* Ceph */
        0x5346414F, /* AFS */
        0x73757245, /* Coda */
        0x19830326, /* BeeGFS */
        0x01021997, /* 9p */
        0x7461636F, /* OCFS2 */
        0x01161970, /* GFS2 */
    };
    struct statfs s;

    if (statfs(path, &s) < 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(network); i++)
        if (((unsigned long)s.f_type & 0xffffffffUL) == network[i])
            return true;
    return false;
}
