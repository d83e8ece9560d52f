/*
 * test_members - directories that are one checkpoint: admitted by their last file or by settling,
 * and known by all of their members.
 */
#include "target_bench.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watch/members.h"

static bool wants_directory(const struct target_spec *spec, const char *name)
{
    (void)spec;
    return strncmp(name, "checkpoint-", 11) == 0;
}

static bool is_member(const struct target_spec *spec, const char *name)
{
    (void)spec;
    return strncmp(name, "part", 4) == 0 || strcmp(name, ".last") == 0 ||
           strcmp(name, "beside") == 0;
}

/* The header of a directory says names, times and headers of its parts. */
static void add_part(uint8_t sum[32], const uint8_t digest[32], int number, int64_t mtime_ns)
{
    for (int i = 0; i < 32; i++)
        sum[i] = (uint8_t)(sum[i] * 3 + digest[i] + number + (mtime_ns >> (i % 8 * 8)));
}

/* Parts 0, 1, ... as far as they go, each whole; ".last" is the file that is written last. */
static int inspect_parts(const struct target_spec *spec, const char *name, int fd,
                         const struct look *look, struct inspection **ret, struct sewa_error *err)
{
    struct stat st;
    uint8_t sum[32] = { 0 };
    int parts = 0;

    if (!look->is_directory)
        return inspect_whole(spec, name, fd, look, ret, err);
    for (char part[16];; parts++) {
        snprintf(part, sizeof part, "part%d", parts);
        AUTOCLOSE int part_fd = openat(fd, part, O_RDONLY | O_CLOEXEC);
        if (part_fd < 0)
            break;
        assert_int_equal(fstat(part_fd, &st), 0);
        struct look one = { .size = st.st_size };
        if (*ret)
            (*ret)->free(*ret);
        *ret = NULL;
        int rc = inspect_whole(spec, part, part_fd, &one, ret, err);
        if (rc < 0)
            return rc;
        add_part(sum, (*ret)->header_digest, parts,
                 (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    }
    if (parts == 0)
        return sewa_fail(err, SEWA_E_INCOMPLETE, "it has no part yet");
    memcpy((*ret)->header_digest, sum, sizeof sum);
    if (*ret && fstatat(fd, ".last", &st, 0) == 0)
        snprintf((*ret)->last_file, sizeof(*ret)->last_file, ".last");
    return 0;
}

static int setup(void **state)
{
    rules.wants_directory = wants_directory;
    rules.is_member = is_member;
    rules.inspect = inspect_parts;
    return bench_setup(state);
}

struct parts {
    char *path; /* of the directory */
};

static struct parts make_parts(const struct bench *b, const char *name, int count)
{
    struct parts p = { .path = path_join(b->directory, name) };

    make_directory(b->directory, name);
    for (int i = 0; i < count; i++) {
        char part[16];
        snprintf(part, sizeof part, "part%d", i);
        write_whole(p.path, part, 100 + (size_t)i, 'a');
    }
    return p;
}

static void parts_clear(struct parts *p)
{
    free(p->path);
}

#define AUTOPARTS AUTO(parts_clear) struct parts

static void test_settles(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 2);
    AUTOPARTS other = make_parts(b, "logs", 2); /* no name of a checkpoint */

    make_directory(b->directory, "checkpoint-6"); /* nothing in it */
    write_whole(p.path, "optimizer", 5000, 'o');  /* no member */
    watch(b);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    struct report *r = expect(b, FOUND, "checkpoint-5", "5 seconds");
    assert_int_equal(r->look.size, 201);
    assert_true(r->look.is_directory);
    expect(b, DIRECTORY, "checkpoint-6", NULL);
    expect(b, DIRECTORY, "logs", NULL);
    expect_nothing(b);
    pass(b, SETTLE_MS);
    r = expect(b, PROVEN, "checkpoint-5", NULL);
    assert_int_equal(r->proof.rule, PROOF_SETTLED);
    assert_non_null(r->inspection);
    pass(b, 3 * INTERVAL_MS);
    expect_nothing(b);
    /* a directory without members gets some */
    AUTOFREE char *six = path_join(b->directory, "checkpoint-6");
    write_whole(six, "part0", 50, 'b');
    pass(b, INTERVAL_MS + SETTLE_MS);
    expect(b, FOUND, "checkpoint-6", NULL);
    expect(b, PROVEN, "checkpoint-6", NULL);
    expect_nothing(b);
}

static void test_the_last_file_admits_at_once(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 1);

    watch(b);
    run(b);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "checkpoint-5", NULL);
    expect_nothing(b);
    write_whole(p.path, "part1", 100, 'b');
    write_whole(p.path, ".last", 40, 'l');
    scan(b);
    struct report *r = expect(b, PROVEN, "checkpoint-5", NULL);
    expect_nothing(b);
    assert_int_equal(r->proof.rule, PROOF_LAST);
    AUTO(buf_clear) struct buf text = { 0 };
    proof_text(&r->proof, &text);
    assert_non_null(strstr(buf_cstr(&text), "{\"rule\":\"last_file\",\"first_look\":\""));
    assert_non_null(strstr(buf_cstr(&text), ",\"file\":\".last\"}"));
}

/* A part that is not whole keeps it waiting, whatever stands beside it. */
static void test_a_half_part(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 1);

    write_part(p.path, "part1", 100, 50);
    write_whole(p.path, ".last", 40, 'l');
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "checkpoint-5", NULL);
    expect(b, NOT_PROVEN, "checkpoint-5", "50 of 100 bytes");
    expect_nothing(b);
    write_whole(p.path, "part1", 100, 'b');
    scan(b);
    expect(b, PROVEN, "checkpoint-5", NULL);
    expect_nothing(b);
}

/* Sum of sizes and latest time stay what they were, and yet it is another checkpoint. */
static void test_an_older_member_is_replaced(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 2);

    set_mtime(p.path, "part0", 1000);
    set_mtime(p.path, "part1", 5000);
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, FOUND, "checkpoint-5", NULL);
    expect(b, PROVEN, "checkpoint-5", NULL);
    write_whole(p.path, "part0", 100, 'z');
    set_mtime(p.path, "part0", 2000);
    pass(b, INTERVAL_MS);
    expect(b, CHANGED, "checkpoint-5", NULL);
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "checkpoint-5", NULL);
    expect_nothing(b);
}

/* What a trainer writes later, or throws away, is not what the weights are. */
static void test_what_lies_beside_is_no_other_checkpoint(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 2);

    watch(b);
    pass(b, SETTLE_MS);
    forget(b);
    write_whole(p.path, ".last", 40, 'l');
    pass(b, INTERVAL_MS);
    struct report *r = expect(b, BESIDE, "checkpoint-5", NULL);
    assert_int_equal(r->look.size, 100 + 101 + 40);
    expect_nothing(b);
    write_whole(p.path, "beside", 500, 'x');
    pass(b, INTERVAL_MS);
    expect(b, BESIDE, "checkpoint-5", NULL);
    pass(b, 3 * INTERVAL_MS);
    expect_nothing(b); /* once for each */
    remove_file(p.path, "beside");
    pass(b, INTERVAL_MS);
    expect(b, BESIDE, "checkpoint-5", NULL);
    /* a part is another matter, with and without something beside it */
    write_whole(p.path, "beside", 500, 'y');
    write_whole(p.path, "part2", 100, 'c');
    pass(b, INTERVAL_MS);
    expect(b, CHANGED, "checkpoint-5", "another header");
    pass(b, SETTLE_MS);
    expect(b, PROVEN, "checkpoint-5", NULL);
    expect_nothing(b);
    write_part(p.path, "part2", 100, 50);
    pass(b, INTERVAL_MS);
    expect(b, CHANGED, "checkpoint-5", "50 of 100 bytes");
    pass(b, SETTLE_MS);
    expect(b, NOT_PROVEN, "checkpoint-5", "50 of 100 bytes");
}

/* While it was not watched something was written beside the weights. */
static void test_beside_while_nobody_looked(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 1);
    struct target_spec spec = spec_of(b);
    uint8_t digest[32] = { 0 }, part[32];
    struct look look = look_at(p.path, "part0");
    struct target_known known = { .name = "checkpoint-5",
                                  .size = look.size,
                                  .mtime_ns = look.mtime_ns,
                                  .header_digest = digest,
                                  .is_complete = true };

    header_of(100, 'a', part);
    add_part(digest, part, 0, look.mtime_ns);
    write_whole(p.path, "beside", 70, 'x');
    watch_spec(b, &spec, &known, 1);
    pass(b, 2 * INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, BESIDE, "checkpoint-5", NULL);
    expect_nothing(b);
}

/* After a restart only size, time and header are known: the header is asked. */
static void test_known_from_before(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 1);
    struct target_spec spec = spec_of(b);
    uint8_t digest[32] = { 0 }, part[32];
    struct look look = look_at(p.path, "part0");
    struct target_known known = { .name = "checkpoint-5",
                                  .size = look.size,
                                  .mtime_ns = look.mtime_ns,
                                  .header_digest = digest,
                                  .is_complete = true };

    header_of(100, 'a', part);
    add_part(digest, part, 0, look.mtime_ns);
    watch_spec(b, &spec, &known, 1);
    pass(b, 2 * INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect_nothing(b); /* it is the same */

    digest[0] ^= 1;
    target_free(b->t);
    b->t = NULL;
    watch_spec(b, &spec, &known, 1);
    pass(b, 2 * INTERVAL_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, CHANGED, "checkpoint-5", "another header");
    expect(b, PROVEN, "checkpoint-5", NULL);
    expect_nothing(b);
}

static void test_goes_and_comes_back(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 2);

    write_whole(b->directory, "other", 100, 'o'); /* so that the directory stays believed */
    watch(b);
    pass(b, SETTLE_MS);
    forget(b);
    move(b->directory, "checkpoint-5", "tmp-5");
    pass(b, 2 * INTERVAL_MS);
    expect(b, GONE, "checkpoint-5", NULL);
    move(b->directory, "tmp-5", "checkpoint-5");
    pass(b, INTERVAL_MS);
    expect(b, BACK, "checkpoint-5", NULL);
    expect_nothing(b);
    /* a directory that lost all of its members is gone, too */
    remove_file(p.path, "part0");
    remove_file(p.path, "part1");
    pass(b, 2 * INTERVAL_MS);
    expect(b, GONE, "checkpoint-5", NULL);
    expect_nothing(b);
}

static void test_links_are_not_followed(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "elsewhere", 2);
    AUTOPARTS links = make_parts(b, "checkpoint-7", 0);

    make_symlink(b->directory, "elsewhere", "checkpoint-5");
    make_symlink(links.path, "../elsewhere/part0", "part0"); /* a member that is a link is none */
    watch(b);
    pass(b, SETTLE_MS);
    expect(b, TARGET_OK, NULL, NULL);
    expect(b, DIRECTORY, "checkpoint-7", NULL);
    expect(b, DIRECTORY, "elsewhere", NULL);
    expect_nothing(b);
}

static void test_members_look(void **state)
{
    struct bench *b = *state;
    AUTOPARTS p = make_parts(b, "checkpoint-5", 3);
    struct target_spec spec = spec_of(b);
    struct sewa_error err = { 0 };
    struct look one, again;
    AUTOCLOSE int parent = open(b->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    set_mtime(p.path, "part1", INT64_C(4000000000000000000));
    assert_int_equal(members_look_at(&rules, &spec, parent, "checkpoint-5", &one, &err), 1);
    assert_int_equal(one.size, 100 + 101 + 102);
    assert_int_equal(one.mtime_ns, INT64_C(4000000000000000000));
    assert_true(one.is_directory && one.inode != 0);
    move(p.path, "part2", "x");
    move(p.path, "x", "part2"); /* the order of the listing may differ now */
    assert_int_equal(members_look_at(&rules, &spec, parent, "checkpoint-5", &again, &err), 1);
    assert_true(look_is_same(&one, &again) && one.inode == again.inode);
    move(p.path, "part2", "part3");
    assert_int_equal(members_look_at(&rules, &spec, parent, "checkpoint-5", &again, &err), 1);
    assert_false(look_is_same(&one, &again));
    assert_int_equal(members_look_at(&rules, &spec, parent, "nobody", &again, &err), 0);
    write_whole(b->directory, "file", 100, 'a');
    assert_int_equal(members_look_at(&rules, &spec, parent, "file", &again, &err), 0);
}

#define MEMBERS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        MEMBERS_TEST(test_settles),
        MEMBERS_TEST(test_the_last_file_admits_at_once),
        MEMBERS_TEST(test_a_half_part),
        MEMBERS_TEST(test_an_older_member_is_replaced),
        MEMBERS_TEST(test_what_lies_beside_is_no_other_checkpoint),
        MEMBERS_TEST(test_beside_while_nobody_looked),
        MEMBERS_TEST(test_known_from_before),
        MEMBERS_TEST(test_goes_and_comes_back),
        MEMBERS_TEST(test_links_are_not_followed),
        MEMBERS_TEST(test_members_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
