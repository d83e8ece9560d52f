/*
 * test_local - start, adopt and end processes. The "worker" is a shell script.
 */
#include "support/support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/path.h"
#include "launch/local.h"

struct fixture {
    char *dir, *program, *log;
    uv_loop_t loop;
    struct launcher *launcher;
    struct launched *launched;
    int exits, status, signal;
};

static void on_exit_seen(struct launched *l, int status, int signal)
{
    struct fixture *f = l->owner;

    f->exits++;
    f->status = status;
    f->signal = signal;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->dir = scratch_new();
    f->program = path_join(f->dir, "worker");
    f->log = path_join(f->dir, "log");
    uv_loop_init(&f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    local_free(f->launcher);
    scratch_free(f->dir);
    free(f->program);
    free(f->log);
    free(f);
    return 0;
}

static void begin(struct fixture *f, const char *script, const char *device)
{
    struct sewa_error err = { 0 };
    struct local_options o = { .program = f->program, .socket = "/run/worker.sock" };
    struct launch_spec spec = {
        .token = "secret", .device = device, .log_path = f->log, .on_exit = on_exit_seen, .owner = f
    };

    scratch_write(f->dir, "worker", script, strlen(script));
    assert_int_equal(chmod(f->program, 0755), 0);
    assert_ok(local_new(&o, &f->loop, &f->launcher, &err), err);
    assert_ok(f->launcher->start(f->launcher, &spec, &f->launched, &err), err);
}

static void wait_exit(struct fixture *f)
{
    while (f->exits == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static void assert_log(struct fixture *f, const char *wanted)
{
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(file_read(f->log, 100000, &b, &err), err);
    if (!strstr(buf_cstr(&b), wanted))
        print_error("'%s' is not in: %s\n", wanted, buf_cstr(&b));
    assert_non_null(strstr(buf_cstr(&b), wanted));
}

static void test_environment_and_log(void **state)
{
    struct fixture *f = *state;

    setenv("NOTIFY_SOCKET", "/run/notify", 1);
    setenv("CUDA_VISIBLE_DEVICES", "7", 1);
    begin(f,
          "#!/bin/sh\necho \"t=$SEWA_JOB_TOKEN s=$SEWA_WORKER_SOCKET n=$NOTIFY_SOCKET "
          "d=$CUDA_VISIBLE_DEVICES args=$#\"\necho error >&2\nexit 3\n",
          "1");
    wait_exit(f);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("CUDA_VISIBLE_DEVICES");
    assert_int_equal(f->status, 3);
    assert_int_equal(f->signal, 0);
    assert_log(f, "t=secret s=/run/worker.sock n= d=1 args=0\n");
    assert_log(f, "error\n");
}

static void test_own_session(void **state)
{
    struct fixture *f = *state;

    begin(f, "#!/bin/sh\nexec sleep 100\n", NULL);
    assert_int_equal(getsid((pid_t)f->launched->pid), f->launched->pid);
    assert_true(f->launched->start_ticks > 0);
    f->launcher->stop(f->launched, false);
    wait_exit(f);
    assert_int_equal(f->signal, SIGTERM);
    assert_int_equal(f->exits, 1);
}

static void test_kill_takes_the_group(void **state)
{
    struct fixture *f = *state;

    begin(f, "#!/bin/sh\ntrap '' TERM\nsleep 100 &\necho child=$!\nwait\nwait\n", NULL);
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };
    while (!strchr(buf_cstr(&b), '\n'))
        assert_ok(file_read(f->log, 1000, &b, &err), err);
    int child = atoi(strchr(buf_cstr(&b), '=') + 1);
    assert_int_equal(kill(child, 0), 0);
    f->launcher->stop(f->launched, true);
    wait_exit(f);
    assert_int_equal(f->signal, SIGKILL);
    while (local_start_ticks(child) >= 0)
        usleep(1000); /* it ends on its own; a zombie counts as ended */
}

/* Its number may be somebody else's by now: the start time says so, and nobody is touched. */
static void test_another_process_of_this_number_is_not_stopped(void **state)
{
    struct fixture *f = *state;

    begin(f, "#!/bin/sh\nexec sleep 100\n", NULL);
    f->launched->start_ticks++;
    f->launcher->stop(f->launched, true);
    f->launcher->stop(f->launched, false);
    for (int i = 0; i < 100; i++) { /* long enough for a signal to arrive */
        assert_true(local_start_ticks(f->launched->pid) >= 0);
        usleep(2000);
    }
    f->launched->start_ticks--;
    f->launcher->stop(f->launched, true);
    wait_exit(f);
    assert_int_equal(f->signal, SIGKILL);
}

/* What passes by itself is told from what stays. */
static void test_no_descriptors(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };
    struct local_options o = { .program = "/bin/true", .socket = "/s" };
    struct launch_spec spec = {
        .token = "t", .log_path = f->log, .on_exit = on_exit_seen, .owner = f
    };
    struct rlimit kept, few;

    assert_ok(local_new(&o, &f->loop, &f->launcher, &err), err);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &kept), 0);
    int next = dup(0);
    close(next);
    for (int room = 0; room < 3; room++) { /* none for the log; for the log and not for a pipe */
        few = kept;
        few.rlim_cur = (rlim_t)(next + room);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        int rc = f->launcher->start(f->launcher, &spec, &f->launched, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &kept), 0);
        assert_failed(rc, err, SEWA_E_UNAVAILABLE, "many open files");
    }
    assert_ok(f->launcher->start(f->launcher, &spec, &f->launched, &err), err);
    wait_exit(f);
    assert_int_equal(f->status, 0);
}

static void test_failures_to_start(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };
    struct local_options o = { .program = "/no/such/worker", .socket = "/s" };
    struct launch_spec spec = { .token = "t", .log_path = f->log };
    struct launched *l;

    assert_ok(local_new(&o, &f->loop, &f->launcher, &err), err);
    assert_failed(f->launcher->start(f->launcher, &spec, &l, &err), err, SEWA_E_IO,
                  "/no/such/worker");
    spec.log_path = "/no/such/log";
    assert_failed(f->launcher->start(f->launcher, &spec, &l, &err), err, SEWA_E_IO, "/no/such/log");
}

static void test_adopt(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };
    struct local_options o = { .program = f->program, .socket = "/s" };
    struct launch_spec spec = { .log_path = f->log, .on_exit = on_exit_seen, .owner = f };
    struct launched *l;

    assert_ok(local_new(&o, &f->loop, &f->launcher, &err), err);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        pause();
        _exit(0);
    }
    int64_t ticks = local_start_ticks(pid);
    assert_true(ticks > 0);
    assert_failed(f->launcher->adopt(f->launcher, pid, ticks + 1, &spec, &l, &err), err,
                  SEWA_E_GONE, "gone");
    assert_ok(f->launcher->adopt(f->launcher, pid, ticks, &spec, &l, &err), err);
    f->launcher->stop(l, false);
    wait_exit(f);
    assert_int_equal(f->status, -1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_failed(f->launcher->adopt(f->launcher, pid, ticks, &spec, &l, &err), err, SEWA_E_GONE,
                  "gone");
    assert_failed(f->launcher->adopt(f->launcher, 0, 0, &spec, &l, &err), err, SEWA_E_GONE, "gone");
}

static void test_release_leaves_it_alive(void **state)
{
    struct fixture *f = *state;

    begin(f, "#!/bin/sh\nexec sleep 100\n", NULL);
    pid_t pid = (pid_t)f->launched->pid;
    f->launcher->release(f->launched);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->exits, 0);
    assert_int_equal(kill(pid, 0), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_environment_and_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill_takes_the_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_process_of_this_number_is_not_stopped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_to_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_release_leaves_it_alive, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
