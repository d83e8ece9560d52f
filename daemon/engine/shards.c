/*
 * shards - the open files of one candidate.
 */
#include "engine/shards.h"

#include <stdlib.h>
#include <string.h>

int shards_new(size_t count, struct shards *ret, struct sewa_error *err)
{
    ret->shard = calloc(count ? count : 1, sizeof *ret->shard);
    if (!ret->shard)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu files of a checkpoint", count);
    ret->count = count;
    for (size_t i = 0; i < count; i++)
        ret->shard[i].fd = -1;
    return 0;
}

int shards_set(struct shards *p, size_t i, int *fd, const char *name, int64_t bytes,
               struct sewa_error *err)
{
    struct shard *shard = &p->shard[i];

    if (name) {
        size_t n = strlen(name) + 1;
        shard->name = malloc(n);
        if (!shard->name)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for '%s'", name);
        memcpy(shard->name, name, n);
    }
    shard->fd = take_fd(fd);
    shard->bytes = bytes;
    shard->begin = i > 0 ? p->shard[i - 1].begin + p->shard[i - 1].bytes : 0;
    return 0;
}

void shards_close_files(struct shards *p)
{
    for (size_t i = 0; i < p->count; i++) {
        cleanup_close(&p->shard[i].fd);
        p->shard[i].fd = -1;
    }
}

void shards_clear(struct shards *p)
{
    shards_close_files(p);
    for (size_t i = 0; i < p->count; i++)
        free(p->shard[i].name);
    free(p->shard);
    *p = (struct shards){ 0 };
}

const struct shard *shards_at(const struct shards *p, int64_t place, int64_t *ret_offset)
{
    size_t low = 0, high = p->count;

    while (high - low > 1) { /* the last file that begins at or before the place */
        size_t middle = low + (high - low) / 2;
        if (p->shard[middle].begin <= place)
            low = middle;
        else
            high = middle;
    }
    *ret_offset = place - p->shard[low].begin;
    return &p->shard[low];
}
