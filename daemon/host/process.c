/*
 * process - vfork, exec, kill.
 *
 * vfork because the worker may hold tens of gigabytes: fork would copy their page tables. The
 * child runs on its parent's memory until it has called exec, so between the two stand only system
 * calls, and everything that needs memory was made before. What it executes is sewa-guard, which
 * starts the program and ends all that comes of it (guard.h).
 */
#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "base/program.h"
#include "host/guard.h"
#include "host/orphans.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

enum { LOWEST_OWN_FD = 10, KILL_TIMEOUT_MS = 10000 };

_Static_assert((int)PROCESS_SOCKET_FD == (int)GUARD_SOCKET_FD, "the evaluator has it as it is");

struct child {
    const char *guard; /* path of sewa-guard */
    char **argv;       /* its own */
    char **environment;
    int null, socket, output, life, report; /* all at least LOWEST_OWN_FD */
    pid_t parent;
    sigset_t mask; /* the parent's, from before the vfork */
};

/* Before Linux 5.11 there is no close_range() that can mark: then one by one. */
static void close_on_exec_from(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        limit.rlim_cur = 65536;
    for (unsigned fd = first; fd < limit.rlim_cur; fd++)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

/* A handler that ran in the child would run on the parent's memory. */
static void reset_signals(const sigset_t *mask)
{
    struct sigaction fresh = { .sa_handler = SIG_DFL };

    for (int s = 1; s < NSIG; s++)
        sigaction(s, &fresh, NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);
}

static int child_setup(const struct child *c)
{
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, GUARD_ORPHANED) < 0)
        return -1;
    if (getppid() != c->parent) /* it died before prctl: nobody will tell us */
        _exit(127);
    if (dup2(c->null, STDIN_FILENO) < 0 || dup2(c->output, STDOUT_FILENO) < 0 ||
        dup2(c->output, STDERR_FILENO) < 0 || dup2(c->socket, GUARD_SOCKET_FD) < 0 ||
        dup2(c->life, GUARD_LIFE_FD) < 0 || dup2(c->report, GUARD_REPORT_FD) < 0)
        return -1;
    close_on_exec_from(GUARD_REPORT_FD + 1);
    return 0;
}

static __attribute__((noreturn)) void child_run(const struct child *c)
{
    struct guard_report failure = { GUARD_FAILED, GUARD_SETUP, 0 };

    if (child_setup(c) == 0) {
        failure.stage = GUARD_EXEC_GUARD;
        reset_signals(&c->mask);
        /* not execve(): builds for coverage wrap it in a lock, which would be the parent's */
        syscall(SYS_execve, c->guard, c->argv, c->environment);
    }
    failure.number = errno;
    ssize_t ignored = write(c->report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

static pid_t spawn(struct child *c)
{
    sigset_t all;
    pid_t pid = -1;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &c->mask);
    if (!failpoint_errno("host_fork"))
        pid = vfork();
    if (pid == 0)
        child_run(c);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &c->mask, NULL);
    errno = saved;
    return pid;
}

static const char *path_variable(char **environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

/* Like execvp, but before the fork and with a message. A name with a slash is taken as it is,
 * relative to the directory in which the evaluator will run. */
static int find_program(const char *name, char **environment, char **ret, struct sewa_error *err)
{
    if (strchr(name, '/')) {
        *ret = strdup(name);
        return *ret ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start '%s'", name);
    }
    int rc = program_find(name, path_variable(environment), ret);
    if (rc < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start '%s'", name);
    if (rc > 0)
        return 0;
    return sewa_fail(err, SEWA_E_EVALUATOR_START, "no program '%s' in PATH '%.200s'", name,
                     path_variable(environment));
}

/* It is installed beside this program. */
static int find_guard(char **ret, struct sewa_error *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot read '/proc/self/exe'");
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash || asprintf(ret, "%.*s/sewa-guard", (int)(slash - self), self) < 0) {
        *ret = NULL;
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to find sewa-guard");
    }
    return 0;
}

/* Of the guard: how the program is to be run, and its own argv behind that. */
static char **guard_argv(const struct process_plan *plan, const char *program, char data_bytes[32])
{
    size_t n = 0;

    while (plan->argv[n])
        n++;
    char **argv = calloc(n + 5, sizeof *argv);
    if (!argv)
        return NULL;
    snprintf(data_bytes, 32, "%" PRId64, plan->data_bytes);
    argv[0] = (char *)(uintptr_t) "sewa-guard";
    argv[1] = (char *)(uintptr_t)(plan->directory ? plan->directory : "");
    argv[2] = data_bytes;
    argv[3] = (char *)(uintptr_t)program;
    memcpy(argv + 4, plan->argv, n * sizeof *argv);
    return argv;
}

/* A copy above everything that the child puts somewhere. */
static int high(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_OWN_FD);
}

static int report_failure(const struct process_plan *plan, const struct child *c,
                          const struct guard_report *r, struct sewa_error *err)
{
    errno = r->number;
    switch (r->stage) {
    case GUARD_EXEC_GUARD:
        return sewa_fail_errno(err, SEWA_E_IO, "cannot run '%s', which stands between", c->guard);
    case GUARD_FORK:
        return sewa_fail_errno(err, SEWA_E_IO, "cannot start a process for '%s'", plan->argv[0]);
    case GUARD_DIRECTORY:
        return sewa_fail_errno(err, SEWA_E_EVALUATOR_START, "cannot change to directory '%s'",
                               plan->directory);
    case GUARD_EXEC:
        return sewa_fail_errno(err, SEWA_E_EVALUATOR_START, "cannot run '%s'", plan->argv[0]);
    default:
        return sewa_fail_errno(err, SEWA_E_EVALUATOR_START, "cannot prepare the process of '%s'",
                               plan->argv[0]);
    }
}

/* Wait until the guard says that the program runs; whatever else comes is the end of both. */
static int await_start(const struct process_plan *plan, const struct child *c, struct process *p,
                       struct sewa_error *err)
{
    struct guard_report r;
    ssize_t n = read_full(p->report, &r, sizeof r);

    if (n == (ssize_t)sizeof r && r.event == GUARD_STARTED &&
        fcntl(p->report, F_SETFL, O_NONBLOCK) == 0)
        return 0;
    int rc = n == (ssize_t)sizeof r && r.event == GUARD_FAILED
                 ? report_failure(plan, c, &r, err)
                 : sewa_fail(err, SEWA_E_IO, "'%s' ended before it had started '%s'", c->guard,
                             plan->argv[0]);
    process_kill(p);
    return rc;
}

static int start_child(const struct process_plan *plan, struct child *c, struct process *ret,
                       struct sewa_error *err)
{
    int life[2], report[2];

    if (pipe2(life, O_CLOEXEC) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot make a pipe");
    AUTOCLOSE int life_read = life[0];
    AUTOCLOSE int life_write = life[1];
    if (pipe2(report, O_CLOEXEC) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot make a pipe");
    AUTOCLOSE int report_read = report[0];
    AUTOCLOSE int report_write = report[1];
    AUTOCLOSE int child_life = high(life_read);
    AUTOCLOSE int child_report = high(report_write);
    c->life = child_life;
    c->report = child_report;
    c->parent = getpid();
    pid_t pid = child_life < 0 || child_report < 0 || orphans_adopt() < 0 ? -1 : spawn(c);
    if (pid < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot start a process for '%s'", plan->argv[0]);
    close(take_fd(&report_write));
    close(take_fd(&child_report));
    struct process p = { .pid = pid,
                         .life = take_fd(&life_write),
                         .report = take_fd(&report_read) };
    int rc = await_start(plan, c, &p, err);
    if (rc == 0)
        *ret = p;
    return rc;
}

int process_start(const struct process_plan *plan, struct process *ret, struct sewa_error *err)
{
    AUTO(environment_clear)
    char **environment =
        environment_make((const char *const *)(uintptr_t)environ, plan->environment);
    AUTOFREE char *program = NULL;
    AUTOFREE char *guard = NULL;
    char data_bytes[32];

    if (!environment)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start '%s'", plan->argv[0]);
    int rc = find_program(plan->argv[0], environment, &program, err);
    if (rc == 0)
        rc = find_guard(&guard, err);
    if (rc < 0)
        return rc;
    AUTOFREE char **argv = guard_argv(plan, program, data_bytes);
    if (!argv)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start '%s'", plan->argv[0]);
    AUTOCLOSE int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    AUTOCLOSE int null = high(empty);
    AUTOCLOSE int socket = high(plan->socket);
    AUTOCLOSE int output = high(plan->output);
    if (null < 0 || socket < 0 || output < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot copy descriptors for '%s'", plan->argv[0]);
    struct child c = { .guard = guard,
                       .argv = argv,
                       .environment = environment,
                       .null = null,
                       .socket = socket,
                       .output = output };
    return start_child(plan, &c, ret, err);
}

static int wait_status(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? W_EXITCODE(info->si_status, 0) : info->si_status;
}

/* The end of the pipe without a report is the end of a guard that was killed, and with it of the
 * program. Not reaped: so its number stays its own until process_kill(). */
bool process_has_ended(struct process *p)
{
    struct guard_report r;
    siginfo_t info = { 0 };

    if (p->pid == 0 || p->ended)
        return true;
    ssize_t n = read(p->report, &r, sizeof r);
    if (n == (ssize_t)sizeof r) {
        p->ended = true;
        p->status = r.number;
    } else if (n == 0) {
        p->ended = p->is_unguarded = true;
        if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOWAIT) == 0)
            p->status = wait_status(&info);
    }
    return p->ended;
}

/* Reaped? Then how it ended. */
static bool guard_has_ended(const struct process *p, int *ret_status)
{
    return waitpid(p->pid, ret_status, WNOHANG) == p->pid;
}

void process_kill(struct process *p)
{
    int64_t deadline = clock_monotonic_ms() + KILL_TIMEOUT_MS;
    int status = 0;
    bool is_gone;

    if (p->pid == 0)
        return;
    close(p->life);
    while (!(is_gone = guard_has_ended(p, &status)) && clock_monotonic_ms() < deadline)
        usleep(1000);
    if (is_gone && status != 0)
        orphans_end(KILL_TIMEOUT_MS); /* it could not do its work, and its orphans came to us */
    close(p->report);
    p->pid = 0;
}

void process_describe(const struct process *p, struct buf *ret)
{
    if (p->is_unguarded)
        buf_text(ret, "was killed because its guard ");
    if (WIFEXITED(p->status)) {
        buf_printf(ret, "ended with exit status %d", WEXITSTATUS(p->status));
        return;
    }
    const char *name = sigabbrev_np(WTERMSIG(p->status));
    buf_printf(ret, "was killed by %s%s", name ? "SIG" : "a signal", name ? name : "");
}
