/*
 * outfile - a file that is hashed while it is written and gets its name only when all of it is on
 * disk: temporary name in the same directory, write, fsync, rename, fsync of the directory.
 * Whatever fails, nothing is left behind. Thread: one at a time but for outfile_hash(); blocks.
 */
#ifndef ENGINE_OUTFILE_H
#define ENGINE_OUTFILE_H

#include "base/cleanup.h"
#include "base/digest.h"
#include "sewa/error.h"

#include <stddef.h>
#include <stdint.h>

struct outfile;

/*
 * Begin directory/name, which will have this many bytes. The directory exists. SEWA_E_NO_SPACE,
 * with both numbers, when fewer than bytes + keep_free_bytes are free; the space is then reserved,
 * where the file system can do that.
 */
int outfile_create(const char *directory, const char *name, unsigned mode, int64_t bytes,
                   int64_t keep_free_bytes, struct outfile **ret, struct sewa_error *err);

/* Append. Asks the kernel to begin writing to disk, so that the fsync at the end is short. */
int outfile_write(struct outfile *o, const void *data, size_t n, struct sewa_error *err);

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
