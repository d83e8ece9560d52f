/*
 * process - start an evaluator with a guard, see how it ended, and end it with all that came of it.
 *
 * A process that uses this has no other children. It becomes a subreaper.
 */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include "base/buf.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_SOCKET_FD = 3 }; /* where the child finds its end of the socket */

struct process_plan {
    const char *const *argv;
    const char *directory;          /* NULL: here */
    const char *const *environment; /* NULL-terminated "NAME=value", or NULL */
    int64_t data_bytes;             /* RLIMIT_DATA; 0: as it is here */
    int socket;                     /* becomes PROCESS_SOCKET_FD */
    int output;                     /* becomes stdout and stderr */
};

struct process {
    pid_t pid;         /* of the guard; 0: none */
    bool ended;        /* the program is known to have ended */
    bool is_unguarded; /* because its guard did, not by itself */
    int status;        /* as waitpid() gives it, valid when ended */
    int life, report;  /* pipes to the guard, see guard.h */
};

/* stdin is empty, everything above descriptor 3 is closed, signals are as in a fresh process.
 * SEWA_E_EVALUATOR_START when it cannot be run: the text says what failed. */
int process_start(const struct process_plan *plan, struct process *ret, struct sewa_error *err);

/* Look without waiting whether the program has ended; what it leaves behind is then being killed.
 */
bool process_has_ended(struct process *p);

/* SIGKILL to the program and all that descends from it, whatever groups and sessions these have
 * made; returns when none is left. Afterwards p is empty but for its status. Gives up after ten
 * seconds on one that the kernel cannot end (a hung network mount); the guard goes on waiting for
 * that. */
void process_kill(struct process *p);

/* "ended with exit status 3", "was killed by SIGSEGV". */
void process_describe(const struct process *p, struct buf *ret);

/* The environment of the child (heap strings in a heap array, freed by environment_free()), or
 * NULL when out of memory. */
char **environment_make(const char *const *inherited, const char *const *configured);
void environment_free(char **environment);

static inline void environment_clear(char ***environment)
{
    environment_free(*environment);
}

#endif
