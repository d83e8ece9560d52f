/*
 * safetensors_entry - one pattern, byte by byte. All of it must be in sight: an entry that the
 * window cuts goes the other way, once in some hundred.
 */
#include "formats/safetensors_entry.h"

#include <string.h>

#include "formats/scanner.h"

struct cursor {
    const uint8_t *at, *end;
};

static bool take(struct cursor *c, const char *text, size_t n)
{
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
        return false;
    c->at += n;
    return true;
}

#define TAKE_TEXT(c, text) take(c, text, sizeof(text) - 1)

/* Up to the closing quote, and behind it. Bytes that mean something else are for others. */
static bool take_string(struct cursor *c, const char **ret, size_t *ret_n)
{
    const uint8_t *begin = c->at, *end = scanner_plain_end(begin, c->end);

    if (end == c->end || *end != '"')
        return false;
    *ret = (const char *)begin;
    *ret_n = (size_t)(end - begin);
    c->at = end + 1;
    return true;
}

enum { DIGITS_MAX = 18 }; /* of any number with so many, none overflows */

static bool take_count(struct cursor *c, int64_t *ret)
{
    const uint8_t *begin = c->at, *end = c->end, *p = begin;
    uint64_t x = 0;

    for (; p < end && *p >= '0' && *p <= '9'; p++)
        x = 10 * x + (uint64_t)(*p - '0');
    c->at = p;
    *ret = (int64_t)x;
    return p > begin && p - begin <= DIGITS_MAX && (*begin != '0' || p - begin == 1);
}

static bool take_shape(struct cursor *c, struct safetensors_entry *ret)
{
    ret->rank = 0;
    if (TAKE_TEXT(c, "]"))
        return true;
    do {
        if (ret->rank == LAYOUT_RANK_MAX || !take_count(c, &ret->shape[ret->rank++]))
            return false;
    } while (TAKE_TEXT(c, ","));
    return TAKE_TEXT(c, "]");
}

bool safetensors_entry(struct window *w, struct safetensors_entry *ret)
{
    struct cursor c = { w->at, w->end };
    const char *type;
    size_t type_length;

    if (!TAKE_TEXT(&c, "\"") || !take_string(&c, &ret->name, &ret->name_length) ||
        !TAKE_TEXT(&c, ":{\"dtype\":\"") || !take_string(&c, &type, &type_length) ||
        !TAKE_TEXT(&c, ",\"shape\":[") || !take_shape(&c, ret) ||
        !TAKE_TEXT(&c, ",\"data_offsets\":[") || !take_count(&c, &ret->begin) ||
        !TAKE_TEXT(&c, ",") || !take_count(&c, &ret->end) || !TAKE_TEXT(&c, "]}"))
        return false;
    ret->dtype = dtype_from_name(type, type_length);
    w->at = c.at;
    return true;
}
