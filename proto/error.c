/*
 * error - the table of codes and the functions that fill a struct sewa_error.
 * Thread: any. Never allocates.
 */
#include "sewa/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct sewa_code_info codes[] = {
#define SEWA_CODE(name, number, http, blame, slug, title) \
    { (number), (http), #name, (slug), (title), SEWA_BLAME_##blame },
#include "sewa/codes.def"
#undef SEWA_CODE
};

#define CODE_COUNT (sizeof codes / sizeof codes[0])

const struct sewa_code_info *sewa_code_at(size_t i)
{
    return i < CODE_COUNT ? &codes[i] : NULL;
}

const struct sewa_code_info *sewa_code_info(int code)
{
    const struct sewa_code_info *internal = &codes[0];

    for (size_t i = 0; i < CODE_COUNT; i++) {
        if (codes[i].code == code)
            return &codes[i];
        if (codes[i].code == SEWA_E_INTERNAL)
            internal = &codes[i];
    }
    return internal;
}

enum sewa_blame sewa_code_blame(int code)
{
    return sewa_code_info(code)->blame;
}

int sewa_code_from_slug(const char *slug)
{
    for (size_t i = 0; slug && i < CODE_COUNT; i++)
        if (strcmp(codes[i].slug, slug) == 0)
            return codes[i].code;
    return 0;
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0 when there is none. */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] < 0x80                    ? 1
               : p[0] >= 0xc2 && p[0] <= 0xdf ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;

    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) /* the NUL at the end stops it too */
            return 0;
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/*
 * A text ends up in JSON and in a line of a log, so it must be UTF-8 without control characters;
 * names of files and what clients send may be any bytes. What may not stand there is written as
 * %XX. Without this the answer to a bad name would be no answer at all.
 */
static void make_printable(char *text, size_t size)
{
    char shown[SEWA_ERROR_TEXT_MAX];
    size_t used = 0;

    for (const char *p = text; *p;) {
        size_t n = utf8_length((const unsigned char *)p);
        bool plain = n > 0 && (unsigned char)*p >= 0x20 && *p != 0x7f;
        if (used + (plain ? n : 3) >= size)
            break;
        if (plain) {
            memcpy(shown + used, p, n);
        } else {
            n = 1;
            snprintf(shown + used, 4, "%%%02X", (unsigned char)*p);
        }
        used += plain ? n : 3;
        p += n;
    }
    memcpy(text, shown, used);
    text[used] = '\0';
}

/* A cut text must not end within a character. */
static void trim_utf8(char *text)
{
    size_t n = strlen(text);
    size_t start = n;

    while (start > 0 && n - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (n - (start - 1) < want)
        text[start - 1] = '\0';
}

static void fill(struct sewa_error *err, int code, int sys, const char *format, va_list ap)
    SEWA_PRINTF(4, 0);

static void fill(struct sewa_error *err, int code, int sys, const char *format, va_list ap)
{
    char text[SEWA_ERROR_TEXT_MAX]; /* an argument may point into err->text */

    int n = vsnprintf(text, sizeof text, format, ap);
    memset(err, 0, sizeof *err);
    err->code = code;
    err->system_errno = sys;
    memcpy(err->text, text, n < 0 ? 0 : strlen(text));
    if (n >= (int)sizeof text)
        trim_utf8(err->text);
    make_printable(err->text, sizeof err->text);
}

int sewa_fail(struct sewa_error *err, int code, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        fill(err, code, 0, format, ap);
        va_end(ap);
    }
    return code;
}

int sewa_fail_errno(struct sewa_error *err, int code, const char *format, ...)
{
    int sys = errno;

    if (sys == ENOSPC || sys == EDQUOT || sys == EFBIG)
        code = SEWA_E_NO_SPACE;
    else if (sys == ENOMEM)
        code = SEWA_E_NO_MEMORY;
    if (err) {
        va_list ap;
        va_start(ap, format);
        fill(err, code, sys, format, ap);
        va_end(ap);
        size_t used = strlen(err->text);
        char reason[128];
        const char *word = strerror_r(sys, reason, sizeof reason);
        snprintf(err->text + used, sizeof err->text - used, ": %s", word);
    }
    return code;
}

int sewa_fail_at(struct sewa_error *err, int code, const char *pointer, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        fill(err, code, 0, format, ap);
        va_end(ap);
        snprintf(err->pointer, sizeof err->pointer, "%s", pointer);
        trim_utf8(err->pointer);
        make_printable(err->pointer, sizeof err->pointer);
    }
    return code;
}

int sewa_context(struct sewa_error *err, int rc, const char *format, ...)
{
    if (err && rc < 0) {
        char was[SEWA_ERROR_TEXT_MAX];
        memcpy(was, err->text, sizeof was);
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
        size_t used = n < 0 ? 0 : (size_t)n;
        if (used < sizeof err->text)
            snprintf(err->text + used, sizeof err->text - used, ": %.*s",
                     (int)(sizeof err->text - 3), was);
        if (strlen(err->text) + 1 == sizeof err->text)
            trim_utf8(err->text);
        make_printable(err->text, sizeof err->text);
    }
    return rc;
}
