/*
 * candidate - a network file system can change a file under an open descriptor, and a trainer can
 * put another one in its place: so the proof is made on a name that is opened anew each time.
 */
#include "engine/candidate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
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

enum { DIGEST_BLOCK = 1 << 20 };

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

static int check_stat(const struct candidate *c, int fd, const char *path, struct sewa_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s'", path);
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

static int check_header(const struct candidate *c, int fd, const char *path, struct layout **ret,
                        struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    char want[SHA256_HEX_SIZE], got[SHA256_HEX_SIZE];
    const struct checkpoint_options options = { .state_key = c->state_key };
    int rc = checkpoint_read_file(fd, path, c->bytes, &options, &l, err);

    if (rc < 0)
        return header_failed(rc, path, err);
    if (memcmp(l->header_digest, c->header_digest, sizeof c->header_digest) != 0)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "the header of '%s' has the SHA-256 %s, %s when it was indexed", path,
                         hex_encode(l->header_digest, SHA256_SIZE, got),
                         hex_encode(c->header_digest, SHA256_SIZE, want));
    if (ret)
        *ret = TAKE(l);
    return 0;
}

int candidate_open(const struct candidate *c, int *ret_fd, struct layout **ret,
                   struct sewa_error *err)
{
    AUTOFREE char *path = shown_path(c);
    AUTOCLOSE int fd = -1;

    if (!path)
        return no_memory(c, err);
    int rc = open_file(c, path, &fd, err);
    if (rc == 0)
        rc = check_stat(c, fd, path, err);
    if (rc == 0)
        rc = check_header(c, fd, path, ret, err);
    if (rc < 0)
        return sewa_context(err, rc, "checkpoint '%s'", c->id);
    *ret_fd = take_fd(&fd);
    return 0;
}

int candidate_verify(const struct candidate *c, struct sewa_error *err)
{
    AUTOCLOSE int fd = -1;

    return candidate_open(c, &fd, NULL, err);
}

int candidate_read_failed(const struct candidate *c, int64_t offset, struct sewa_error *err)
{
    int sys = errno;
    AUTOFREE char *path = shown_path(c);

    errno = sys;
    return sewa_fail_errno(err, SEWA_E_IO, "checkpoint '%s': cannot read '%s' at offset %" PRId64,
                           c->id, path ? path : c->id, offset);
}

int candidate_cut_short(const struct candidate *c, int64_t offset, struct sewa_error *err)
{
    AUTOFREE char *path = shown_path(c);

    return sewa_fail(err, SEWA_E_CHANGED,
                     "checkpoint '%s': '%s' ends at offset %" PRId64 ", it had %" PRId64
                     " bytes when it was indexed",
                     c->id, path ? path : c->id, offset, c->bytes);
}

static int digest_blocks(const struct candidate *c, int fd, char *block, struct sha256 *digest,
                         const atomic_bool *cancel, struct sewa_error *err)
{
    for (int64_t at = 0; at < c->bytes;) {
        int64_t left = c->bytes - at;
        size_t want = left < DIGEST_BLOCK ? (size_t)left : DIGEST_BLOCK;
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return sewa_fail(err, SEWA_E_CANCELLED, "cancelled");
        ssize_t n = failpoint_errno("candidate_digest") ? -1 : pread_full(fd, block, want, at);
        if (n < 0)
            return candidate_read_failed(c, at, err);
        if ((size_t)n < want)
            return candidate_cut_short(c, at + n, err);
        sha256_update(digest, block, want);
        at += n;
    }
    return 0;
}

int candidate_digest(const struct candidate *c, const atomic_bool *cancel, uint8_t ret[32],
                     struct sewa_error *err)
{
    AUTOPTR(sha256_free) struct sha256 *digest = sha256_new();
    AUTOFREE char *block = malloc(DIGEST_BLOCK);
    AUTOCLOSE int fd = -1;

    if (!digest || !block)
        return no_memory(c, err);
    int rc = candidate_open(c, &fd, NULL, err);
    if (rc == 0)
        rc = digest_blocks(c, fd, block, digest, cancel, err);
    if (rc == 0)
        rc = candidate_verify(c, err);
    if (rc == 0)
        sha256_final(digest, ret);
    return rc;
}
