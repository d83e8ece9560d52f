/*
 * materialize - one average as a safetensors file, published atomically; or as several files with
 * an index, which is written last: without it, readers know that something is missing.
 *
 * Values are those of exact.h, hence those that mix_exact() shows to an evaluator. The tensors
 * stand in the order of the newest ingredient's file. A file is computed, hashed and written in
 * windows: while a window is written and one thread hashes it, the others compute the next, so
 * memory is two windows whatever the model measures. Needs no evaluator: a source of just the
 * ingredients is enough.
 */
#ifndef ENGINE_MATERIALIZE_H
#define ENGINE_MATERIALIZE_H

#include "base/digest.h"
#include "engine/arrangement.h"
#include "engine/engine.h"
#include "engine/exact.h"
#include "engine/integers.h"
#include "engine/source.h"

enum {
    MATERIALIZE_WINDOW = 8 << 20, /* bytes of the file; holds fifteen pieces or more */
    MATERIALIZE_PARTS = 4096,     /* pieces in a window, at most */
    MATERIALIZE_AS_INPUT = ARRANGEMENT_AS_INPUT,
    MATERIALIZE_BYTES = 2 * (MATERIALIZE_WINDOW + MATERIALIZE_PARTS * 64), /* of memory, at most */
};

struct materialize_options {
    const double *alpha; /* a coefficient for each candidate; they sum to 1 */
    enum integer_policy integers;
    struct exact_options exact;

    const char *directory; /* exists */
    const char *name;      /* NULL: "model.safetensors" */
    unsigned mode;         /* of the files; 0: 0640 */

    /*
     * Of one file, its header included; a tensor is never cut, so one that is larger has a file of
     * its own. 0: one file. MATERIALIZE_AS_INPUT: what the newest ingredient has in one file stays
     * in one. More than one are called "model-00001-of-00003.safetensors" and so on, and stand
     * beside "model.safetensors.index.json".
     */
    int64_t max_file_bytes;
    int64_t keep_free_bytes;

    /*
     * For "__metadata__". "format" of the newest ingredient's own metadata is added when it is not
     * among them; loaders want to see it.
     */
    const struct layout_metadata *metadata;
    size_t metadata_count;

    bool allow_nonfinite; /* results */
    bool want_digests;    /* SHA-256 of every ingredient's whole file, read once more */
    const atomic_bool *cancel;
    struct progress *progress; /* bytes of the files, written and in all */
};

struct ingredient {
    uint32_t candidate;
    double weight;
    bool has_sha256;
    uint8_t sha256[SHA256_SIZE]; /* of the file that was averaged */
};

struct materialized_file {
    char name[ARRANGEMENT_NAME_MAX];
    int64_t bytes;
    uint8_t sha256[SHA256_SIZE];
};

struct materialized {
    size_t file_count; /* 1, or that of the shards and their index, which is the last */
    struct materialized_file *files;
    size_t count;
    struct ingredient *ingredients; /* oldest first: exactly what was averaged */
};

/*
 * SEWA_E_INVALID (coefficients, metadata), SEWA_E_NO_SPACE with both numbers, SEWA_E_IO,
 * SEWA_E_NONFINITE names the tensor whose average does not fit the output type, SEWA_E_MISMATCH
 * (integers), SEWA_E_CHANGED or SEWA_E_GONE when an ingredient's file is not the indexed one any
 * more, SEWA_E_CANCELLED, SEWA_E_NO_MEMORY. Then no file is left. Release *ret with
 * materialized_clear().
 */
int materialize(const struct engine *e, struct source *s, const struct materialize_options *o,
                struct materialized *ret, struct sewa_error *err);

void materialized_clear(struct materialized *m); /* all zero is fine */

#endif
