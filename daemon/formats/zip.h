/*
 * zip - the members of a zip archive as PyTorch writes them (PKWARE APPNOTE 6.3, zip64 included).
 *
 * Members that are only stored lie in the file as they are; compressed ones are listed, so that the
 * caller can say what the archive is, and of no further use. What the central directory says is
 * what counts, and each local header must agree with it, because programs that read one and
 * programs that read the other must not see two different files. Nothing but the directory and the
 * local headers is read.
 *
 * Refused: an end record that is not the end of the file (a comment), numbers of the directory that
 * do not add up, members that overlap or have the same name, encryption, other disks.
 */
#ifndef FORMATS_ZIP_H
#define FORMATS_ZIP_H

#include "formats/window.h"

#define ZIP_NAME_MAX    1024
#define ZIP_MEMBERS_MAX 1100000

struct zip_member {
    const char *name; /* UTF-8, no NUL, at most ZIP_NAME_MAX bytes */
    int64_t header;   /* offsets in the file: of the local header, */
    int64_t offset;   /* of the data */
    int64_t bytes;    /* that lie there */
    int64_t plain;    /* bytes once they are unpacked; the same when method is 0 */
    uint32_t crc32;
    uint16_t flags, method; /* 0: stored */
};

struct zip {
    size_t count;
    struct zip_member *members;  /* in the order of their places */
    const uint32_t *by_name;     /* indices into members, in strcmp order of names */
    uint8_t digest[SHA256_SIZE]; /* SHA-256 of the central directory */
};

/*
 * Read the archive in the @bytes of the source that begin at @begin. Offsets in the result are
 * those of the source. Fails with SEWA_E_CORRUPT, SEWA_E_INCOMPLETE (no end record: it may still
 * grow), SEWA_E_UNSUPPORTED, SEWA_E_IO or SEWA_E_NO_MEMORY. Blocks; thread: any.
 */
int zip_read(const struct window_source *source, int64_t begin, int64_t bytes, struct zip **ret,
             struct sewa_error *err);
void zip_free(struct zip *z);
AUTOPTR_DEFINE(zip_free, struct zip);

/* The member with this name, or NULL. O(log count). */
const struct zip_member *zip_find(const struct zip *z, const char *name);

#endif
