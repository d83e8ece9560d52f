/*
 * fdio - whole reads and writes, and the one way in which a file is published.
 *
 * Publishing (measured: leave a step out and a power cut loses the file or leaves an empty one):
 * temporary name in the same directory, write, fsync the file, rename, fsync the directory. A
 * failed fsync is never tried again: the kernel may have dropped the pages and would say yes.
 * All calls block. Thread: never the loop for anything under a watched directory.
 */
#ifndef BASE_FDIO_H
#define BASE_FDIO_H

#include "base/buf.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes read (short only at the end of the file) or -1 with errno. Interrupted calls go on. */
ssize_t pread_full(int fd, void *data, size_t n, int64_t offset);
ssize_t read_full(int fd, void *data, size_t n);

/* 0, or -1 with errno. */
int write_full(int fd, const void *data, size_t n);
int pwrite_full(int fd, const void *data, size_t n, int64_t offset);

/* The whole file, at most max bytes (more is SEWA_E_TOO_LARGE). */
int file_read(const char *path, size_t max, struct buf *ret, struct sewa_error *err);

/* fsync a directory given by its path. */
int directory_sync(const char *path, struct sewa_error *err);

/* Write directory/name durably and atomically; mode is that of the new file. */
int file_publish(const char *directory, const char *name, unsigned mode, const void *data, size_t n,
                 struct sewa_error *err);

/* The same without the two syncs: atomic for whoever reads, but a power cut may leave an empty file
 * or none. For what can be made again. */
int file_replace(const char *directory, const char *name, unsigned mode, const void *data, size_t n,
                 struct sewa_error *err);

/* mkdir -p; directories that are made get this mode. */
int directory_make(const char *path, unsigned mode, struct sewa_error *err);

/* rm -rf that follows no symbolic link. A path that does not exist is fine. */
int tree_remove(const char *path, struct sewa_error *err);

/* Free bytes for this user on the file system of path. */
int disk_free(const char *path, int64_t *ret_bytes, struct sewa_error *err);

/* Whether the file system of path is one that other hosts write to (NFS, SMB, Lustre, GPFS...). */
bool is_network_path(const char *path);

#endif
