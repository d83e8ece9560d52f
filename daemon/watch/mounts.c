/*
 * mounts - which mount a path lies on, by text alone.
 */
#include "watch/mounts.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/path.h"

enum { MOUNTINFO_BYTES_MAX = 16 << 20 };

/* Space, tab, line feed and backslash are written as \ooo. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *p = text; *p; to++) {
        if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
            p[3] >= '0' && p[3] <= '7') {
            *to = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 4;
        } else {
            *to = *p++;
        }
    }
    *to = '\0';
}

/* "36 35 98:0 /root /mount/point options ...": the fifth field (heap), NULL when there is none. */
static char *parse_point(const char *line, size_t n, bool *ret_failed)
{
    const char *p = line, *end = line + n;

    for (int field = 0; field < 4; field++) {
        p = memchr(p, ' ', (size_t)(end - p));
        if (!p)
            return NULL;
        p++;
    }
    const char *stop = memchr(p, ' ', (size_t)(end - p));
    if (!stop || *p != '/')
        return NULL;
    char *point = strndup(p, (size_t)(stop - p));
    if (point)
        unescape(point);
    else
        *ret_failed = true;
    return point;
}

static int add(struct mounts *m, char *point)
{
    char **points = realloc(m->points, (m->count + 1) * sizeof *points);

    if (!points) {
        free(point);
        return -1;
    }
    m->points = points;
    points[m->count++] = point;
    return 0;
}

int mounts_parse(const char *text, struct mounts *ret, struct sewa_error *err)
{
    AUTO(mounts_clear) struct mounts m = { 0 };

    while (*text) {
        size_t n = strcspn(text, "\n");
        bool failed = false;
        char *point = parse_point(text, n, &failed);
        if (failed || (point && add(&m, point) < 0))
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the list of mounts");
        text += n + (text[n] == '\n');
    }
    *ret = m;
    memset(&m, 0, sizeof m);
    return 0;
}

int mounts_read(const char *file, struct mounts *ret, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf b = { 0 };
    int rc = file_read(file, MOUNTINFO_BYTES_MAX, &b, err);

    return rc < 0 ? rc : mounts_parse(buf_cstr(&b), ret, err);
}

void mounts_clear(struct mounts *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->points[i]);
    free(m->points);
    memset(m, 0, sizeof *m);
}

const char *mounts_find(const struct mounts *m, const char *path)
{
    const char *best = "/";

    for (size_t i = 0; i < m->count; i++)
        if (path_is_under(path, m->points[i]) && strlen(m->points[i]) > strlen(best))
            best = m->points[i];
    return best;
}
