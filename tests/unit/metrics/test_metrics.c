/*
 * test_metrics - counting, and text that a parser of the exposition format accepts.
 *
 * The parser here knows the format as Prometheus documents it (version 0.0.4): HELP and TYPE once
 * before the samples of a metric, names and labels of the allowed letters, escapes in values, a
 * number, and the rules of histograms.
 */
#include "support/support.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/metrics.h"

enum { SAMPLES_MAX = 1000 };

struct sample {
    char name[128];
    char labels[256]; /* as they stand, without the braces */
    double value;
};

struct page {
    char help[128], type_name[128], type[16]; /* of the metric that is being read */
    char seen[200][128];                      /* metrics that are over or under way */
    size_t seen_count;
    struct sample samples[SAMPLES_MAX];
    size_t count;
};

static const char *take_name(const char *p, char *ret, size_t size, bool colon)
{
    size_t n = 0;

    assert_true(isalpha((unsigned char)*p) || *p == '_' || (colon && *p == ':'));
    while (isalnum((unsigned char)*p) || *p == '_' || (colon && *p == ':')) {
        assert_true(n + 1 < size);
        ret[n++] = *p++;
    }
    ret[n] = '\0';
    return p;
}

static void begin_metric(struct page *page, const char *name)
{
    for (size_t i = 0; i < page->seen_count; i++)
        assert_string_not_equal(page->seen[i], name); /* each metric is one group */
    strcpy(page->seen[page->seen_count++], name);
}

static void take_comment(struct page *page, const char *line)
{
    char word[128];

    if (strncmp(line, "# HELP ", 7) == 0) {
        const char *p = take_name(line + 7, page->help, sizeof page->help, true);
        assert_int_equal(*p++, ' ');
        assert_true(*p != '\0');
        for (; *p; p++)
            if (*p == '\\')
                assert_non_null(strchr("\\n", *++p));
        begin_metric(page, page->help);
        return;
    }
    assert_int_equal(strncmp(line, "# TYPE ", 7), 0);
    const char *p = take_name(line + 7, page->type_name, sizeof page->type_name, true);
    assert_string_equal(page->type_name, page->help);
    assert_int_equal(*p++, ' ');
    p = take_name(p, word, sizeof word, false);
    assert_int_equal(*p, '\0');
    assert_true(strcmp(word, "counter") == 0 || strcmp(word, "gauge") == 0 ||
                strcmp(word, "histogram") == 0);
    strcpy(page->type, word);
}

static const char *take_labels(const char *p, char *ret, size_t size)
{
    const char *start = p;
    char name[64];

    do {
        p = take_name(p, name, sizeof name, false);
        assert_int_equal(*p++, '=');
        assert_int_equal(*p++, '"');
        for (; *p != '"'; p++) {
            assert_true(*p != '\0' && *p != '\n');
            if (*p == '\\')
                assert_non_null(strchr("\\\"n", *++p));
        }
        p++;
    } while (*p++ == ',');
    assert_int_equal(p[-1], '}');
    assert_true((size_t)(p - 1 - start) < size);
    memcpy(ret, start, (size_t)(p - 1 - start));
    return p;
}

static void take_sample(struct page *page, const char *line)
{
    static const char *const suffixes[] = { "_bucket", "_sum", "_count" };
    struct sample *s = &page->samples[page->count++];
    size_t n = strlen(page->type_name);
    char *end;

    assert_true(page->count <= SAMPLES_MAX);
    const char *p = take_name(line, s->name, sizeof s->name, true);
    if (*p == '{')
        p = take_labels(p + 1, s->labels, sizeof s->labels);
    assert_int_equal(*p++, ' ');
    assert_true(isdigit((unsigned char)*p) || *p == '-');
    s->value = strtod(p, &end);
    assert_true(*end == '\0' && isfinite(s->value));
    /* the sample belongs to the metric whose TYPE stands above it */
    assert_int_equal(strncmp(s->name, page->type_name, n), 0);
    bool fits = s->name[n] == '\0' && strcmp(page->type, "histogram") != 0;
    for (size_t i = 0; i < 3 && strcmp(page->type, "histogram") == 0; i++)
        fits = fits || strcmp(s->name + n, suffixes[i]) == 0;
    assert_true(fits);
    if (strcmp(page->type, "counter") == 0)
        assert_true(n > 6 && strcmp(s->name + n - 6, "_total") == 0 && s->value >= 0);
}

static struct page *parse(const char *text)
{
    struct page *page = calloc(1, sizeof *page);

    assert_non_null(page);
    while (*text) {
        char line[1024];
        size_t n = strcspn(text, "\n");
        assert_true(n > 0 && n < sizeof line);
        assert_int_equal(text[n], '\n'); /* the last line ends as well */
        memcpy(line, text, n);
        line[n] = '\0';
        if (line[0] == '#')
            take_comment(page, line);
        else
            take_sample(page, line);
        text += n + 1;
    }
    for (size_t i = 0; i < page->count; i++) /* a series stands once */
        for (size_t j = 0; j < i; j++)
            assert_false(strcmp(page->samples[i].name, page->samples[j].name) == 0 &&
                         strcmp(page->samples[i].labels, page->samples[j].labels) == 0);
    return page;
}

static struct page *render(void)
{
    AUTO(buf_clear) struct buf b = { 0 };

    metrics_render(&b);
    assert_false(buf_failed(&b));
    return parse(buf_cstr(&b));
}

static double value_of(const struct page *page, const char *name, const char *labels)
{
    for (size_t i = 0; i < page->count; i++)
        if (strcmp(page->samples[i].name, name) == 0 &&
            strcmp(page->samples[i].labels, labels) == 0)
            return page->samples[i].value;
    print_error("no sample %s{%s}\n", name, labels);
    fail();
    return 0;
}

static void test_counters_and_gauges(void **state)
{
    (void)state;
    AUTOFREE struct page *before = render();

    metric_add(METRIC_SCANS, 3);
    metric_add_at3(METRIC_HTTP_REQUESTS, METRIC_METHOD_GET, METRIC_STATUS_2XX, METRIC_API_PUBLIC,
                   1);
    metric_add_at3(METRIC_HTTP_REQUESTS, METRIC_METHOD_OTHER, METRIC_STATUS_5XX, METRIC_API_WORKER,
                   2);
    metric_add_at(METRIC_JOBS_FINISHED, METRIC_OUTCOME_FAILED, 0, 1);
    metric_set(METRIC_STORE_QUEUE, 17);
    metric_set_at(METRIC_JOBS, METRIC_JOB_STATE_RUNNING, 0, 4);
    metric_move(METRIC_WORKERS, 2);
    metric_move(METRIC_WORKERS, -5);
    metric_add_seconds(METRIC_EVALUATOR, 1.25);
    metric_add_seconds(METRIC_EVALUATOR, -1);
    metric_add_seconds(METRIC_EVALUATOR, NAN);
    AUTOFREE struct page *after = render();
    assert_true(value_of(after, "sewa_scans_total", "") ==
                value_of(before, "sewa_scans_total", "") + 3);
    assert_true(value_of(after, "sewa_http_requests_total",
                         "method=\"GET\",status=\"2xx\",api=\"public\"") == 1);
    assert_true(value_of(after, "sewa_http_requests_total",
                         "method=\"other\",status=\"5xx\",api=\"worker\"") == 2);
    assert_true(value_of(after, "sewa_http_requests_total",
                         "method=\"GET\",status=\"5xx\",api=\"public\"") == 0);
    assert_true(value_of(after, "sewa_jobs_finished_total", "outcome=\"failed\"") == 1);
    assert_true(value_of(after, "sewa_store_queue", "") == 17);
    assert_true(value_of(after, "sewa_jobs", "state=\"running\"") == 4);
    assert_true(value_of(after, "sewa_workers", "") == -3);
    assert_true(value_of(after, "sewa_evaluator_seconds_total", "") == 1.25);
    assert_true(value_of(after, "sewa_checkpoints", "state=\"gone\"") == 0);
}

static void test_histogram(void **state)
{
    (void)state;
    static const char bucket[] = "sewa_scan_seconds_bucket";

    metric_observe(METRIC_SCAN, 0.0005); /* on the bound: inside */
    metric_observe(METRIC_SCAN, 0.0006);
    metric_observe(METRIC_SCAN, 0.2);
    metric_observe(METRIC_SCAN, 1e6);
    metric_observe(METRIC_SCAN, -1);
    AUTOFREE struct page *page = render();
    assert_true(value_of(page, bucket, "le=\"0.0005\"") == 2);
    assert_true(value_of(page, bucket, "le=\"0.001\"") == 3);
    assert_true(value_of(page, bucket, "le=\"0.1\"") == 3);
    assert_true(value_of(page, bucket, "le=\"0.25\"") == 4);
    assert_true(value_of(page, bucket, "le=\"30\"") == 4);
    assert_true(value_of(page, bucket, "le=\"+Inf\"") == 5);
    assert_true(value_of(page, "sewa_scan_seconds_count", "") == 5);
    assert_true(fabs(value_of(page, "sewa_scan_seconds_sum", "") - 1000000.2011) < 1e-6);
}

static void test_buckets_grow(void **state)
{
    (void)state;
    AUTOFREE struct page *page = render();
    double last_bound = 0, last = 0;
    size_t buckets = 0;

    for (size_t i = 0; i < page->count; i++) {
        const struct sample *s = &page->samples[i];
        if (strcmp(s->name, "sewa_http_request_seconds_bucket") != 0)
            continue;
        double bound = strcmp(s->labels, "le=\"+Inf\"") == 0 ? INFINITY : atof(s->labels + 4);
        assert_true(bound > last_bound && s->value >= last);
        last_bound = bound;
        last = s->value;
        buckets++;
    }
    assert_int_equal(buckets, 16);
    assert_true(isinf(last_bound));
}

static void test_process(void **state)
{
    (void)state;
    metrics_start("1.2\\3\"4\n5", 1700000000123);
    AUTOFREE struct page *page = render();
    assert_true(value_of(page, "sewa_build_info", "version=\"1.2\\\\3\\\"4\\n5\"") == 1);
    assert_true(value_of(page, "process_start_time_seconds", "") == 1700000000.123);
    assert_true(value_of(page, "process_open_fds", "") >= 3);
    assert_true(value_of(page, "process_max_fds", "") >= 3);
    assert_true(value_of(page, "process_resident_memory_bytes", "") > 100000);
    assert_true(value_of(page, "process_cpu_seconds_total", "") >= 0);
}

static void test_open_fds_are_counted(void **state)
{
    (void)state;
    AUTOFREE struct page *before = render();
    AUTOCLOSE int fd = dup(0);
    AUTOFREE struct page *after = render();

    assert_true(fd >= 0);
    assert_true(value_of(after, "process_open_fds", "") ==
                value_of(before, "process_open_fds", "") + 1);
}

static void test_labels_of_requests(void **state)
{
    (void)state;
    assert_int_equal(metric_method("GET"), METRIC_METHOD_GET);
    assert_int_equal(metric_method("DELETE"), METRIC_METHOD_DELETE);
    assert_int_equal(metric_method("get"), METRIC_METHOD_OTHER);
    assert_int_equal(metric_method("BREW"), METRIC_METHOD_OTHER);
    assert_int_equal(metric_method("other"), METRIC_METHOD_OTHER);
    assert_int_equal(metric_status(100), METRIC_STATUS_1XX);
    assert_int_equal(metric_status(204), METRIC_STATUS_2XX);
    assert_int_equal(metric_status(507), METRIC_STATUS_5XX);
    assert_int_equal(metric_status(0), METRIC_STATUS_5XX);
    assert_int_equal(metric_status(999), METRIC_STATUS_5XX);
}

static void *count(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        metric_add(METRIC_EVALUATIONS, 1);
        metric_move(METRIC_WATCH_THREADS, i % 2 ? 1 : -1);
        metric_observe(METRIC_STORE_COMMIT, 0.001);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    AUTOFREE struct page *meanwhile = render();
    assert_true(value_of(meanwhile, "sewa_evaluations_total", "") <= 40000);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    AUTOFREE struct page *page = render();
    assert_true(value_of(page, "sewa_evaluations_total", "") == 40000);
    assert_true(value_of(page, "sewa_watch_threads", "") == 0);
    assert_true(value_of(page, "sewa_store_commit_seconds_count", "") == 40000);
    assert_true(value_of(page, "sewa_store_commit_seconds_sum", "") == 40);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_and_gauges),  cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_buckets_grow),         cmocka_unit_test(test_process),
        cmocka_unit_test(test_open_fds_are_counted), cmocka_unit_test(test_labels_of_requests),
        cmocka_unit_test(test_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
