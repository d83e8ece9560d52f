/*
 * orphans - rounds of listing, killing and reaping.
 */
#include "host/orphans.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PAUSE_FIRST_US = 200,
    PAUSE_MOST_US = 50000,
    IDLE_ROUNDS = 40, /* a list of children that change while it is read may lack one */
};

struct pids {
    pid_t *list;
    size_t count, room;
};

int orphans_adopt(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* Without memory for more: those that are listed die, and the next round finds the others. */
static void add(struct pids *p, pid_t pid)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        pid_t *longer = realloc(p->list, room * sizeof *longer);
        if (!longer)
            return;
        p->list = longer;
        p->room = room;
    }
    p->list[p->count++] = pid;
}

/* "123 456 ", of one thread: a number may be cut between two reads. */
static void add_children_of_thread(struct pids *p, pid_t parent, const char *thread)
{
    char path[64], data[4096];
    long number = 0;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", (int)parent, thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    while ((n = read(fd, data, sizeof data)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (data[i] >= '0' && data[i] <= '9') {
                number = number * 10 + (data[i] - '0');
                continue;
            }
            if (number > 1)
                add(p, (pid_t)number);
            number = 0;
        }
    close(fd);
}

static void add_children(struct pids *p, pid_t parent)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            add_children_of_thread(p, parent, e->d_name);
    closedir(d);
}

/* A parent before its children, which then cannot become more. Returns how many could be killed.
 * Not only our own children: one that waits for a dead disk would shelter all below it. */
static size_t kill_descendants(void)
{
    struct pids p = { 0 };
    size_t killed = 0;

    add_children(&p, getpid());
    for (size_t i = 0; i < p.count; i++) {
        killed += kill(p.list[i], SIGKILL) == 0;
        add_children(&p, p.list[i]);
    }
    free(p.list);
    return killed;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool orphans_end(int64_t timeout_ms)
{
    int64_t begin_ms = now_ms();
    int idle = 0;

    for (useconds_t pause = PAUSE_FIRST_US;; pause = 2 * pause) {
        idle = kill_descendants() > 0 ? 0 : idle + 1;
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            idle = 0;
        if (pid < 0 && errno == ECHILD)
            return true;
        if (idle == IDLE_ROUNDS || (timeout_ms >= 0 && now_ms() - begin_ms >= timeout_ms))
            return false;
        pause = pause < PAUSE_MOST_US ? pause : PAUSE_MOST_US;
        usleep(pause);
    }
}
