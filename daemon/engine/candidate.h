/*
 * candidate - one checkpoint as the index knows it, and the proof that the file is still that one.
 * Thread: any; blocks on the file.
 */
#ifndef ENGINE_CANDIDATE_H
#define ENGINE_CANDIDATE_H

#include "engine/shards.h"
#include "formats/layout.h"
#include "sewa/error.h"

#include <stdatomic.h>
#include <stdint.h>

/* Everything is borrowed. */
struct candidate {
    const char *id;        /* "ckpt_01J..." */
    int64_t step;          /* -1: none; for messages */
    const char *directory; /* that of the run: trusted, may be reached through symbolic links */
    const char *file;      /* below it: no symbolic link, no ".." */
    int64_t bytes;         /* what the index says of the file; of a directory it is not asked, */
    int64_t mtime_ns;      /* because header_digest says sizes and times of all files in it */
    uint8_t header_digest[32];
    const char *state_key; /* where the weights are in the file (checkpoint.h); NULL: look for it */
};

/* "checkpoint 'ckpt_01J...' (step 1200)": heap memory, NULL when there is none. */
char *candidate_name(const struct candidate *c);

/*
 * Open the file, or the files of a directory, and prove by size, time of modification and header
 * that it is the one of the index. *ret_shards (zeroed) is the caller's to clear, also after a
 * failure, *ret (may be NULL) the layout that the header says; files of a directory come in its
 * order. SEWA_E_GONE when it is not there, SEWA_E_CHANGED when it is another one or neither a file
 * nor a directory, SEWA_E_IO when that cannot be found out. Messages name the path and both values.
 */
int candidate_open(const struct candidate *c, struct shards *ret_shards, struct layout **ret,
                   struct sewa_error *err);

/* The same proof, and nothing kept: asked again after reading and before publishing. */
int candidate_verify(const struct candidate *c, struct sewa_error *err);

/*
 * SHA-256 of the whole file, proven to be that of the index before and after it was read; of a
 * directory that of its files one behind the other, in the order of the layout. What the format
 * has checksums of (the storages of a PyTorch file, where its writer computed them) is held against
 * them: SEWA_E_CORRUPT. *cancel as in pool_run().
 */
int candidate_digest(const struct candidate *c, const atomic_bool *cancel, uint8_t ret[32],
                     struct sewa_error *err);

/* A failed read at this offset of a file, by errno. */
int candidate_read_failed(const struct candidate *c, const struct shard *shard, int64_t offset,
                          struct sewa_error *err);

/* The file ended at this offset although its size was that of the index. */
int candidate_cut_short(const struct candidate *c, const struct shard *shard, int64_t offset,
                        struct sewa_error *err);

/* A storage of a file has this checksum and not its own. SEWA_E_CORRUPT, with both. */
int candidate_damaged(const struct candidate *c, const struct shard *shard,
                      const struct layout_storage *storage, uint32_t crc32, struct sewa_error *err);

#endif
