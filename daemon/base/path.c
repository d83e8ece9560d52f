/*
 * path - names of files: joining, judging, showing.
 */
#include "base/path.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

char *path_join(const char *a, const char *b)
{
    if (b[0] == '/')
        return strdup(b);
    size_t na = strlen(a), nb = strlen(b);
    while (na > 1 && a[na - 1] == '/')
        na--;
    char *joined = malloc(na + nb + 2);
    if (!joined)
        return NULL;
    memcpy(joined, a, na);
    size_t at = na;
    if (na == 0 || joined[na - 1] != '/')
        joined[at++] = '/';
    memcpy(joined + at, b, nb + 1);
    return joined;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_dots(const char *s, size_t n)
{
    return (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.');
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

bool path_is_clean(const char *path)
{
    if (path[0] != '/' || has_control(path))
        return false;
    if (path[1] == '\0')
        return true;
    for (const char *p = path; *p;) {
        const char *start = p + 1;
        size_t n = strcspn(start, "/");
        if (n == 0 || is_dots(start, n))
            return false;
        p = start + n;
    }
    return true;
}

bool path_is_under(const char *path, const char *root)
{
    size_t n = strlen(root);

    if (strcmp(root, "/") == 0)
        return path[0] == '/';
    return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool path_is_name(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= 255 && !strchr(name, '/') && !is_dots(name, n) && !has_control(name);
}

bool path_is_run_name(const char *name)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(name);

    return n >= 1 && n <= 63 && strspn(name, first) >= 1 && strspn(name, rest) == n;
}

size_t utf8_sequence(const char *text, size_t n)
{
    const uint8_t *s = (const uint8_t *)text;

    if (n == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t want = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) /* overlong */
        return 0;
    if (s[0] == 0xed && s[1] > 0x9f) /* surrogates */
        return 0;
    if (s[0] == 0xf0 && s[1] < 0x90) /* overlong */
        return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) /* past U+10FFFF */
        return 0;
    return want;
}

bool utf8_is_valid(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence(text + i, n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

char *path_to_text(const char *path)
{
    struct buf b = { 0 };
    size_t n = strlen(path);

    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)path[i];
        size_t len = utf8_sequence(path + i, n - i);
        if (len == 0 || c < 0x20 || c == 0x7f || c == '%') {
            buf_printf(&b, "%%%02X", c);
            i++;
        } else {
            buf_append(&b, path + i, len);
            i += len;
        }
    }
    return buf_take(&b);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

char *path_from_text(const char *text)
{
    char *path = strdup(text);
    char *out = path;

    for (const char *p = text; path && *p; p++) {
        if (*p != '%') {
            *out++ = *p;
            continue;
        }
        int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
        if (low < 0 || (high | low) == 0) {
            free(path);
            return NULL;
        }
        *out++ = (char)(high << 4 | low);
        p += 2;
    }
    if (path)
        *out = '\0';
    return path;
}
