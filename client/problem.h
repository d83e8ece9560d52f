/*
 * problem - what an answer that is no success says, as a struct sewa_error. Pure. Thread: any.
 */
#ifndef CLIENT_PROBLEM_H
#define CLIENT_PROBLEM_H

#include "sewa/error.h"

/*
 * @status  of the answer, 4xx or 5xx; @body: problem+json (RFC 9457), or whatever a proxy sent;
 * @what    "GET /api/v1/jobs", for answers that say nothing themselves
 * Returns the code that the service gave, or the one that fits the status. Never 0.
 */
int sewa_problem_read(long status, const char *body, size_t n, const char *what,
                      struct sewa_error *err);

#endif
