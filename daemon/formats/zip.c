/*
 * zip - the central directory, read through a window: memory is that of the members, whatever the
 * numbers in the file promise.
 */
#include "formats/zip.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"

#include "formats/name_order.h"
#include "formats/shown.h"
#include "formats/zip_body.h"

enum {
    WINDOW = 1 << 18, /* holds the longest entry: three lengths of 16 bits */
    FLAGS_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13,
    FLAGS_KNOWN = 1 << 1 | 1 << 2 | ZIP_FLAG_DESCRIPTOR | 1 << 11, /* 11: names are UTF-8 */
    EXTRA_HEADER = 4,
};

int zip_fail(struct zip_reading *r, int code, int64_t at, const char *format, ...)
{
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sewa_fail(r->err, code, "'%s', offset %" PRId64 ": %s", r->source->name, at, text);
}

int zip_get(struct zip_reading *r, void *to, size_t n, int64_t at)
{
    ssize_t got = window_source_read(r->source, to, n, at);

    if (got < 0)
        return sewa_fail_errno(r->err, SEWA_E_IO, "cannot read '%s' at offset %" PRId64,
                               r->source->name, at);
    if ((size_t)got < n)
        return sewa_fail(r->err, SEWA_E_INCOMPLETE,
                         "'%s' ends at byte %" PRId64 ", it had %" PRId64 " when it was opened",
                         r->source->name, at + got, r->end);
    return 0;
}

int zip_extra64(const uint8_t *extra, size_t n, const uint8_t **ret, size_t *ret_n)
{
    int found = 0;

    while (n >= EXTRA_HEADER) {
        size_t length = zip_u16(extra + 2);
        if (length > n - EXTRA_HEADER)
            return -1;
        if (zip_u16(extra) == ZIP_EXTRA_ZIP64) {
            if (found++)
                return -1;
            *ret = extra + EXTRA_HEADER;
            *ret_n = length;
        }
        extra += EXTRA_HEADER + length;
        n -= EXTRA_HEADER + length;
    }
    return n == 0 ? found : -1;
}

/* Take the next number of the zip64 field instead of one that did not fit; false when it is not
 * there. */
static bool widen(uint64_t *number, const uint8_t **field, size_t *n)
{
    if (*number != ZIP_MAX32)
        return true;
    if (*n < 8)
        return false;
    *number = zip_u64(*field);
    *field += 8;
    *n -= 8;
    return true;
}

static int check_flags(struct zip_reading *r, int64_t at, const char *name, unsigned flags)
{
    char shown[SHOWN_NAME_SIZE];

    if (flags & FLAGS_ENCRYPTED)
        return zip_fail(r, SEWA_E_UNSUPPORTED, at, "member '%s' is encrypted",
                        shown_name(name, shown));
    if (flags & ~(unsigned)FLAGS_KNOWN)
        return zip_fail(r, SEWA_E_UNSUPPORTED, at, "member '%s' has the unknown flags 0x%04x",
                        shown_name(name, shown), flags);
    return 0;
}

static int get_name(struct zip_reading *r, int64_t at, const uint8_t *text, size_t n,
                    const char **ret)
{
    if (n > ZIP_NAME_MAX)
        return zip_fail(r, SEWA_E_UNSUPPORTED, at,
                        "the name of a member has %zu bytes, at most %d are supported", n,
                        ZIP_NAME_MAX);
    if (n == 0 || memchr(text, 0, n) || !utf8_is_valid((const char *)text, n))
        return zip_fail(r, SEWA_E_CORRUPT, at, "the name of a member is no text");
    *ret = arena_text(&r->body->arena, (const char *)text, n);
    return *ret ? 0
                : sewa_fail(r->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", r->source->name);
}

/* Sizes and place, with those of the zip64 field where the entry has none. */
static int get_numbers(struct zip_reading *r, int64_t at, const uint8_t *entry,
                       struct zip_member *m)
{
    char shown[SHOWN_NAME_SIZE];
    size_t name_bytes = zip_u16(entry + 28), extra_bytes = zip_u16(entry + 30), n = 0;
    const uint8_t *field = NULL;
    uint64_t stored = zip_u32(entry + 20), plain = zip_u32(entry + 24);
    uint64_t header = zip_u32(entry + 42), disk = zip_u16(entry + 34);
    int found = zip_extra64(entry + ZIP_CENTRAL_BYTES + name_bytes, extra_bytes, &field, &n);

    if (found < 0 || !widen(&plain, &field, &n) || !widen(&stored, &field, &n) ||
        !widen(&header, &field, &n))
        return zip_fail(r, SEWA_E_CORRUPT, at, "the extra fields of '%s' do not fit",
                        shown_name(m->name, shown));
    if (disk != 0 && !(disk == ZIP_MAX16 && n >= 4 && zip_u32(field) == 0))
        return zip_fail(r, SEWA_E_UNSUPPORTED, at, "member '%s' is on another disk",
                        shown_name(m->name, shown));
    if (m->method == 0 && stored != plain)
        return zip_fail(r, SEWA_E_CORRUPT, at,
                        "member '%s' is stored, and has %" PRIu64 " bytes and %" PRIu64,
                        shown_name(m->name, shown), stored, plain);
    uint64_t room = (uint64_t)(r->directory - r->begin);
    if (header > room || stored > room - header || plain > INT64_MAX)
        return zip_fail(r, SEWA_E_CORRUPT, at,
                        "member '%s' of %" PRIu64 " bytes at %" PRIu64
                        " reaches into the directory at %" PRIu64,
                        shown_name(m->name, shown), stored, header, room);
    m->header = r->begin + (int64_t)header;
    m->bytes = (int64_t)stored;
    m->plain = (int64_t)plain;
    return 0;
}

static struct zip_member *append(struct zip_body *b)
{
    struct zip *z = &b->zip;

    if (z->count == b->room) {
        size_t more = b->room ? 2 * b->room : 64;
        struct zip_member *grown = realloc(z->members, more * sizeof *grown);
        if (!grown)
            return NULL;
        z->members = grown;
        b->room = more;
    }
    return &z->members[z->count++];
}

/* The entry's fixed part is in sight. */
static int get_entry(struct zip_reading *r, struct window *w)
{
    int64_t at = window_offset(w);
    size_t name_bytes = zip_u16(w->at + 28);
    size_t n = ZIP_CENTRAL_BYTES + name_bytes + zip_u16(w->at + 30) + zip_u16(w->at + 32);

    if (zip_u32(w->at) != ZIP_CENTRAL)
        return zip_fail(r, SEWA_E_CORRUPT, at, "no entry of the zip directory is here");
    if (!window_has(w, n))
        return w->rc < 0 ? w->rc
                         : zip_fail(r, SEWA_E_CORRUPT, at,
                                    "this entry reaches behind the end of the zip directory");
    struct zip_member *m = append(r->body);
    if (!m)
        return sewa_fail(r->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", r->source->name);
    *m = (struct zip_member){ .flags = zip_u16(w->at + 8),
                              .method = zip_u16(w->at + 10),
                              .crc32 = zip_u32(w->at + 16) };
    int rc = get_name(r, at, w->at + ZIP_CENTRAL_BYTES, name_bytes, &m->name);
    if (rc == 0)
        rc = check_flags(r, at, m->name, m->flags);
    if (rc == 0)
        rc = get_numbers(r, at, w->at, m);
    w->at += n;
    return rc;
}

static int get_entries(struct zip_reading *r, struct window *w)
{
    int rc = 0;

    w->next = r->directory;
    w->limit = r->directory_end;
    for (uint64_t i = 0; i < r->entries && rc == 0; i++) {
        if (window_has(w, ZIP_CENTRAL_BYTES))
            rc = get_entry(r, w);
        else
            rc = w->rc < 0
                     ? w->rc
                     : zip_fail(r, SEWA_E_CORRUPT, window_offset(w),
                                "the zip directory ends after %" PRIu64 " of %" PRIu64 " members",
                                i, r->entries);
    }
    if (rc == 0 && window_offset(w) != r->directory_end)
        return zip_fail(r, SEWA_E_CORRUPT, window_offset(w),
                        "the zip directory goes on behind its %" PRIu64 " members", r->entries);
    if (rc == 0)
        window_digest(w, r->body->zip.digest);
    return rc;
}

static int read_directory(struct zip_reading *r)
{
    AUTO(window_clear) struct window w = { 0 };
    int rc = window_init(&w, r->source, WINDOW, r->err);

    return rc < 0 ? rc : get_entries(r, &w);
}

static const char *member_name(const void *of, size_t i)
{
    return ((const struct zip_member *)of)[i].name;
}

static int index_names(struct zip_reading *r)
{
    struct zip *z = &r->body->zip;
    char shown[SHOWN_NAME_SIZE];
    size_t twice;

    if (z->count == 0)
        return 0;
    z->by_name = r->body->by_name = malloc(z->count * sizeof *r->body->by_name);
    if (!z->by_name || name_order(member_name, z->members, z->count, r->body->by_name, &twice) < 0)
        return sewa_fail(r->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", r->source->name);
    if (twice == 0)
        return 0;
    const struct zip_member *m = &z->members[z->by_name[twice]];
    return zip_fail(r, SEWA_E_CORRUPT, m->header, "two members have the name '%s'",
                    shown_name(m->name, shown));
}

int zip_read(const struct window_source *source, int64_t begin, int64_t bytes, struct zip **ret,
             struct sewa_error *err)
{
    struct zip_body *body = calloc(1, sizeof *body);

    if (!body)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", source->name);
    AUTOPTR(zip_free) struct zip *z = &body->zip;
    struct zip_reading r = {
        .source = source, .begin = begin, .end = begin + bytes, .body = body, .err = err
    };
    int rc = zip_find_directory(&r);
    if (rc == 0)
        rc = read_directory(&r);
    if (rc == 0)
        rc = zip_check_locals(&r);
    if (rc == 0)
        rc = index_names(&r);
    if (rc < 0)
        return rc;
    *ret = TAKE(z);
    return 0;
}

void zip_free(struct zip *z)
{
    if (!z)
        return;
    struct zip_body *body = container_of(z, struct zip_body, zip);
    arena_clear(&body->arena);
    free(z->members);
    free(body->by_name);
    free(body);
}

const struct zip_member *zip_find(const struct zip *z, const char *name)
{
    size_t low = 0, high = z->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct zip_member *m = &z->members[z->by_name[middle]];
        int order = strcmp(name, m->name);
        if (order == 0)
            return m;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
