/*
 * target_bench - a watched directory on a test's bench.
 */
#include "target_bench.h"

enum { LOG_MAX = 20000 };

int64_t clock_ms;

struct moment test_clock(void)
{
    return (struct moment){ .monotonic_ms = clock_ms, .utc_ms = UTC_MS + clock_ms };
}

struct target_rules rules = {
    .inspect = inspect_whole, .clock = test_clock, .retry_first_ms = 1000, .retry_max_ms = 4000
};

static int put(struct report_sink *sink, struct report *r)
{
    struct bench *b = container_of(sink, struct bench, sink);

    if (r->kind == REPORT_SCAN_DONE) {
        report_clear(&b->done);
        b->done = *r;
        return 0;
    }
    assert_true(b->count < LOG_MAX);
    b->log[b->count++] = *r;
    return 0;
}

int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->directory = scratch_new();
    b->log = calloc(LOG_MAX, sizeof *b->log);
    b->sink.put = put;
    clock_ms = 1000000;
    *state = b;
    return 0;
}

void forget(struct bench *b)
{
    for (size_t i = 0; i < b->count; i++)
        report_clear(&b->log[i]);
    b->count = b->next = 0;
    report_clear(&b->done);
}

int bench_teardown(void **state)
{
    struct bench *b = *state;

    forget(b);
    target_free(b->t);
    free(b->log);
    scratch_free(b->directory);
    free(b);
    return 0;
}

struct target_spec spec_of(const struct bench *b)
{
    return (struct target_spec){ .id = 7, .path = b->directory, .settle_ms = SETTLE_MS };
}

void watch_spec(struct bench *b, const struct target_spec *spec, const struct target_known *known,
                size_t count)
{
    struct sewa_error err = { 0 };

    target_free(b->t);
    b->t = NULL;
    assert_ok(target_new(spec, known, count, &rules, &b->t, &err), err);
}

void watch(struct bench *b)
{
    struct target_spec spec = spec_of(b);

    watch_spec(b, &spec, NULL, 0);
}

void run(struct bench *b)
{
    for (int i = 0; target_due_ms(b->t, INTERVAL_MS) <= clock_ms; i++) {
        assert_true(i < 100); /* it must come to rest */
        target_run(b->t, INTERVAL_MS, &b->sink);
    }
}

void pass(struct bench *b, int64_t ms)
{
    int64_t end = clock_ms + ms;

    run(b);
    for (int64_t due; (due = target_due_ms(b->t, INTERVAL_MS)) <= end;) {
        clock_ms = due;
        run(b);
    }
    clock_ms = end;
}

void scan(struct bench *b)
{
    target_ask(b->t);
    run(b);
}

static void show_rest(const struct bench *b)
{
    for (size_t i = b->next; i < b->count; i++)
        print_error("    %s '%s': %s\n", report_kind_name(b->log[i].kind),
                    b->log[i].name ? b->log[i].name : "", b->log[i].text ? b->log[i].text : "");
}

struct report *expect_at(struct bench *b, enum report_kind kind, const char *name, const char *word,
                         int line)
{
    struct report *r = &b->log[b->next];
    bool fits = b->next < b->count && r->kind == kind && r->target == 7 &&
                (name ? r->name && strcmp(r->name, name) == 0 : !r->name) &&
                (!word || (r->text && strstr(r->text, word)));

    if (!fits) {
        print_error("line %d: wanted %s '%s' (%s), left:\n", line, report_kind_name(kind),
                    name ? name : "", word ? word : "");
        show_rest(b);
        fail();
    }
    b->next++;
    return r;
}

void expect_nothing_at(struct bench *b, int line)
{
    if (b->next != b->count) {
        print_error("line %d: wanted nothing more, left:\n", line);
        show_rest(b);
        fail();
    }
}

void watch_one(struct bench *b, const char *name)
{
    write_whole(b->directory, name, 100, 'a');
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, name, NULL);
    expect(b, PROVEN, name, NULL);
    expect_nothing(b);
}

void watch_marker(struct bench *b, const char *marker)
{
    struct target_spec spec = spec_of(b);

    spec.marker = marker;
    watch_spec(b, &spec, NULL, 0);
}
