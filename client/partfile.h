/*
 * partfile - the hidden file that a download grows in, and how it becomes the real one.
 *
 * Its name holds the beginning of the digest, so that what is resumed is always the same content;
 * a lock keeps two processes from writing into it. Locks do nothing on some network file systems:
 * the digest at the end is what decides. Thread: one at a time.
 */
#ifndef CLIENT_PARTFILE_H
#define CLIENT_PARTFILE_H

#include "digest.h"

struct sewa_sink;

struct partfile {
    char *path;             /* of the hidden file */
    char *target;           /* what it becomes */
    struct sewa_sink *sink; /* or there is no file, and the bytes go here as they come */
    int fd;
    int64_t size; /* bytes in it, all of them in sha */
    struct sha256 sha;
};

/*
 * Open or make the file for this content, and hash what is in it from an earlier attempt.
 * @size of the whole. SEWA_E_LOCKED, _IO, _NO_SPACE, _NO_MEMORY; _INVALID: target is a folder.
 */
int sewa_partfile_open(struct partfile *p, const char *target, const char *sha256, int64_t size,
                       struct sewa_error *err);

/* No file: what goes to a sink cannot be taken back. The name is for messages. */
int sewa_partfile_stream(struct partfile *p, struct sewa_sink *sink, struct sewa_error *err);
int sewa_partfile_add(struct partfile *p, const void *data, size_t n, struct sewa_error *err);
int sewa_partfile_restart(struct partfile *p,
                          struct sewa_error *err); /* empty it; CHANGED: a sink has had some */

/* Sync it, and put it in place. */
int sewa_partfile_publish(struct partfile *p, struct sewa_error *err);
void sewa_partfile_remove(struct partfile *p);
void sewa_partfile_close(struct partfile *p); /* leaves the file as it is */

/* 1: this file has exactly these bytes already. */
int sewa_file_matches(const char *path, const char *sha256, int64_t size, struct sewa_error *err);

#endif
