/*
 * format - numbers, sizes and times as people read them.
 */
#include "format.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

const char *format_bytes(int64_t bytes, char ret[FORMAT_SIZE])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    double x = (double)bytes;
    int i = 0;

    for (; x >= 999.5 && i < 6; i++)
        x /= 1000;
    if (bytes < 0)
        snprintf(ret, FORMAT_SIZE, "-");
    else
        snprintf(ret, FORMAT_SIZE, i > 0 && x < 99.95 ? "%.1f %s" : "%.0f %s", x, units[i]);
    return ret;
}

const char *format_number(double x, char ret[FORMAT_SIZE])
{
    double size = fabs(x);

    if (isnan(x))
        snprintf(ret, FORMAT_SIZE, "-");
    else if (x == 0 || (size >= 1e-3 && size < 1e4) || isinf(x))
        snprintf(ret, FORMAT_SIZE, "%.4f", x);
    else
        snprintf(ret, FORMAT_SIZE, "%.3e", x);
    return ret;
}

const char *format_percent(double share, char ret[FORMAT_SIZE])
{
    if (isfinite(share))
        snprintf(ret, FORMAT_SIZE, "%.2g %%", share * 100);
    else
        snprintf(ret, FORMAT_SIZE, "-");
    return ret;
}

const char *format_count(int64_t n, char ret[FORMAT_SIZE])
{
    if (n < 0)
        snprintf(ret, FORMAT_SIZE, "-");
    else
        snprintf(ret, FORMAT_SIZE, "%" PRId64, n);
    return ret;
}

const char *format_duration(double seconds, char ret[FORMAT_SIZE])
{
    if (!(seconds >= 0) || seconds > 1e9)
        snprintf(ret, FORMAT_SIZE, "-");
    else if (seconds > 0 && seconds < 0.000995)
        snprintf(ret, FORMAT_SIZE, "%.2g ms", seconds * 1000);
    else if (seconds < 0.995)
        snprintf(ret, FORMAT_SIZE, "%.2g s", seconds);
    else if (seconds < 59.5)
        snprintf(ret, FORMAT_SIZE, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds);
    else {
        int64_t s = (int64_t)(seconds + 0.5);
        if (s < 3600)
            snprintf(ret, FORMAT_SIZE, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
        else
            snprintf(ret, FORMAT_SIZE, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    }
    return ret;
}

const char *format_age(int64_t then_ms, int64_t now_ms, char ret[FORMAT_SIZE])
{
    int64_t s = now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0; /* clocks differ */

    if (then_ms == 0)
        snprintf(ret, FORMAT_SIZE, "-");
    else if (s < 120)
        snprintf(ret, FORMAT_SIZE, "%" PRId64 "s", s);
    else if (s < 120 * 60)
        snprintf(ret, FORMAT_SIZE, "%" PRId64 "m", s / 60);
    else if (s < 48 * 3600)
        snprintf(ret, FORMAT_SIZE, "%" PRId64 "h", s / 3600);
    else
        snprintf(ret, FORMAT_SIZE, "%" PRId64 "d", s / 86400);
    return ret;
}

const char *format_time(int64_t ms, char ret[FORMAT_SIZE])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;

    if (ms == 0 || !gmtime_r(&t, &tm))
        snprintf(ret, FORMAT_SIZE, "-");
    else
        strftime(ret, FORMAT_SIZE, "%Y-%m-%d %H:%M:%SZ", &tm);
    return ret;
}
