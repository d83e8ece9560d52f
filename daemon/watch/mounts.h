/*
 * mounts - which mount a path lies on, by the text of /proc/self/mountinfo alone.
 *
 * Asking the path itself (stat, statfs) would hang on the very mount that hangs. Thread: any.
 */
#ifndef WATCH_MOUNTS_H
#define WATCH_MOUNTS_H

#include <stddef.h>

#include "sewa/error.h"

struct mounts {
    char **points; /* mount points, absolute, in the order of mounting */
    size_t count;
};

/* Parse the text of mountinfo (proc(5)); lines that cannot be understood are left out. */
int mounts_parse(const char *text, struct mounts *ret, struct sewa_error *err);

/* Read and parse a file of that form. */
int mounts_read(const char *file, struct mounts *ret, struct sewa_error *err);

void mounts_clear(struct mounts *m);

/* The mount point that is the longest prefix of an absolute clean path; "/" when none is. */
const char *mounts_find(const struct mounts *m, const char *path);

#endif
