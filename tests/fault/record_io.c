/*
 * record_io - preloaded into a program under test, it writes down in which order files are created,
 * written, synced and renamed. test_durable.py reads it and works out what a power cut would leave.
 *
 * IO_RECORD in the environment is the path of the record, to which all processes append one line
 * for each call: the program, what it did, and the paths, separated by tabs. A sync stands there
 * once it has succeeded, everything else before it is done.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int record_fd = -1;

__attribute__((constructor)) static void open_record(void)
{
    const char *path = getenv("IO_RECORD");

    if (path)
        record_fd = (int)syscall(SYS_openat, AT_FDCWD, path,
                                 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void say(const char *what, const char *path, const char *to)
{
    char line[3 * PATH_MAX];
    int error = errno;

    if (record_fd < 0 || path[0] != '/')
        return;
    int n = snprintf(line, sizeof line, "%s\t%s\t%s\t%s\n", program_invocation_short_name, what,
                     path, to ? to : "");
    if (n < 0 || n >= (int)sizeof line || syscall(SYS_write, record_fd, line, (size_t)n) != n)
        abort(); /* a record with a hole proves nothing */
    errno = error;
}

static const char *path_of(int fd, char ret[PATH_MAX])
{
    char link[64];
    int error = errno;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, ret, PATH_MAX - 1);
    ret[n < 0 ? 0 : n] = '\0';
    errno = error;
    return ret;
}

/* An absolute path of a name below a directory. */
static const char *path_at(int directory, const char *name, char ret[2 * PATH_MAX])
{
    char base[PATH_MAX];

    if (name[0] == '/')
        snprintf(ret, 2 * PATH_MAX, "%s", name);
    else if (directory == AT_FDCWD)
        snprintf(ret, 2 * PATH_MAX, "%s/%s", getcwd(base, sizeof base) ? base : "", name);
    else
        snprintf(ret, 2 * PATH_MAX, "%s/%s", path_of(directory, base), name);
    return ret;
}

/* The function that ours stands before. */
#define NEXT(name)                 \
    static __typeof__(&name) next; \
    if (!next)                     \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

static void creating(int directory, const char *name, int flags)
{
    char path[2 * PATH_MAX];

    if ((flags & O_CREAT) && faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        say("create", path_at(directory, name, path), NULL);
}

#define MODE_OF(flags)                 \
    unsigned mode = 0;                 \
    if ((flags)&O_CREAT) {             \
        va_list list;                  \
        va_start(list, flags);         \
        mode = va_arg(list, unsigned); \
        va_end(list);                  \
    }

int open(const char *name, int flags, ...)
{
    NEXT(open);
    MODE_OF(flags)
    creating(AT_FDCWD, name, flags);
    return next(name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
    NEXT(open64);
    MODE_OF(flags)
    creating(AT_FDCWD, name, flags);
    return next(name, flags, mode);
}

int openat(int directory, const char *name, int flags, ...)
{
    NEXT(openat);
    MODE_OF(flags)
    creating(directory, name, flags);
    return next(directory, name, flags, mode);
}

int mkdir(const char *name, mode_t mode)
{
    NEXT(mkdir);
    creating(AT_FDCWD, name, O_CREAT);
    return next(name, mode);
}

static void writing(int fd)
{
    char path[PATH_MAX];
    struct stat st;

    if (record_fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        say("write", path_of(fd, path), NULL);
}

ssize_t write(int fd, const void *data, size_t n)
{
    NEXT(write);
    writing(fd);
    return next(fd, data, n);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    NEXT(pwrite);
    writing(fd);
    return next(fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    NEXT(pwrite64);
    writing(fd);
    return next(fd, data, n, at);
}

static int synced(int fd, int rc)
{
    char path[PATH_MAX];

    if (rc == 0)
        say("sync", path_of(fd, path), NULL);
    return rc;
}

int fsync(int fd)
{
    NEXT(fsync);
    return synced(fd, next(fd));
}

int fdatasync(int fd)
{
    NEXT(fdatasync);
    return synced(fd, next(fd));
}

int rename(const char *from, const char *to)
{
    char a[2 * PATH_MAX], b[2 * PATH_MAX];

    NEXT(rename);
    say("rename", path_at(AT_FDCWD, from, a), path_at(AT_FDCWD, to, b));
    return next(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    char a[2 * PATH_MAX], b[2 * PATH_MAX];

    NEXT(renameat);
    say("rename", path_at(from_directory, from, a), path_at(to_directory, to, b));
    return next(from_directory, from, to_directory, to);
}
