/*
 * zip_end - the records at the end of an archive, which say where its directory is.
 */
#include <inttypes.h>

#include "formats/zip_body.h"

/* Of a directory, as one of the two records tells it. */
struct told {
    uint64_t disk, first_disk, entries_here, entries, size, offset;
};

enum { COMMENT_MAX = 65535 };

/* Someone has appended to the archive, or it is not finished: look for an end record further up. */
static int no_end(struct zip_reading *r)
{
    uint8_t tail[ZIP_END_BYTES + COMMENT_MAX];
    size_t n = (size_t)(r->end - r->begin);

    if (n > sizeof tail)
        n = sizeof tail;
    int rc = zip_get(r, tail, n, r->end - (int64_t)n);
    if (rc < 0)
        return rc;
    for (size_t i = n >= ZIP_END_BYTES ? n - ZIP_END_BYTES + 1 : 0; i-- > 0;)
        if (zip_u32(tail + i) == ZIP_END && zip_u16(tail + i + 20) == n - i - ZIP_END_BYTES)
            return zip_fail(
                r, SEWA_E_UNSUPPORTED, r->end - (int64_t)(n - i),
                "the zip archive has a comment of %zu bytes, which PyTorch never writes",
                n - i - ZIP_END_BYTES);
    return sewa_fail(r->err, SEWA_E_INCOMPLETE,
                     "'%s' does not end with the end record of a zip archive: it may still be "
                     "written",
                     r->source->name);
}

static int get_end64(struct zip_reading *r, int64_t locator_at, const uint8_t *locator,
                     struct told *ret)
{
    uint8_t end[ZIP_END64_BYTES];
    uint64_t at = zip_u64(locator + 8);

    if (zip_u32(locator + 4) != 0 || zip_u32(locator + 16) > 1)
        return zip_fail(r, SEWA_E_UNSUPPORTED, locator_at, "the zip archive has several disks");
    if (at > (uint64_t)(locator_at - r->begin) ||
        locator_at - r->begin - (int64_t)at < ZIP_END64_BYTES)
        return zip_fail(r, SEWA_E_CORRUPT, locator_at, "the zip64 end record cannot be at %" PRIu64,
                        at);
    int64_t end_at = r->begin + (int64_t)at;
    int rc = zip_get(r, end, sizeof end, end_at);
    if (rc < 0)
        return rc;
    if (zip_u32(end) != ZIP_END64 || zip_u64(end + 4) + 12 != (uint64_t)(locator_at - end_at))
        return zip_fail(r, SEWA_E_CORRUPT, end_at,
                        "no zip64 end record is here, or it is not as long as the space for it");
    *ret = (struct told){ zip_u32(end + 16), zip_u32(end + 20), zip_u64(end + 24),
                          zip_u64(end + 32), zip_u64(end + 40), zip_u64(end + 48) };
    r->directory_end = end_at;
    return 0;
}

/* A number of the old record is that of the zip64 record, or its largest and so says nothing. */
static bool agrees(uint64_t old, uint64_t largest, uint64_t exact)
{
    return old == exact || old == largest;
}

static int check_told(struct zip_reading *r, int64_t end_at, const struct told *t)
{
    if (t->disk != 0 || t->first_disk != 0 || t->entries_here != t->entries)
        return zip_fail(r, SEWA_E_UNSUPPORTED, end_at, "the zip archive has several disks");
    if (t->entries > ZIP_MEMBERS_MAX)
        return zip_fail(r, SEWA_E_UNSUPPORTED, end_at,
                        "%" PRIu64 " members in a zip archive, at most %d are supported",
                        t->entries, ZIP_MEMBERS_MAX);
    uint64_t room = (uint64_t)(r->directory_end - r->begin);
    if (t->offset > room || room - t->offset != t->size)
        return zip_fail(r, SEWA_E_CORRUPT, end_at,
                        "the directory of %" PRIu64 " bytes at %" PRIu64
                        " does not end where the end record begins, at %" PRIu64,
                        t->size, t->offset, room);
    r->directory = r->begin + (int64_t)t->offset;
    r->entries = t->entries;
    return 0;
}

int zip_find_directory(struct zip_reading *r)
{
    uint8_t tail[ZIP_LOCATOR_BYTES + ZIP_END_BYTES];
    const uint8_t *end = tail + ZIP_LOCATOR_BYTES;
    int64_t end_at = r->end - ZIP_END_BYTES, locator_at = end_at - ZIP_LOCATOR_BYTES;
    bool has_room = locator_at >= r->begin;

    if (end_at < r->begin)
        return no_end(r);
    int rc = zip_get(r, has_room ? tail : tail + ZIP_LOCATOR_BYTES,
                     has_room ? sizeof tail : ZIP_END_BYTES, has_room ? locator_at : end_at);
    if (rc < 0)
        return rc;
    if (zip_u32(end) != ZIP_END || zip_u16(end + 20) != 0)
        return no_end(r);
    struct told old = { zip_u16(end + 4),  zip_u16(end + 6),  zip_u16(end + 8),
                        zip_u16(end + 10), zip_u32(end + 12), zip_u32(end + 16) };
    r->directory_end = end_at;
    if (!has_room || zip_u32(tail) != ZIP_END64_LOCATOR)
        return check_told(r, end_at, &old);
    struct told exact = { 0 };
    rc = get_end64(r, locator_at, tail, &exact);
    if (rc < 0)
        return rc;
    if (!agrees(old.disk, ZIP_MAX16, exact.disk) ||
        !agrees(old.first_disk, ZIP_MAX16, exact.first_disk) ||
        !agrees(old.entries_here, ZIP_MAX16, exact.entries_here) ||
        !agrees(old.entries, ZIP_MAX16, exact.entries) ||
        !agrees(old.size, ZIP_MAX32, exact.size) || !agrees(old.offset, ZIP_MAX32, exact.offset))
        return zip_fail(r, SEWA_E_CORRUPT, end_at,
                        "the two end records of the zip archive say different things");
    return check_told(r, end_at, &exact);
}
