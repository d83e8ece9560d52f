/*
 * scanner - JSON (RFC 8259), token by token, from a window over a file that somebody else wrote.
 *
 * There is no tree and no recursion: the caller knows which token must come next and asks for it.
 * Stricter than most readers where strictness costs nobody: whole numbers are digits only, strings
 * are valid UTF-8 without control characters, halves of surrogate pairs and U+0000 are refused.
 *
 * Every function returns 0 (or what it says) or a negative code with the offset in the text:
 * SEWA_E_INCOMPLETE where the bytes end before the header does, or are zero from there on (a writer
 * that has preallocated the file), else SEWA_E_CORRUPT. Thread: one at a time.
 */
#ifndef FORMATS_SCANNER_H
#define FORMATS_SCANNER_H

#include "base/buf.h"
#include "formats/window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Containers within each other, the outermost included; that of the reference implementation. */
#define SCANNER_DEPTH_MAX 127

struct scanner {
    struct window in;
    int64_t text_end;       /* offset at which the JSON text ends when the file is complete */
    struct sewa_error *err; /* may be NULL */
};

/* n bytes, NUL not included, that stay where they are until the scanner is used again. */
struct scanned {
    const char *text;
    size_t n;
};

static inline bool scanned_is(const struct scanned *s, const char *word, size_t n)
{
    return s->n == n && memcmp(s->text, word, n) == 0;
}

/* Fail because of what comes next, which is not what is wanted: a byte, or the end. */
int scanner_unexpected(struct scanner *s, const char *wanted);

/* Skip white space; the next byte, or -1 at the end (which the next call for a token reports). */
int scanner_peek_far(struct scanner *s);
static inline int scanner_peek(struct scanner *s)
{
    const uint8_t *at = s->in.at;

    if (at != s->in.end && *at > ' ')
        return *at;
    return scanner_peek_far(s);
}

/* Offset in the file of the next token. */
static inline int64_t scanner_offset(struct scanner *s)
{
    scanner_peek(s);
    return window_offset(&s->in);
}

/* Take this byte, behind white space. @wanted says in messages what should be there. */
static inline int scanner_take(struct scanner *s, char c, const char *wanted)
{
    if (scanner_peek(s) != c)
        return scanner_unexpected(s, wanted);
    s->in.at++;
    return 0;
}

/*
 * Go to the next element of a container whose bracket was taken: 1 when there is one, 0 when
 * @close was taken. *@is_first is true before the first element and belongs to this function.
 */
static inline int scanner_next(struct scanner *s, char close, bool *is_first)
{
    int c = scanner_peek(s);

    if (c == close) {
        s->in.at++;
        return 0;
    }
    if (!*is_first) {
        if (c != ',')
            return scanner_unexpected(s, close == '}' ? "',' or '}'" : "',' or ']'");
        s->in.at++;
    }
    *is_first = false;
    return 1;
}

/*
 * A string of at most @max bytes, decoded. It lies in the window or, when it has escapes or is cut
 * by the window's edge, in @room, which must not be used otherwise while it is needed. Without a
 * room the string is only checked, @max does not count and @ret is not written.
 */
int scanner_string(struct scanner *s, size_t max, struct buf *room, struct scanned *ret);

/* The first byte of [p, end) that is not plain in a string: ASCII, no control, no '"', no '\\'. */
const uint8_t *scanner_plain_end(const uint8_t *p, const uint8_t *end);

/* A string and the colon behind it. */
int scanner_key(struct scanner *s, size_t max, struct buf *room, struct scanned *ret);

/* A whole number from 0 to 2^63 - 1: digits without a leading zero. */
int scanner_count(struct scanner *s, int64_t *ret);

/* Any value, checked and forgotten. @depth is the number of containers that are open around it. */
int scanner_skip(struct scanner *s, unsigned depth);

/* Fail with SEWA_E_CORRUPT or @code: "'<file>', offset <at>: <text>". Returns the code. */
int scanner_fail(struct scanner *s, int code, int64_t at, const char *format, ...)
    SEWA_PRINTF(4, 5);

/* Fail because the bytes end before all of what is wanted was there. */
int scanner_ends(struct scanner *s, const char *wanted);

#endif
