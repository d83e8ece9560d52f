/*
 * range - read a byte range.
 */
#include "http/range.h"

#include <string.h>
#include <strings.h>

/* The digits at *p, which moves behind them: -1 when there are none. A number that is too large is
 * as good as the largest one: it lies behind the end of every file. */
static int64_t digits(const char **p)
{
    int64_t n = -1;

    for (; **p >= '0' && **p <= '9'; (*p)++) {
        int64_t digit = **p - '0';
        n = n < 0 ? 0 : n;
        n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
    }
    return n;
}

/* first and last are -1 where they are left out. 0, or -1: this is no single byte range. */
static int read_range(const char *text, int64_t *first, int64_t *last)
{
    if (strncasecmp(text, "bytes=", 6) != 0)
        return -1;
    text += 6;
    *first = digits(&text);
    if (*text++ != '-')
        return -1;
    *last = digits(&text);
    text += strspn(text, " \t");
    return *text || (*first < 0 && *last < 0) || (*first >= 0 && *last >= 0 && *last < *first);
}

int range_parse(const char *text, int64_t size, struct range *ret, struct sewa_error *err)
{
    int64_t first, last;

    *ret = (struct range){ .length = size };
    if (!text || read_range(text, &first, &last) != 0)
        return 0;
    if (first < 0) { /* the last n bytes */
        first = last < size ? size - last : 0;
        last = last == 0 ? -1 : size - 1;
    } else if (last < 0 || last >= size) {
        last = size - 1;
    }
    if (first > last)
        return sewa_fail(err, SEWA_E_RANGE, "range '%.40s' lies outside the %lld bytes", text,
                         (long long)size);
    *ret = (struct range){ true, first, last - first + 1 };
    return 0;
}
