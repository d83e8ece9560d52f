/*
 * exits - what the exit status says.
 */
#include "exits.h"

enum exit_status exit_of_code(int code)
{
    switch (code) {
    case SEWA_E_NOT_FOUND:
    case SEWA_E_UNKNOWN_NAME: return EXIT_NOT_FOUND;
    case SEWA_E_CONFLICT:
    case SEWA_E_PRECONDITION:
    case SEWA_E_IDEMPOTENCY_MISMATCH:
    case SEWA_E_IDEMPOTENCY_BUSY:
    case SEWA_E_CHANGED:
    case SEWA_E_GONE:
    case SEWA_E_LOCKED:
    case SEWA_E_LEASE_LOST:
    case SEWA_E_CANCELLED: return EXIT_CONFLICT;
    case SEWA_E_UNAUTHORIZED:
    case SEWA_E_FORBIDDEN: return EXIT_AUTH;
    case SEWA_E_UNREACHABLE:
    case SEWA_E_UNAVAILABLE:
    case SEWA_E_TOO_MANY:
    case SEWA_E_REQUEST_TIMEOUT:
    case SEWA_E_TIMEOUT: return EXIT_UNREACHABLE;
    default: return code < 0 ? EXIT_ERROR : EXIT_OK;
    }
}

enum exit_status exit_of_job(enum sewa_job_state state)
{
    return state == SEWA_JOB_FAILED      ? EXIT_JOB_FAILED
           : state == SEWA_JOB_CANCELLED ? EXIT_JOB_CANCELLED
                                         : EXIT_OK;
}
