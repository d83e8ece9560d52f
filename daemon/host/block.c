/*
 * block - memory files by memfd_create(2).
 */
#include "host/block.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"

/* Linux 5.1. The weights stay writable through the mapping that exists, and in no new one. */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int seal(int fd, enum block_access access)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW;

    if (access == BLOCK_NEVER_CHANGES)
        seals |= F_SEAL_WRITE;
    /* An older kernel does not know this one (EINVAL). It guards against mistakes of the
     * evaluator, not against the evaluator, so a node without it can still work. */
    if (access == BLOCK_HOST_WRITES && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0 &&
        errno != EINVAL)
        return -1;
    return fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL);
}

static int make(struct block *b, const char *name, enum block_access access, const void *initial)
{
    if (failpoint_errno("host_block"))
        return -1;
    b->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (b->fd < 0 || ftruncate(b->fd, (off_t)b->bytes) < 0)
        return -1;
    if (initial && write_full(b->fd, initial, b->bytes) < 0)
        return -1;
    if (access != BLOCK_NEVER_CHANGES) {
        void *data = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
        if (data == MAP_FAILED)
            return -1;
        b->data = data;
    }
    return seal(b->fd, access);
}

int block_open(struct block *b, const char *name, size_t n, enum block_access access,
               const void *initial, struct sewa_error *err)
{
    *b = (struct block){ .fd = -1, .bytes = n ? n : 1 };
    if (make(b, name, access, initial) == 0)
        return 0;
    sewa_fail_errno(err, SEWA_E_IO, "cannot make %zu bytes of shared memory for '%s'", n, name);
    int rc = err ? err->code : SEWA_E_IO;
    block_close(b);
    return rc;
}

void block_close(struct block *b)
{
    if (b->data)
        munmap(b->data, b->bytes);
    if (b->fd >= 0)
        close(b->fd);
    *b = (struct block)BLOCK_NONE;
}
