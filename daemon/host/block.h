/*
 * block - memory that the host shares with an evaluator: a memory file, mapped and sealed.
 *
 * Sealed against resizing, so that neither side can make the other die of SIGBUS by cutting it.
 */
#ifndef HOST_BLOCK_H
#define HOST_BLOCK_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stddef.h>

enum block_access {
    BLOCK_SHARED,       /* both sides write */
    BLOCK_HOST_WRITES,  /* the evaluator can map it for reading or privately only */
    BLOCK_NEVER_CHANGES /* filled once with the initial bytes */
};

struct block {
    int fd; /* -1: there is none */
    void *data;
    size_t bytes;
};

#define BLOCK_NONE \
    {              \
        .fd = -1   \
    }

/*
 * Make one of n bytes, zero-filled, or a copy of initial when it is given (BLOCK_NEVER_CHANGES
 * demands it; that block is not mapped here). n may be 0: then one byte exists, because nothing
 * can be mapped from an empty file.
 */
int block_open(struct block *b, const char *name, size_t n, enum block_access access,
               const void *initial, struct sewa_error *err);
void block_close(struct block *b);

#endif
