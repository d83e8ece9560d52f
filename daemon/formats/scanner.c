/*
 * scanner - the structure of JSON, whole numbers, and what to say when something else stands there.
 * Strings are in scanner_string.c, values that nobody asks for in scanner_skip.c.
 */
#include "formats/scanner.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int scanner_fail(struct scanner *s, int code, int64_t at, const char *format, ...)
{
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sewa_fail(s->err, code, "'%s', offset %" PRId64 ": %s", s->in.source.name, at, text);
}

int scanner_ends(struct scanner *s, const char *wanted)
{
    s->in.at = s->in.end;
    int64_t at = window_offset(&s->in);

    if (s->in.rc < 0)
        return s->in.rc;
    if (at < s->text_end)
        return sewa_fail(s->err, SEWA_E_INCOMPLETE,
                         "'%s' ends at byte %" PRId64 " and its header at byte %" PRId64,
                         s->in.source.name, at, s->text_end);
    return scanner_fail(s, SEWA_E_CORRUPT, at, "expected %s, and the header ends", wanted);
}

int scanner_unexpected(struct scanner *s, const char *wanted)
{
    if (!window_has(&s->in, 1))
        return scanner_ends(s, wanted);
    int64_t at = window_offset(&s->in);
    unsigned c = *s->in.at;
    if (c == 0 && window_rest_is_zero(&s->in)) {
        if (s->in.rc < 0)
            return s->in.rc;
        return sewa_fail(s->err, SEWA_E_INCOMPLETE,
                         "the header of '%s' is zero from offset %" PRId64
                         " on, it may still be written",
                         s->in.source.name, at);
    }
    if (c > ' ' && c < 0x7f)
        return scanner_fail(s, SEWA_E_CORRUPT, at, "expected %s, found '%c'", wanted, (int)c);
    return scanner_fail(s, SEWA_E_CORRUPT, at, "expected %s, found byte 0x%02x", wanted, c);
}

int scanner_peek_far(struct scanner *s)
{
    struct window *w = &s->in;

    for (;; w->at++) {
        if (!window_has(w, 1))
            return -1;
        if (*w->at != ' ' && *w->at != '\n' && *w->at != '\r' && *w->at != '\t')
            return *w->at;
    }
}

/* Digits that are in sight and cannot overflow; the others come one by one. */
static int64_t count_in_sight(struct window *w)
{
    const uint8_t *p = w->at;
    const uint8_t *end = w->end - p < 18 ? w->end : p + 18;
    int64_t x = 0;

    for (; p < end && *p >= '0' && *p <= '9'; p++)
        x = 10 * x + (*p - '0');
    w->at = p;
    return x;
}

int scanner_count(struct scanner *s, int64_t *ret)
{
    struct window *w = &s->in;
    int c = scanner_peek(s);
    int64_t at = window_offset(w), x = 0;

    if (c < '0' || c > '9')
        return scanner_unexpected(s, "a whole number");
    if (c == '0')
        w->at++; /* nothing may follow a leading zero */
    else
        x = count_in_sight(w);
    while (c != '0' && window_has(w, 1) && *w->at >= '0' && *w->at <= '9') {
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, *w->at - '0', &x))
            return scanner_fail(s, SEWA_E_CORRUPT, at, "a number larger than %" PRId64, INT64_MAX);
        w->at++;
    }
    c = window_has(w, 1) ? *w->at : -1;
    if (c == '.' || c == 'e' || c == 'E' || (c >= '0' && c <= '9'))
        return scanner_unexpected(s, "the end of a whole number");
    *ret = x;
    return 0;
}
