/*
 * process - vfork, exec, kill.
 *
 * vfork because the worker may hold tens of gigabytes: fork would copy their page tables. The
 * child runs on its parent's memory until it has called exec, so between the two stand only system
 * calls, and everything that needs memory was made before.
 */
#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
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

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

enum { LOWEST_OWN_FD = 10, KILL_TIMEOUT_MS = 10000 };

/* How far the child came; travels to the parent with errno when it came no further. */
enum stage { STAGE_SETUP, STAGE_DIRECTORY, STAGE_EXEC };

struct failure {
    int stage;
    int error;
};

struct child {
    const struct process_plan *plan;
    const char *program;
    char **environment;
    int null, socket, output, report; /* all at least LOWEST_OWN_FD */
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
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (getppid() != c->parent) /* it died before prctl: nobody will tell us */
        _exit(127);
    if (dup2(c->null, STDIN_FILENO) < 0 || dup2(c->output, STDOUT_FILENO) < 0 ||
        dup2(c->output, STDERR_FILENO) < 0 || dup2(c->socket, PROCESS_SOCKET_FD) < 0)
        return -1;
    close_on_exec_from(PROCESS_SOCKET_FD + 1);
    if (c->plan->data_bytes > 0) {
        struct rlimit limit = { (rlim_t)c->plan->data_bytes, (rlim_t)c->plan->data_bytes };
        if (setrlimit(RLIMIT_DATA, &limit) < 0)
            return -1;
    }
    return 0;
}

static __attribute__((noreturn)) void child_run(const struct child *c)
{
    struct failure failure = { .stage = STAGE_SETUP };

    if (child_setup(c) == 0) {
        failure.stage = STAGE_DIRECTORY;
        if (!c->plan->directory || chdir(c->plan->directory) == 0) {
            failure.stage = STAGE_EXEC;
            reset_signals(&c->mask);
            /* not execve(): builds for coverage wrap it in a lock, which would be the parent's */
            syscall(SYS_execve, c->program, c->plan->argv, c->environment);
        }
    }
    failure.error = errno;
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

/* A copy above everything that the child puts somewhere. */
static int high(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_OWN_FD);
}

static int report_failure(const struct process_plan *plan, const struct failure *f,
                          struct sewa_error *err)
{
    errno = f->error;
    if (f->stage == STAGE_DIRECTORY)
        return sewa_fail_errno(err, SEWA_E_EVALUATOR_START, "cannot change to directory '%s'",
                               plan->directory);
    if (f->stage == STAGE_EXEC)
        return sewa_fail_errno(err, SEWA_E_EVALUATOR_START, "cannot run '%s'", plan->argv[0]);
    return sewa_fail_errno(err, SEWA_E_EVALUATOR_START, "cannot prepare the process of '%s'",
                           plan->argv[0]);
}

/* report[1] closes by itself when exec succeeds, so an empty pipe is the good news. */
static int start_child(struct child *c, struct process *ret, struct sewa_error *err)
{
    int pipe_fds[2];
    struct failure failure;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot make a pipe");
    AUTOCLOSE int reading = pipe_fds[0];
    AUTOCLOSE int writing = pipe_fds[1];
    AUTOCLOSE int report = high(writing);
    c->report = report;
    c->parent = getpid();
    pid_t pid = report < 0 ? -1 : spawn(c);
    if (pid < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot start a process for '%s'", c->program);
    close(take_fd(&report));
    close(take_fd(&writing));
    if (read_full(reading, &failure, sizeof failure) == (ssize_t)sizeof failure) {
        waitpid(pid, NULL, 0);
        return report_failure(c->plan, &failure, err);
    }
    *ret = (struct process){ .pid = pid };
    return 0;
}

int process_start(const struct process_plan *plan, struct process *ret, struct sewa_error *err)
{
    AUTO(environment_clear)
    char **environment =
        environment_make((const char *const *)(uintptr_t)environ, plan->environment);
    AUTOFREE char *program = NULL;

    if (!environment)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start '%s'", plan->argv[0]);
    int rc = find_program(plan->argv[0], environment, &program, err);
    if (rc < 0)
        return rc;
    AUTOCLOSE int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    AUTOCLOSE int null = high(empty);
    AUTOCLOSE int socket = high(plan->socket);
    AUTOCLOSE int output = high(plan->output);
    if (null < 0 || socket < 0 || output < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot copy descriptors for '%s'", plan->argv[0]);
    struct child c = { .plan = plan,
                       .program = program,
                       .environment = environment,
                       .null = null,
                       .socket = socket,
                       .output = output };
    return start_child(&c, ret, err);
}

/*
 * The leader is looked at but not reaped: as long as it stands in the process table its number
 * cannot be given to a stranger, so that killing its group is safe.
 */
bool process_has_ended(struct process *p)
{
    siginfo_t info = { 0 };

    if (p->pid == 0 || p->ended)
        return true;
    p->ended = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == p->pid;
    if (p->ended)
        p->status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status;
    return p->ended;
}

void process_kill(struct process *p)
{
    if (p->pid == 0)
        return;
    kill(-p->pid, SIGKILL);
    int64_t deadline = clock_monotonic_ms() + KILL_TIMEOUT_MS;
    while (!process_has_ended(p) && clock_monotonic_ms() < deadline)
        usleep(1000);
    if (p->ended)
        waitpid(p->pid, NULL, WNOHANG);
    p->pid = 0;
}

void process_describe(const struct process *p, struct buf *ret)
{
    if (WIFEXITED(p->status)) {
        buf_printf(ret, "ended with exit status %d", WEXITSTATUS(p->status));
        return;
    }
    const char *name = sigabbrev_np(WTERMSIG(p->status));
    buf_printf(ret, "was killed by %s%s", name ? "SIG" : "a signal", name ? name : "");
}
