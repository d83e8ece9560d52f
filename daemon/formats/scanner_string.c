/*
 * scanner_string - strings of JSON: escapes, UTF-8, and as little copying as possible. Most strings
 * of a header are short, plain ASCII and wholly in the window: those are handed out as they lie.
 */
#include "formats/scanner.h"

#include <endian.h>
#include <string.h>

#include "base/path.h"

/* Bytes that stand for themselves: ASCII without controls, '"' (0x22) and '\' (0x5c). */
static const bool is_plain[256] = {
    [0x20 ... 0x21] = true,
    [0x23 ... 0x5b] = true,
    [0x5d ... 0x7f] = true,
};

/*
 * Eight at once: the high bits of those that are not plain. A byte below 0x80 is less than c where
 * subtracting c borrows, and it is c where x ^ c is less than 1. A borrow runs on into the bytes
 * behind, so nothing that follows the first bit that is set means anything.
 */
static uint64_t not_plain(const uint8_t *p)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t x;

    memcpy(&x, p, sizeof x);
    x = le64toh(x);
    uint64_t quote = (x ^ '"' * each) - each, backslash = (x ^ '\\' * each) - each;
    return (x | (x - 0x20 * each) | quote | backslash) & 0x80 * each;
}

/* A string that cannot be taken as it lies. */
struct decoding {
    struct buf *room; /* what was decoded so far; NULL: nobody wants it */
    size_t max;
    int64_t start; /* offset of the opening quote */
};

static int fail_length(struct scanner *s, const struct decoding *d)
{
    return scanner_fail(s, SEWA_E_UNSUPPORTED, d->start,
                        "a string of more than %zu bytes is not supported here", d->max);
}

static int append(struct scanner *s, struct decoding *d, const void *text, size_t n)
{
    if (!d->room)
        return 0;
    if (n > d->max - d->room->len)
        return fail_length(s, d);
    buf_append(d->room, text, n);
    if (buf_failed(d->room))
        return sewa_fail(s->err, SEWA_E_NO_MEMORY, "no memory for a string of '%s'",
                         s->in.source.name);
    return 0;
}

/* Four hexadecimal digits, @skip bytes ahead and in sight. A bad one becomes the next byte. */
static int hex4(struct scanner *s, size_t skip, int32_t *ret)
{
    const uint8_t *p = s->in.at + skip;
    int32_t x = 0;

    for (int i = 0; i < 4; i++, p++) {
        int32_t digit;
        if (*p >= '0' && *p <= '9') {
            digit = *p - '0';
        } else if ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f') {
            digit = (*p | 0x20) - 'a' + 10;
        } else {
            s->in.at = p;
            return scanner_unexpected(s, "a hexadecimal digit");
        }
        x = x << 4 | digit;
    }
    *ret = x;
    return 0;
}

static size_t utf8_encode(int32_t c, uint8_t out[4])
{
    static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(n == 1 ? c : lead[n] | c);
    return n;
}

/* Behind the first half of a surrogate pair, which is *c: the second. */
static int take_second_half(struct scanner *s, int32_t *c)
{
    struct window *w = &s->in;
    int32_t low = 0;

    if (window_has(w, 2) && (w->at[0] != '\\' || w->at[1] != 'u'))
        return scanner_unexpected(s, "the second half of a surrogate pair");
    if (!window_has(w, 6))
        return scanner_ends(s, "the second half of a surrogate pair");
    int rc = hex4(s, 2, &low);
    if (rc < 0)
        return rc;
    if (low < 0xdc00 || low > 0xdfff)
        return scanner_fail(s, SEWA_E_CORRUPT, window_offset(w),
                            "expected the second half of a surrogate pair, found U+%04X",
                            (unsigned)low);
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    w->at += 6;
    return 0;
}

/* At "\uXXXX": one character of the basic plane, or two of them that are a surrogate pair. */
static int take_unicode(struct scanner *s, struct decoding *d)
{
    struct window *w = &s->in;
    int64_t at = window_offset(w);
    uint8_t text[4];
    int32_t c = 0;

    if (!window_has(w, 6))
        return scanner_ends(s, "four hexadecimal digits");
    int rc = hex4(s, 2, &c);
    if (rc < 0)
        return rc;
    w->at += 6;
    if (c == 0 && d->room) /* names are C strings; in a value that is skipped it does no harm */
        return scanner_fail(s, SEWA_E_UNSUPPORTED, at, "U+0000 in a string is not supported");
    if (c >= 0xdc00 && c <= 0xdfff)
        return scanner_fail(s, SEWA_E_CORRUPT, at,
                            "the second half of a surrogate pair without the first");
    if (c >= 0xd800 && c <= 0xdbff)
        rc = take_second_half(s, &c);
    return rc < 0 ? rc : append(s, d, text, utf8_encode(c, text));
}

static int take_escape(struct scanner *s, struct decoding *d)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    struct window *w = &s->in;

    if (!window_has(w, 2))
        return scanner_ends(s, "an escaped character");
    if (w->at[1] == 'u')
        return take_unicode(s, d);
    const char *letter = w->at[1] ? strchr(letters, w->at[1]) : NULL;
    if (!letter) {
        w->at++;
        return scanner_unexpected(s, "one of \"\\/bfnrtu");
    }
    w->at += 2;
    return append(s, d, &meanings[letter - letters], 1);
}

/* A character past ASCII. */
static int take_sequence(struct scanner *s, struct decoding *d)
{
    struct window *w = &s->in;
    size_t want = *w->at > 0xf4 ? 1 : *w->at >= 0xf0 ? 4 : *w->at >= 0xe0 ? 3 : 2;

    window_has(w, want);
    size_t n = (size_t)(w->end - w->at) < want ? (size_t)(w->end - w->at) : want;
    size_t length = utf8_sequence((const char *)w->at, n);
    if (length > 0) {
        int rc = append(s, d, w->at, length);
        w->at += length;
        return rc;
    }
    size_t good = 1; /* how far it could have become a character */
    while (good < n && (w->at[good] & 0xc0) == 0x80)
        good++;
    if (good == n && n < want)
        return scanner_ends(s, "the rest of a character");
    if (good < n && w->at[good] == 0) {
        w->at += good;
        return scanner_unexpected(s, "the rest of a character");
    }
    return scanner_fail(s, SEWA_E_CORRUPT, window_offset(w), "byte 0x%02x is not UTF-8 here",
                        (unsigned)*w->at);
}

const uint8_t *scanner_plain_end(const uint8_t *p, const uint8_t *end)
{
    for (uint64_t found; end - p >= 8; p += 8)
        if ((found = not_plain(p)))
            return p + __builtin_ctzll(found) / 8;
    while (p < end && is_plain[*p])
        p++;
    return p;
}

/* Up to and with the closing quote. */
static int decode(struct scanner *s, struct decoding *d)
{
    struct window *w = &s->in;

    while (window_has(w, 1)) {
        const uint8_t *p = scanner_plain_end(w->at, w->end);
        int rc = append(s, d, w->at, (size_t)(p - w->at));
        w->at = p;
        if (rc == 0 && p < w->end) {
            if (*p == '"') {
                w->at++;
                return 0;
            }
            if (*p == '\\')
                rc = take_escape(s, d);
            else if (*p >= 0x80)
                rc = take_sequence(s, d);
            else
                rc = scanner_unexpected(s, "a character of a string");
        }
        if (rc < 0)
            return rc;
    }
    return scanner_ends(s, "the end of a string");
}

int scanner_string(struct scanner *s, size_t max, struct buf *room, struct scanned *ret)
{
    struct window *w = &s->in;

    if (scanner_peek(s) != '"')
        return scanner_unexpected(s, "a string");
    struct decoding d = { .room = room, .max = max, .start = window_offset(w) };
    w->at++;
    const uint8_t *p = scanner_plain_end(w->at, w->end);
    if (room && p < w->end && *p == '"') {
        *ret = (struct scanned){ (const char *)w->at, (size_t)(p - w->at) };
        w->at = p + 1;
        return ret->n <= max ? 0 : fail_length(s, &d);
    }
    if (room)
        buf_reset(room);
    int rc = decode(s, &d);
    if (rc == 0 && room)
        *ret = (struct scanned){ buf_cstr(room), room->len };
    return rc;
}

int scanner_key(struct scanner *s, size_t max, struct buf *room, struct scanned *ret)
{
    struct window *w = &s->in;
    int rc = scanner_string(s, max, room, ret);

    if (rc < 0)
        return rc;
    if (w->at < w->end && *w->at == ':') {
        w->at++;
        return 0;
    }
    if (room && ret->text != buf_cstr(room)) { /* looking for the colon may move the window */
        struct decoding d = { .room = room, .max = max };
        buf_reset(room);
        rc = append(s, &d, ret->text, ret->n);
        *ret = (struct scanned){ buf_cstr(room), ret->n };
    }
    return rc < 0 ? rc : scanner_take(s, ':', "':'");
}
