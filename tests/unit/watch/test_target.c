/*
 * test_target - one watched directory with real files and a clock that the test moves.
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "support/alloc.h"
#include "watch/target.h"

#include "files.h"

enum { SETTLE_MS = 5000, INTERVAL_MS = 30000, UTC_MS = 1700000000, LOG_MAX = 20000 };

/* A target at work, and what it has told and the test has not asked about yet. */
struct bench {
    char *directory;
    struct target *t;
    struct report_sink sink;
    struct report *log;
    size_t count, next;
    struct report done; /* the last SCAN_DONE; these stand not in the log */
};

static int64_t clock_ms;

static struct moment test_clock(void)
{
    return (struct moment){ .monotonic_ms = clock_ms, .utc_ms = UTC_MS + clock_ms };
}

static struct target_rules rules = {
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

static int setup(void **state)
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

static void forget(struct bench *b)
{
    for (size_t i = 0; i < b->count; i++)
        report_clear(&b->log[i]);
    b->count = b->next = 0;
    report_clear(&b->done);
}

static int teardown(void **state)
{
    struct bench *b = *state;

    forget(b);
    target_free(b->t);
    free(b->log);
    scratch_free(b->directory);
    free(b);
    return 0;
}

static struct target_spec spec_of(const struct bench *b)
{
    return (struct target_spec){ .id = 7, .path = b->directory, .settle_ms = SETTLE_MS };
}

static void watch_spec(struct bench *b, const struct target_spec *spec,
                       const struct target_known *known, size_t count)
{
    struct sewa_error err = { 0 };

    target_free(b->t);
    b->t = NULL;
    assert_ok(target_new(spec, known, count, &rules, &b->t, &err), err);
}

static void watch(struct bench *b)
{
    struct target_spec spec = spec_of(b);

    watch_spec(b, &spec, NULL, 0);
}

/* Everything that is due now. */
static void run(struct bench *b)
{
    for (int i = 0; target_due_ms(b->t, INTERVAL_MS) <= clock_ms; i++) {
        assert_true(i < 100); /* it must come to rest */
        target_run(b->t, INTERVAL_MS, &b->sink);
    }
}

/* Let time pass; everything that becomes due is done at its time. */
static void pass(struct bench *b, int64_t ms)
{
    int64_t end = clock_ms + ms;

    run(b);
    for (int64_t due; (due = target_due_ms(b->t, INTERVAL_MS)) <= end;) {
        clock_ms = due;
        run(b);
    }
    clock_ms = end;
}

static void scan(struct bench *b)
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

static struct report *expect_at(struct bench *b, enum report_kind kind, const char *name,
                                const char *word, int line)
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
#define expect(b, kind, name, word) expect_at(b, REPORT_##kind, name, word, __LINE__)

static void expect_nothing_at(struct bench *b, int line)
{
    if (b->next != b->count) {
        print_error("line %d: wanted nothing more, left:\n", line);
        show_rest(b);
        fail();
    }
}
#define expect_nothing(b) expect_nothing_at(b, __LINE__)

/* Watch a directory with one complete file in it. */
static void watch_one(struct bench *b, const char *name)
{
    write_whole(b->directory, name, 100, 'a');
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, name, NULL);
    expect(b, PROVEN, name, NULL);
    expect_nothing(b);
}

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
    assert_int_equal(r->code, SEWA_E_INCOMPLETE);
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

static void watch_marker(struct bench *b, const char *marker)
{
    struct target_spec spec = spec_of(b);

    spec.marker = marker;
    watch_spec(b, &spec, NULL, 0);
}

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

/* ---- the directory itself ---- */

static void test_the_directory_goes_and_comes_back(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *inner = path_join(b->directory, "run");
    struct target_spec spec = spec_of(b);

    make_directory(b->directory, "run");
    write_whole(inner, "a", 100, 'a');
    spec.path = inner;
    watch_spec(b, &spec, NULL, 0);
    pass(b, SETTLE_MS);
    forget(b);
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
    struct target_spec spec = spec_of(b);

    make_directory(b->directory, "run");
    write_whole(inner, "a", 100, 'a');
    spec.path = inner;
    watch_spec(b, &spec, NULL, 0);
    pass(b, SETTLE_MS);
    forget(b);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_a_file_settles),
        TEST(test_settle_of_zero_is_two_looks_at_once),
        TEST(test_a_slow_writer),
        TEST(test_a_half_written_file),
        TEST(test_a_file_that_is_filled_without_a_trace),
        TEST(test_a_failed_read_is_told_and_tried_again),
        TEST(test_a_change_while_the_header_is_read),
        TEST(test_a_rewritten_file_is_another_one),
        TEST(test_another_inode_is_looked_into),
        TEST(test_many_new_inodes_are_looked_into_bit_by_bit),
        TEST(test_gone_and_back),
        TEST(test_back_with_another_header),
        TEST(test_gone_is_forgotten),
        TEST(test_a_waiting_file_goes),
        TEST(test_rename_into_place),
        TEST(test_other_kinds_of_names),
        TEST(test_wants),
        TEST(test_names_are_bytes),
        TEST(test_hard_links),
        TEST(test_a_file_becomes_a_link),
        TEST(test_two_known_files_are_linked),
        TEST(test_preallocated_files_need_a_marker),
        TEST(test_a_marker_does_not_replace_the_structure),
        TEST(test_a_marker_that_was_left_behind),
        TEST(test_a_marker_must_be_a_file),
        TEST(test_known_files),
        TEST(test_the_directory_goes_and_comes_back),
        TEST(test_an_empty_directory_is_not_believed),
        TEST(test_a_directory_that_is_emptied),
        TEST(test_an_empty_directory_after_a_start),
        TEST(test_directories_that_cannot_be_read),
        TEST(test_links_on_the_way),
        TEST(test_roots),
        TEST(test_files_and_directories_swap),
        TEST(test_hints),
        TEST(test_a_hint_of_a_marker),
        TEST(test_hints_do_not_keep_the_thread_busy),
        TEST(test_many_files),
        TEST(test_memory_may_be_short),
        TEST(test_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
