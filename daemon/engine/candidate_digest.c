/*
 * candidate_digest - the whole files of a candidate, read once: for their SHA-256 and, where the
 * format has checksums of its own, to hold those against the bytes.
 */
#include "engine/candidate.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "formats/crc32.h"
#include "formats/layout.h"

enum { DIGEST_BLOCK = 1 << 20 };

struct digesting {
    const struct candidate *candidate;
    const struct layout *layout;
    const atomic_bool *cancel;
    struct sha256 *digest;
    char *block;
    size_t storage; /* the first of the layout that has not been read to its end */
    uint32_t crc32; /* of what was read of it */
};

static int64_t clamp(int64_t x, int64_t least, int64_t most)
{
    return x < least ? least : x > most ? most : x;
}

/* The block holds bytes [at, end) of a file: go on with the storages that lie in it. */
static int check_storages(struct digesting *d, const struct shard *shard, uint32_t file, int64_t at,
                          int64_t end, struct sewa_error *err)
{
    for (; d->storage < d->layout->storage_count; d->storage++, d->crc32 = 0) {
        const struct layout_storage *s = &d->layout->storages[d->storage];
        int64_t behind = s->offset + s->bytes;
        int64_t from = clamp(s->offset, at, end), to = clamp(behind, from, end);
        if (s->file > file || (s->file == file && s->offset >= end))
            return 0;
        if (s->file < file || s->crc32 == 0)
            continue;
        d->crc32 = crc32_update(d->crc32, d->block + (from - at), (size_t)(to - from));
        if (behind > end)
            return 0;
        if (d->crc32 != s->crc32)
            return candidate_damaged(d->candidate, shard, s, d->crc32, err);
    }
    return 0;
}

static int digest_file(struct digesting *d, const struct shard *shard, uint32_t file,
                       struct sewa_error *err)
{
    const struct candidate *c = d->candidate;

    for (int64_t at = 0; at < shard->bytes;) {
        int64_t left = shard->bytes - at;
        size_t want = left < DIGEST_BLOCK ? (size_t)left : DIGEST_BLOCK;
        if (d->cancel && atomic_load_explicit(d->cancel, memory_order_relaxed))
            return sewa_fail(err, SEWA_E_CANCELLED, "cancelled");
        ssize_t n = failpoint_errno("candidate_digest") ? -1
                                                        : pread_full(shard->fd, d->block, want, at);
        if (n < 0)
            return candidate_read_failed(c, shard, at, err);
        if ((size_t)n < want)
            return candidate_cut_short(c, shard, at + n, err);
        sha256_update(d->digest, d->block, want);
        int rc = check_storages(d, shard, file, at, at + n, err);
        if (rc < 0)
            return rc;
        at += n;
    }
    return 0;
}

int candidate_digest(const struct candidate *c, const atomic_bool *cancel, uint8_t ret[32],
                     struct sewa_error *err)
{
    AUTOPTR(sha256_free) struct sha256 *digest = sha256_new();
    AUTOFREE char *block = malloc(DIGEST_BLOCK);
    AUTO(shards_clear) struct shards shards = { 0 };
    AUTOPTR(layout_free) struct layout *layout = NULL;

    if (!digest || !block)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read checkpoint '%s'", c->id);
    int rc = candidate_open(c, &shards, &layout, err);
    struct digesting d = {
        .candidate = c, .layout = layout, .cancel = cancel, .digest = digest, .block = block
    };
    for (size_t i = 0; rc == 0 && i < shards.count; i++)
        rc = digest_file(&d, &shards.shard[i], (uint32_t)i, err);
    if (rc == 0)
        rc = candidate_verify(c, err);
    if (rc == 0)
        sha256_final(digest, ret);
    return rc;
}
