/*
 * log - format one line into a fixed buffer and write it at once. Never allocates, never fails.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_BYTES = 2048 };

static atomic_int least_level = LOG_LEVEL_INFO;

static const struct {
    const char *word;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = { "error", 3 },
    [LOG_LEVEL_WARN] = { "warn", 4 },
    [LOG_LEVEL_INFO] = { "info", 6 },
    [LOG_LEVEL_DEBUG] = { "debug", 7 },
};

void log_set_level(enum log_level least)
{
    atomic_store(&least_level, (int)least);
}

static size_t begin(char *line, enum log_level level)
{
    char text[CLOCK_TEXT_SIZE];
    int n;

    if (getenv("JOURNAL_STREAM"))
        n = snprintf(line, LINE_MAX_BYTES, "<%d>", levels[level].priority);
    else
        n = snprintf(line, LINE_MAX_BYTES, "%s %s ", clock_format(clock_now_ms(), text),
                     levels[level].word);
    return (size_t)n;
}

static void emit(enum log_level level, const char *format, va_list ap) SEWA_PRINTF(2, 0);

static void emit(enum log_level level, const char *format, va_list ap)
{
    char message[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES];

    if ((int)level > atomic_load(&least_level))
        return;
    vsnprintf(message, sizeof message, format, ap);
    size_t at = begin(line, level);
    for (const char *p = message; *p && at < sizeof line - 6; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(line + at, sizeof line - at, "\\x%02x", c);
        else
            line[at++] = (char)c;
    }
    line[at++] = '\n';
    if (write(STDERR_FILENO, line, at) < 0)
        return; /* nobody to tell */
}

#define LOG_FUNCTION(name, level)      \
    void name(const char *format, ...) \
    {                                  \
        va_list ap;                    \
        va_start(ap, format);          \
        emit(level, format, ap);       \
        va_end(ap);                    \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
