/*
 * resident - a source that holds all candidates in memory: read once, in the types of the files,
 * and never looked for on disk again while a job asks for average after average.
 *
 * Watched files are read with pread and never mapped: somebody may truncate or rewrite them.
 * Thread: open and close one; the source as source.h says.
 */
#ifndef ENGINE_RESIDENT_H
#define ENGINE_RESIDENT_H

#include "engine/nonfinite.h"
#include "engine/source.h"

struct resident_options {
    const struct candidate *candidates; /* oldest first; borrowed until resident_close() */
    size_t count;
    int64_t memory_budget_bytes; /* 0: no limit */
    bool allow_nonfinite;
    const atomic_bool *cancel; /* may be NULL */
    struct progress *progress; /* may be NULL; bytes of tensors read and to read */
};

struct resident;

/*
 * As roster_open(), asked again after reading; and SEWA_E_NO_MEMORY when the candidates do not fit
 * the budget or the machine, with both numbers; SEWA_E_NONFINITE names checkpoint, tensor and
 * count; SEWA_E_IO names file and offset; SEWA_E_CANCELLED.
 */
int resident_open(const struct engine *e, const struct resident_options *o, struct resident **ret,
                  struct sewa_error *err);
void resident_close(struct resident *r); /* NULL is fine */
AUTOPTR_DEFINE(resident_close, struct resident);

struct source *resident_source(struct resident *r);
const struct model *resident_model(const struct resident *r);

/* Bytes of tensors that were read, bytes of memory that they take. */
int64_t resident_bytes_read(const struct resident *r);
int64_t resident_memory_bytes(const struct resident *r);

/* What allow_nonfinite let through, by candidate and then tensor. */
const struct nonfinite *resident_nonfinite(const struct resident *r, size_t *ret_count);

#endif
