/*
 * exits - what the exit status says. A contract: scripts compare it. Pure.
 */
#ifndef CLI_EXITS_H
#define CLI_EXITS_H

#include "sewa/client.h"

enum exit_status {
    EXIT_OK = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_CONFLICT = 4,
    EXIT_AUTH = 5,
    EXIT_UNREACHABLE = 6, /* or too late */
    EXIT_JOB_FAILED = 7,
    EXIT_JOB_CANCELLED = 8,
    EXIT_INTERRUPTED = 130, /* 128 + SIGINT */
};

/* Of a call that failed with this sewa_code. */
enum exit_status exit_of_code(int code);

/* Of a job that was waited for. */
enum exit_status exit_of_job(enum sewa_job_state state);

#endif
