/*
 * zip_local - local headers: each must say what the directory says. They are read one by one, in
 * the order of their places, because the data begin behind them and nothing else says where.
 */
#include <inttypes.h>
#include <string.h>

#include "formats/shown.h"
#include "formats/zip_body.h"

enum { EXTRA_MAX = 65535 };

struct local {
    uint8_t bytes[ZIP_LOCAL_BYTES + ZIP_NAME_MAX];
    size_t name_bytes, extra_bytes;
    uint64_t stored, plain; /* sizes, from the zip64 field if they are there */
    uint32_t crc32;
};

static int get_local(struct zip_reading *r, const struct zip_member *m, int64_t limit,
                     struct local *ret)
{
    char shown[SHOWN_NAME_SIZE];
    size_t name_bytes = strlen(m->name);

    if (limit - m->header < (int64_t)(ZIP_LOCAL_BYTES + name_bytes))
        return zip_fail(r, SEWA_E_CORRUPT, m->header,
                        "the local header of '%s' reaches into what follows it",
                        shown_name(m->name, shown));
    int rc = zip_get(r, ret->bytes, ZIP_LOCAL_BYTES + name_bytes, m->header);
    if (rc < 0)
        return rc;
    ret->name_bytes = zip_u16(ret->bytes + 26);
    ret->extra_bytes = zip_u16(ret->bytes + 28);
    ret->crc32 = zip_u32(ret->bytes + 14);
    ret->stored = zip_u32(ret->bytes + 18);
    ret->plain = zip_u32(ret->bytes + 22);
    if (zip_u32(ret->bytes) != ZIP_LOCAL)
        return zip_fail(r, SEWA_E_CORRUPT, m->header, "no local header of '%s' is here",
                        shown_name(m->name, shown));
    if (ret->name_bytes != name_bytes ||
        memcmp(ret->bytes + ZIP_LOCAL_BYTES, m->name, name_bytes) != 0)
        return zip_fail(r, SEWA_E_CORRUPT, m->header,
                        "the local header has another name than '%s', which the directory has",
                        shown_name(m->name, shown));
    if (zip_u16(ret->bytes + 6) != m->flags || zip_u16(ret->bytes + 8) != m->method)
        return zip_fail(r, SEWA_E_CORRUPT, m->header,
                        "flags or method of '%s' are others than those of the directory",
                        shown_name(m->name, shown));
    return 0;
}

/* Sizes that did not fit stand in an extra field: here always both, plain first. */
static int get_sizes64(struct zip_reading *r, const struct zip_member *m, struct local *l)
{
    char shown[SHOWN_NAME_SIZE];
    const uint8_t *field;
    size_t n;

    if (l->stored != ZIP_MAX32 && l->plain != ZIP_MAX32)
        return 0;
    AUTOFREE uint8_t *extra = malloc(EXTRA_MAX);
    if (!extra)
        return sewa_fail(r->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", r->source->name);
    int rc =
        zip_get(r, extra, l->extra_bytes, m->header + ZIP_LOCAL_BYTES + (int64_t)l->name_bytes);
    if (rc < 0)
        return rc;
    int found = zip_extra64(extra, l->extra_bytes, &field, &n);
    if (found < 0 || (found > 0 && n < 16))
        return zip_fail(r, SEWA_E_CORRUPT, m->header,
                        "the extra fields in the local header of '%s' do not fit",
                        shown_name(m->name, shown));
    if (found > 0) {
        l->plain = zip_u64(field);
        l->stored = zip_u64(field + 8);
    }
    return 0;
}

static int check_sizes(struct zip_reading *r, const struct zip_member *m, const struct local *l)
{
    char shown[SHOWN_NAME_SIZE];
    uint64_t bytes = (uint64_t)m->bytes, plain = (uint64_t)m->plain;
    bool is_later = m->flags & ZIP_FLAG_DESCRIPTOR; /* then they may be zero here */
    bool fits = (l->stored == bytes || (is_later && l->stored == 0)) &&
                (l->plain == plain || (is_later && l->plain == 0));

    if (!fits)
        return zip_fail(r, SEWA_E_CORRUPT, m->header,
                        "the local header gives '%s' %" PRIu64 " bytes, the directory %" PRIu64,
                        shown_name(m->name, shown), l->stored, bytes);
    if (l->crc32 != m->crc32 && !(is_later && l->crc32 == 0))
        return zip_fail(r, SEWA_E_CORRUPT, m->header,
                        "the local header gives '%s' the checksum %08x, the directory %08x",
                        shown_name(m->name, shown), l->crc32, m->crc32);
    return 0;
}

/* Everything of this member must end before @limit, where the next one or the directory begins. */
static int check_local(struct zip_reading *r, struct zip_member *m, int64_t limit)
{
    struct local l;
    char shown[SHOWN_NAME_SIZE];
    int rc = get_local(r, m, limit, &l);

    if (rc < 0)
        return rc;
    int64_t before = ZIP_LOCAL_BYTES + (int64_t)(l.name_bytes + l.extra_bytes);
    if (limit - m->header < before || limit - m->header - before < m->bytes)
        return zip_fail(r, SEWA_E_CORRUPT, m->header,
                        "member '%s' of %" PRId64 " bytes reaches into what begins at %" PRId64,
                        shown_name(m->name, shown), m->bytes, limit);
    m->offset = m->header + before;
    rc = get_sizes64(r, m, &l);
    return rc < 0 ? rc : check_sizes(r, m, &l);
}

static int by_header(const void *left, const void *right)
{
    const struct zip_member *a = left, *b = right;

    return a->header < b->header ? -1 : a->header > b->header;
}

static void sort_members(struct zip *z)
{
    for (size_t i = 1; i < z->count; i++)
        if (z->members[i - 1].header > z->members[i].header) {
            qsort(z->members, z->count, sizeof *z->members, by_header);
            return;
        }
}

int zip_check_locals(struct zip_reading *r)
{
    struct zip *z = &r->body->zip;
    int rc = 0;

    sort_members(z);
    if (z->count > 0 && z->members[0].header != r->begin)
        return zip_fail(r, SEWA_E_CORRUPT, r->begin,
                        "%" PRId64 " bytes before the first member of the zip archive",
                        z->members[0].header - r->begin);
    for (size_t i = 0; i < z->count && rc == 0; i++)
        rc = check_local(r, &z->members[i],
                         i + 1 < z->count ? z->members[i + 1].header : r->directory);
    return rc;
}
