/*
 * shards - the open files of one candidate: one, or the shards of a directory. Places in them count
 * through all files in the order of the layout, so that a place is one number whatever a checkpoint
 * is made of; a tensor never reaches into the next file. Immutable once open; any thread.
 */
#ifndef ENGINE_SHARDS_H
#define ENGINE_SHARDS_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stddef.h>
#include <stdint.h>

struct shard {
    int fd;
    char *name;    /* in the candidate's directory; NULL: the candidate is this file */
    int64_t bytes; /* of the file */
    int64_t begin; /* place of its first byte */
};

struct shards {
    size_t count;
    struct shard *shard;
};

/* Room for so many, none open. Errors: NO_MEMORY. */
int shards_new(size_t count, struct shards *ret, struct sewa_error *err);

/* Set the next one; takes the descriptor over, copies the name. Errors: NO_MEMORY. */
int shards_set(struct shards *p, size_t i, int *fd, const char *name, int64_t bytes,
               struct sewa_error *err);

/* Close the descriptors; what is known of the files stays. */
void shards_close_files(struct shards *p);
void shards_clear(struct shards *p);

/* The file that has this place, and the offset in it. There is at least one file. */
const struct shard *shards_at(const struct shards *p, int64_t place, int64_t *ret_offset);

#endif
