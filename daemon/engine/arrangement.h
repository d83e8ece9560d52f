/*
 * arrangement - which tensors of an average stand in which of its files, and what these say before
 * the first value. Tensors are never cut and keep the order of the newest ingredient's file; each
 * file takes as many as fit, so the same input gives the same files. Pure; thread: any.
 */
#ifndef ENGINE_ARRANGEMENT_H
#define ENGINE_ARRANGEMENT_H

#include "base/buf.h"
#include "engine/exact.h"
#include "engine/roster.h"

enum {
    ARRANGEMENT_NAME_MAX = 256,   /* bytes of a file's name, its end included */
    ARRANGEMENT_FILES_MAX = 4096, /* each is synced, and a row of every list */
    ARRANGEMENT_AS_INPUT = -1,    /* what the newest ingredient has in one file stays in one */
};

struct arrangement_options {
    const struct roster *roster;
    const struct roster_entry *newest; /* of the ingredients */
    const struct exact_options *exact;
    const char *name; /* "model.safetensors"; files are called after it when there are several */
    const struct layout_metadata *metadata; /* as in materialize_options */
    size_t metadata_count;
    int64_t max_file_bytes; /* 0: one file, whatever it measures */
};

struct arranged_file {
    char name[ARRANGEMENT_NAME_MAX];
    size_t first, end; /* its tensors, as places in the order */
    struct buf header;
    int64_t data_bytes;
};

struct arrangement {
    uint32_t *order; /* tensors that are written, as in the newest ingredient's file */
    size_t order_count;
    uint32_t *ties; /* tensors that are names in the metadata only */
    size_t tie_count;
    size_t file_count;
    struct arranged_file *files;
    int64_t bytes; /* of these files */

    /* Where there is more than one file: */
    char index_name[ARRANGEMENT_NAME_MAX];
    struct buf index;
};

/*
 * A file is larger than max_file_bytes only when it has one tensor. SEWA_E_INVALID (metadata, too
 * many files) or SEWA_E_NO_MEMORY. *ret is all zero and the caller's to clear, also after a
 * failure.
 */
int arrangement_make(const struct arrangement_options *o, struct arrangement *ret,
                     struct sewa_error *err);
void arrangement_clear(struct arrangement *a); /* all zero is fine */

#endif
