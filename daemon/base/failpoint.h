/*
 * failpoint - let a test make a named place fail or die. Built only with -DSEWA_FAILPOINTS=ON; in
 * every other build the calls are constants that the compiler drops.
 *
 * SEWA_FAILPOINT="name=action[@n[+]][?PATH][,name=action...]" in the environment: the action
 * happens at the n-th time (default 1) that this process passes the place; with a plus, from then
 * on always.
 * "?PATH" at the end of a place: only while there is this file, so that a test can end it.
 *     errno:NAME   the call fails with this errno (ENOSPC, EIO, ENOMEM, EMFILE, EAGAIN, EINVAL)
 *     kill         the process gets SIGKILL
 *     sleep:MS     the thread sleeps
 *     value:N      a number takes the place of the usual one: failpoint_value()
 *     file:PATH    the same, read from a file each time; the usual one while there is none
 * A test that lives in the same process says the same with failpoint_set(). Thread: any.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef SEWA_FAILPOINTS
bool failpoint_errno(const char *name); /* true and errno set when the place is to fail */

/* The number that this place is given, else @usual: limits and clocks that a test cannot wait for.
 */
int64_t failpoint_value(const char *name, int64_t usual);

/* Forget all places and their counts, then arm these ("" or NULL: none). */
void failpoint_set(const char *text);
#else
static inline bool failpoint_errno(const char *name)
{
    (void)name;
    return false;
}

static inline int64_t failpoint_value(const char *name, int64_t usual)
{
    (void)name;
    return usual;
}
#endif

/* A place that can be killed or delayed but has no way to fail. */
static inline void failpoint(const char *name)
{
    (void)failpoint_errno(name);
}

#endif
