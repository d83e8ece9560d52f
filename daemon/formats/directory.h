/*
 * directory - checkpoints that are directories: which kind it is, and a layout of several files.
 * Only for directory*.c, dcp*.c and checkpoint.c; others call checkpoint_read_directory().
 */
#ifndef FORMATS_DIRECTORY_H
#define FORMATS_DIRECTORY_H

#include "formats/checkpoint.h"

#define DIRECTORY_NAMES_MAX 100000

/* A directory that is being read. */
struct directory {
    int fd;
    const char *name; /* for messages */
    const struct checkpoint_options *options;
    struct sewa_error *err;
    char **names; /* what is in it, in strcmp order */
    size_t count;
};

bool directory_has(const struct directory *d, const char *name);

/*
 * Open a file of it: a regular one, and no symbolic link. When it is not there, SEWA_E_INCOMPLETE
 * and @why in the text.
 */
int directory_open(const struct directory *d, const char *file, const char *why, int *ret,
                   struct layout_file *ret_file);

/* "<directory>/<file>" for messages; heap, NULL after failing. */
char *directory_path(const struct directory *d, const char *file);

/* One file of it that is a whole checkpoint; and a sharded checkpoint with its index. */
int directory_read_single(const struct directory *d, const char *file, struct layout **ret);
int directory_read_sharded(const struct directory *d, const char *index, struct layout **ret);

/* What follows reading, whatever the format (checkpoint.c): no trainer's state, no prefixes. */
int checkpoint_clean(struct layout **l, const struct checkpoint_options *options,
                     struct sewa_error *err);

/* A torch distributed checkpoint. */
int directory_read_dcp(const struct directory *d, struct layout **ret);

/*
 * SHA-256 over @first (32 bytes, or NULL), and names, sizes, times and digests of the files: a
 * directory has no size and time of its own that would say that one of them was replaced.
 */
int directory_digest(const struct directory *d, const uint8_t *first, struct layout *l);

#endif
