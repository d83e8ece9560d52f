/*
 * fields - lists of entity tags and of media ranges.
 */
#include "http/fields.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool is_in_list(const char *list, const char *etag, bool weak_counts)
{
    size_t n = strlen(etag);

    if (strcmp(list, "*") == 0)
        return true;
    for (const char *p = list; *(p += strspn(p, ", \t"));) {
        bool is_weak = strncmp(p, "W/", 2) == 0;
        if (is_weak)
            p += 2;
        const char *end = *p == '"' ? strchr(p + 1, '"') : NULL;
        if (!end)
            return false; /* not a list of entity tags */
        end++;
        if ((weak_counts || !is_weak) && (size_t)(end - p) == n && memcmp(p, etag, n) == 0)
            return true;
        p = end;
    }
    return false;
}

bool fields_name_etag(const char *list, const char *etag)
{
    return is_in_list(list, etag, true);
}

bool fields_match_etag(const char *list, const char *etag)
{
    return is_in_list(list, etag, false);
}

bool fields_is_type(const char *content_type, const char *media_type)
{
    size_t n = strcspn(content_type, "; \t");

    return n == strlen(media_type) && strncasecmp(content_type, media_type, n) == 0;
}

/* "0", "1", "0.5", "0.123": at most three digits behind the point. What is no number counts as 1.
 */
static int read_weight(const char *p)
{
    int weight = *p == '1' ? QUALITY_MAX : 0, place = QUALITY_MAX / 10;

    if (*p != '0' && *p != '1')
        return QUALITY_MAX;
    if (*++p == '.')
        for (p++; *p >= '0' && *p <= '9' && place > 0; p++, place /= 10)
            weight += (*p - '0') * place;
    return weight < QUALITY_MAX ? weight : QUALITY_MAX;
}

/* The "q" among the parameters between p and end. */
static int weight_of(const char *p, const char *end)
{
    while (p < end && (p = memchr(p, ';', (size_t)(end - p))) != NULL) {
        p++;
        p += strspn(p, " \t");
        if (end - p > 2 && (*p == 'q' || *p == 'Q') && p[1] == '=')
            return read_weight(p + 2);
    }
    return QUALITY_MAX;
}

/* How closely a media range fits: 3 the type itself, 2 "text / *", 1 "* / *", 0 not. */
static int closeness(const char *range, size_t n, const char *media_type)
{
    const char *slash = strchr(media_type, '/');
    size_t major = slash ? (size_t)(slash - media_type) + 1 : 0;

    if (n == strlen(media_type) && strncasecmp(range, media_type, n) == 0)
        return 3;
    if (n == major + 1 && range[major] == '*' && strncasecmp(range, media_type, major) == 0)
        return 2;
    return n == 3 && memcmp(range, "*/*", 3) == 0 ? 1 : 0;
}

int fields_quality(const char *accept, const char *media_type)
{
    int best = 0, quality = 0;

    if (!accept || !*accept)
        return QUALITY_MAX;
    for (const char *p = accept; *(p += strspn(p, ", \t"));) {
        size_t length = strcspn(p, ","), n = strcspn(p, ",; \t");
        int close = closeness(p, n, media_type);
        if (close > best) {
            best = close;
            quality = weight_of(p, p + length);
        }
        p += length;
    }
    return quality;
}
