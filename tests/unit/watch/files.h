/*
 * files - what the tests of watching share: files with a structure that can be whole or not, and
 * the look into them.
 *
 * A file is whole when its first 8 bytes are its size in decimal digits. The first 32 bytes are its
 * header.
 */
#ifndef TESTS_WATCH_FILES_H
#define TESTS_WATCH_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "watch/target.h"

/* A whole file of n bytes (at least 32), filled with a letter; rewritten in place if it is there.
 */
void write_whole(const char *directory, const char *name, size_t n, char fill);

/* A file that says n bytes and has fewer. */
void write_part(const char *directory, const char *name, size_t n, size_t have);

/* Set the time of modification. */
void set_mtime(const char *directory, const char *name, int64_t mtime_ns);
struct look look_at(const char *directory, const char *name);

void move(const char *directory, const char *from, const char *to);
void remove_file(const char *directory, const char *name);
void make_directory(const char *directory, const char *name);
void make_symlink(const char *directory, const char *target, const char *name);
void make_link(const char *directory, const char *from, const char *to);

/* The inspect() of struct target_rules. */
int inspect_whole(const struct target_spec *spec, const char *name, int fd, const struct look *look,
                  struct inspection **ret, struct sewa_error *err);

/* The digest that inspect_whole() gives for such a file. */
void header_of(size_t n, char fill, uint8_t ret[32]);

#endif
