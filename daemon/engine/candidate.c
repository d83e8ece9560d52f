/*
 * candidate - a network file system can change a file under an open descriptor, and a trainer can
 * put another one in its place: so the proof is made on a name that is opened anew each time.
 */
#include "engine/candidate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/beneath.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "formats/checkpoint.h"

char *candidate_name(const struct candidate *c)
{
    char *name = NULL;
    int n = c->step < 0 ? asprintf(&name, "checkpoint '%s'", c->id)
                        : asprintf(&name, "checkpoint '%s' (step %" PRId64 ")", c->id, c->step);

    return n < 0 ? NULL : name;
}

/* The path as text for messages; heap. A file name may be any bytes. */
static char *shown_path(const struct candidate *c)
{
    AUTOFREE char *path = path_join(c->directory, c->file);

    return path ? path_to_text(path) : NULL;
}

static int no_memory(const struct candidate *c, struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to look at checkpoint '%s'", c->id);
}

/* By errno: is it gone, is something else in its place, or can it not be said? */
static int open_failed(const char *path, struct sewa_error *err)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR: return sewa_fail_errno(err, SEWA_E_GONE, "cannot open '%s'", path);
    case ELOOP:
        return sewa_fail(err, SEWA_E_CHANGED,
                         "'%s' is not the file that was indexed: there is a symbolic link now",
                         path);
    case EXDEV:
        return sewa_fail(err, SEWA_E_INVALID, "'%s' does not lie below the directory of its run",
                         path);
    default: return sewa_fail_errno(err, SEWA_E_IO, "cannot open '%s'", path);
    }
}

static int open_file(const struct candidate *c, const char *path, int *ret, struct sewa_error *err)
{
    AUTOCLOSE int directory = open(c->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0)
        return open_failed(path, err);
    /* O_NONBLOCK: somebody may have put a pipe there, which would hang the open */
    int fd = failpoint_errno("candidate_open")
                 ? -1
                 : open_beneath(directory, c->file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return open_failed(path, err);
    *ret = fd;
    return 0;
}

/* *ret_is_directory tells which of the two it is. Of a directory the header digest says all. */
static int check_stat(const struct candidate *c, int fd, const char *path, bool *ret_is_directory,
                      struct sewa_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s'", path);
    *ret_is_directory = S_ISDIR(st.st_mode);
    if (S_ISDIR(st.st_mode))
        return 0;
    if (!S_ISREG(st.st_mode))
        return sewa_fail(err, SEWA_E_CHANGED, "'%s' is no regular file any more", path);
    if (st.st_size != c->bytes)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "'%s' has %" PRId64 " bytes, %" PRId64 " when it was indexed", path,
                         (int64_t)st.st_size, c->bytes);
    int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (mtime_ns != c->mtime_ns)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "'%s' was modified at %" PRId64 " ns, at %" PRId64
                         " ns when it was indexed",
                         path, mtime_ns, c->mtime_ns);
    return 0;
}

/* A header that parsed when it was indexed and does not parse now is another header. */
static int header_failed(int rc, const char *path, struct sewa_error *err)
{
    if (rc != SEWA_E_CORRUPT && rc != SEWA_E_INCOMPLETE && rc != SEWA_E_UNSUPPORTED)
        return rc;
    if (err)
        err->code = SEWA_E_CHANGED;
    return sewa_context(err, SEWA_E_CHANGED, "'%s' is not the file that was indexed", path);
}

static int check_header(const struct candidate *c, int fd, const char *path, bool is_directory,
                        struct layout **ret, struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    char want[SHA256_HEX_SIZE], got[SHA256_HEX_SIZE];
    const struct checkpoint_options options = { .state_key = c->state_key };
    int rc = is_directory ? checkpoint_read_directory(fd, path, &options, &l, err)
                          : checkpoint_read_file(fd, path, c->bytes, &options, &l, err);

    if (rc < 0)
        return header_failed(rc, path, err);
    if (memcmp(l->header_digest, c->header_digest, sizeof c->header_digest) != 0)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "the header of '%s' has the SHA-256 %s, %s when it was indexed", path,
                         hex_encode(l->header_digest, SHA256_SIZE, got),
                         hex_encode(c->header_digest, SHA256_SIZE, want));
    *ret = TAKE(l);
    return 0;
}

/* One file of a directory whose layout was proven; it must still be the file whose header was read.
 */
static int open_shard(int directory, const char *path, const struct layout_file *file, int *ret,
                      struct sewa_error *err)
{
    AUTOFREE char *shown = path_to_text(file->name);
    AUTOFREE char *whole = shown ? path_join(path, shown) : NULL;
    struct stat st;

    if (!whole)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to open a file of '%s'", path);
    AUTOCLOSE int fd = open_beneath(directory, file->name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return open_failed(whole, err);
    if (fstat(fd, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s'", whole);
    if (!S_ISREG(st.st_mode) || st.st_size != file->bytes ||
        (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec != file->mtime_ns)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "'%s' was replaced after its header was read: it has %" PRId64
                         " bytes, it had %" PRId64,
                         whole, (int64_t)st.st_size, file->bytes);
    *ret = take_fd(&fd);
    return 0;
}

static int open_shards(int directory, const char *path, const struct layout *l, struct shards *ret,
                       struct sewa_error *err)
{
    int rc = shards_new(l->file_count, ret, err);

    for (size_t i = 0; rc == 0 && i < l->file_count; i++) {
        AUTOCLOSE int fd = -1;
        rc = open_shard(directory, path, &l->files[i], &fd, err);
        if (rc == 0)
            rc = shards_set(ret, i, &fd, l->files[i].name, l->files[i].bytes, err);
    }
    return rc;
}

static int open_proven(const struct candidate *c, const char *path, struct shards *ret_shards,
                       struct layout **ret, struct sewa_error *err)
{
    AUTOCLOSE int fd = -1;
    bool is_directory = false;
    int rc = open_file(c, path, &fd, err);

    if (rc == 0)
        rc = check_stat(c, fd, path, &is_directory, err);
    if (rc == 0)
        rc = check_header(c, fd, path, is_directory, ret, err);
    if (rc < 0 || !ret_shards)
        return rc;
    if (is_directory)
        return open_shards(fd, path, *ret, ret_shards, err);
    rc = shards_new(1, ret_shards, err);
    return rc < 0 ? rc : shards_set(ret_shards, 0, &fd, NULL, c->bytes, err);
}

int candidate_open(const struct candidate *c, struct shards *ret_shards, struct layout **ret,
                   struct sewa_error *err)
{
    AUTOFREE char *path = shown_path(c);
    AUTOPTR(layout_free) struct layout *l = NULL;

    if (!path)
        return no_memory(c, err);
    int rc = open_proven(c, path, ret_shards, &l, err);
    if (rc < 0)
        return sewa_context(err, rc, "checkpoint '%s'", c->id);
    if (ret)
        *ret = TAKE(l);
    return 0;
}

int candidate_verify(const struct candidate *c, struct sewa_error *err)
{
    return candidate_open(c, NULL, NULL, err);
}

/* Of the file, or of a shard in a directory; heap. */
static char *shown_shard(const struct candidate *c, const struct shard *shard)
{
    AUTOFREE char *path = shown_path(c);
    AUTOFREE char *name = shard->name ? path_to_text(shard->name) : NULL;

    if (!path || !shard->name)
        return TAKE(path);
    return name ? path_join(path, name) : NULL;
}

int candidate_read_failed(const struct candidate *c, const struct shard *shard, int64_t offset,
                          struct sewa_error *err)
{
    int sys = errno;
    AUTOFREE char *path = shown_shard(c, shard);

    errno = sys;
    return sewa_fail_errno(err, SEWA_E_IO, "checkpoint '%s': cannot read '%s' at offset %" PRId64,
                           c->id, path ? path : c->id, offset);
}

int candidate_cut_short(const struct candidate *c, const struct shard *shard, int64_t offset,
                        struct sewa_error *err)
{
    AUTOFREE char *path = shown_shard(c, shard);

    return sewa_fail(err, SEWA_E_CHANGED,
                     "checkpoint '%s': '%s' ends at offset %" PRId64 ", it had %" PRId64
                     " bytes when it was indexed",
                     c->id, path ? path : c->id, offset, shard->bytes);
}

int candidate_damaged(const struct candidate *c, const struct shard *shard,
                      const struct layout_storage *storage, uint32_t crc32, struct sewa_error *err)
{
    AUTOFREE char *path = shown_shard(c, shard);

    return sewa_fail(err, SEWA_E_CORRUPT,
                     "checkpoint '%s': the %" PRId64 " bytes at offset %" PRId64
                     " of '%s' have the checksum %08" PRIx32 ", its archive says %08" PRIx32
                     ": the file was damaged after it had been written",
                     c->id, storage->bytes, storage->offset, path ? path : c->id, crc32,
                     storage->crc32);
}
