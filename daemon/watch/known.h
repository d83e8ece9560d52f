/*
 * known - the names that one watched directory is known to hold, as a hash table.
 *
 * A rescan looks every name up and allocates nothing for one that is as it was. An entry is one
 * block of about 80 bytes and the name. Thread: one at a time.
 */
#ifndef WATCH_KNOWN_H
#define WATCH_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/settle.h"

enum known_state {
    KNOWN_WAITING,  /* a file that is not proven */
    KNOWN_COMPLETE, /* a file that is proven and as it was then */
    KNOWN_GONE, /* a file that was proven and then gone; kept for a while in case it comes back */
    KNOWN_DIRECTORY,
};

struct pending; /* target's: what a file waits for */

struct known_file {
    struct known_file *next; /* in its bucket */
    struct look look;        /* inode 0: not known yet */
    uint64_t digest;         /* the first 8 bytes of the header's digest: told apart is enough */
    uint64_t marker;         /* which marker admitted it: of inode and time; 0 for none */
    struct pending *pending; /* NULL when it waits for nothing */
    uint32_t hash;
    uint32_t seen;   /* number of the scan that saw it last */
    uint8_t state;   /* enum known_state */
    uint8_t missing; /* scans in a row that did not see it, at most 255 */
    bool has_digest;
    char name[];
};

struct known {
    struct known_file **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    size_t files;   /* neither gone nor directories */
    size_t waiting; /* of them */
};

struct known_file *known_find(const struct known *k, const char *name);

/* A new entry; the name must not be there. NULL when out of memory. */
struct known_file *known_add(struct known *k, const char *name, enum known_state state);

void known_set_state(struct known *k, struct known_file *f, enum known_state state);

/* Remove and free it. */
void known_remove(struct known *k, struct known_file *f);

void known_clear(struct known *k);

/* A walk over all, from a zeroed struct; NULL at its end. The entry returned last may be removed.
 */
struct known_walk {
    size_t bucket;
    struct known_file *next;
};
struct known_file *known_next(const struct known *k, struct known_walk *w);

#endif
