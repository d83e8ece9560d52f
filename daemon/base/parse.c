/*
 * parse - numbers in text.
 */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *end;

    if (!isdigit((unsigned char)text[text[0] == '-']))
        return -1;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || value < min || value > max)
        return -1;
    *ret = value;
    return 0;
}

int parse_f64(const char *text, double *ret)
{
    char *end;

    if (text[strspn(text, "0123456789.eE+-")] != '\0' || text[0] == '\0' || text[0] == '+')
        return -1;
    errno = 0;
    double value = strtod(text, &end);
    if (*end || !isfinite(value))
        return -1;
    *ret = value;
    return 0;
}
