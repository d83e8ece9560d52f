/*
 * sewa-guard - starts an evaluator, and ends all that descends from it when the evaluator or the
 * worker has ended. See host/guard.h.
 *
 * It must be alive when everything else is not: it needs little memory, so that the kernel finds
 * bigger ones to kill, and heeds no signal but SIGKILL.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/guard.h"
#include "host/orphans.h"
#include "sewa/version.h"

enum { OOM_RAISE = 500, OOM_MOST = 1000 };

struct guard {
    char **argv; /* of the evaluator */
    const char *directory, *program;
    rlim_t data_bytes;
    sigset_t mask; /* what the evaluator is to have */
    int signals;   /* signalfd */
    int start; /* struct guard_report of a failure, or its end when the program runs; -1: told */
    pid_t evaluator;
};

static void report(int fd, enum guard_event event, enum guard_stage stage, int number)
{
    struct guard_report r = { (int)event, (int)stage, number };
    ssize_t ignored = write(fd, &r, sizeof r); /* nobody may be there any more */

    (void)ignored;
}

/* When memory runs out, rather what was made of user code than a worker or sewad. */
static void raise_oom_score(void)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    if (read(fd, text, sizeof text - 1) > 0) {
        int score = atoi(text) + OOM_RAISE;
        int n = snprintf(text, sizeof text, "%d", score < OOM_MOST ? score : OOM_MOST);
        ssize_t ignored = pwrite(fd, text, (size_t)n, 0);
        (void)ignored;
    }
    close(fd);
}

static int prepare(const struct guard *g, pid_t parent)
{
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (getppid() != parent) /* it died before prctl: nobody will tell us */
        _exit(127);
    raise_oom_score();
    if (g->data_bytes > 0) {
        struct rlimit limit = { g->data_bytes, g->data_bytes };
        return setrlimit(RLIMIT_DATA, &limit);
    }
    return 0;
}

static __attribute__((noreturn)) void become_evaluator(const struct guard *g, pid_t parent,
                                                       int start)
{
    enum guard_stage stage = GUARD_SETUP;

    if (prepare(g, parent) == 0) {
        stage = GUARD_DIRECTORY;
        if (!*g->directory || chdir(g->directory) == 0) {
            stage = GUARD_EXEC;
            sigprocmask(SIG_SETMASK, &g->mask, NULL);
            execv(g->program, g->argv);
        }
    }
    report(start, GUARD_FAILED, stage, errno);
    _exit(127);
}

/* Its descriptors are then the evaluator's alone: their end means something. */
static int start(struct guard *g)
{
    int fds[2];
    pid_t self = getpid();

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    g->evaluator = fork();
    if (g->evaluator < 0)
        return -1;
    if (g->evaluator == 0)
        become_evaluator(g, self, fds[1]);
    close(fds[1]);
    g->start = fds[0];
    for (int fd = STDIN_FILENO; fd <= GUARD_SOCKET_FD; fd++)
        close(fd);
    return 0;
}

/* Whether the program runs. */
static void tell_start(struct guard *g)
{
    struct guard_report r = { GUARD_STARTED, 0, 0 };
    ssize_t n = read(g->start, &r, sizeof r);

    if (n < 0)
        return;
    report(GUARD_REPORT_FD, (enum guard_event)r.event, (enum guard_stage)r.stage, r.number);
    close(g->start);
    g->start = -1;
}

/* Reap strangers that came to us. The evaluator is left in the process table, so that its number,
 * which is that of its group, stays its own. */
static bool evaluator_has_ended(struct guard *g)
{
    siginfo_t info;

    for (;;) {
        memset(&info, 0, sizeof info);
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return false;
        if (info.si_pid == g->evaluator)
            break;
        waitpid(info.si_pid, NULL, WNOHANG);
    }
    if (g->start >= 0)
        tell_start(g);
    report(GUARD_REPORT_FD, GUARD_ENDED, 0,
           info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status);
    return true;
}

/* True when it is over. */
static bool hear_signal(struct guard *g)
{
    struct signalfd_siginfo info;

    if (read(g->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return false;
    return info.ssi_signo == GUARD_ORPHANED || evaluator_has_ended(g);
}

static void watch(struct guard *g)
{
    for (;;) {
        struct pollfd fds[] = {
            { .fd = GUARD_LIFE_FD, .events = POLLIN },
            { .fd = g->signals, .events = POLLIN },
            { .fd = g->start, .events = POLLIN },
        };
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return;
        if (fds[0].revents)
            return;
        if (fds[2].revents)
            tell_start(g);
        if (fds[1].revents && hear_signal(g))
            return;
    }
}

static int prepare_guard(struct guard *g)
{
    sigset_t all;

    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, &g->mask) < 0 || orphans_adopt() < 0)
        return -1;
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    sigaddset(&all, GUARD_ORPHANED);
    g->signals = signalfd(-1, &all, SFD_CLOEXEC);
    fcntl(GUARD_LIFE_FD, F_SETFD, FD_CLOEXEC);
    fcntl(GUARD_REPORT_FD, F_SETFD, FD_CLOEXEC);
    return g->signals < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        puts("sewa-guard " SEWA_VERSION ": started by sewa-worker, between it and an evaluator");
        return argc == 2 && strcmp(argv[1], "--version") == 0 ? 0 : 2;
    }
    struct guard g = { .argv = argv + 4,
                       .directory = argv[1],
                       .data_bytes = (rlim_t)strtoull(argv[2], NULL, 10),
                       .program = argv[3],
                       .start = -1 };
    if (prepare_guard(&g) < 0) {
        report(GUARD_REPORT_FD, GUARD_FAILED, GUARD_SETUP, errno);
        return 1;
    }
    if (start(&g) < 0) {
        report(GUARD_REPORT_FD, GUARD_FAILED, GUARD_FORK, errno);
        return 1;
    }
    watch(&g);
    kill(-g.evaluator, SIGKILL); /* all of its group at once */
    kill(g.evaluator, SIGKILL);  /* when it has none yet */
    return orphans_end(-1) ? 0 : 1;
}
