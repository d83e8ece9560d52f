/*
 * render - the Prometheus text exposition format, version 0.0.4.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metrics/metrics.h"
#include "metrics/table.h"

enum { NS_PER_S = 1000000000 };

static char build_version[64];
static int64_t start_ms;

void metrics_start(const char *version, int64_t now_ms)
{
    snprintf(build_version, sizeof build_version, "%s", version);
    start_ms = now_ms;
}

/* In help texts a backslash and a line feed are escaped, in values of labels a quote as well. */
static void put_escaped(struct buf *b, const char *text, bool is_label)
{
    for (; *text; text++) {
        if (*text == '\n')
            buf_text(b, "\\n");
        else if (*text == '\\' || (*text == '"' && is_label))
            buf_printf(b, "\\%c", *text);
        else
            buf_char(b, *text);
    }
}

static void put_head(struct buf *b, const char *name, const char *suffix, const char *type,
                     const char *help)
{
    buf_printf(b, "# HELP %s%s ", name, suffix);
    put_escaped(b, help, false);
    buf_printf(b, "\n# TYPE %s%s %s\n", name, suffix, type);
}

/* Exact, and without an exponent: 1.500000000 */
static void put_ns(struct buf *b, uint64_t ns)
{
    buf_printf(b, "%" PRIu64 ".%09" PRIu64, ns / NS_PER_S, ns % NS_PER_S);
}

static void put_label(struct buf *b, char before, const struct metric_labels *labels, int i)
{
    buf_printf(b, "%c%s=\"", before, labels->name);
    put_escaped(b, labels->texts[i], true);
    buf_char(b, '"');
}

static uint64_t load(const metric_cell *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static void put_value(struct buf *b, const struct metric_row *row, uint64_t value)
{
    if (row->type == TYPE_SECONDS)
        put_ns(b, value);
    else if (row->type == TYPE_GAUGE)
        buf_printf(b, "%" PRId64, (int64_t)value);
    else
        buf_printf(b, "%" PRIu64, value);
    buf_char(b, '\n');
}

static void put_series(struct buf *b, const struct metric_row *row, const char *suffix)
{
    int n2 = row->labels2->count, n3 = row->labels3->count;

    for (int i = 0; i < row->labels1->count * n2 * n3; i++) {
        buf_printf(b, "%s%s", row->name, suffix);
        if (row->labels1->name)
            put_label(b, '{', row->labels1, i / n3 / n2);
        if (row->labels2->name)
            put_label(b, ',', row->labels2, i / n3 % n2);
        if (row->labels3->name)
            put_label(b, ',', row->labels3, i % n3);
        buf_text(b, row->labels1->name ? "} " : " ");
        put_value(b, row, load(&row->cells[i]));
    }
}

/* The count is the sum of the buckets: taken from a cell of its own it could disagree with them. */
static void put_histogram(struct buf *b, const struct metric_row *row)
{
    uint64_t count = 0;

    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += load(&row->cells[i]);
        buf_printf(b, "%s_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", row->name,
                   (double)histogram_bounds_ns[i] / NS_PER_S, count);
    }
    count += load(&row->cells[HISTOGRAM_BOUNDS]);
    buf_printf(b, "%s_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", row->name, count);
    buf_printf(b, "%s_seconds_sum ", row->name);
    put_ns(b, load(&row->cells[HISTOGRAM_SUM]));
    buf_printf(b, "\n%s_seconds_count %" PRIu64 "\n", row->name, count);
}

static void put_metric(struct buf *b, const struct metric_row *row)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {
        [TYPE_COUNTER] = { "_total", "counter" },
        [TYPE_SECONDS] = { "_seconds_total", "counter" },
        [TYPE_GAUGE] = { "", "gauge" },
        [TYPE_HISTOGRAM] = { "_seconds", "histogram" },
    };

    put_head(b, row->name, types[row->type].suffix, types[row->type].type, row->help);
    if (row->type == TYPE_HISTOGRAM)
        put_histogram(b, row);
    else
        put_series(b, row, types[row->type].suffix);
}

static int64_t count_fds(void)
{
    int64_t count = 0;
    DIR *d = opendir("/proc/self/fd");

    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(d);
    return count - 1; /* the one that counted */
}

static int64_t read_resident_bytes(void)
{
    long long pages = -1;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return -1;
    if (fscanf(f, "%*s %lld", &pages) != 1)
        pages = -1;
    fclose(f);
    return pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
}

/* What is not known is left out. */
static void put_process(struct buf *b, const char *name, const char *help, int64_t value)
{
    if (value < 0)
        return;
    put_head(b, name, "", "gauge", help);
    buf_printf(b, "%s %" PRId64 "\n", name, value);
}

static void put_cpu(struct buf *b)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) < 0)
        return;
    uint64_t us = (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    uint64_t s = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec);
    put_head(b, "process_cpu_seconds_total", "", "counter", "User and system time of sewad.");
    buf_text(b, "process_cpu_seconds_total ");
    put_ns(b, s * NS_PER_S + us * 1000);
    buf_char(b, '\n');
}

static void put_start(struct buf *b)
{
    static const char name[] = "process_start_time_seconds";

    put_head(b, name, "", "gauge", "When sewad was started, in seconds since 1970.");
    buf_printf(b, "%s %" PRId64 ".%03" PRId64 "\n", name, start_ms / 1000, start_ms % 1000);
}

static int64_t fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT64_MAX)
        return -1;
    return (int64_t)limit.rlim_cur;
}

void metrics_render(struct buf *b)
{
    put_head(b, "sewa_build_info", "", "gauge", "Always 1; the label says which version this is.");
    buf_text(b, "sewa_build_info{version=\"");
    put_escaped(b, build_version, true);
    buf_text(b, "\"} 1\n");
    for (size_t i = 0; i < METRIC_COUNT; i++)
        put_metric(b, &metric_table[i]);
    put_start(b);
    put_cpu(b);
    put_process(b, "process_open_fds", "Descriptors that are open.", count_fds());
    put_process(b, "process_max_fds", "Descriptors that may be open.", fd_limit());
    put_process(b, "process_resident_memory_bytes", "Memory that is resident.",
                read_resident_bytes());
}
