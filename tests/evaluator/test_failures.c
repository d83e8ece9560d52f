/*
 * test_failures - the host when this machine fails it: no memory, no descriptors, no process.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/json.h"
#include "support/alloc.h"

/* The whole life of an evaluator. The output is checked elsewhere: it allocates in the test. */
static int live(struct sewa_error *err)
{
    AUTO(fixture_clear) struct fixture f;
    AUTOPTR(evaluator_stop) struct evaluator *e = NULL;
    struct evaluator_request request = { 0, "selection", true, -1 };
    struct evaluator_result result;
    bool changed[FIXTURE_TENSORS];

    fixture_init(&f, QUADRATIC, NULL);
    f.options.listener = NULL;
    int rc = evaluator_start(&f.options, &e, err);
    if (rc == 0)
        rc = evaluator_evaluate(e, &request, &result, err);
    return rc < 0 ? rc : evaluator_recalibrate(e, 0, changed, err);
}

static int open_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Our own allocations, one after the other. */
static void test_without_memory(void **state)
{
    (void)state;
    int before = open_descriptors();

    for (int64_t n = 0;; n++) {
        struct sewa_error err = { 0 };
        alloc_fail_at(n);
        int rc = live(&err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 10);
            break;
        }
        if (rc < 0) /* a listener's text may be dropped without harm */
            assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
        assert_int_equal(open_descriptors(), before);
    }
}

static int64_t json_allocations_left;

static void *failing_malloc(size_t n)
{
    return json_allocations_left-- == 0 ? NULL : malloc(n);
}

/* Those of the JSON library, which does not always say why it could not parse: then it is some
 * other failure, but never a crash, a leak, or a wrong answer. */
static void test_without_memory_for_json(void **state)
{
    (void)state;
    int before = open_descriptors();

    json_set_alloc_funcs(failing_malloc, free);
    for (int64_t n = 0;; n++) {
        struct sewa_error err = { 0 };
        json_allocations_left = n;
        int rc = live(&err);
        if (json_allocations_left >= 0) {
            assert_ok(rc, err);
            assert_true(n > 10);
            break;
        }
        if (rc < 0) /* the stop message is the last, and may fail without harm */
            assert_true(err.code == rc && err.text[0]);
        assert_int_equal(open_descriptors(), before);
    }
    json_set_alloc_funcs(malloc, free);
}

#ifdef SEWA_FAILPOINTS
static const struct row {
    const char *failpoint;
    int code;
    const char *word;
} rows[] = {
    { "host_block=errno:ENOMEM", SEWA_E_NO_MEMORY, "cannot make 8192 bytes" },
    { "host_block=errno:EMFILE@2", SEWA_E_IO, "cannot make 8192 bytes" },
    { "host_block=errno:EMFILE@3", SEWA_E_IO, "shared memory for 'sewa-table'" },
    { "host_block=errno:EMFILE@4", SEWA_E_IO,
      "evaluator 'tested': cannot make 16 bytes of shared memory for 'sewa-examples'" },
    { "fdio_write=errno:ENOSPC", SEWA_E_NO_SPACE, "shared memory for 'sewa-table'" },
    { "host_socket=errno:EMFILE", SEWA_E_IO, "evaluator 'tested': cannot make a socket pair: Too" },
    { "host_pipe=errno:EMFILE", SEWA_E_IO, "evaluator 'tested': cannot make a pipe: Too many" },
    { "host_fork=errno:ENOMEM", SEWA_E_NO_MEMORY, "'tested': cannot start a process" },
    { "host_send=errno:EIO", SEWA_E_IO, "evaluator 'tested': cannot send to the evaluator" },
    { "host_send=errno:EIO@2", SEWA_E_IO, "evaluator 'tested': cannot send to the evaluator" },
};

static void test_machine_fails(void **state)
{
    (void)state;
    int before = open_descriptors();

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        failpoint_set(rows[i].failpoint);
        int rc = live(&err);
        failpoint_set(NULL);
        assert_failed(rc, err, rows[i].code, rows[i].word);
        assert_int_equal(open_descriptors(), before);
    }
}
#endif

/* Descriptors run out in the middle of a start. */
static void test_without_descriptors(void **state)
{
    (void)state;
    struct rlimit was, small;
    int before = open_descriptors();

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    for (rlim_t more = 0; more < 40; more++) {
        struct sewa_error err = { 0 };
        small = (struct rlimit){ (rlim_t)before + more, was.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
        int rc = live(&err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
        assert_int_equal(open_descriptors(), before);
        if (rc == 0)
            return;
        assert_true(rc == SEWA_E_IO || rc == SEWA_E_EVALUATOR_START);
    }
    fail_msg("never enough descriptors");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_without_memory_for_json),
#ifdef SEWA_FAILPOINTS
        cmocka_unit_test(test_machine_fails),
#endif
        cmocka_unit_test(test_without_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
