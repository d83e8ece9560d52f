/*
 * test_target - files in a watched directory: when they are proven, and when they are other ones.
 */
#include "target_bench.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fdio.h"

/* ---- settling ---- */

static void test_a_file_settles(void **state)
{
    struct bench *b = *state;
    int64_t began = clock_ms;
    uint8_t digest[32];

    write_whole(b->directory, "step-1.pt", 100, 'a');
    watch(b);
    run(b);
    struct report *r = expect(b, TARGET_OK, NULL, NULL);
    assert_string_equal(r->path, b->directory);
    assert_false(r->is_network);
    r = expect(b, FOUND, "step-1.pt", "must stay the same for 5 seconds");
    assert_int_equal(r->code, SEWA_E_SETTLING);
    assert_int_equal(r->look.size, 100);
    expect_nothing(b);
    assert_int_equal(b->done.counts.files, 1);
    assert_int_equal(b->done.counts.waiting, 1);
    assert_int_equal(target_due_ms(b->t, INTERVAL_MS), began + SETTLE_MS);
    pass(b, SETTLE_MS - 1);
    expect_nothing(b);
    pass(b, 1);
    r = expect(b, PROVEN, "step-1.pt", NULL);
    assert_int_equal(r->proof.rule, PROOF_SETTLED);
    assert_int_equal(r->proof.first_look_ms, UTC_MS + began);
    assert_int_equal(r->proof.second_look_ms, UTC_MS + began + SETTLE_MS);
    assert_int_equal(r->proof.settle_ms, SETTLE_MS);
    header_of(100, 'a', digest);
    assert_memory_equal(r->inspection->header_digest, digest, 32);
    expect_nothing(b);
    pass(b, 10 * INTERVAL_MS);
    expect_nothing(b);
    assert_int_equal(b->done.counts.waiting, 0);
}

static void test_settle_of_zero_is_two_looks_at_once(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = spec_of(b);

    spec.settle_ms = 0;
    write_whole(b->directory, "a", 100, 'a');
    watch_spec(b, &spec, NULL, 0);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a", NULL);
    expect(b, PROVEN, "a", NULL);
}

static void test_a_slow_writer(void **state)
{
    struct bench *b = *state;

    watch(b);
    for (size_t have = 40; have < 100; have += 10) {
        write_part(b->directory, "a", 100, have);
        pass(b, SETTLE_MS - 1);
    }
    write_whole(b->directory, "a", 100, 'p');
    pass(b, 2 * INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a", NULL);
    expect(b, PROVEN, "a", NULL);
    expect_nothing(b);
}

/* Incomplete, looked at again after longer and longer times, and never for ever rejected. */
static void test_a_half_written_file(void **state)
{
    struct bench *b = *state;

    write_part(b->directory, "a", 100, 50);
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a", NULL);
    struct report *r = expect(b, NOT_PROVEN, "a", "has 50 of 100 bytes");
    assert_int_equal(r->code, SEWA_E_INCOMPLETE);
    pass(b, 10 * INTERVAL_MS);
    expect_nothing(b); /* the same reason is told once */
    write_part(b->directory, "a", 100, 60);
    pass(b, INTERVAL_MS + SETTLE_MS);
    expect(b, NOT_PROVEN, "a", "has 60 of 100 bytes");
    write_whole(b->directory, "a", 100, 'p');
    scan(b);
    expect_nothing(b);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "a", NULL);
    expect_nothing(b);
}

/* What changes without a new time of modification, through a mapping say, is seen by looking again.
 */
static void test_a_file_that_is_filled_without_a_trace(void **state)
{
    struct bench *b = *state;
    int64_t mtime = 1600000000000000000;

    write_whole(b->directory, "a", 100, 'a');
    AUTOFREE char *path = path_join(b->directory, "a");
    AUTOCLOSE int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite_full(fd, "\0\0\0\0\0\0\0\0", 8, 0), 0);
    set_mtime(b->directory, "a", mtime);
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a", NULL);
    expect(b, NOT_PROVEN, "a", "has 100 of 0 bytes");
    int64_t due = target_due_ms(b->t, INTERVAL_MS);
    assert_int_equal(due, clock_ms + 1000);
    pass(b, 1000);
    assert_int_equal(target_due_ms(b->t, INTERVAL_MS), clock_ms + 2000);
    pass(b, 2000);
    assert_int_equal(target_due_ms(b->t, INTERVAL_MS), clock_ms + 4000);
    pass(b, 4000);
    assert_int_equal(target_due_ms(b->t, INTERVAL_MS), clock_ms + 4000); /* the most */
    expect_nothing(b);
    assert_int_equal(pwrite_full(fd, "00000100", 8, 0), 0);
    set_mtime(b->directory, "a", mtime);
    pass(b, 4000);
    expect(b, PROVEN, "a", NULL);
}

static void test_a_failed_read_is_told_and_tried_again(void **state)
{
    struct bench *b = *state;
    char text[64] = "EIO";

    scratch_write(b->directory, "a", text, sizeof text);
    write_whole(b->directory, "b", 100, 'b');
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a", NULL);
    expect(b, FOUND, "b", NULL);
    struct report *r = expect(b, NOT_PROVEN, "a", "cannot read 'a'");
    assert_int_equal(r->code, SEWA_E_IO);
    expect(b, PROVEN, "b", NULL); /* one bad entry stops nothing */
    expect_nothing(b);
    write_whole(b->directory, "a", 64, 'a');
    pass(b, INTERVAL_MS + SETTLE_MS);
    expect(b, PROVEN, "a", NULL);
}

static struct bench *writer_bench;

/* A writer that writes while the header is read. */
static int inspect_and_write(const struct target_spec *spec, const char *name, int fd,
                             const struct look *look, struct inspection **ret,
                             struct sewa_error *err)
{
    int rc = inspect_whole(spec, name, fd, look, ret, err);

    if (writer_bench) {
        write_whole(writer_bench->directory, name, 200, 'x');
        writer_bench = NULL;
    }
    return rc;
}

static void test_a_change_while_the_header_is_read(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a", 100, 'a');
    watch(b);
    writer_bench = b;
    rules.inspect = inspect_and_write;
    pass(b, SETTLE_MS);
    rules.inspect = inspect_whole;
    assert_null(writer_bench);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a", NULL);
    expect_nothing(b);
    pass(b, SETTLE_MS);
    struct report *r = expect(b, PROVEN, "a", NULL);
    assert_int_equal(r->look.size, 200);
    assert_int_equal(r->proof.second_look_ms - r->proof.first_look_ms, SETTLE_MS);
}

/* ---- identity ---- */

static void test_a_rewritten_file_is_another_one(void **state)
{
    struct bench *b = *state;

    watch_one(b, "a");
    write_whole(b->directory, "a", 200, 'a');
    scan(b);
    struct report *r = expect(b, CHANGED, "a", "it had 100 bytes and has 200 now");
    assert_int_equal(r->code, SEWA_E_CHANGED);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "a", NULL);
    write_whole(b->directory, "a", 200, 'b'); /* the same size */
    set_mtime(b->directory, "a", 1600000000000000000);
    scan(b);
    expect(b, CHANGED, "a", "written again");
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "a", NULL);
    write_part(b->directory, "a", 100, 50); /* truncated and not finished */
    pass(b, INTERVAL_MS + SETTLE_MS);
    expect(b, CHANGED, "a", NULL);
    expect(b, NOT_PROVEN, "a", NULL);
    expect_nothing(b);
}

/* A copy with the same time, or a remount: another inode alone is no other file. */
static void test_another_inode_is_looked_into(void **state)
{
    struct bench *b = *state;

    watch_one(b, "a");
    struct look before = look_at(b->directory, "a");
    write_whole(b->directory, ".copy", 100, 'a');
    set_mtime(b->directory, ".copy", before.mtime_ns);
    move(b->directory, ".copy", "a");
    assert_true(look_at(b->directory, "a").inode != before.inode);
    scan(b);
    pass(b, SETTLE_MS);
    expect_nothing(b);
    write_whole(b->directory, ".copy", 100, 'b'); /* another header */
    set_mtime(b->directory, ".copy", before.mtime_ns);
    move(b->directory, ".copy", "a");
    scan(b);
    expect(b, CHANGED, "a", "another header");
    expect_nothing(b);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "a", NULL);
    char broken[100] = "00000099";
    scratch_write(b->directory, ".copy", broken, sizeof broken);
    set_mtime(b->directory, ".copy", before.mtime_ns);
    move(b->directory, ".copy", "a");
    scan(b);
    expect(b, CHANGED, "a", "has 100 of 99 bytes");
    pass(b, SETTLE_MS);
    expect(b, NOT_PROVEN, "a", NULL);
}

/* There are file systems with a new inode for everything after each remount. */
static void test_many_new_inodes_are_looked_into_bit_by_bit(void **state)
{
    struct bench *b = *state;
    char name[16];

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%03d", i);
        write_whole(b->directory, name, 100, 'a');
        set_mtime(b->directory, name, 1600000000000000000);
    }
    watch(b);
    pass(b, SETTLE_MS);
    forget(b);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%03d", i);
        write_whole(b->directory, ".copy", 100, 'b');
        set_mtime(b->directory, ".copy", 1600000000000000000);
        move(b->directory, ".copy", name);
    }
    scan(b);
    assert_int_equal(b->count, 64);
    scan(b);
    assert_int_equal(b->count, 100);
}

static void test_gone_and_back(void **state)
{
    struct bench *b = *state;

    watch_one(b, "a");
    write_whole(b->directory, "other", 100, 'o');
    move(b->directory, "a", ".hidden");
    scan(b);
    expect(b, FOUND, "other", NULL);
    expect_nothing(b); /* one scan is not enough */
    move(b->directory, ".hidden", "a");
    scan(b);
    move(b->directory, "a", ".hidden");
    scan(b);
    expect_nothing(b); /* two in a row */
    scan(b);
    struct report *r = expect(b, GONE, "a", NULL);
    assert_int_equal(r->look.size, 100);
    scan(b);
    expect_nothing(b);
    move(b->directory, ".hidden", "a");
    scan(b);
    expect(b, BACK, "a", NULL);
    scan(b);
    expect_nothing(b);
    remove_file(b->directory, "a");
    scan(b);
    scan(b);
    expect(b, GONE, "a", NULL);
    write_whole(b->directory, "a", 300, 'z'); /* another one of that name */
    scan(b);
    expect(b, FOUND, "a", NULL);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "other", NULL);
    expect(b, PROVEN, "a", NULL);
    expect_nothing(b);
}

static void test_back_with_another_header(void **state)
{
    struct bench *b = *state;

    watch_one(b, "a");
    struct look before = look_at(b->directory, "a");
    remove_file(b->directory, "a");
    scan(b);
    scan(b);
    expect(b, GONE, "a", NULL);
    write_whole(b->directory, "a", 100, 'b');
    set_mtime(b->directory, "a", before.mtime_ns);
    scan(b);
    expect(b, FOUND, "a", NULL);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "a", NULL);
    expect_nothing(b);
}

/* What has been gone for long is forgotten: it would be found anew. */
static void test_gone_is_forgotten(void **state)
{
    struct bench *b = *state;

    watch_one(b, "a");
    move(b->directory, "a", ".hidden");
    for (int i = 0; i < 103; i++)
        scan(b);
    expect(b, GONE, "a", NULL);
    move(b->directory, ".hidden", "a");
    scan(b);
    expect(b, FOUND, "a", NULL);
}

static void test_a_waiting_file_goes(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a", 100, 'a');
    watch(b);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "a", NULL);
    remove_file(b->directory, "a");
    pass(b, SETTLE_MS); /* the second look finds nothing */
    expect_nothing(b);
    scan(b);
    scan(b);
    expect(b, GONE, "a", NULL);
    write_whole(b->directory, "a", 100, 'a');
    scan(b);
    expect(b, FOUND, "a", NULL);
}

static void test_rename_into_place(void **state)
{
    struct bench *b = *state;

    write_part(b->directory, "a.tmp", 100, 50);
    watch(b);
    pass(b, INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect_nothing(b);
    write_whole(b->directory, "a.tmp", 100, 'a');
    move(b->directory, "a.tmp", "a");
    pass(b, INTERVAL_MS + SETTLE_MS);
    expect(b, FOUND, "a", NULL);
    expect(b, PROVEN, "a", NULL);
    move(b->directory, "a", "b");
    scan(b);
    expect(b, FOUND, "b", NULL);
    pass(b, INTERVAL_MS);
    expect(b, PROVEN, "b", NULL);
    expect(b, GONE, "a", NULL);
    expect_nothing(b);
}

/* ---- what the index knows ---- */

static void test_known_files(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = spec_of(b);
    uint8_t header[32], other[32];

    write_whole(b->directory, "same", 100, 'a');
    write_whole(b->directory, "no-digest", 100, 'a');
    write_whole(b->directory, "grown", 200, 'a');
    write_whole(b->directory, "waiting", 100, 'a');
    header_of(100, 'a', header);
    header_of(100, 'x', other);
    const struct target_known known[] = {
        { "same", 100, look_at(b->directory, "same").mtime_ns, header, true },
        { "no-digest", 100, look_at(b->directory, "no-digest").mtime_ns, NULL, true },
        { "grown", 100, look_at(b->directory, "grown").mtime_ns, other, true },
        { "waiting", 50, 1, NULL, false },
        { "missing", 100, 1, header, true },
        { "same", 1, 1, NULL, true }, /* a name stands once */
    };
    watch_spec(b, &spec, known, COUNT_OF(known));
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, CHANGED, "grown", NULL);
    expect_nothing(b);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "grown", NULL);
    expect(b, PROVEN, "waiting", NULL);
    scan(b);
    expect(b, GONE, "missing", NULL);
    pass(b, 3 * INTERVAL_MS);
    expect_nothing(b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(test_a_file_settles),
        BENCH_TEST(test_settle_of_zero_is_two_looks_at_once),
        BENCH_TEST(test_a_slow_writer),
        BENCH_TEST(test_a_half_written_file),
        BENCH_TEST(test_a_file_that_is_filled_without_a_trace),
        BENCH_TEST(test_a_failed_read_is_told_and_tried_again),
        BENCH_TEST(test_a_change_while_the_header_is_read),
        BENCH_TEST(test_a_rewritten_file_is_another_one),
        BENCH_TEST(test_another_inode_is_looked_into),
        BENCH_TEST(test_many_new_inodes_are_looked_into_bit_by_bit),
        BENCH_TEST(test_gone_and_back),
        BENCH_TEST(test_back_with_another_header),
        BENCH_TEST(test_gone_is_forgotten),
        BENCH_TEST(test_a_waiting_file_goes),
        BENCH_TEST(test_rename_into_place),
        BENCH_TEST(test_known_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
