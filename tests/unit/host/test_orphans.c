/*
 * test_orphans - families that do not want to end. Each test is a process of its own, because a
 * subreaper cannot tell whose children come to it.
 */
#include "support/support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/orphans.h"

enum { WAIT_MS = 60000 };

static void sleep_on(void)
{
    for (;;)
        pause();
}

static void tree(int depth)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            if (i == 1)
                setsid();
            if (depth > 1)
                tree(depth - 1);
            sleep_on();
        }
}

/* Each is a child of nobody as soon as it has made the next one. */
static void chain(void)
{
    if (fork() != 0)
        return;
    for (;;) {
        pid_t next = fork();
        if (next > 0)
            _exit(0);
        if (setsid() < 0 && next < 0)
            _exit(1);
        usleep(300);
    }
}

static void deep(int depth)
{
    if (fork() == 0) {
        if (depth > 1)
            deep(depth - 1);
        sleep_on();
    }
}

static void nobody(void)
{
}

static void many(void)
{
    tree(4);
}

static void long_line(void)
{
    deep(60);
}

static const struct row {
    const char *name;
    void (*raise)(void);
} rows[] = {
    { "nobody", nobody },
    { "120 in sessions and groups", many },
    { "60 below one another", long_line },
    { "one that forks and ends all the time", chain },
};

/* All hold the writing end of a pipe: its end says that none is left, whoever they belong to. */
static void test_none_is_left(void **state)
{
    const struct row *row = *state;
    int fds[2], status = 0;
    char c;

    assert_int_equal(pipe(fds), 0);
    pid_t reaper = fork();
    if (reaper == 0) {
        if (orphans_adopt() < 0)
            _exit(2);
        row->raise();
        usleep(20000);
        close(fds[1]);
        if (!orphans_end(WAIT_MS))
            _exit(3);
        _exit(read(fds[0], &c, 1) == 0 ? 0 : 4);
    }
    close(fds[1]);
    assert_int_equal(waitpid(reaper, &status, 0), reaper);
    assert_int_equal(read(fds[0], &c, 1), 0);
    close(fds[0]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* One look at a time, until none is left. */
static void test_looks_once_where_there_is_no_time(void **state)
{
    int status = 0;

    (void)state;
    pid_t reaper = fork();
    if (reaper == 0) {
        if (orphans_adopt() < 0)
            _exit(2);
        many();
        while (!orphans_end(0)) {
        }
        _exit(orphans_end(0) ? 0 : 3);
    }
    assert_int_equal(waitpid(reaper, &status, 0), reaper);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    struct CMUnitTest tests[sizeof rows / sizeof rows[0] + 1];
    size_t n = 0;

    for (; n < sizeof rows / sizeof rows[0]; n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_none_is_left, NULL, NULL,
                                        (void *)(uintptr_t)&rows[n] };
    tests[n] = (struct CMUnitTest)cmocka_unit_test(test_looks_once_where_there_is_no_time);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
