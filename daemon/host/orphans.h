/*
 * orphans - end everything that descends from this process.
 *
 * As a subreaper it becomes the parent of every descendant that loses its own, whatever session or
 * process group that has moved to. So "no child is left" says that nothing is left at all, and a
 * process that forks while it is hunted is found in the next round. Needs libc and /proc only:
 * sewa-guard has nothing else. Thread: one at a time, in a process without other children.
 */
#ifndef HOST_ORPHANS_H
#define HOST_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

/* From now on, also across exec. 0 or -1 with errno. */
int orphans_adopt(void);

/*
 * SIGKILL all descendants and reap them, until none is left. False when some are left at the
 * deadline (-1: none; one in an uninterruptible wait may take for ever), or cannot be killed or
 * listed.
 */
bool orphans_end(int64_t timeout_ms);

#endif
