/*
 * test_partfile - the hidden file of a download: begun, taken up, put in place, and in the way.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "partfile.h"

#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

struct place {
    char *folder;
    char target[512], hidden[512];
};

static int setup(void **state)
{
    static struct place p;

    p.folder = scratch_new();
    snprintf(p.target, sizeof p.target, "%s/m", p.folder);
    snprintf(p.hidden, sizeof p.hidden, "%s/.m.ba7816bf8f01cfea.part", p.folder);
    *state = &p;
    return p.folder ? 0 : -1;
}

static int teardown(void **state)
{
    scratch_free(((struct place *)*state)->folder);
    return 0;
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void a_whole_download(void **state)
{
    struct place *p = *state;
    AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
    char hex[SHA256_HEX_SIZE];
    struct sewa_error err;

    assert_ok(sewa_partfile_open(&f, p->target, SHA_ABC, 3, &err), err);
    assert_true(exists(p->hidden));
    assert_int_equal(f.size, 0);
    assert_ok(sewa_partfile_add(&f, "ab", 2, &err), err);
    assert_ok(sewa_partfile_add(&f, "c", 1, &err), err);
    assert_int_equal(f.size, 3);
    assert_ok(sewa_sha256_end(&f.sha, hex, &err), err);
    assert_string_equal(hex, SHA_ABC);
    assert_false(exists(p->target));
    assert_ok(sewa_partfile_publish(&f, &err), err);
    assert_false(exists(p->hidden));
    assert_int_equal(sewa_file_matches(p->target, SHA_ABC, 3, &err), 1);
}

static void taken_up_where_it_broke(void **state)
{
    struct place *p = *state;
    char hex[SHA256_HEX_SIZE];
    struct sewa_error err;

    {
        AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
        assert_ok(sewa_partfile_open(&f, p->target, SHA_ABC, 3, &err), err);
        assert_ok(sewa_partfile_add(&f, "ab", 2, &err), err);
    }
    AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
    assert_ok(sewa_partfile_open(&f, p->target, SHA_ABC, 3, &err), err);
    assert_int_equal(f.size, 2);
    assert_ok(sewa_partfile_add(&f, "c", 1, &err), err);
    assert_ok(sewa_sha256_end(&f.sha, hex, &err), err);
    assert_string_equal(hex, SHA_ABC);
    sewa_partfile_remove(&f);
    assert_false(exists(p->hidden));
}

/* Longer than the whole: it cannot be a part of it. */
static void begun_again_when_too_long(void **state)
{
    struct place *p = *state;
    AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
    char hex[SHA256_HEX_SIZE];
    struct sewa_error err;

    scratch_write(p->folder, ".m.ba7816bf8f01cfea.part", "abcd", 4);
    assert_ok(sewa_partfile_open(&f, p->target, SHA_ABC, 3, &err), err);
    assert_int_equal(f.size, 0);
    assert_ok(sewa_partfile_add(&f, "x", 1, &err), err);
    assert_ok(sewa_partfile_restart(&f, &err), err);
    assert_ok(sewa_partfile_add(&f, "abc", 3, &err), err);
    assert_ok(sewa_sha256_end(&f.sha, hex, &err), err);
    assert_string_equal(hex, SHA_ABC);
}

static void one_at_a_time(void **state)
{
    struct place *p = *state;
    AUTO(sewa_partfile_close) struct partfile first = { .fd = -1 }, second = { .fd = -1 };
    struct sewa_error err;

    assert_ok(sewa_partfile_open(&first, p->target, SHA_ABC, 3, &err), err);
    assert_failed(sewa_partfile_open(&second, p->target, SHA_ABC, 3, &err), err, SEWA_E_LOCKED,
                  "another process");
}

static void targets_that_are_none(void **state)
{
    struct place *p = *state;
    char path[600];
    struct sewa_error err;
    const struct {
        const char *tail;
        int code;
    } rows[] = {
        { "", SEWA_E_INVALID },      /* the folder itself */
        { "/", SEWA_E_INVALID },     /* the same */
        { "/new/", SEWA_E_INVALID }, /* a folder that is not there */
        { "/none/m", SEWA_E_IO },    /* in one that is not there */
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
        snprintf(path, sizeof path, "%s%s", p->folder, rows[i].tail);
        assert_failed(sewa_partfile_open(&f, path, SHA_ABC, 3, &err), err, rows[i].code, p->folder);
    }
    AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
    assert_failed(sewa_partfile_open(&f, "", SHA_ABC, 3, &err), err, SEWA_E_INVALID, "''");
}

/* Somebody else's link must not lead our bytes elsewhere. */
static void links_are_not_followed(void **state)
{
    struct place *p = *state;
    AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
    char victim[600];
    struct sewa_error err;

    snprintf(victim, sizeof victim, "%s/victim", p->folder);
    assert_int_equal(symlink(victim, p->hidden), 0);
    assert_failed(sewa_partfile_open(&f, p->target, SHA_ABC, 3, &err), err, SEWA_E_IO, p->hidden);
    assert_false(exists(victim));
}

static void files_that_match(void **state)
{
    struct place *p = *state;
    struct sewa_error err;

    assert_int_equal(sewa_file_matches(p->target, SHA_ABC, 3, &err), 0);
    assert_int_equal(sewa_file_matches(p->folder, SHA_ABC, 3, &err), 0);
    scratch_write(p->folder, "m", "abd", 3);
    assert_int_equal(sewa_file_matches(p->target, SHA_ABC, 3, &err), 0);
    assert_int_equal(sewa_file_matches(p->target, SHA_ABC, 2, &err), 0);
    scratch_write(p->folder, "m", "abc", 3);
    assert_int_equal(sewa_file_matches(p->target, SHA_ABC, 3, &err), 1);
}

static void memory_runs_out(void **state)
{
    struct place *p = *state;

    for (int64_t n = 0;; n++) {
        AUTO(sewa_partfile_close) struct partfile f = { .fd = -1 };
        struct sewa_error err;
        alloc_fail_at(n);
        int rc = sewa_partfile_open(&f, p->target, SHA_ABC, 3, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n >= 2);
            return;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_download, setup, teardown),
        cmocka_unit_test_setup_teardown(taken_up_where_it_broke, setup, teardown),
        cmocka_unit_test_setup_teardown(begun_again_when_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(targets_that_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(links_are_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_match, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_runs_out, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
