/*
 * test_between - what happens to a watched directory between two looks: it is replaced or away, and
 * files that nobody has proven vanish and come back.
 */
#include "target_bench.h"

#include <unistd.h>

/* Watch a directory of its own below that of the bench, with a file that waits in it. */
static char *watch_below(struct bench *b)
{
    struct target_spec spec = spec_of(b);
    char *path = path_join(b->directory, "run");

    make_directory(b->directory, "run");
    write_whole(path, "step-1.pt", 100, 'a');
    spec.path = path;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "step-1.pt", NULL);
    expect_nothing(b);
    return path;
}

/* The look at the file comes before the next scan: it finds another directory, and asks for one. */
static void test_replaced_before_a_look(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *path = watch_below(b);

    move(b->directory, "run", "old");
    make_directory(b->directory, "run");
    write_whole(path, "step-2.pt", 100, 'b');
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "step-2.pt", NULL);
    expect_nothing(b); /* what is missing is missing in two scans */
    pass(b, INTERVAL_MS);
    expect(b, PROVEN, "step-2.pt", NULL);
    expect(b, GONE, "step-1.pt", NULL);
    expect_nothing(b);
}

static void test_replaced_before_a_hint(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *path = watch_below(b);

    move(b->directory, "run", "old");
    make_directory(b->directory, "run");
    write_whole(path, "step-2.pt", 100, 'b');
    target_hint(b->t, "step-2.pt", &b->sink);
    expect_nothing(b); /* a hint is no look into a directory that no scan has seen */
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "step-2.pt", NULL);
    expect_nothing(b);
}

/* Unmounted: the place is there and empty, or is not there. Nothing has happened to the files. */
static void test_away_before_a_look(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *path = watch_below(b);

    move(b->directory, "run", "old");
    pass(b, SETTLE_MS);
    expect(b, TARGET_ERROR, NULL, "run");
    expect_nothing(b);
    make_directory(b->directory, "run"); /* the empty place of a mount */
    pass(b, 4 * INTERVAL_MS);
    expect(b, TARGET_ERROR, NULL, "is its file system mounted?");
    expect_nothing(b);
    assert_int_equal(rmdir(path), 0);
    move(b->directory, "old", "run");
    pass(b, 2 * INTERVAL_MS);
    if (b->next < b->count && b->log[b->next].kind == REPORT_TARGET_ERROR)
        b->next++; /* a scan came between the two */
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, PROVEN, "step-1.pt", NULL);
    expect_nothing(b);
}

/* Another inode is to be looked at, and until then the file is written: a file is not known by its
 * header alone. */
static void test_rewritten_before_it_is_recognised(void **state)
{
    struct bench *b = *state;

    watch_one(b, "step-1.pt");
    int64_t mtime_ns = look_at(b->directory, "step-1.pt").mtime_ns;
    write_whole(b->directory, "new.tmp", 100, 'a');
    set_mtime(b->directory, "new.tmp", mtime_ns);
    move(b->directory, "new.tmp", "step-1.pt");
    target_ask(b->t);
    target_run(b->t, INTERVAL_MS, &b->sink); /* the scan */
    expect_nothing(b);
    set_mtime(b->directory, "step-1.pt", mtime_ns + 1);
    run(b);
    expect(b, CHANGED, "step-1.pt", "written again");
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "step-1.pt", NULL);
    expect_nothing(b);
}

/* It was never proven, so being as it was proves nothing. */
static void test_a_waiting_file_vanishes_and_comes_back(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = spec_of(b);

    write_whole(b->directory, "other.pt", 100, 'o'); /* so that the directory stays believed */
    write_whole(b->directory, "step-1.pt", 100, 'a');
    spec.settle_ms = 10 * INTERVAL_MS;
    watch_spec(b, &spec, NULL, 0);
    run(b);
    forget(b);
    move(b->directory, "step-1.pt", "step-1.tmp");
    pass(b, 2 * INTERVAL_MS);
    expect(b, GONE, "step-1.pt", NULL);
    expect_nothing(b);
    move(b->directory, "step-1.tmp", "step-1.pt");
    pass(b, INTERVAL_MS);
    expect(b, FOUND, "step-1.pt", NULL);
    expect_nothing(b);
    pass(b, spec.settle_ms - INTERVAL_MS);
    expect(b, PROVEN, "other.pt", NULL);
    expect_nothing(b); /* it waits as long as any other */
    pass(b, 2 * INTERVAL_MS);
    expect(b, PROVEN, "step-1.pt", NULL);
    expect_nothing(b);
}

/* What has been gone for a hundred scans is forgotten; until then it is the same when it is back.
 */
static void test_gone_for_long(void **state)
{
    struct bench *b = *state;

    watch_one(b, "other.pt");
    write_whole(b->directory, "step-1.pt", 100, 'a');
    pass(b, INTERVAL_MS + SETTLE_MS);
    forget(b);
    for (int scans = 90; scans <= 110; scans += 20) {
        move(b->directory, "step-1.pt", "step-1.tmp");
        pass(b, (int64_t)scans * INTERVAL_MS);
        expect(b, GONE, "step-1.pt", NULL);
        move(b->directory, "step-1.tmp", "step-1.pt");
        pass(b, INTERVAL_MS + SETTLE_MS);
        if (scans < 100) {
            expect(b, BACK, "step-1.pt", NULL);
        } else {
            expect(b, FOUND, "step-1.pt", NULL);
            expect(b, PROVEN, "step-1.pt", NULL);
        }
        expect_nothing(b);
    }
}

/* Commands and other directories of the mount get their turn. */
static void test_one_turn_is_bounded(void **state)
{
    enum { FILES = 1010, MOST = 1000 };
    struct bench *b = *state;
    char name[32];

    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "step-%d.pt", i);
        write_whole(b->directory, name, 32, 'a');
    }
    watch(b);
    run(b);
    forget(b);
    clock_ms += SETTLE_MS;
    target_run(b->t, INTERVAL_MS, &b->sink);
    assert_int_equal(b->count - b->next, MOST);
    target_run(b->t, INTERVAL_MS, &b->sink);
    assert_int_equal(b->count - b->next, FILES);
}

#define BETWEEN_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BETWEEN_TEST(test_replaced_before_a_look),
        BETWEEN_TEST(test_replaced_before_a_hint),
        BETWEEN_TEST(test_away_before_a_look),
        BETWEEN_TEST(test_rewritten_before_it_is_recognised),
        BETWEEN_TEST(test_a_waiting_file_vanishes_and_comes_back),
        BETWEEN_TEST(test_gone_for_long),
        BETWEEN_TEST(test_one_turn_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
