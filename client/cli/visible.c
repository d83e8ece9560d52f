/*
 * visible - text from elsewhere, made fit for a terminal.
 */
#include "visible.h"

#include <stdint.h>
#include <string.h>
#include <wchar.h>

/* Length of the UTF-8 character that s begins with, 0 when it is none; its number in *ret. */
static size_t decode(const char *s, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = n ? (unsigned char)s[0] : 0xff;
    size_t length = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    uint32_t value = length == 1 ? c : c & (0x7fu >> length);

    if (length == 0 || length > n || c > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | ((unsigned char)s[i] & 0x3f);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 0;
    *ret = value;
    return length;
}

/* Control characters, and those that change the direction or the line without being seen. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Bytes taken. */
static size_t append_one(struct text *to, const char *s, size_t n, enum visible how)
{
    uint32_t c;
    size_t length = decode(s, n, &c);

    if (length == 0) {
        sewa_text_printf(to, "\\x%02x", (unsigned char)*s);
        return 1;
    }
    if (how == VISIBLE_LINES && c == '\r') {
        if (n < 2 || s[1] != '\n')
            sewa_text_put(to, "\n");
        return 1;
    }
    if (!is_hidden(c) || (how == VISIBLE_LINES && (c == '\n' || c == '\t')))
        sewa_text_append(to, s, length);
    else
        sewa_text_printf(to, "\\u%04x", (unsigned)c);
    return length;
}

void visible_append(struct text *to, const char *s, size_t n, enum visible how)
{
    for (size_t used; n > 0; s += used, n -= used)
        used = append_one(to, s, n, how);
}

static size_t width_of(uint32_t c)
{
    int columns = c < 0x7f ? 1 : wcwidth((wchar_t)c);

    return columns < 0 ? 1 : (size_t)columns;
}

size_t visible_fit(const char *s, size_t columns, size_t *ret_width)
{
    size_t n = strlen(s), at = 0, width = 0;

    while (at < n) {
        uint32_t c = ' ';
        size_t length = decode(s + at, n - at, &c);
        size_t w = width_of(c);
        if (width + w > columns)
            break;
        width += w;
        at += length ? length : 1;
    }
    *ret_width = width;
    return at;
}

size_t visible_width(const char *s)
{
    size_t width;

    visible_fit(s, SIZE_MAX / 2, &width);
    return width;
}

size_t visible_whole(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        size_t wanted = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : c == '\r' ? 2 : 1;
        if ((c & 0xc0) != 0x80)
            return wanted > back ? n - back : n;
    }
    return n;
}
