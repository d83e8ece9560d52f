/*
 * test_candidates - what in a watched directory is a checkpoint: names, links and markers.
 */
#include "target_bench.h"

#include <sys/stat.h>

/* ---- what is no candidate ---- */

static void test_other_kinds_of_names(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *fifo = path_join(b->directory, "fifo");

    write_whole(b->directory, "real", 100, 'a');
    write_whole(b->directory, ".hidden", 100, 'a');
    write_whole(b->directory, "_private", 100, 'a');
    write_whole(b->directory, "tmp-x", 100, 'a');
    write_whole(b->directory, "x.part", 100, 'a');
    make_symlink(b->directory, "real", "latest");
    make_symlink(b->directory, "missing", "dangling");
    make_symlink(b->directory, "/etc", "out");
    make_directory(b->directory, "sub");
    make_directory(b->directory, ".git");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "real", NULL);
    expect(b, DIRECTORY, "sub", NULL);
    expect(b, PROVEN, "real", NULL);
    expect_nothing(b);
    assert_int_equal(b->done.counts.files, 1);
    assert_int_equal(b->done.counts.directories, 1);
    assert_int_equal(b->done.counts.ignored, 9);
}

static bool wants_pt(const struct target_spec *spec, const char *name)
{
    return strstr(name, ".pt") && strcmp(spec->pattern, "x{step}") == 0;
}

static void test_wants(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = spec_of(b);

    write_whole(b->directory, "a.pt", 100, 'a');
    write_whole(b->directory, "train.log", 100, 'a');
    spec.pattern = "x{step}";
    watch_spec(b, &spec, NULL, 0);
    rules.wants = wants_pt;
    pass(b, SETTLE_MS);
    rules.wants = NULL;
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a.pt", NULL);
    expect(b, PROVEN, "a.pt", NULL);
    expect_nothing(b);
}

static void test_names_are_bytes(void **state)
{
    struct bench *b = *state;

    write_part(b->directory, "\xff\xfe\n", 100, 50);
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "\xff\xfe\n", NULL);
    struct report *r = expect(b, NOT_PROVEN, "\xff\xfe\n", "'%FF%FE%0A' has 50");
    assert_true(utf8_is_valid(r->text, strlen(r->text)));
}

static void test_hard_links(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "step-5", 100, 'a');
    make_link(b->directory, "step-5", "best");
    make_link(b->directory, "step-5", "latest");
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "best", NULL); /* the first name of those that are new */
    expect(b, PROVEN, "best", NULL);
    expect_nothing(b);
    assert_int_equal(b->done.counts.files, 1);
    make_link(b->directory, "best", "alpha"); /* before it, but "best" is known */
    pass(b, 3 * INTERVAL_MS);
    expect_nothing(b);
    remove_file(b->directory, "best");
    scan(b);
    expect(b, FOUND, "alpha", NULL);
    scan(b);
    expect(b, GONE, "best", NULL);
    expect_nothing(b);
}

static void test_a_file_becomes_a_link(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a", 100, 'a');
    write_whole(b->directory, "b", 200, 'b');
    watch(b);
    pass(b, SETTLE_MS);
    forget(b);
    remove_file(b->directory, "a");
    make_link(b->directory, "b", "a");
    scan(b);
    expect_nothing(b);
    scan(b);
    expect(b, GONE, "a", NULL); /* what it was is gone, what it is now is b */
    scan(b);
    expect_nothing(b);
}

/* Two complete files that a deduplicating tool has linked are still two. */
static void test_two_known_files_are_linked(void **state)
{
    struct bench *b = *state;
    int64_t mtime = 1600000000000000000;

    write_whole(b->directory, "a", 100, 'a');
    write_whole(b->directory, "b", 100, 'a');
    set_mtime(b->directory, "a", mtime);
    set_mtime(b->directory, "b", mtime);
    watch(b);
    pass(b, SETTLE_MS);
    forget(b);
    remove_file(b->directory, "b");
    make_link(b->directory, "a", "b");
    pass(b, 4 * INTERVAL_MS);
    expect_nothing(b);
}

/* ---- markers ---- */

/* A file that is preallocated and filled in place looks whole long before it is. */
static void test_preallocated_files_need_a_marker(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a.pt", 100, '\0'); /* header and size are right, the rest is not */
    watch_marker(b, "{name}.done");
    pass(b, 10 * INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a.pt", "its marker 'a.pt.done' is not there yet");
    expect_nothing(b);
    write_whole(b->directory, "a.pt", 100, 'f');
    scratch_write(b->directory, "a.pt.done", "", 0);
    scan(b);
    struct report *r = expect(b, PROVEN, "a.pt", NULL); /* at once */
    assert_int_equal(r->proof.rule, PROOF_MARKER);
    expect_nothing(b);
}

static void test_a_marker_does_not_replace_the_structure(void **state)
{
    struct bench *b = *state;

    write_part(b->directory, "a.pt", 100, 50);
    scratch_write(b->directory, "a.ok", "", 0);
    watch_marker(b, "{stem}.ok");
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a.pt", NULL);
    expect(b, NOT_PROVEN, "a.pt", "has 50 of 100");
    expect_nothing(b);
    write_whole(b->directory, "a.pt", 100, 'a');
    scan(b);
    expect(b, PROVEN, "a.pt", NULL);
}

/* A marker says "complete" of one file: what is written over it needs a marker of its own. */
static void test_a_marker_that_was_left_behind(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a.pt", 100, 'a');
    scratch_write(b->directory, "a.ok", "", 0);
    watch_marker(b, "{stem}.ok");
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a.pt", NULL);
    expect(b, PROVEN, "a.pt", NULL);
    write_whole(b->directory, "a.pt", 200, 'b');
    scan(b);
    expect(b, CHANGED, "a.pt", NULL);
    struct report *r = expect(b, NOT_PROVEN, "a.pt", "still that of the file before");
    assert_int_equal(r->code, SEWA_E_INCOMPLETE);
    pass(b, 5 * INTERVAL_MS);
    expect_nothing(b);
    set_mtime(b->directory, "a.ok", 1600000000000000000);
    scan(b);
    expect(b, PROVEN, "a.pt", NULL);
}

static void test_a_marker_must_be_a_file(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a.pt", 100, 'a');
    make_symlink(b->directory, "a.pt", "a.ok");
    watch_marker(b, "{stem}.ok");
    pass(b, 2 * INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a.pt", NULL);
    expect_nothing(b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(test_other_kinds_of_names),
        BENCH_TEST(test_wants),
        BENCH_TEST(test_names_are_bytes),
        BENCH_TEST(test_hard_links),
        BENCH_TEST(test_a_file_becomes_a_link),
        BENCH_TEST(test_two_known_files_are_linked),
        BENCH_TEST(test_preallocated_files_need_a_marker),
        BENCH_TEST(test_a_marker_does_not_replace_the_structure),
        BENCH_TEST(test_a_marker_that_was_left_behind),
        BENCH_TEST(test_a_marker_must_be_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
