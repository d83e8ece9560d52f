/*
 * clock - system clocks and RFC 3339 text. Calendar arithmetic is our own: timegm() follows the
 * environment's time zone files in some C libraries and accepts the 31st of February in all.
 */
#include "base/clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/failpoint.h"

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
    return read_ms(CLOCK_REALTIME) + failpoint_value("clock", 0);
}

int64_t clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

double clock_monotonic_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

const char *clock_format(int64_t ms, char text[CLOCK_TEXT_SIZE])
{
    int64_t seconds = ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000);
    int milli = (int)(ms - seconds * 1000);
    time_t t = (time_t)seconds;
    struct tm tm;

    gmtime_r(&t, &tm);
    size_t n = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, CLOCK_TEXT_SIZE - n, ".%03dZ", milli);
    return text;
}

/* Days since 1970-01-01 of a day of the Gregorian calendar (H. Hinnant's days_from_civil). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static int days_in_month(int y, int m)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return days[m - 1] + (m == 2 && leap);
}

/* Exactly n digits at *p; -1 when they are not there. */
static int digits(const char **p, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*p)[i]))
            return -1;
        value = value * 10 + ((*p)[i] - '0');
    }
    *p += n;
    return value;
}

static bool literal(const char **p, const char *set)
{
    if (!**p || !strchr(set, **p))
        return false;
    (*p)++;
    return true;
}

static int parse_offset(const char **p, int *ret_minutes)
{
    *ret_minutes = 0;
    if (literal(p, "Zz"))
        return 0;
    int sign = **p == '-' ? -1 : 1;
    if (!literal(p, "+-"))
        return -1;
    int h = digits(p, 2);
    if (h < 0 || h > 23 || !literal(p, ":"))
        return -1;
    int m = digits(p, 2);
    if (m < 0 || m > 59)
        return -1;
    *ret_minutes = sign * (h * 60 + m);
    return 0;
}

static int parse_fraction(const char **p)
{
    int ms = 0, scale = 100;

    if (!literal(p, "."))
        return 0;
    if (!isdigit((unsigned char)**p))
        return -1;
    for (; isdigit((unsigned char)**p); (*p)++) {
        ms += (**p - '0') * scale;
        scale /= 10;
    }
    return ms;
}

int clock_parse(const char *text, int64_t *ret_ms)
{
    const char *p = text;
    int y = digits(&p, 4);
    if (y < 0 || !literal(&p, "-"))
        return -1;
    int mon = digits(&p, 2);
    if (mon < 1 || mon > 12 || !literal(&p, "-"))
        return -1;
    int d = digits(&p, 2);
    if (d < 1 || d > days_in_month(y, mon) || !literal(&p, "Tt "))
        return -1;
    int h = digits(&p, 2);
    if (h < 0 || h > 23 || !literal(&p, ":"))
        return -1;
    int min = digits(&p, 2);
    if (min < 0 || min > 59 || !literal(&p, ":"))
        return -1;
    int s = digits(&p, 2);
    if (s < 0 || s > 60)
        return -1;
    int ms = parse_fraction(&p);
    int offset;
    if (ms < 0 || parse_offset(&p, &offset) < 0 || *p)
        return -1;
    int64_t seconds = days_from_civil(y, mon, d) * 86400 + h * 3600 + min * 60 + s - offset * 60;
    *ret_ms = seconds * 1000 + ms;
    return 0;
}
