/*
 * guard - what the worker and sewa-guard (guard_main.c) say to each other.
 *
 * An evaluator's own children must not outlive it, however it or its worker ends. So a small
 * process stands between: it starts the evaluator, gets every process that loses its parent below
 * (a subreaper), and when the evaluator or the worker has ended it kills all that is left. It
 * learns of the worker's end by the pipe GUARD_LIFE_FD, whose other end nobody but the worker has,
 * and by GUARD_ORPHANED, which the kernel sends. Where the guard is killed itself, the kernel kills
 * the evaluator, and the worker, the next subreaper above, ends the rest.
 *
 *   sewa-guard DIRECTORY DATA_BYTES PROGRAM ARGV...    "": here; 0: as it is here
 */
#ifndef HOST_GUARD_H
#define HOST_GUARD_H

#include <signal.h>

enum {
    GUARD_SOCKET_FD = 3, /* becomes the evaluator's, with 0, 1 and 2 */
    GUARD_LIFE_FD = 4,   /* at its end: the worker wants no evaluator any more, or is gone */
    GUARD_REPORT_FD = 5, /* takes struct guard_report */
    GUARD_ORPHANED = SIGUSR1,
};

enum guard_event {
    GUARD_STARTED, /* the program runs */
    GUARD_FAILED,  /* it does not: where, and the errno */
    GUARD_ENDED,   /* the wait status; what it left behind is being killed */
};

enum guard_stage { GUARD_EXEC_GUARD, GUARD_FORK, GUARD_SETUP, GUARD_DIRECTORY, GUARD_EXEC };

/* One write() each: shorter than PIPE_BUF, so whole or not at all. */
struct guard_report {
    int event;  /* enum guard_event */
    int stage;  /* enum guard_stage, of a failure */
    int number; /* errno or wait status */
};

#endif
