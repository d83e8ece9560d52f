/*
 * members - a look at the files of a directory that is one checkpoint.
 */
#include "watch/members.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "watch/target_body.h"

static void closedir_auto(DIR **d)
{
    if (*d)
        closedir(*d);
}

static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* The order of a listing says nothing, so numbers of members are added. */
static void add(struct look *sum, const char *name, const struct look *one)
{
    uint64_t h = fnv(0xcbf29ce484222325u, name, strlen(name) + 1);

    h = fnv(h, &one->size, sizeof one->size);
    h = fnv(h, &one->mtime_ns, sizeof one->mtime_ns);
    sum->inode += (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    sum->size += one->size;
    if (one->mtime_ns > sum->mtime_ns)
        sum->mtime_ns = one->mtime_ns;
}

/* 1 a member, 0 none, or a failure. What has vanished since it was listed is none. */
static int look_at_one(int fd, const char *name, struct look *ret, struct sewa_error *err)
{
    unsigned mode, links;

    if (listing_stat(fd, name, AT_STATX_FORCE_SYNC, ret, &mode, &links) == 0)
        return S_ISREG(mode);
    if (errno == ENOENT)
        return 0;
    sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s' in it", name);
    return SEWA_E_IO;
}

int members_look(const struct target_rules *rules, const struct target_spec *spec, int fd,
                 struct look *ret, struct sewa_error *err)
{
    AUTOCLOSE int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* its own position */
    AUTO(closedir_auto) DIR *d = own < 0 ? NULL : fdopendir(own);
    struct look sum = { .mtime_ns = INT64_MIN, .is_directory = true }, one = { 0 };
    size_t members = 0;

    if (!d)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot list the directory");
    own = -1; /* d's now */
    for (size_t entries = 0;; entries++) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno != 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot list the directory");
        if (!e)
            break;
        if (entries >= MEMBERS_MAX)
            return sewa_fail(err, SEWA_E_UNSUPPORTED, "the directory has more than %d entries",
                             MEMBERS_MAX);
        if (!rules->is_member(spec, e->d_name))
            continue;
        int rc = look_at_one(fd, e->d_name, &one, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        add(&sum, e->d_name, &one);
        members++;
    }
    sum.inode = sum.inode ? sum.inode : 1;
    if (members > 0)
        *ret = sum;
    return members > 0;
}

int members_look_at(const struct target_rules *rules, const struct target_spec *spec, int parent_fd,
                    const char *name, struct look *ret, struct sewa_error *err)
{
    AUTOCLOSE int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0;
    if (fd < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot open '%s'", name);
    int rc = members_look(rules, spec, fd, ret, err);
    return rc < 0 ? sewa_context(err, rc, "'%s'", name) : rc;
}
