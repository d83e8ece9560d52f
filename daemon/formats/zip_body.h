/*
 * zip_body - what the two files that read zip archives share: little-endian numbers, the memory of
 * a struct zip. Only for zip*.c.
 */
#ifndef FORMATS_ZIP_BODY_H
#define FORMATS_ZIP_BODY_H

#include "formats/arena.h"
#include "formats/zip.h"

enum {
    ZIP_END = 0x06054b50, /* "PK" and a number, as every record begins */
    ZIP_END64 = 0x06064b50,
    ZIP_END64_LOCATOR = 0x07064b50,
    ZIP_CENTRAL = 0x02014b50,
    ZIP_LOCAL = 0x04034b50,
    ZIP_END_BYTES = 22,
    ZIP_END64_BYTES = 56,
    ZIP_LOCATOR_BYTES = 20,
    ZIP_CENTRAL_BYTES = 46,
    ZIP_LOCAL_BYTES = 30,
    ZIP_FLAG_DESCRIPTOR = 1 << 3, /* sizes and checksum stand behind the data */
    ZIP_EXTRA_ZIP64 = 1,
};

#define ZIP_MAX16 0xffffu /* "look into the zip64 record" */
#define ZIP_MAX32 0xffffffffu

struct zip_body {
    struct zip zip;
    uint32_t *by_name;
    struct arena arena; /* names */
    size_t room;        /* for members */
};

struct zip_reading {
    const struct window_source *source;
    int64_t begin, end; /* of the archive in the source */
    int64_t directory, directory_end;
    uint64_t entries;
    struct zip_body *body;
    struct sewa_error *err;
};

static inline uint16_t zip_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t zip_u32(const uint8_t *p)
{
    return zip_u16(p) | (uint32_t)zip_u16(p + 2) << 16;
}

static inline uint64_t zip_u64(const uint8_t *p)
{
    return zip_u32(p) | (uint64_t)zip_u32(p + 4) << 32;
}

/* Fail: "'<file>', offset <at>: <text>". Returns the code. */
int zip_fail(struct zip_reading *r, int code, int64_t at, const char *format, ...)
    SEWA_PRINTF(4, 5);

/* n bytes at an offset of the source; that they are there was checked against the file's size. */
int zip_get(struct zip_reading *r, void *to, size_t n, int64_t at);

/*
 * Look for the zip64 field among the extra fields. 1 and the place of its content, 0 when there is
 * none, -1 when the fields do not fit or it is there twice.
 */
int zip_extra64(const uint8_t *extra, size_t n, const uint8_t **ret, size_t *ret_n);

/* Find the directory by the records at the end. */
int zip_find_directory(struct zip_reading *r);

/* Compare the local headers with the directory, and learn where the data begin. */
int zip_check_locals(struct zip_reading *r);

#endif
