/*
 * beneath - openat2() where there is one.
 */
#include "base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { RACES_MAX = 16 };

/* Returns -1 with ENOSYS where the call does not exist. */
static int openat2_beneath(int directory, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    /* EAGAIN: somebody renamed a directory on the way, and ".." could not be judged. */
    for (int i = 0; i < RACES_MAX; i++) {
        long fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            return (int)fd;
    }
    return -1;
}

/* Relative, not empty, no ".." (which the kernel would follow within the directory), a last name.
 */
static bool is_plain(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || path[strlen(path) - 1] == '/')
        return false;
    for (const char *p = path; *p; p += strspn(p, "/")) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
        p += n;
    }
    return true;
}

/* The first component into name; where the rest begins, or NULL with errno. */
static const char *first_component(const char *path, char name[NAME_MAX + 1])
{
    size_t n = strcspn(path, "/");

    if (n > NAME_MAX) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    memcpy(name, path, n);
    name[n] = '\0';
    return path + n;
}

/* O_PATH|O_DIRECTORY says ENOTDIR of a symbolic link as well as of a file. */
static int open_directory(int at, const char *name)
{
    struct stat st;
    int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOTDIR && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
    return fd;
}

int open_beneath_walk(int directory, const char *path, int flags)
{
    AUTOCLOSE int held = -1;
    char name[NAME_MAX + 1];

    if (!is_plain(path)) {
        errno = EXDEV;
        return -1;
    }
    for (;;) {
        path = first_component(path, name);
        if (!path)
            return -1;
        int at = held >= 0 ? held : directory;
        if (*path == '\0')
            return openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC);
        int fd = open_directory(at, name);
        if (fd < 0)
            return -1;
        cleanup_close(&held);
        held = fd;
        path += strspn(path, "/");
    }
}

int open_beneath(int directory, const char *path, int flags)
{
    if (!is_plain(path)) {
        errno = EXDEV;
        return -1;
    }
    int fd = openat2_beneath(directory, path, flags);

    /* EPERM: sandboxes written before the call existed answer that to what they do not know. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return open_beneath_walk(directory, path, flags);
    return fd;
}
