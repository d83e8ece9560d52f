/*
 * outfile - a file that is hashed while it is written and gets its name only when all of it is on
 * disk: temporary name in the same directory, write, fsync, rename, fsync of the directory.
 * Whatever fails, nothing is left behind.
 *
 * A thread of its own writes, past the page cache as long as what it is given has the alignment for
 * that and the file is a large one: then writing takes a twentieth of the processor's time, and the
 * fsync finds nothing to do. Thread: one at a time but for outfile_hash(); blocks.
 */
#ifndef ENGINE_OUTFILE_H
#define ENGINE_OUTFILE_H

#include "base/cleanup.h"
#include "base/digest.h"
#include "sewa/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    OUTFILE_BLOCK = 4096,         /* alignment in memory and in the file, for O_DIRECT */
    OUTFILE_DIRECT_MIN = 4 << 20, /* smaller files go through the page cache */
};

struct outfile;

/*
 * Begin directory/name, which will have this many bytes. The directory exists. SEWA_E_NO_SPACE,
 * with both numbers, when fewer than bytes + keep_free_bytes are free; the space is then reserved,
 * where the file system can do that.
 */
int outfile_create(const char *directory, const char *name, unsigned mode, int64_t bytes,
                   int64_t keep_free_bytes, struct outfile **ret, struct sewa_error *err);

/*
 * Begin to append n bytes, after waiting for what the call before began; they stay as they are
 * until the next call, outfile_wait() or outfile_close(). Best: data and n are whole blocks. From
 * the first that are not, everything goes through the page cache.
 * A failure is that of any write until now, and names the offset.
 */
int outfile_append(struct outfile *o, const void *data, size_t n, struct sewa_error *err);
int outfile_wait(struct outfile *o, struct sewa_error *err);

/*
 * Hash what is or will be appended: the same bytes in the same order. Apart from writing, because
 * both take about as long and two threads may do one each at the same time.
 */
void outfile_hash(struct outfile *o, const void *data, size_t n);

/*
 * Make it durable under its name, replacing what was there. The digest is that of the bytes hashed.
 * On failure neither the temporary nor the final name is there.
 */
int outfile_publish(struct outfile *o, uint8_t ret_sha256[SHA256_SIZE], struct sewa_error *err);

/* Release; a file that was not published is removed. NULL is fine. */
void outfile_close(struct outfile *o);
AUTOPTR_DEFINE(outfile_close, struct outfile);

#endif
