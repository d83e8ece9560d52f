/*
 * failpoint - let a test make a named place fail or die. Built only with -DSEWA_FAILPOINTS=ON; in
 * every other build the calls are constants that the compiler drops.
 *
 * SEWA_FAILPOINT="name=action[@n[+]][,name=action...]" in the environment: the action happens at
 * the n-th time (default 1) that this process passes the place; with a plus, from then on always.
 *     errno:NAME   the call fails with this errno (ENOSPC, EIO, ENOMEM, EMFILE, EINVAL)
 *     kill         the process gets SIGKILL
 *     sleep:MS     the thread sleeps
 * A test that lives in the same process says the same with failpoint_set(). Thread: any.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef SEWA_FAILPOINTS
bool failpoint_errno(const char *name); /* true and errno set when the place is to fail */

/* Forget all places and their counts, then arm these ("" or NULL: none). */
void failpoint_set(const char *text);
#else
static inline bool failpoint_errno(const char *name)
{
    (void)name;
    return false;
}
#endif

/* A place that can be killed or delayed but has no way to fail. */
static inline void failpoint(const char *name)
{
    (void)failpoint_errno(name);
}

#endif
