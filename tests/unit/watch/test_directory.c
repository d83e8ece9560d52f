/*
 * test_directory - the watched directory itself: when it is believed; hints, much work, little
 * memory.
 */
#include "target_bench.h"

#include "base/clock.h"
#include "support/alloc.h"

/* ---- the directory itself ---- */

/* Watch "run" in the directory of the bench, which has the complete file "a". */
static void watch_inner(struct bench *b)
{
    AUTOFREE char *inner = path_join(b->directory, "run");
    struct target_spec spec = spec_of(b);

    make_directory(b->directory, "run");
    write_whole(inner, "a", 100, 'a');
    spec.path = inner;
    watch_spec(b, &spec, NULL, 0);
    pass(b, SETTLE_MS);
    forget(b);
}

static void test_the_directory_goes_and_comes_back(void **state)
{
    struct bench *b = *state;

    watch_inner(b);
    move(b->directory, "run", "away");
    scan(b);
    struct report *r = expect(b, TARGET_ERROR, NULL, "run': No such file");
    assert_int_equal(r->code, SEWA_E_IO);
    assert_int_equal(b->done.code, SEWA_E_IO);
    pass(b, 10 * INTERVAL_MS);
    expect_nothing(b); /* told once, and nothing is gone */
    move(b->directory, "away", "run");
    pass(b, INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    pass(b, 3 * INTERVAL_MS);
    expect_nothing(b);
}

/* An empty directory in the place of the one that we know may be one that is not mounted. */
static void test_an_empty_directory_is_not_believed(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *inner = path_join(b->directory, "run");

    watch_inner(b);
    move(b->directory, "run", "mounted");
    make_directory(b->directory, "run");
    pass(b, 5 * INTERVAL_MS);
    struct report *r = expect(b, TARGET_ERROR, NULL, "is its file system mounted?");
    assert_int_equal(r->code, SEWA_E_UNAVAILABLE);
    expect_nothing(b);
    /* mounted again */
    remove_file(b->directory, "run");
    move(b->directory, "mounted", "run");
    pass(b, INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect_nothing(b);
    /* made anew by the trainer, which has begun to write */
    move(b->directory, "run", "old");
    make_directory(b->directory, "run");
    write_whole(inner, "b", 100, 'b');
    pass(b, INTERVAL_MS + SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "b", NULL);
    expect(b, PROVEN, "b", NULL);
    pass(b, INTERVAL_MS);
    expect(b, GONE, "a", NULL);
    expect_nothing(b);
}

static void test_a_directory_that_is_emptied(void **state)
{
    struct bench *b = *state;

    watch_one(b, "a");
    remove_file(b->directory, "a"); /* in the very directory that we know */
    pass(b, 2 * INTERVAL_MS);
    expect(b, GONE, "a", NULL);
    expect_nothing(b);
}

static void test_an_empty_directory_after_a_start(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = spec_of(b);
    const struct target_known known[] = { { "a", 100, 1, NULL, true } };

    watch_spec(b, &spec, known, 1);
    pass(b, 5 * INTERVAL_MS);
    expect(b, TARGET_ERROR, NULL, "0 entries and none of the 1 files");
    expect_nothing(b);
}

static void test_directories_that_cannot_be_read(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = spec_of(b);
    AUTOFREE char *file = path_join(b->directory, "file");
    AUTOFREE char *missing = path_join(b->directory, "not/yet");
    char long_path[302] = "/";

    scratch_write(b->directory, "file", "", 0);
    memset(long_path + 1, 'x', sizeof long_path - 2);
    const struct {
        const char *path, *word;
    } rows[] = {
        { file, "Not a directory" },
        { missing, "No such file" },
        { long_path, "too long" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        spec.path = rows[i].path;
        watch_spec(b, &spec, NULL, 0);
        run(b);
        expect(b, TARGET_ERROR, NULL, rows[i].word);
        /* tried again after 1, 2, 4... seconds, never later than a scan would be */
        assert_int_equal(target_due_ms(b->t, INTERVAL_MS), clock_ms + 1000);
        pass(b, 1000);
        assert_int_equal(target_due_ms(b->t, INTERVAL_MS), clock_ms + 2000);
        pass(b, 20 * INTERVAL_MS);
        assert_true(target_due_ms(b->t, INTERVAL_MS) <= clock_ms + INTERVAL_MS);
        expect_nothing(b);
    }
    make_directory(b->directory, "not");
    make_directory(b->directory, "not/yet");
    spec.path = missing;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
}

static void test_links_on_the_way(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *by_link = path_join(b->directory, "link/run");
    AUTOFREE char *beneath = path_join(b->directory, "link");
    AUTOFREE char *real_run = path_join(b->directory, "real/run");
    AUTOFREE char *evil = path_join(b->directory, "real/evil");
    struct target_spec spec = spec_of(b);

    make_directory(b->directory, "real");
    make_directory(b->directory, "real/run");
    make_directory(b->directory, "other");
    make_directory(b->directory, "other/run");
    make_symlink(b->directory, "real", "link");
    make_symlink(b->directory, "../other/run", "real/evil");
    /* the administrator's path may go through links... */
    spec.path = by_link;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    struct report *r = expect(b, TARGET_OK, NULL, NULL);
    assert_string_equal(r->path, real_run);
    /* ...which are followed once */
    remove_file(b->directory, "link");
    make_symlink(b->directory, "other", "link");
    scan(b);
    expect_nothing(b);
    move(b->directory, "real", "moved");
    make_symlink(b->directory, "other", "real");
    scan(b);
    expect(b, TARGET_ERROR, NULL, "is a symbolic link now");
    remove_file(b->directory, "real");
    move(b->directory, "moved", "real");
    /* below a root nothing may be a link */
    remove_file(b->directory, "link");
    make_symlink(b->directory, "real", "link");
    spec.beneath = beneath;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    r = expect(b, TARGET_OK, NULL, NULL);
    assert_string_equal(r->path, real_run);
    AUTOFREE char *evil_by_link = path_join(beneath, "evil");
    spec.path = evil_by_link;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    expect(b, TARGET_ERROR, NULL, "symbolic link");
    spec.path = evil;
    spec.beneath = NULL;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    spec.beneath = spec.path = beneath;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
}

static void test_roots(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = spec_of(b);

    make_directory(b->directory, "run-a");
    make_directory(b->directory, ".hidden");
    make_directory(b->directory, "_tmp");
    make_symlink(b->directory, "run-a", "link");
    write_whole(b->directory, "file", 100, 'a');
    spec.kind = TARGET_ROOT;
    watch_spec(b, &spec, NULL, 0);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, DIRECTORY, "run-a", NULL);
    expect_nothing(b);
    make_directory(b->directory, "run-b");
    move(b->directory, "run-a", "run-c");
    scan(b);
    expect(b, DIRECTORY, "run-b", NULL);
    expect(b, DIRECTORY, "run-c", NULL);
    expect_nothing(b);
    scan(b);
    expect(b, DIRECTORY_GONE, "run-a", NULL);
    expect_nothing(b);
}

static void test_files_and_directories_swap(void **state)
{
    struct bench *b = *state;

    watch_one(b, "a");
    make_directory(b->directory, "d");
    scan(b);
    expect(b, DIRECTORY, "d", NULL);
    remove_file(b->directory, "a");
    make_directory(b->directory, "a");
    remove_file(b->directory, "d");
    write_whole(b->directory, "d", 100, 'd');
    scan(b);
    expect_nothing(b);
    scan(b);
    enum report_kind first = b->log[b->next].kind;
    b->next += 2; /* in the order of the table */
    assert_true(first == REPORT_GONE || first == REPORT_DIRECTORY_GONE);
    expect_nothing(b);
    scan(b);
    expect(b, DIRECTORY, "a", NULL);
    expect(b, FOUND, "d", NULL);
    expect_nothing(b);
}

/* ---- hints ---- */

static void test_hints(void **state)
{
    struct bench *b = *state;

    watch(b);
    target_hint(b->t, "early", &b->sink); /* before the first scan: nothing */
    expect_nothing(b);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    write_whole(b->directory, "a", 100, 'a');
    target_hint(b->t, "a", &b->sink);
    expect(b, FOUND, "a", NULL);
    target_hint(b->t, "a", &b->sink);
    target_hint(b->t, "missing", &b->sink);
    target_hint(b->t, ".hidden", &b->sink);
    target_hint(b->t, "../x", &b->sink);
    expect_nothing(b);
    pass(b, SETTLE_MS); /* long before the next scan */
    expect(b, PROVEN, "a", NULL);
    make_directory(b->directory, "d");
    target_hint(b->t, "d", &b->sink);
    expect(b, DIRECTORY, "d", NULL);
    write_whole(b->directory, "a", 200, 'a');
    target_hint(b->t, "a", &b->sink);
    expect(b, CHANGED, "a", NULL);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "a", NULL);
    expect_nothing(b);
    assert_true(target_due_ms(b->t, INTERVAL_MS) > clock_ms);
    make_link(b->directory, "a", "0"); /* only a scan can tell which name counts */
    target_hint(b->t, "0", &b->sink);
    assert_true(target_due_ms(b->t, INTERVAL_MS) <= clock_ms);
    run(b);
    expect_nothing(b);
}

static void test_a_hint_of_a_marker(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a.pt", 100, 'a');
    watch_marker(b, "{stem}.ok");
    run(b);
    forget(b);
    scratch_write(b->directory, "a.ok", "", 0);
    target_hint(b->t, "a.ok", &b->sink);
    run(b);
    expect(b, PROVEN, "a.pt", NULL);
}

static int64_t step_ms;

/* A clock that moves with every question, so that a scan takes time. */
static struct moment slow_clock(void)
{
    clock_ms += step_ms;
    return test_clock();
}

static void test_hints_do_not_keep_the_thread_busy(void **state)
{
    struct bench *b = *state;

    watch(b);
    run(b);
    rules.clock = slow_clock;
    step_ms = 100;
    target_ask(b->t);
    target_run(b->t, INTERVAL_MS, &b->sink);
    step_ms = 0;
    rules.clock = test_clock;
    target_hint(b->t, NULL, &b->sink);
    int64_t wait = target_due_ms(b->t, INTERVAL_MS) - clock_ms;
    assert_true(wait >= 900 && wait < INTERVAL_MS); /* it took 100 ms or more: nine times that */
    target_ask(b->t);
    assert_true(target_due_ms(b->t, INTERVAL_MS) <= clock_ms); /* a request waits for nothing */
}

/* ---- much, little memory, stopping ---- */

static void test_many_files(void **state)
{
    struct bench *b = *state;
    char name[32];

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "step-%05d.pt", i);
        write_whole(b->directory, name, 32, 'a');
    }
    watch(b);
    pass(b, SETTLE_MS);
    assert_int_equal(b->count, 10001);
    forget(b);
    alloc_fail_at(8); /* a rescan needs fewer allocations than this, however many files there are */
    scan(b);
    assert_false(alloc_fired());
    expect_nothing(b);
    assert_int_equal(b->done.counts.files, 5000);
    assert_int_equal(b->done.counts.waiting, 0);
}

/* Whatever allocation fails, nothing is lost for ever and nothing is told twice. */
static void test_memory_may_be_short(void **state)
{
    struct bench *b = *state;

    for (int64_t n = 0;; n++) {
        struct target_spec spec = spec_of(b);
        struct sewa_error err = { 0 };
        bool fired = false;
        forget(b);
        target_free(b->t);
        b->t = NULL;
        write_whole(b->directory, "a", 100, 'a');
        write_part(b->directory, "b", 100, 50);
        make_directory(b->directory, "d");
        alloc_fail_at(n);
        int rc = target_new(&spec, NULL, 0, &rules, &b->t, &err);
        if (rc == 0) {
            pass(b, INTERVAL_MS);
            write_whole(b->directory, "a", 200, 'b');
            pass(b, 2 * INTERVAL_MS);
            remove_file(b->directory, "b");
            remove_file(b->directory, "d");
            pass(b, 3 * INTERVAL_MS);
        } else {
            assert_int_equal(rc, SEWA_E_NO_MEMORY);
            remove_file(b->directory, "b");
            remove_file(b->directory, "d");
        }
        fired = alloc_fired();
        size_t told[REPORT_SCAN_DONE] = { 0 };
        for (size_t i = 0; i < b->count; i++)
            told[b->log[i].kind] += b->log[i].code != SEWA_E_NO_MEMORY;
        remove_file(b->directory, "a");
        if (rc == 0) {
            assert_int_equal(told[REPORT_FOUND], 2);
            /* a change may fall together with the finding, if that is what was delayed */
            assert_int_equal(told[REPORT_PROVEN], told[REPORT_CHANGED] + 1);
            assert_int_equal(told[REPORT_NOT_PROVEN], 1);
            assert_int_equal(told[REPORT_DIRECTORY], 1);
            assert_int_equal(told[REPORT_GONE], 1);
            assert_int_equal(told[REPORT_DIRECTORY_GONE], 1);
        }
        if (!fired) {
            assert_int_equal(told[REPORT_CHANGED], 1);
            assert_true(n > 10);
            break;
        }
    }
}

static void test_stopping(void **state)
{
    struct bench *b = *state;
    atomic_bool stop = false;

    watch_one(b, "a");
    remove_file(b->directory, "a");
    b->sink.stop = &stop;
    atomic_store(&stop, true);
    target_ask(b->t);
    target_run(b->t, INTERVAL_MS, &b->sink);
    target_ask(b->t);
    target_run(b->t, INTERVAL_MS, &b->sink);
    expect_nothing(b); /* half a listing says nothing of what is missing */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(test_the_directory_goes_and_comes_back),
        BENCH_TEST(test_an_empty_directory_is_not_believed),
        BENCH_TEST(test_a_directory_that_is_emptied),
        BENCH_TEST(test_an_empty_directory_after_a_start),
        BENCH_TEST(test_directories_that_cannot_be_read),
        BENCH_TEST(test_links_on_the_way),
        BENCH_TEST(test_roots),
        BENCH_TEST(test_files_and_directories_swap),
        BENCH_TEST(test_hints),
        BENCH_TEST(test_a_hint_of_a_marker),
        BENCH_TEST(test_hints_do_not_keep_the_thread_busy),
        BENCH_TEST(test_many_files),
        BENCH_TEST(test_memory_may_be_short),
        BENCH_TEST(test_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
