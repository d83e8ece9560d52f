/*
 * launcher - how worker processes come to life: one table of functions, so that a job does not know
 * whether its workers are children of this process or elements of a Slurm array. Loop thread only.
 */
#ifndef LAUNCH_LAUNCHER_H
#define LAUNCH_LAUNCHER_H

#include "sewa/error.h"

#include <stdbool.h>
#include <stdint.h>

struct launcher;

/* One worker process. The struct is the launcher's until on_exit() returns. */
struct launched {
    struct launcher *launcher;
    int64_t pid;
    int64_t
        start_ticks; /* field 22 of /proc/PID/stat: with the pid it names one process for ever */
    /* Called once, when the process has ended. signal is 0 when it exited by itself; both are -1
     * when it was adopted, because only a parent learns how a process ended. */
    void (*on_exit)(struct launched *l, int exit_status, int signal);
    void *owner;
};

struct launch_spec {
    const char *token;    /* handed over in the environment, never in argv */
    const char *device;   /* CUDA_VISIBLE_DEVICES, or NULL */
    const char *log_path; /* what the process prints is appended here */
    void (*on_exit)(struct launched *l, int exit_status, int signal);
    void *owner;
};

struct launcher {
    /* SEWA_E_UNAVAILABLE: not now, there are no descriptors or processes left. */
    int (*start)(struct launcher *l, const struct launch_spec *spec, struct launched **ret,
                 struct sewa_error *err);
    /* Watch a process that an earlier sewad started. SEWA_E_GONE when it does not live any more. */
    int (*adopt)(struct launcher *l, int64_t pid, int64_t start_ticks,
                 const struct launch_spec *spec, struct launched **ret, struct sewa_error *err);
    /* Ask it to end (SIGTERM), or end it with its process group (SIGKILL). */
    void (*stop)(struct launched *l, bool now);
    /* Forget a process without ending it: the service stops and its jobs stay resumable. */
    void (*release)(struct launched *l);
};

#endif
