/*
 * stream - a source that holds no candidate in memory: each piece is read from the files when a
 * pass asks for it, into scratch memory that stays in the second-level cache. Results are those of
 * resident candidates to the bit; memory depends neither on the size of the model nor, up to some
 * hundred, on the number of candidates (footprint.h). Views (tensors that a PyTorch file has not in
 * C order) are the exception: they are gathered when the stream is opened and stay in memory.
 *
 * Files are read through the page cache. What is there already costs a copy within the processor's
 * caches, which is less than filling fresh memory once; what is not is read ahead of the arithmetic
 * at the kernel's side. Where all files together exceed the machine's memory, pages that this
 * stream had to fetch from disk are dropped once they are used: what was in the page cache stays,
 * what was not does not displace it, and the next pass finds the same part of the files there.
 * O_DIRECT would have to read that part from disk, too, and is not offered by every file system.
 * Thread: open and close one; the source as source.h says.
 */
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include "engine/source.h"

/*
 * Bytes of scratch memory of one thread, as long as a chunk of each candidate fits. Fewer make more
 * calls of the kernel, more fall out of the second-level cache.
 */
enum { STREAM_SCRATCH = 1 << 20 };

struct stream_options {
    const struct candidate *candidates; /* oldest first; borrowed until stream_close() */
    size_t count;
    int64_t memory_budget_bytes; /* 0: no limit */
    bool allow_nonfinite;
    const atomic_bool *cancel; /* may be NULL; until stream_close() */
    int64_t page_cache_bytes;  /* files that together have more are dropped behind; 0: by machine */
};

struct stream;

/*
 * As roster_open(), and SEWA_E_NO_MEMORY when the scratch memory does not fit the budget or the
 * machine, with both numbers. Holds a descriptor for each candidate.
 *
 * Fetching fails with SEWA_E_IO (names file and offset), SEWA_E_CHANGED, SEWA_E_CANCELLED, and
 * SEWA_E_NONFINITE (checkpoint, tensor and count), which here is found by the first pass. After
 * each pass the files are proven to be those of the index.
 */
int stream_open(const struct engine *e, const struct stream_options *o, struct stream **ret,
                struct sewa_error *err);
void stream_close(struct stream *s); /* NULL is fine */
AUTOPTR_DEFINE(stream_close, struct stream);

struct source *stream_source(struct stream *s);
const struct model *stream_model(const struct stream *s);

/* Bytes of tensors that all passes together have read until now, bytes of memory. */
int64_t stream_bytes_read(const struct stream *s);
int64_t stream_memory_bytes(const struct stream *s);

/* How many reads did not find all they wanted in the page cache; bytes that were dropped behind. */
int64_t stream_cold_reads(const struct stream *s);
int64_t stream_dropped_bytes(const struct stream *s);

#endif
