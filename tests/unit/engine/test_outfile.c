/*
 * test_outfile - a file appears whole or not at all. Edge cases "output is never visible half-done"
 * and "disk space is checked first; a full disk is a clean failure and the temporary file is gone".
 */
#include "support/support.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "engine/outfile.h"
#include "support/alloc.h"

static int setup(void **state)
{
    *state = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static void check_file(const char *directory, const char *want)
{
    AUTOFREE char *path = path_join(directory, "model");
    AUTO(buf_clear) struct buf file = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(file_read(path, 1000, &file, &err), err);
    assert_string_equal(buf_cstr(&file), want);
    assert_int_equal(scratch_entries(directory), 1);
}

static int write_two_parts(const char *directory, uint8_t sha256[SHA256_SIZE],
                           struct sewa_error *err)
{
    AUTOPTR(outfile_close) struct outfile *o = NULL;
    int rc = outfile_create(directory, "model", 0640, 10, 0, &o, err);

    if (rc == 0)
        rc = outfile_append(o, "hello ", 6, err);
    if (rc == 0)
        rc = outfile_append(o, "disk", 4, err);
    if (rc == 0)
        outfile_hash(o, "hello disk", 10);
    if (rc == 0)
        rc = outfile_publish(o, sha256, err);
    return rc;
}

static void test_publishing(void **state)
{
    uint8_t got[SHA256_SIZE], want[SHA256_SIZE];
    AUTOFREE char *path = path_join(*state, "model");
    struct sewa_error err = { 0 };
    struct stat st;

    scratch_write(*state, "model", "what was there before", 21);
    assert_ok(write_two_parts(*state, got, &err), err);
    check_file(*state, "hello disk");
    sha256_of("hello disk", 10, want);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(st.st_size, 10);
}

static void test_nothing_is_visible_before(void **state)
{
    AUTOFREE char *path = path_join(*state, "model");
    struct outfile *o = NULL;
    struct sewa_error err = { 0 };

    assert_ok(outfile_create(*state, "model", 0640, 1 << 20, 0, &o, &err), err);
    assert_ok(outfile_append(o, "half", 4, &err), err);
    assert_ok(outfile_wait(o, &err), err);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(scratch_entries(*state), 1);
    outfile_close(o);
    assert_int_equal(scratch_entries(*state), 0);
    outfile_close(NULL);
}

/* ---- large files, past the page cache ---- */

enum { LARGE = OUTFILE_DIRECT_MIN + 3 * OUTFILE_BLOCK };

/* In parts of these sizes, from a place in memory so many bytes behind a block's. */
static int write_large(const char *directory, const size_t *parts, size_t shift,
                       struct sewa_error *err)
{
    AUTOPTR(outfile_close) struct outfile *o = NULL;
    AUTOFREE char *memory = malloc(2 * LARGE);
    char *bytes = memory + -(uintptr_t)memory % OUTFILE_BLOCK + shift;
    uint8_t sha256[SHA256_SIZE];
    size_t total = 0;

    assert_non_null(memory);
    for (size_t i = 0; parts[i] > 0; i++)
        total += parts[i];
    for (size_t i = 0; i < total; i++)
        bytes[i] = (char)(i * 7 + i / 4096);
    int rc = outfile_create(directory, "model", 0640, (int64_t)total, 0, &o, err);
    for (size_t i = 0, at = 0; rc == 0 && parts[i] > 0; at += parts[i++])
        rc = outfile_append(o, bytes + at, parts[i], err);
    if (rc == 0)
        rc = outfile_publish(o, sha256, err);
    if (rc == 0) {
        AUTO(buf_clear) struct buf file = { 0 };
        AUTOFREE char *path = path_join(directory, "model");
        assert_ok(file_read(path, 2 * LARGE, &file, err), *err);
        assert_int_equal(file.len, total);
        assert_memory_equal(file.data, bytes, total);
        assert_int_equal(scratch_entries(directory), 1);
    }
    return rc;
}

static void test_large_files(void **state)
{
    enum { BLOCK = OUTFILE_BLOCK, MOST = OUTFILE_DIRECT_MIN };
    static const struct {
        size_t parts[5];
        size_t shift;
    } rows[] = {
        { { MOST }, 0 },
        { { MOST, 2 * BLOCK, 17 }, 0 },     /* the end is no whole block */
        { { BLOCK, 100, MOST, BLOCK }, 0 }, /* nor is what stands before the most of it */
        { { MOST, BLOCK }, 8 },             /* not aligned in memory */
        { { MOST + 4095, BLOCK, 1 }, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        assert_ok(write_large(*state, rows[i].parts, rows[i].shift, &err), err);
    }
#ifdef SEWA_FAILPOINTS
    struct sewa_error err = { 0 };
    failpoint_set("outfile_direct=errno:EINVAL@2"); /* a file system that changes its mind */
    assert_ok(write_large(*state, rows[1].parts, 0, &err), err);
    failpoint_set("outfile_direct=errno:EIO");
    assert_failed(write_large(*state, rows[1].parts, 0, &err), err, SEWA_E_IO, "offset 0");
    failpoint_set("fdio_write=errno:ENOSPC@2");
    assert_failed(write_large(*state, rows[1].parts, 0, &err), err, SEWA_E_NO_SPACE,
                  "at offset 4194304");
    failpoint_set(NULL);
    assert_int_equal(scratch_entries(*state), 1); /* the one before */
#endif
}

static void test_space(void **state)
{
    struct outfile *o = NULL;
    struct sewa_error err = { 0 };
    int64_t free_bytes;
    char number[32];

    assert_ok(disk_free(*state, &free_bytes, &err), err);
    int64_t too_much = free_bytes + (INT64_C(1) << 40);
    assert_failed(outfile_create(*state, "model", 0640, too_much, 0, &o, &err), err,
                  SEWA_E_NO_SPACE, "/model");
    snprintf(number, sizeof number, "needs %" PRId64, too_much);
    assert_non_null(strstr(err.text, number));
    assert_non_null(strstr(err.text, "bytes free"));
    assert_failed(outfile_create(*state, "model", 0640, 1, too_much, &o, &err), err,
                  SEWA_E_NO_SPACE, "must stay free");
    assert_int_equal(scratch_entries(*state), 0);
    assert_null(o);
}

static void test_a_directory_that_is_none(void **state)
{
    AUTOFREE char *missing = path_join(*state, "missing");
    struct outfile *o = NULL;
    struct sewa_error err = { 0 };

    assert_failed(outfile_create(missing, "model", 0640, 1, 0, &o, &err), err, SEWA_E_IO,
                  "missing");
}

static void test_what_a_killed_process_left(void **state)
{
    char name[64];
    uint8_t sha256[SHA256_SIZE];
    struct sewa_error err = { 0 };

    snprintf(name, sizeof name, ".model.%d.tmp", (int)getpid());
    scratch_write(*state, name, "rubbish of a process with our number", 36);
    assert_ok(write_two_parts(*state, sha256, &err), err);
    check_file(*state, "hello disk");
}

#ifdef SEWA_FAILPOINTS
static const struct {
    const char *points;
    int wanted;
    const char *word;
} rows[] = {
    { "outfile_create=errno:EIO", SEWA_E_IO, "cannot create" },
    { "outfile_reserve=errno:ENOSPC", SEWA_E_NO_SPACE, "cannot reserve 10 bytes" },
    { "outfile_thread=errno:ENOMEM", SEWA_E_NO_MEMORY, "cannot start a thread" },
    { "fdio_write=errno:EIO", SEWA_E_IO, "offset 0" },
    { "fdio_write=errno:ENOSPC@2", SEWA_E_NO_SPACE, "offset 6" },
    { "outfile_sync=errno:EIO", SEWA_E_IO, "cannot sync" },
    { "outfile_rename=errno:EIO", SEWA_E_IO, "cannot rename" },
    { "outfile_sync_directory=errno:EIO", SEWA_E_IO, "directory" },
};

static void test_failing_calls(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t sha256[SHA256_SIZE];
        struct sewa_error err = { 0 };
        failpoint_set(rows[i].points);
        assert_failed(write_two_parts(*state, sha256, &err), err, rows[i].wanted, rows[i].word);
        assert_int_equal(scratch_entries(*state), 0);
    }
    failpoint_set("outfile_reserve=errno:EIO"); /* a file system that cannot reserve is fine */
    uint8_t sha256[SHA256_SIZE];
    struct sewa_error err = { 0 };
    assert_ok(write_two_parts(*state, sha256, &err), err);
    failpoint_set(NULL);
}

/* Killed with everything written and nothing named: the final name is not there. */
static void test_killed_before_the_rename(void **state)
{
    AUTOFREE char *path = path_join(*state, "model");
    int status;
    pid_t child = fork();

    if (child == 0) {
        uint8_t sha256[SHA256_SIZE];
        failpoint_set("outfile_before_rename=kill");
        write_two_parts(*state, sha256, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(access(path, F_OK), -1);
}
#else
static void test_failing_calls(void **state)
{
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
}

static void test_killed_before_the_rename(void **state)
{
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
}
#endif

static void test_no_memory(void **state)
{
    uint8_t sha256[SHA256_SIZE];
    struct sewa_error err = { 0 };

    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = write_two_parts(*state, sha256, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n >= 3);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(scratch_entries(*state), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_publishing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_visible_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_space, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_directory_that_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_killed_process_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_before_the_rename, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
