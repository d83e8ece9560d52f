/*
 * outfile - the directory is held open, so that the file ends where it began. The writer has one
 * job at a time; whoever gives it the next waits for the last.
 */
#include "engine/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
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
    struct sha256 *digest;

    pthread_t writer;
    bool has_writer;
    bool is_direct; /* the writer's, as is bytes */
    int64_t bytes;  /* written */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    const void *data; /* of the job; under lock, as all below */
    size_t n;         /* 0: no job */
    bool is_stopping;
    int rc; /* of the first write that failed */
    struct sewa_error failure;
};

/* ---- the writer ---- */

/* From here on through the page cache. */
static int stop_direct(struct outfile *o)
{
    int flags = fcntl(o->fd, F_GETFL);

    o->is_direct = false;
    return flags < 0 ? -1 : fcntl(o->fd, F_SETFL, flags & ~O_DIRECT);
}

static int write_part(struct outfile *o, const char *data, size_t n)
{
    int rc = failpoint_errno("outfile_direct") && o->is_direct
                 ? -1
                 : pwrite_full(o->fd, data, n, o->bytes);

    /* some file systems take the flag and then refuse, some want larger blocks */
    if (rc < 0 && o->is_direct && errno == EINVAL && stop_direct(o) == 0)
        rc = pwrite_full(o->fd, data, n, o->bytes);
    if (rc < 0)
        return -1;
    /* Only a hint, without waiting: errors of writing to disk are what fsync() is for. */
    if (!o->is_direct)
        (void)sync_file_range(o->fd, (off_t)o->bytes, (off_t)n, SYNC_FILE_RANGE_WRITE);
    o->bytes += (int64_t)n;
    return 0;
}

static int write_job(struct outfile *o, const char *data, size_t n, struct sewa_error *err)
{
    bool is_aligned = (uintptr_t)data % OUTFILE_BLOCK == 0;
    size_t whole = is_aligned ? n - n % OUTFILE_BLOCK : 0;
    int rc = 0;

    if (o->is_direct && whole > 0) {
        rc = write_part(o, data, whole);
        data += whole;
        n -= whole;
    }
    if (rc == 0 && n > 0 && o->is_direct)
        rc = stop_direct(o);
    if (rc == 0 && n > 0)
        rc = write_part(o, data, n);
    return rc == 0 ? 0
                   : sewa_fail_errno(err, SEWA_E_IO, "cannot write '%s' at offset %" PRId64,
                                     o->shown, o->bytes);
}

static void *write_jobs(void *argument)
{
    struct outfile *o = argument;

    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (o->n == 0 && !o->is_stopping)
            pthread_cond_wait(&o->changed, &o->lock);
        if (o->n == 0)
            break;
        const void *data = o->data;
        size_t n = o->n;
        struct sewa_error err = { 0 };
        pthread_mutex_unlock(&o->lock);
        int rc = write_job(o, data, n, &err);
        pthread_mutex_lock(&o->lock);
        o->n = 0;
        if (rc < 0) {
            o->rc = rc;
            o->failure = err;
        }
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* Takes no signals, as the helpers of a pool. */
static int start_writer(struct outfile *o, struct sewa_error *err)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = failpoint_errno("outfile_thread") ? errno
                                                : pthread_create(&o->writer, NULL, write_jobs, o);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    o->has_writer = sys == 0;
    if (sys == 0)
        return 0;
    errno = sys;
    return sewa_fail_errno(err, SEWA_E_UNAVAILABLE, "cannot start a thread that writes '%s'",
                           o->shown);
}

/* A job that has been given is done first: its memory is the caller's again. */
static void stop_writer(struct outfile *o)
{
    if (!o->has_writer)
        return;
    pthread_mutex_lock(&o->lock);
    o->is_stopping = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->writer, NULL);
    o->has_writer = false;
}

/* Under lock, when the writer has nothing to do. */
static int wait_idle(struct outfile *o, struct sewa_error *err)
{
    while (o->n > 0)
        pthread_cond_wait(&o->changed, &o->lock);
    if (o->rc < 0 && err)
        *err = o->failure;
    return o->rc;
}

int outfile_append(struct outfile *o, const void *data, size_t n, struct sewa_error *err)
{
    pthread_mutex_lock(&o->lock);
    int rc = wait_idle(o, err);
    if (rc == 0) {
        o->data = data;
        o->n = n;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    return rc;
}

int outfile_wait(struct outfile *o, struct sewa_error *err)
{
    pthread_mutex_lock(&o->lock);
    int rc = wait_idle(o, err);
    pthread_mutex_unlock(&o->lock);
    return rc;
}

/* ---- begin and end ---- */

void outfile_close(struct outfile *o)
{
    if (!o)
        return;
    stop_writer(o);
    if (o->exists)
        unlinkat(o->directory, o->temporary, 0);
    cleanup_close(&o->fd);
    cleanup_close(&o->directory);
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
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
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
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

static int create_temporary(struct outfile *o, unsigned mode, bool is_direct)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

    if (failpoint_errno("outfile_create"))
        return -1;
    o->is_direct = is_direct;
    o->fd = openat(o->directory, o->temporary, flags | (is_direct ? O_DIRECT : 0), mode);
    if (o->fd >= 0 || !is_direct || errno != EINVAL)
        return o->fd;
    o->is_direct = false; /* a file system that does not know the flag may have made the file */
    unlinkat(o->directory, o->temporary, 0);
    o->fd = openat(o->directory, o->temporary, flags, mode);
    return o->fd;
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
    if (create_temporary(o, mode, bytes >= OUTFILE_DIRECT_MIN) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot create '%s' in '%s'", o->temporary,
                               directory);
    o->exists = true;
    rc = reserve(o, bytes, err);
    if (rc == 0)
        rc = start_writer(o, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(o);
    return 0;
}

void outfile_hash(struct outfile *o, const void *data, size_t n)
{
    sha256_update(o->digest, data, n);
}

int outfile_publish(struct outfile *o, uint8_t ret_sha256[SHA256_SIZE], struct sewa_error *err)
{
    int rc = outfile_wait(o, err);

    if (rc < 0)
        return rc;
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
