/*
 * local - workers as children of this process, each in a session of its own: a restarted sewad
 * finds them alive and adopts them by pid and start time. Loop thread only.
 */
#ifndef LAUNCH_LOCAL_H
#define LAUNCH_LOCAL_H

#include "launch/launcher.h"

#include <uv.h>

struct local_options {
    const char *program; /* path of sewa-worker */
    const char *socket;  /* path of the worker socket */
};

/* Strings are copied. Free with local_free() when no process is watched any more. */
int local_new(const struct local_options *o, uv_loop_t *loop, struct launcher **ret,
              struct sewa_error *err);
void local_free(struct launcher *l);

/* Field 22 of /proc/PID/stat, or -1 when there is no such process. */
int64_t local_start_ticks(int64_t pid);

#endif
