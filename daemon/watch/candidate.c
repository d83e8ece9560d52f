/*
 * candidate - which names can be checkpoints, and how markers are called.
 */
#include "watch/candidate.h"

#include <stdio.h>
#include <string.h>

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *name, const char *suffix, size_t n)
{
    size_t have = strlen(name);

    return have >= n && memcmp(name + have - n, suffix, n) == 0;
}

bool candidate_is_ignored(const char *name)
{
    return name[0] == '.' || name[0] == '_' || begins_with(name, "tmp-") ||
           ends_with(name, ".tmp", 4) || ends_with(name, "-tmp", 4) ||
           ends_with(name, ".part", 5) || ends_with(name, ".incomplete", 11);
}

/* The place of {name} or {stem}: both have six bytes. */
static const char *place(const char *pattern, bool *ret_stem)
{
    const char *at = strstr(pattern, "{name}");

    *ret_stem = !at;
    return at ? at : strstr(pattern, "{stem}");
}

char *candidate_marker(const char *pattern, const char *name)
{
    bool stem;
    const char *at = place(pattern, &stem);
    const char *dot = strrchr(name, '.');
    size_t n = stem && dot && dot > name ? (size_t)(dot - name) : strlen(name);
    char *marker;

    if (!at)
        return strdup(pattern);
    if (asprintf(&marker, "%.*s%.*s%s", (int)(at - pattern), pattern, (int)n, name, at + 6) < 0)
        return NULL;
    return marker;
}

bool candidate_is_marker(const char *pattern, const char *name)
{
    bool stem;
    const char *at = place(pattern, &stem);
    size_t before = at ? (size_t)(at - pattern) : 0;
    size_t after = at ? strlen(at + 6) : 0;

    if (!at)
        return strcmp(pattern, name) == 0;
    return strlen(name) > before + after && strncmp(name, pattern, before) == 0 &&
           ends_with(name, at + 6, after);
}
