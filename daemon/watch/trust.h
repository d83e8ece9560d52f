/*
 * trust - is this the directory that we know, or what is left of it without its file system?
 *
 * A directory whose file system is not mounted is usually there, empty and readable: taken at its
 * word, everything in it has been deleted. Device and inode numbers alone do not tell, since a
 * remount of a network file system has new ones. Pure. Thread: any.
 */
#ifndef WATCH_TRUST_H
#define WATCH_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trust_identity {
    uint64_t device, inode;
    bool is_set; /* false: not seen yet since the start */
};

/* What one whole listing of a directory has shown. */
struct trust_listing {
    struct trust_identity now;
    size_t known;   /* files that were there before: complete or waiting, not gone */
    size_t present; /* how many of these have been seen, with their size */
    size_t entries; /* all names in the directory, but "." and ".." */
};

/*
 * Whether a name that is missing is a file that is gone: yes when nothing is known, when something
 * that is known is there, when it is the very directory that was listed before (then it has really
 * been emptied), or when it is on the same device, or not known by now, and not empty (then it has
 * been made anew).
 */
bool trust_listing(const struct trust_identity *before, const struct trust_listing *l);

#endif
