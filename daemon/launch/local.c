/*
 * local - start, adopt and end worker processes on this machine.
 *
 * A child is watched by libuv (SIGCHLD). An adopted process is somebody else's child: a pid file
 * descriptor becomes readable when it ends.
 */
#include "launch/local.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/failpoint.h"
#include "base/fdio.h"

extern char **environ;

struct local {
    struct launcher base;
    uv_loop_t *loop;
    char *program;
    char *socket;
};

struct process {
    struct launched base;
    bool is_child;
    bool ended;
    uv_process_t child;
    uv_poll_t poll;
    int pidfd;
};

static struct local *local_of(struct launcher *l)
{
    return container_of(l, struct local, base);
}

int64_t local_start_ticks(int64_t pid)
{
    char path[64], text[1024];
    unsigned long long ticks;

    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read_full(fd, text, sizeof text - 1);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    /* the name in field 2 may contain anything, but ends at the last ')' */
    const char *p = strrchr(text, ')');
    if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
        return -1; /* a zombie does not live any more */
    if (sscanf(p + 2,
               "%*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
               &ticks) != 1)
        return -1;
    return (int64_t)ticks;
}

static void on_handle_closed(uv_handle_t *h)
{
    struct process *p = h->data;

    if (p->pidfd >= 0)
        close(p->pidfd);
    free(p);
}

static void close_process(struct process *p)
{
    uv_handle_t *h = p->is_child ? (uv_handle_t *)&p->child : (uv_handle_t *)&p->poll;

    h->data = p;
    uv_close(h, on_handle_closed);
}

static void finish(struct process *p, int status, int signal)
{
    p->ended = true;
    if (p->base.on_exit)
        p->base.on_exit(&p->base, status, signal);
    close_process(p);
}

static void on_child_exit(uv_process_t *child, int64_t status, int signal)
{
    finish(container_of(child, struct process, child), (int)status, signal);
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct process *p = container_of(poll, struct process, poll);
    uv_poll_stop(poll);
    finish(p, -1, -1);
}

static bool is_ours(const char *entry)
{
    return strncmp(entry, "SEWA_JOB_TOKEN=", 15) == 0 ||
           strncmp(entry, "SEWA_WORKER_SOCKET=", 19) == 0 ||
           strncmp(entry, "NOTIFY_SOCKET=", 14) == 0 || strncmp(entry, "LISTEN_", 7) == 0 ||
           strncmp(entry, "WATCHDOG_", 9) == 0;
}

/* Our environment without what is meant for us alone, and with what is meant for the worker. */
static char **environment(const struct local *l, const struct launch_spec *spec, char *text[3])
{
    size_t n = 0, out = 0;

    while (environ[n])
        n++;
    char **env = calloc(n + 4, sizeof *env);
    text[2] = NULL;
    if (!env || asprintf(&text[0], "SEWA_JOB_TOKEN=%s", spec->token) < 0) {
        free(env);
        return NULL;
    }
    if (asprintf(&text[1], "SEWA_WORKER_SOCKET=%s", l->socket) < 0 ||
        (spec->device && asprintf(&text[2], "CUDA_VISIBLE_DEVICES=%s", spec->device) < 0)) {
        free(text[0]);
        free(env);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]) &&
            !(spec->device && strncmp(environ[i], "CUDA_VISIBLE_DEVICES=", 21) == 0))
            env[out++] = environ[i];
    for (int i = 0; i < 3; i++)
        if (text[i])
            env[out++] = text[i];
    return env;
}

/*
 * uv_spawn() closes its pipe with a bare system call. ThreadSanitizer would go on taking whatever
 * gets these numbers for the pipe, and report threads that open files with openat(); so it must not
 * know of the pipe (libuv finds this function before the sanitizer's), nor of what is read from it.
 */
#ifdef __SANITIZE_THREAD__
__attribute__((visibility("default"))) int pipe2(int fds[2], int flags)
{
    return (int)syscall(SYS_pipe2, fds, flags);
}

void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);

static int unseen_spawn(uv_loop_t *loop, uv_process_t *child, const uv_process_options_t *o)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    int rc = uv_spawn(loop, child, o);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    return rc;
}
#else
#define unseen_spawn uv_spawn
#endif

/* What passes by itself (there are no descriptors or processes left) is told from what stays. */
static int start_code(int system_errno)
{
    switch (system_errno) {
    case EMFILE:
    case ENFILE:
    case EAGAIN: return SEWA_E_UNAVAILABLE;
    case ENOMEM: return SEWA_E_NO_MEMORY;
    default: return SEWA_E_IO;
    }
}

static int spawn(struct local *l, struct process *p, const struct launch_spec *spec, int log_fd,
                 struct sewa_error *err)
{
    char *text[3] = { NULL, NULL, NULL };
    char **env = environment(l, spec, text);
    char *argv[] = { l->program, NULL };
    uv_stdio_container_t stdio[3] = {
        { .flags = UV_IGNORE },
        { .flags = UV_INHERIT_FD, .data.fd = log_fd },
        { .flags = UV_INHERIT_FD, .data.fd = log_fd },
    };
    uv_process_options_t o = { .exit_cb = on_child_exit,
                               .file = l->program,
                               .args = argv,
                               .env = env,
                               .flags = UV_PROCESS_DETACHED, /* a session of its own */
                               .stdio_count = 3,
                               .stdio = stdio };

    if (!env)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start a worker");
    int rc = unseen_spawn(l->loop, &p->child, &o);
    for (int i = 0; i < 3; i++)
        free(text[i]);
    free(env);
    if (rc < 0)
        return sewa_fail(err, start_code(-rc), "cannot start '%s': %s", l->program,
                         uv_strerror(rc));
    return 0;
}

static struct process *process_new(struct launcher *l, const struct launch_spec *spec,
                                   bool is_child)
{
    struct process *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->base.launcher = l;
    p->base.on_exit = spec->on_exit;
    p->base.owner = spec->owner;
    p->is_child = is_child;
    p->pidfd = -1;
    return p;
}

static int start(struct launcher *base, const struct launch_spec *spec, struct launched **ret,
                 struct sewa_error *err)
{
    struct process *p = process_new(base, spec, true);
    AUTOCLOSE int log_fd =
        open(spec->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (!p)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start a worker");
    if (log_fd < 0) {
        int why = errno;
        free(p);
        errno = why;
        return sewa_fail_errno(err, start_code(errno), "cannot open '%s'", spec->log_path);
    }
    int rc = spawn(local_of(base), p, spec, log_fd, err);
    if (rc < 0) {
        close_process(p); /* libuv has initialised the handle even when it fails */
        return rc;
    }
    p->base.pid = p->child.pid;
    p->base.start_ticks = local_start_ticks(p->base.pid);
    *ret = &p->base;
    return 0;
}

static int adopt(struct launcher *base, int64_t pid, int64_t start_ticks,
                 const struct launch_spec *spec, struct launched **ret, struct sewa_error *err)
{
    AUTOCLOSE int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;

    /* the start time is read after the descriptor holds the process: no other can take its place */
    if (fd < 0 || local_start_ticks(pid) != start_ticks)
        return sewa_fail(err, SEWA_E_GONE, "worker process %lld is gone", (long long)pid);
    struct process *p = process_new(base, spec, false);
    if (!p)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to watch a worker");
    int rc = uv_poll_init(local_of(base)->loop, &p->poll, fd);
    if (rc < 0) {
        free(p);
        return sewa_fail(err, SEWA_E_IO, "cannot watch worker process %lld: %s", (long long)pid,
                         uv_strerror(rc));
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    p->pidfd = take_fd(&fd);
    p->base.pid = pid;
    p->base.start_ticks = start_ticks;
    uv_poll_start(&p->poll, UV_READABLE, on_pidfd);
    *ret = &p->base;
    return 0;
}

static void stop(struct launched *l, bool now)
{
    struct process *p = container_of(l, struct process, base);

    if (p->ended || local_start_ticks(l->pid) != l->start_ticks)
        return;
    if (now && failpoint_errno("launch_kill"))
        return; /* as if it hung in the kernel */
    /* the worker leads a process group of its own; its evaluator has another one and follows it */
    kill(now ? (pid_t)-l->pid : (pid_t)l->pid, now ? SIGKILL : SIGTERM);
}

static void release(struct launched *l)
{
    struct process *p = container_of(l, struct process, base);

    if (p->ended)
        return;
    p->ended = true;
    p->base.on_exit = NULL;
    close_process(p);
}

int local_new(const struct local_options *o, uv_loop_t *loop, struct launcher **ret,
              struct sewa_error *err)
{
    struct local *l = calloc(1, sizeof *l);

    if (!l || !(l->program = strdup(o->program)) || !(l->socket = strdup(o->socket))) {
        local_free(l ? &l->base : NULL);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the launcher");
    }
    l->loop = loop;
    l->base = (struct launcher){ .start = start, .adopt = adopt, .stop = stop, .release = release };
    *ret = &l->base;
    return 0;
}

void local_free(struct launcher *base)
{
    if (!base)
        return;
    struct local *l = local_of(base);
    free(l->program);
    free(l->socket);
    free(l);
}
