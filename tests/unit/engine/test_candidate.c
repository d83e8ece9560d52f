/*
 * test_candidate - a file that is not the one of the index any more is refused, and the message
 * says what differs. Edge cases "replaced or rewritten" and "vanishes or changes under a job".
 */
#include "run.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "support/alloc.h"

static const struct spec model[] = {
    { "weight", DTYPE_F32, 1, { 100 } },
    { "bias", DTYPE_F32, 1, { 3 } },
};

struct fixture {
    struct run run;
    struct candidate candidate; /* a copy to spoil */
    char *path;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    run_init(&f->run, model, COUNT_OF(model), 2, 1);
    f->candidate = f->run.candidates[0];
    f->path = run_path(&f->run, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    run_clear(&f->run);
    free(f->path);
    free(f);
    return 0;
}

/* A rewrite that keeps the time of modification: only what is said to differ may differ. */
static void keep_mtime(const struct fixture *f)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

    times[1].tv_sec = f->candidate.mtime_ns / 1000000000;
    times[1].tv_nsec = f->candidate.mtime_ns % 1000000000;
    assert_int_equal(utimensat(AT_FDCWD, f->path, times, 0), 0);
}

static void overwrite(const struct fixture *f, int64_t offset, const char *bytes)
{
    AUTOCLOSE int fd = open(f->path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite_full(fd, bytes, strlen(bytes), offset), 0);
    keep_mtime(f);
}

static void nothing(struct fixture *f)
{
    (void)f;
}

static void removed(struct fixture *f)
{
    unlink(f->path);
}

static void directory_removed(struct fixture *f)
{
    f->candidate.directory = "/nonexistent/run";
}

static void grown(struct fixture *f)
{
    assert_int_equal(truncate(f->path, f->candidate.bytes + 1), 0);
    keep_mtime(f);
}

static void cut(struct fixture *f)
{
    assert_int_equal(truncate(f->path, f->candidate.bytes - 1), 0);
    keep_mtime(f);
}

static void touched(struct fixture *f)
{
    f->candidate.mtime_ns -= 1;
}

static void other_header(struct fixture *f)
{
    f->candidate.header_digest[31] ^= 1;
}

static void no_header(struct fixture *f)
{
    overwrite(f, 8, "garbage");
}

static void growing_header(struct fixture *f)
{
    overwrite(f, 0, "\xff\xff\xff");
}

static void a_directory(struct fixture *f)
{
    unlink(f->path);
    assert_int_equal(mkdir(f->path, 0755), 0);
}

static void a_pipe(struct fixture *f)
{
    unlink(f->path);
    assert_int_equal(mkfifo(f->path, 0644), 0);
}

static void a_link(struct fixture *f)
{
    AUTOFREE char *other = run_path(&f->run, 1);

    unlink(f->path);
    assert_int_equal(symlink(other, f->path), 0);
}

static void outside(struct fixture *f)
{
    f->candidate.file = "../step-0.safetensors";
}

static const struct row {
    const char *name;
    void (*spoil)(struct fixture *f);
    int wanted;
    const char *word;
} rows[] = {
    { "nothing has changed", nothing, 0, "" },
    { "removed", removed, SEWA_E_GONE, "step-0.safetensors" },
    { "the directory is gone", directory_removed, SEWA_E_GONE, "/nonexistent/run" },
    { "grown", grown, SEWA_E_CHANGED, "when it was indexed" },
    { "cut", cut, SEWA_E_CHANGED, "bytes" },
    { "touched", touched, SEWA_E_CHANGED, "was modified at" },
    { "another header", other_header, SEWA_E_CHANGED, "SHA-256" },
    { "a broken header", no_header, SEWA_E_CHANGED, "is not the file that was indexed" },
    { "a header that may be growing", growing_header, SEWA_E_CHANGED,
      "is not the file that was indexed" },
    { "a directory in its place", a_directory, SEWA_E_CHANGED, "is not the file that was indexed" },
    { "a pipe in its place", a_pipe, SEWA_E_CHANGED, "no regular file" },
    { "a symbolic link in its place", a_link, SEWA_E_CHANGED, "symbolic link" },
    { "a path that leaves the run", outside, SEWA_E_INVALID, "does not lie below" },
};

static void test_row(void **state)
{
    struct fixture *f = *state;
    const struct row *row = NULL;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        uint8_t digest[SHA256_SIZE];
        run_save(&f->run, 0);
        f->candidate = f->run.candidates[0];
        row = &rows[i];
        row->spoil(f);
        if (row->wanted == 0) {
            assert_ok(candidate_verify(&f->candidate, &err), err);
            assert_ok(candidate_digest(&f->candidate, NULL, digest, &err), err);
            continue;
        }
        assert_failed(candidate_verify(&f->candidate, &err), err, row->wanted, row->word);
        assert_non_null(strstr(err.text, "'ckpt_0'"));
        assert_failed(candidate_digest(&f->candidate, NULL, digest, &err), err, row->wanted,
                      row->word);
        if (remove(f->path) < 0)
            assert_int_not_equal(access(f->path, F_OK), 0);
    }
}

/* Directories may be reached through links: people configure them. */
static void test_a_linked_directory_is_fine(void **state)
{
    struct fixture *f = *state;
    AUTOFREE char *link = path_join(f->run.directory, "linked");
    struct sewa_error err = { 0 };

    assert_int_equal(symlink(f->run.directory, link), 0);
    f->candidate.directory = link;
    assert_ok(candidate_verify(&f->candidate, &err), err);
}

/* Names of files may be any bytes, messages must be UTF-8. */
static void test_names_that_are_no_text(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };

    f->candidate.file = "step-\xff.safetensors";
    assert_failed(candidate_verify(&f->candidate, &err), err, SEWA_E_GONE, "step-%FF.safetensors");
    assert_true(utf8_is_valid(err.text, strlen(err.text)));
}

static void test_names_for_messages(void **state)
{
    struct fixture *f = *state;
    AUTOFREE char *with = candidate_name(&f->run.candidates[1]);
    f->candidate.step = -1;
    AUTOFREE char *without = candidate_name(&f->candidate);

    assert_string_equal(with, "checkpoint 'ckpt_1' (step 100)");
    assert_string_equal(without, "checkpoint 'ckpt_0'");
}

static void test_digest(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_clear) struct buf file = { 0 };
    uint8_t want[SHA256_SIZE], got[SHA256_SIZE];
    struct sewa_error err = { 0 };
    atomic_bool cancel = true;

    assert_ok(file_read(f->path, 1 << 20, &file, &err), err);
    sha256_of(file.data, file.len, want);
    assert_ok(candidate_digest(&f->candidate, NULL, got, &err), err);
    assert_memory_equal(want, got, sizeof want);
    assert_failed(candidate_digest(&f->candidate, &cancel, got, &err), err, SEWA_E_CANCELLED,
                  "cancelled");
}

static void test_failing_reads(void **state)
{
#ifdef SEWA_FAILPOINTS
    struct fixture *f = *state;
    uint8_t got[SHA256_SIZE];
    struct sewa_error err = { 0 };

    failpoint_set("candidate_digest=errno:EIO");
    assert_failed(candidate_digest(&f->candidate, NULL, got, &err), err, SEWA_E_IO, "offset 0");
    assert_non_null(strstr(err.text, "step-0.safetensors"));
    failpoint_set("candidate_open=errno:EMFILE");
    assert_failed(candidate_verify(&f->candidate, &err), err, SEWA_E_IO, "Too many open files");
    failpoint_set(NULL);
#else
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
#endif
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    uint8_t got[SHA256_SIZE];
    struct sewa_error err = { 0 };

    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = candidate_digest(&f->candidate, NULL, got, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 5);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_linked_directory_is_fine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_no_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_for_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
