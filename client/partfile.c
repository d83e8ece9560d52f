/*
 * partfile - the hidden file that a download grows in.
 */
#include "partfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "sewa/client.h"
#include "text.h"

enum { PIECE = 256 * 1024 };

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a download");
}

/* "dir/model.safetensors" -> "dir/.model.safetensors.0123456789abcdef.part" */
static char *hidden_name(const char *target, const char *sha256)
{
    struct text t = { 0 };
    const char *slash = strrchr(target, '/');
    const char *base = slash ? slash + 1 : target;

    sewa_text_append(&t, target, (size_t)(base - target));
    sewa_text_printf(&t, ".%.200s.%.16s.part", base, sha256);
    return sewa_text_take(&t);
}

static int check_target(const char *target, struct sewa_error *err)
{
    struct stat st;
    size_t n = strlen(target);

    if (n == 0 || target[n - 1] == '/' || (stat(target, &st) == 0 && S_ISDIR(st.st_mode)))
        return sewa_fail(err, SEWA_E_INVALID, "'%s' is a folder, not the name of a file", target);
    return 0;
}

/* 1: the file behind fd still has its name; it may have been put in place while we waited. */
static int is_named(const struct partfile *p, struct sewa_error *err)
{
    struct stat open_file, named;

    if (fstat(p->fd, &open_file) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s'", p->path);
    return stat(p->path, &named) == 0 && named.st_ino == open_file.st_ino &&
           named.st_dev == open_file.st_dev;
}

/* 0: try again */
static int open_locked(struct partfile *p, struct sewa_error *err)
{
    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (p->fd < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot write '%s'", p->path);
    if (flock(p->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return sewa_fail(err, SEWA_E_LOCKED, "another process is fetching '%s'", p->target);
    int rc = is_named(p, err);
    if (rc == 0) {
        close(p->fd);
        p->fd = -1;
    }
    return rc;
}

/* Hash all of a file; how many bytes it has in *ret. */
static int hash_file(int fd, const char *path, struct sha256 *sha, int64_t *ret,
                     struct sewa_error *err)
{
    AUTOFREE char *piece = malloc(PIECE);
    int rc = piece ? sewa_sha256_begin(sha, err) : no_memory(err);
    int64_t at = 0;

    while (rc == 0) {
        ssize_t n = pread(fd, piece, PIECE, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", path);
        if (n == 0)
            break;
        rc = sewa_sha256_add(sha, piece, (size_t)n, err);
        at += n;
    }
    *ret = at;
    return rc;
}

int sewa_partfile_open(struct partfile *p, const char *target, const char *sha256, int64_t size,
                       struct sewa_error *err)
{
    int rc = check_target(target, err);

    *p = (struct partfile){ .fd = -1 };
    if (rc < 0)
        return rc;
    p->target = strdup(target);
    p->path = hidden_name(target, sha256);
    if (!p->target || !p->path)
        return no_memory(err);
    for (int tries = 0; rc == 0 && tries < 100; tries++)
        rc = open_locked(p, err);
    if (rc == 0)
        rc = sewa_fail(err, SEWA_E_LOCKED, "another process is fetching '%s'", target);
    if (rc > 0)
        rc = hash_file(p->fd, p->path, &p->sha, &p->size, err);
    if (rc == 0 && p->size > size)
        rc = sewa_partfile_restart(p, err);
    return rc;
}

int sewa_partfile_stream(struct partfile *p, struct sewa_sink *sink, struct sewa_error *err)
{
    *p = (struct partfile){ .fd = -1, .sink = sink };
    return sewa_sha256_begin(&p->sha, err);
}

int sewa_partfile_add(struct partfile *p, const void *data, size_t n, struct sewa_error *err)
{
    int rc = sewa_sha256_add(&p->sha, data, n, err);

    if (rc == 0 && p->sink) {
        p->size += (int64_t)n;
        return p->sink->write(p->sink, data, n, err);
    }
    for (size_t done = 0; rc == 0 && done < n;) {
        ssize_t w = pwrite(p->fd, (const char *)data + done, n - done, (off_t)p->size);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot write '%s'", p->path);
        done += (size_t)w;
        p->size += w;
    }
    return rc;
}

int sewa_partfile_restart(struct partfile *p, struct sewa_error *err)
{
    if (p->sink && p->size > 0)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "the file must be sent again from its beginning, and %lld bytes have been "
                         "handed on already",
                         (long long)p->size);
    p->size = 0;
    if (!p->sink && ftruncate(p->fd, 0) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot empty '%s'", p->path);
    return sewa_sha256_begin(&p->sha, err);
}

/* Without this a power cut could take the new name back. */
static int sync_folder(const char *target, struct sewa_error *err)
{
    const char *slash = strrchr(target, '/');
    AUTOFREE char *folder = slash ? strndup(target, (size_t)(slash - target) + 1) : strdup(".");

    if (!folder)
        return no_memory(err);
    AUTOCLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL)) /* some file systems have no such thing */
        return sewa_fail_errno(err, SEWA_E_IO, "cannot sync '%s'", folder);
    return 0;
}

int sewa_partfile_publish(struct partfile *p, struct sewa_error *err)
{
    if (fsync(p->fd) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot sync '%s'", p->path);
    if (rename(p->path, p->target) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot rename '%s' to '%s'", p->path, p->target);
    return sync_folder(p->target, err);
}

void sewa_partfile_remove(struct partfile *p)
{
    if (p->fd >= 0)
        unlink(p->path);
}

void sewa_partfile_close(struct partfile *p)
{
    if (p->fd >= 0)
        close(p->fd); /* and with it the lock */
    free(p->path);
    free(p->target);
    sewa_sha256_clear(&p->sha);
    *p = (struct partfile){ .fd = -1 };
}

int sewa_file_matches(const char *path, const char *sha256, int64_t size, struct sewa_error *err)
{
    AUTO(sewa_sha256_clear) struct sha256 sha = { 0 };
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char found[SHA256_HEX_SIZE];
    struct stat st;
    int64_t n;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != size)
        return 0;
    int rc = hash_file(fd, path, &sha, &n, err);
    if (rc == 0)
        rc = sewa_sha256_end(&sha, found, err);
    return rc < 0 ? rc : strcmp(found, sha256) == 0;
}
