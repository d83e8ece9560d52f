/*
 * outfile - the directory is held open, so that the file ends where it began.
 */
#include "engine/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"

struct outfile {
    int directory;
    int fd;
    bool exists; /* under its temporary name */
    char *shown; /* directory/name, for messages */
    char *name;
    char *temporary;
    int64_t bytes; /* written */
    struct sha256 *digest;
};

void outfile_close(struct outfile *o)
{
    if (!o)
        return;
    if (o->exists)
        unlinkat(o->directory, o->temporary, 0);
    cleanup_close(&o->fd);
    cleanup_close(&o->directory);
    sha256_free(o->digest);
    free(o->shown);
    free(o->name);
    free(o->temporary);
    free(o);
}

static struct outfile *output_new(const char *directory, const char *name)
{
    AUTOPTR(outfile_close) struct outfile *o = calloc(1, sizeof *o);

    if (!o)
        return NULL;
    o->directory = o->fd = -1;
    o->shown = path_join(directory, name);
    o->digest = sha256_new();
    if (asprintf(&o->name, "%s", name) < 0)
        o->name = NULL;
    if (asprintf(&o->temporary, ".%s.%d.tmp", name, (int)getpid()) < 0)
        o->temporary = NULL;
    return o->shown && o->digest && o->name && o->temporary ? TAKE(o) : NULL;
}

static int check_space(const struct outfile *o, const char *directory, int64_t bytes,
                       int64_t keep_free_bytes, struct sewa_error *err)
{
    int64_t available;
    int rc = disk_free(directory, &available, err);

    if (rc < 0)
        return rc;
    if (available - keep_free_bytes >= bytes)
        return 0;
    return sewa_fail(err, SEWA_E_NO_SPACE,
                     "'%s' needs %" PRId64 " bytes, the file system has %" PRId64
                     " bytes free, of which %" PRId64 " must stay free",
                     o->shown, bytes, available, keep_free_bytes);
}

/* Take the blocks now: a disk that fills up meanwhile then fails here and not in the middle. */
static int reserve(const struct outfile *o, int64_t bytes, struct sewa_error *err)
{
    if (!failpoint_errno("outfile_reserve") &&
        (bytes == 0 || fallocate(o->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0))
        return 0;
    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
        return 0; /* it was worth a try; writing will say what is wrong */
    return sewa_fail_errno(err, SEWA_E_NO_SPACE, "cannot reserve %" PRId64 " bytes for '%s'", bytes,
                           o->shown);
}

int outfile_create(const char *directory, const char *name, unsigned mode, int64_t bytes,
                   int64_t keep_free_bytes, struct outfile **ret, struct sewa_error *err)
{
    AUTOPTR(outfile_close) struct outfile *o = output_new(directory, name);

    if (!o)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to write '%s'", name);
    int rc = check_space(o, directory, bytes, keep_free_bytes, err);
    if (rc < 0)
        return rc;
    o->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (o->directory < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot open directory '%s'", directory);
    unlinkat(o->directory, o->temporary, 0); /* of a killed process that had our number */
    o->fd = failpoint_errno("outfile_create")
                ? -1
                : openat(o->directory, o->temporary,
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (o->fd < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot create '%s' in '%s'", o->temporary,
                               directory);
    o->exists = true;
    rc = reserve(o, bytes, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(o);
    return 0;
}

int outfile_write(struct outfile *o, const void *data, size_t n, struct sewa_error *err)
{
    if (write_full(o->fd, data, n) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot write '%s' at offset %" PRId64, o->shown,
                               o->bytes);
    /* Only a hint, without waiting: errors of writing to disk are what fsync() is for. */
    (void)sync_file_range(o->fd, (off_t)o->bytes, (off_t)n, SYNC_FILE_RANGE_WRITE);
    o->bytes += (int64_t)n;
    return 0;
}

void outfile_hash(struct outfile *o, const void *data, size_t n)
{
    sha256_update(o->digest, data, n);
}

int outfile_publish(struct outfile *o, uint8_t ret_sha256[SHA256_SIZE], struct sewa_error *err)
{
    if (failpoint_errno("outfile_sync") || fsync(o->fd) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot sync '%s'", o->shown);
    failpoint("outfile_before_rename");
    if (failpoint_errno("outfile_rename") ||
        renameat(o->directory, o->temporary, o->directory, o->name) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot rename '%s' to '%s'", o->temporary,
                               o->shown);
    o->exists = false;
    if (failpoint_errno("outfile_sync_directory") || fsync(o->directory) < 0) {
        int sys = errno; /* it may or may not survive a power cut: then it must not look finished */
        unlinkat(o->directory, o->name, 0);
        errno = sys;
        return sewa_fail_errno(err, SEWA_E_IO, "cannot sync the directory of '%s'", o->shown);
    }
    sha256_final(o->digest, ret_sha256);
    return 0;
}
