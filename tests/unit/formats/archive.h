/*
 * archive - zip archives as PyTorch writes them, made in memory, for tests and fuzz targets: local
 * headers without sizes, data at multiples of 64, descriptors, both kinds of end record. Where each
 * record lies is kept, so that a test can break exactly one field.
 */
#ifndef TESTS_ARCHIVE_H
#define TESTS_ARCHIVE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "formats/crc32.h"

enum { ARCHIVE_MEMBERS_MAX = 16 };

struct archive {
    struct buf bytes;
    size_t count;
    size_t local[ARCHIVE_MEMBERS_MAX], data[ARCHIVE_MEMBERS_MAX], central[ARCHIVE_MEMBERS_MAX];
    size_t end64, locator, end; /* records */
    struct {
        char name[64];
        uint32_t crc32;
        size_t n;
    } member[ARCHIVE_MEMBERS_MAX];
};

static inline void archive_number(struct archive *a, uint64_t x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(&a->bytes, (char)(x >> 8 * i));
}

static inline void archive_zeros(struct archive *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(&a->bytes, 0);
}

/* A stored member. */
static inline void archive_add(struct archive *a, const char *name, const void *data, size_t n)
{
    size_t i = a->count++, length = strlen(name);

    a->local[i] = a->bytes.len;
    snprintf(a->member[i].name, sizeof a->member[i].name, "%s", name);
    a->member[i].crc32 = crc32_update(0, data, n);
    a->member[i].n = n;
    size_t pad = (size_t) - (a->bytes.len + 30 + length + 4) % 64;
    archive_number(a, 0x04034b50, 4);
    archive_number(a, 0, 2);
    archive_number(a, 0x808, 2);
    archive_zeros(a, 2 + 2 + 2 + 4 + 4 + 4); /* method, time, date, checksum, sizes */
    archive_number(a, length, 2);
    archive_number(a, pad + 4, 2);
    buf_append(&a->bytes, name, length);
    buf_text(&a->bytes, "FB");
    archive_number(a, pad, 2);
    for (size_t k = 0; k < pad; k++)
        buf_char(&a->bytes, 'Z');
    a->data[i] = a->bytes.len;
    buf_append(&a->bytes, data, n);
    archive_number(a, 0x08074b50, 4);
    archive_number(a, a->member[i].crc32, 4);
    archive_number(a, n, 4);
    archive_number(a, n, 4);
}

static inline void archive_finish(struct archive *a)
{
    size_t directory = a->bytes.len;

    for (size_t i = 0; i < a->count; i++) {
        size_t length = strlen(a->member[i].name);
        a->central[i] = a->bytes.len;
        archive_number(a, 0x02014b50, 4);
        archive_zeros(a, 4); /* versions */
        archive_number(a, 0x808, 2);
        archive_zeros(a, 6); /* method, time, date */
        archive_number(a, a->member[i].crc32, 4);
        archive_number(a, a->member[i].n, 4);
        archive_number(a, a->member[i].n, 4);
        archive_number(a, length, 2);
        archive_zeros(a, 2 + 2 + 2 + 2 + 4); /* extra, comment, disk, attributes */
        archive_number(a, a->local[i], 4);
        buf_append(&a->bytes, a->member[i].name, length);
    }
    size_t n = a->bytes.len - directory;
    a->end64 = a->bytes.len;
    archive_number(a, 0x06064b50, 4);
    archive_number(a, 44, 8);
    archive_number(a, 0x31e, 2);
    archive_number(a, 45, 2);
    archive_zeros(a, 8); /* disks */
    archive_number(a, a->count, 8);
    archive_number(a, a->count, 8);
    archive_number(a, n, 8);
    archive_number(a, directory, 8);
    a->locator = a->bytes.len;
    archive_number(a, 0x07064b50, 4);
    archive_zeros(a, 4);
    archive_number(a, a->end64, 8);
    archive_number(a, 1, 4);
    a->end = a->bytes.len;
    archive_number(a, 0x06054b50, 4);
    archive_zeros(a, 4); /* disks */
    archive_number(a, a->count, 2);
    archive_number(a, a->count, 2);
    archive_number(a, n, 4);
    archive_number(a, directory, 4);
    archive_zeros(a, 2);
}

/* Overwrite n bytes with a number. */
static inline void archive_poke(struct archive *a, size_t at, uint64_t x, size_t n)
{
    for (size_t i = 0; i < n && at + i < a->bytes.len; i++)
        a->bytes.data[at + i] = (char)(x >> 8 * i);
}

static inline void archive_clear(struct archive *a)
{
    buf_clear(&a->bytes);
    memset(a, 0, sizeof *a);
}

/* A checkpoint with this pickle, and storages "0" (24 bytes), "1" (64 bytes), "2" (none). */
static inline void archive_checkpoint(struct archive *a, const void *pickle, size_t n)
{
    static const uint8_t zeros[64];

    archive_add(a, "a/data.pkl", pickle, n);
    archive_add(a, "a/byteorder", "little", 6);
    archive_add(a, "a/data/0", zeros, 24);
    archive_add(a, "a/data/1", zeros, 64);
    archive_add(a, "a/data/2", zeros, 0);
    archive_add(a, "a/version", "3\n", 2);
    archive_finish(a);
}

#endif
