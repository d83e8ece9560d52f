/*
 * test_misbehaviour - the host against evaluators that break every rule there is.
 */
#include "fixture.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"

/* Where it goes wrong, and how the host must call it. */
struct row {
    const char *mode;
    int code;
    const char *word, *other_word;
};

static const struct row start_rows[] = {
    { "ends_at_once", SEWA_E_EVALUATOR_START, "exit status 3", "no module named 'torch'" },
    { "killed_at_once", SEWA_E_EVALUATOR_START, "was killed by SIGKILL", "before it was ready" },
    { "prints_rubbish", SEWA_E_EVALUATOR_START, "exit status 1", "last words" },
    { "sends_rubbish", SEWA_E_EVALUATOR_START, "sent '??? not json", "not valid JSON" },
    { "sends_nul", SEWA_E_EVALUATOR_START, "sent '{\"type\":\"ready\"?}'", "JSON" },
    { "sends_array", SEWA_E_EVALUATOR_START, "[1, 2]", "no object" },
    { "sends_long_line", SEWA_E_EVALUATOR_START, "line of more than 1048576 bytes", "tested" },
    { "sends_half_a_line", SEWA_E_EVALUATOR_START, "exit status 4", "tested" },
    { "closes_its_socket", SEWA_E_EVALUATOR_START, "closed its socket", "before it was ready" },
    { "speaks_protocol_2", SEWA_E_EVALUATOR_START, "protocol 2", "this host speaks 1" },
    { "names_unknown_parameters", SEWA_E_EVALUATOR_MISMATCH, "'nope' is no tensor",
      "'steps' holds integers" },
    { "says_result_first", SEWA_E_EVALUATOR_START, "'result'", "before it was ready" },
    { "gives_up", SEWA_E_EVALUATOR_START, "ValueError: no data", "last words: line 7" },
    { "finds_a_mismatch", SEWA_E_EVALUATOR_MISMATCH, "no tensor 'v'", "tested" },
    { "no such mode", SEWA_E_EVALUATOR_START, "exit status 2", "no such way" },
};

static void assert_row(int rc, const struct sewa_error *err, const struct row *row)
{
    assert_failed(rc, *err, row->code, row->word);
    assert_non_null(strstr(err->text, row->other_word));
    assert_non_null(strstr(err->text, "evaluator 'tested'"));
}

static void test_start(void **state)
{
    const struct row *row = *state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, row->mode);
    int rc = evaluator_start(&f.options, &e, &err);
    assert_row(rc, &err, row);
    assert_true(utf8_is_valid(err.text, strlen(err.text)));
    assert_null(e);
}

static const struct row request_rows[] = {
    { "ends_later", SEWA_E_EVALUATOR_DIED, "exit status 7 during request 1", "out of luck" },
    { "killed_later", SEWA_E_EVALUATOR_DIED, "was killed by SIGKILL", "request 1" },
    { "answers_bare_nan", SEWA_E_EVALUATOR_PROTOCOL, "not valid JSON", "NaN" },
    { "answers_without_loss", SEWA_E_EVALUATOR_PROTOCOL, "'loss'", "missing" },
    { "answers_text", SEWA_E_EVALUATOR_PROTOCOL, "'loss'", "must be a number" },
    { "answers_too_many_examples", SEWA_E_EVALUATOR_PROTOCOL, "1000 examples", "room for 0" },
    { "answers_another_id", SEWA_E_EVALUATOR_PROTOCOL, "'result'", "no answer to request 1" },
    { "answers_another_type", SEWA_E_EVALUATOR_PROTOCOL, "'re sult\xc3\xa4'", "request 1" },
    { "gives_up_later", SEWA_E_EVALUATOR_DIED, "gave up: ValueError: no data", "line 7" },
    { "leaves_a_grandchild", SEWA_E_EVALUATOR_DIED, "exit status 5", "grandchild" },
};

static const struct evaluator_request selection = { .split = "selection", .batch = -1 };

/* Afterwards it is unusable and says so, and a gradient block can still be read. */
static void test_request(void **state)
{
    const struct row *row = *state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator_result result;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, row->mode);
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    assert_true(evaluator_is_usable(e));
    int rc = evaluator_evaluate(e, &selection, &result, &err);
    assert_row(rc, &err, row);
    assert_false(evaluator_is_usable(e));
    rc = evaluator_evaluate(e, &selection, &result, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_DIED, "ended before");
    assert_true(((const float *)evaluator_gradient(e, 1))[0] == 0);
}

static const struct row recalibrate_rows[] = {
    { "recalibrates_unknown_tensors", SEWA_E_EVALUATOR_MISMATCH, "'nope' is no tensor", "1 of 2" },
    { "recalibrates_integers", SEWA_E_EVALUATOR_MISMATCH, "'steps' holds integers", "1 of 1" },
    { "recalibrates_a_number", SEWA_E_EVALUATOR_PROTOCOL, "'tensors'", "array of names" },
    { "recalibrates_without_values", SEWA_E_EVALUATOR_PROTOCOL, "'w'", "wrote no values" },
    { "recalibrates_with_a_result", SEWA_E_EVALUATOR_PROTOCOL, "'result'", "request 1" },
    { "recalibrates_rubbish", SEWA_E_EVALUATOR_PROTOCOL, "not valid JSON", "!?" },
    { "recalibrates_never", SEWA_E_EVALUATOR_TIMEOUT, "within 0.3 s", "a pass over the data" },
    { "recalibrates_and_dies", SEWA_E_EVALUATOR_DIED, "exit status 6", "no data left" },
};

/* Afterwards it is unusable. */
static void test_recalibrate(void **state)
{
    const struct row *row = *state;
    AUTO(fixture_clear) struct fixture f;
    struct sewa_error err = { 0 };
    bool changed[FIXTURE_TENSORS];

    fixture_init(&f, MISBEHAVE, row->mode);
    if (row->code == SEWA_E_EVALUATOR_TIMEOUT)
        f.options.timeout_ms = 300;
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    int rc = evaluator_recalibrate(e, 0, changed, &err);
    assert_row(rc, &err, row);
    assert_false(evaluator_is_usable(e));
    rc = evaluator_recalibrate(e, 0, changed, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_DIED, "ended before");
}

/* An evaluator that reports an error, or finds nothing to recalibrate, goes on. */
static void test_recalibrate_and_go_on(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        int code;
    } all[] = { { "cannot_recalibrate_today", SEWA_E_EVALUATOR_ERROR },
                { "recalibrates_nothing", 0 } };

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        AUTO(fixture_clear) struct fixture f;
        struct sewa_error err = { 0 };
        struct evaluator_result result;
        bool changed[FIXTURE_TENSORS] = { true };

        fixture_init(&f, MISBEHAVE, all[i].mode);
        AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
        int rc = evaluator_recalibrate(e, 0, changed, &err);
        if (all[i].code < 0)
            assert_failed(rc, err, all[i].code, "ValueError: not today");
        else
            assert_ok(rc, err);
        assert_true(all[i].code < 0 || !changed[0]);
        assert_ok(evaluator_evaluate(e, &selection, &result, &err), err);
        assert_true(result.loss == 1.5);
    }
}

static void test_recalibrate_without_the_trait(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct sewa_error err = { 0 };
    bool changed[FIXTURE_TENSORS];

    fixture_init(&f, MISBEHAVE, "answers_null");
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    int rc = evaluator_recalibrate(e, 0, changed, &err);
    assert_failed(rc, err, SEWA_E_INVALID, "cannot recalibrate");
    assert_true(evaluator_is_usable(e));
}

/* Unusual, and legal. */
struct legal {
    const char *mode;
    double loss;
    const char *output;
};

static const struct legal legal_rows[] = {
    { "answers_null", NAN, "" },
    { "answers_nan", NAN, "" },
    { "answers_infinite", -INFINITY, "" },
    { "answers_with_new_fields", 2.5, "" },
    { "answers_byte_by_byte", 1.5, "" },
    { "answers_several_lines_at_once", 1.5, "warning: one\ninfo: two\n" },
    { "floods_the_log", 1.5, "info: a line of the log\n" },
    { "floods_stdout", 1.5, "oooo" },
};

static void test_legal(void **state)
{
    const struct legal *row = *state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator_result result;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, row->mode);
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    assert_ok(evaluator_evaluate(e, &selection, &result, &err), err);
    assert_true(isnan(row->loss) ? isnan(result.loss) : result.loss == row->loss);
    assert_true(result.seconds >= 0);
    assert_null(result.example_losses);
    assert_non_null(strstr(buf_cstr(&f.output), row->output));
}

/* 20 MB before and 20 MB after: nothing blocks and nothing is lost. */
static void test_flood_is_counted(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator_result result;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, "floods_stdout");
    struct evaluator *e = fixture_start(&f);
    assert_ok(evaluator_evaluate(e, &selection, &result, &err), err);
    evaluator_stop(e);
    assert_int_equal(f.output_bytes, 2 * 20000 * 1001);
}

static void test_start_time_out(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, "wait_for_ever");
    f.options.start_timeout_ms = 200;
    int rc = evaluator_start(&f.options, &e, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_START, "no answer within 0.2 s before it was ready");
}

/* A program that talks all the time is no program that answers. */
static void test_time_out(void **state)
{
    (void)state;
    static const char *const modes[] = { "hangs_in_evaluate", "logs_for_ever" };

    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        AUTO(fixture_clear) struct fixture f;
        struct evaluator_result result;
        struct sewa_error err = { 0 };

        fixture_init(&f, MISBEHAVE, modes[i]);
        f.options.timeout_ms = 300;
        AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
        int rc = evaluator_evaluate(e, &selection, &result, &err);
        assert_failed(rc, err, SEWA_E_EVALUATOR_TIMEOUT, "within 0.3 s");
        assert_false(evaluator_is_usable(e));
    }
}

static void *cancel_soon(void *cancel)
{
    usleep(100000);
    atomic_store((atomic_bool *)cancel, true);
    return NULL;
}

static void test_cancel(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator_result result;
    struct sewa_error err = { 0 };
    pthread_t thread;

    fixture_init(&f, MISBEHAVE, "hangs_in_evaluate");
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &f.cancel), 0);
    int rc = evaluator_evaluate(e, &selection, &result, &err);
    pthread_join(thread, NULL);
    assert_failed(rc, err, SEWA_E_CANCELLED, "cancelled during request 1");
    assert_false(evaluator_is_usable(e));
}

static void test_cancel_while_starting(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, "wait_for_ever");
    atomic_store(&f.cancel, true);
    int rc = evaluator_start(&f.options, &e, &err);
    assert_failed(rc, err, SEWA_E_CANCELLED, "before it was ready");
}

/* An error with the id of the request is the request's: the next one is answered. */
static void test_error_of_a_request(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator_result result;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, "fails_once");
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    int rc = evaluator_evaluate(e, &selection, &result, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_ERROR, "RuntimeError: bad luck");
    assert_string_equal(buf_cstr(&f.output), "File x\nRuntimeError\n");
    assert_true(evaluator_is_usable(e));
    assert_ok(evaluator_evaluate(e, &selection, &result, &err), err);
    assert_true(result.loss == 1.5);
}

/* The second answer to one request is noticed when the next request is made. */
static void test_answers_twice(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;
    struct evaluator_result result;
    struct sewa_error err = { 0 };

    fixture_init(&f, MISBEHAVE, "answers_twice");
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&f);
    assert_ok(evaluator_evaluate(e, &selection, &result, &err), err);
    int rc = evaluator_evaluate(e, &selection, &result, &err);
    assert_failed(rc, err, SEWA_E_EVALUATOR_PROTOCOL, "no answer to request 2");
}

static void test_ignored_stop_is_killed(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;

    fixture_init(&f, MISBEHAVE, "ignores_stop");
    f.options.stop_timeout_ms = 300;
    struct evaluator *e = fixture_start(&f);
    evaluator_stop(e);
    assert_string_equal(buf_cstr(&f.output), "never\n");
}

/* Killed at the latest when the stop is over; init may need a moment to collect it. */
static void assert_gone(const char *output)
{
    const char *at = strstr(output, "grandchild ");

    assert_non_null(at);
    int pid = atoi(at + strlen("grandchild "));
    assert_true(pid > 1);
    for (int i = 0; i < 2000; i++) {
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = fopen(path, "r");
        if (!f)
            return;
        size_t n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
        if (n == 0 || strstr(text, ") Z"))
            return;
        usleep(10000);
    }
    fail_msg("grandchild %d is alive", pid);
}

static void test_grandchildren_die(void **state)
{
    (void)state;
    static const char *const modes[] = { "leaves_a_grandchild", "keeps_a_grandchild" };

    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        AUTO(fixture_clear) struct fixture f;
        struct evaluator_result result;
        struct sewa_error err = { 0 };

        fixture_init(&f, MISBEHAVE, modes[i]);
        struct evaluator *e = fixture_start(&f);
        evaluator_evaluate(e, &selection, &result, &err);
        evaluator_stop(e);
        assert_gone(buf_cstr(&f.output));
    }
}

/* The host's process is killed and can do nothing any more: the kernel ends the evaluator. */
static void test_killed_host(void **state)
{
    (void)state;
    char text[256] = "";
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    pid_t host = fork();
    if (host == 0) {
        struct fixture f;
        struct evaluator *e = NULL;
        fixture_init(&f, MISBEHAVE, "is_deaf");
        if (evaluator_start(&f.options, &e, NULL) < 0 ||
            write(fds[1], buf_cstr(&f.output), f.output.len) < 0)
            _exit(1);
        pause();
    }
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof text - 1) > 0);
    kill(host, SIGKILL);
    waitpid(host, NULL, 0);
    assert_gone(text);
    close(fds[0]);
}

/* ---- programs that cannot be run ---- */

static void assert_cannot_start(struct fixture *f, int code, const char *word)
{
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };
    int rc = evaluator_start(&f->options, &e, &err);

    assert_failed(rc, err, code, word);
    assert_non_null(strstr(err.text, "'tested'"));
}

static void test_cannot_run(void **state)
{
    (void)state;
    char *scratch = scratch_new();
    AUTOFREE char *plain = path_join(scratch, "plain");
    AUTOFREE char *text = path_join(scratch, "text");
    AUTO(fixture_clear) struct fixture f;

    scratch_write(scratch, "plain", "x", 1);
    scratch_write(scratch, "text", "neither a script nor a program", 30);
    assert_int_equal(chmod(text, 0755), 0);
    fixture_init(&f, "/nowhere/evaluator", NULL);
    assert_cannot_start(&f, SEWA_E_EVALUATOR_START, "'/nowhere/evaluator': No such file");
    f.argv[0] = "no-such-program-in-path";
    assert_cannot_start(&f, SEWA_E_EVALUATOR_START, "no program 'no-such-program-in-path'");
    f.argv[0] = "";
    assert_cannot_start(&f, SEWA_E_EVALUATOR_START, "no program ''");
    f.argv[0] = plain;
    assert_cannot_start(&f, SEWA_E_EVALUATOR_START, "Permission denied");
    f.argv[0] = text;
    assert_cannot_start(&f, SEWA_E_EVALUATOR_START, "Exec format error");
    f.argv[0] = scratch;
    assert_cannot_start(&f, SEWA_E_EVALUATOR_START, "Permission denied");
    f.argv[0] = MISBEHAVE;
    f.options.directory = "/nowhere";
    assert_cannot_start(&f, SEWA_E_EVALUATOR_START, "directory '/nowhere': No such file");
    scratch_free(scratch);
}

static void test_bad_options(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;

    fixture_init(&f, MISBEHAVE, "wait_for_ever");
    f.options.options = "{";
    assert_cannot_start(&f, SEWA_E_INVALID, "not valid JSON");
    f.options.options = "[1]";
    assert_cannot_start(&f, SEWA_E_INVALID, "not a JSON object");
    AUTO(buf_clear) struct buf big = { 0 };
    buf_text(&big, "{\"a\":\"");
    for (int i = 0; i < 1 << 20; i++)
        buf_char(&big, 'x');
    buf_text(&big, "\"}");
    f.options.options = buf_cstr(&big);
    assert_cannot_start(&f, SEWA_E_INVALID, "at most 1048576 are allowed");
    f.options.options = NULL;
    f.options.bank_bytes = 63;
    assert_cannot_start(&f, SEWA_E_INVALID, "2 banks of 63");
    f.options.bank_bytes = INT64_MAX / 64 * 64;
    assert_cannot_start(&f, SEWA_E_INVALID, "cannot be shared");
    f.options.bank_bytes = 64;
    f.options.timeout_ms = 0;
    assert_cannot_start(&f, SEWA_E_INVALID, "no time");
}

/* ---- what the program finds ---- */

static void test_world(void **state)
{
    (void)state;
    static const char *const environment[] = { "COLOUR=green", "HOME=/elsewhere",
                                               "SEWA_EVALUATOR_FD=9", NULL };
    AUTO(fixture_clear) struct fixture f;

    setenv("SEWA_TOKEN", "secret", 1);
    setenv("HF_TOKEN", "secret", 1);
    setenv("LISTEN_FDS", "secret", 1);
    setenv("PLAIN", "inherited", 1);
    AUTOCLOSE int leak = fcntl(0, F_DUPFD, 20); /* without O_CLOEXEC */
    assert_true(leak >= 20);
    signal(SIGPIPE, SIG_IGN);
    fixture_init(&f, MISBEHAVE, "shows_its_world");
    f.options.environment = environment;
    f.options.directory = "/proc";
    struct evaluator *e = fixture_start(&f);
    evaluator_stop(e);
    const char *text = buf_cstr(&f.output);
    assert_null(strstr(text, "secret"));
    static const char *const there[] = {
        "PLAIN=inherited\n", "COLOUR=green\n", "HOME=/elsewhere\n", "SEWA_EVALUATOR_FD=3\n",
        "open 3\n",          "stdin 0\n",      "stdout blocking\n", "directory /proc\n",
        "leader 1\n",        "pipe default\n",
    };
    for (size_t i = 0; i < COUNT_OF(there); i++)
        assert_non_null(strstr(text, there[i]));
    assert_null(strstr(text, "SEWA_EVALUATOR_FD=9"));
    for (int fd = 4; fd < 100; fd++) {
        char line[32];
        snprintf(line, sizeof line, "open %d\n", fd);
        assert_null(strstr(text, line));
    }
    unsetenv("SEWA_TOKEN");
    unsetenv("HF_TOKEN");
    unsetenv("LISTEN_FDS");
    unsetenv("PLAIN");
    signal(SIGPIPE, SIG_DFL);
}

static void test_program_is_found_by_path(void **state)
{
    (void)state;
    AUTOFREE char *path = NULL;
    AUTO(fixture_clear) struct fixture f;

    assert_true(asprintf(&path, "PATH=/nowhere::%.*s",
                         (int)(strlen(MISBEHAVE) - strlen("/misbehave")), MISBEHAVE) > 0);
    const char *environment[] = { path, NULL };
    fixture_init(&f, "misbehave", "answers_null");
    f.options.environment = environment;
    struct evaluator *e = fixture_start(&f);
    evaluator_stop(e);
}

/* Memory of its own is limited, memory that it shares with the host is not. */
static void test_memory_limit(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SEWA_SANITIZED)
    skip_because("a sanitizer reserves terabytes, which count");
#endif
    for (int limited = 0; limited < 2; limited++) {
        AUTO(fixture_clear) struct fixture f;

        fixture_init(&f, MISBEHAVE, "eats_memory");
        f.options.memory_mib = limited ? 256 : 0;
        struct evaluator *e = fixture_start(&f);
        evaluator_stop(e);
        assert_string_equal(buf_cstr(&f.output), limited ? "refused\n" : "granted\n");
    }
}

static void test_seals_hold(void **state)
{
    (void)state;
    AUTO(fixture_clear) struct fixture f;

    fixture_init(&f, MISBEHAVE, "tries_to_break_seals");
    struct evaluator *e = fixture_start(&f);
    evaluator_stop(e);
    assert_string_equal(buf_cstr(&f.output),
                        "block 0: shrink 0 grow 0 write 0 shared 0 private 1\n"
                        "block 1: shrink 0 grow 0 write 1 shared 1 private 1\n"
                        "block 2: shrink 0 grow 0 write 0 shared 0 private 1\n");
}

int main(void)
{
    struct CMUnitTest tests[64];
    size_t n = 0;

    for (size_t i = 0; i < COUNT_OF(start_rows); i++)
        tests[n++] = (struct CMUnitTest){ start_rows[i].mode, test_start, NULL, NULL,
                                          (void *)(uintptr_t)&start_rows[i] };
    for (size_t i = 0; i < COUNT_OF(request_rows); i++)
        tests[n++] = (struct CMUnitTest){ request_rows[i].mode, test_request, NULL, NULL,
                                          (void *)(uintptr_t)&request_rows[i] };
    for (size_t i = 0; i < COUNT_OF(legal_rows); i++)
        tests[n++] = (struct CMUnitTest){ legal_rows[i].mode, test_legal, NULL, NULL,
                                          (void *)(uintptr_t)&legal_rows[i] };
    for (size_t i = 0; i < COUNT_OF(recalibrate_rows); i++)
        tests[n++] = (struct CMUnitTest){ recalibrate_rows[i].mode, test_recalibrate, NULL, NULL,
                                          (void *)(uintptr_t)&recalibrate_rows[i] };
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_recalibrate_and_go_on),
        cmocka_unit_test(test_recalibrate_without_the_trait),
        cmocka_unit_test(test_flood_is_counted),
        cmocka_unit_test(test_start_time_out),
        cmocka_unit_test(test_time_out),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_while_starting),
        cmocka_unit_test(test_error_of_a_request),
        cmocka_unit_test(test_answers_twice),
        cmocka_unit_test(test_ignored_stop_is_killed),
        cmocka_unit_test(test_grandchildren_die),
        cmocka_unit_test(test_killed_host),
        cmocka_unit_test(test_cannot_run),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_world),
        cmocka_unit_test(test_program_is_found_by_path),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_seals_hold),
    };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        tests[n++] = others[i];
    assert_true(n <= COUNT_OF(tests));
    return _cmocka_run_group_tests("misbehaviour", tests, n, NULL, NULL);
}
