/*
 * roster - the candidates of a job, opened: every file proven to be the one of the index, all with
 * the same tensors, and where each file has them. What a source needs before it reads a number.
 * Immutable once open, but for the descriptors; any number of threads may read.
 */
#ifndef ENGINE_ROSTER_H
#define ENGINE_ROSTER_H

#include "engine/candidate.h"
#include "engine/engine.h"
#include "engine/model.h"

/* Where a file has the tensors of the model. Files that agree share one. */
struct placement {
    const int64_t *offset; /* of tensor t, in bytes from the start of the data */
    const uint32_t *order; /* tensors in the order of the file */

    /* Bytes of tensors in C order before order[i]; [count] is the sum. Views count nothing. */
    const int64_t *position;

    /* Strides of tensor t, rank numbers in elements, NULL in C order; NULL: all are. */
    const int64_t *const *stride;
    const int64_t *span_bytes; /* of a view: from its first element to the end of the last */
    int64_t view_bytes;        /* of the elements of all views */
};

struct roster_entry {
    const struct candidate *candidate;
    struct shards shards;
    int64_t data_begin; /* place (shards.h) of the first byte of data */
    const struct placement *placement;
    char *metadata_format; /* "format" in the file's own metadata ("pt"), NULL when it has none */
};

struct roster {
    struct model *model;
    size_t count;
    struct roster_entry *entries;
    const char *const *names; /* for messages: "checkpoint 'ckpt_...' (step 1200)" */

    /*
     * Tensor t is the same elements as tied_to[t], under another name, in every candidate; or
     * ROSTER_NOT_TIED. NULL when no tensor is. A tie in some candidates only is none: there the
     * weights had parted.
     */
    const uint32_t *tied_to;
};

#define ROSTER_NOT_TIED UINT32_MAX

/*
 * candidates: oldest first, borrowed until roster_close(). As candidate_open(), and SEWA_E_MISMATCH
 * when one has other tensors than the first, SEWA_E_UNSUPPORTED when there is no average of them,
 * SEWA_E_NO_CANDIDATES, SEWA_E_CANCELLED. Holds one descriptor for each candidate until
 * roster_close_files().
 */
int roster_open(const struct engine *e, const struct candidate *candidates, size_t count,
                const atomic_bool *cancel, struct roster **ret, struct sewa_error *err);
void roster_close(struct roster *r); /* NULL is fine */
AUTOPTR_DEFINE(roster_close, struct roster);

/* Whether candidate i has tensor t as a view, not in C order: then it is to be gathered. */
bool roster_is_view(const struct roster *r, size_t i, size_t t);

/*
 * All elements of a view of candidate i into out, in C order. As gather().
 */
int roster_gather(const struct roster *r, size_t i, size_t t, void *out, const atomic_bool *cancel,
                  struct sewa_error *err);

/* Close the descriptors; the rest stays. */
void roster_close_files(struct roster *r);

/* Prove once more that these candidates are the files of the index. */
int roster_verify(const struct engine *e, const struct roster *r, const uint32_t *which,
                  size_t count, const atomic_bool *cancel, struct sewa_error *err);

#endif
