/*
 * candidate - which names in a watched directory can be checkpoints, and how markers are called.
 * Pure. Thread: any.
 */
#ifndef WATCH_CANDIDATE_H
#define WATCH_CANDIDATE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a name is never a checkpoint (nor a run): hidden files, what writers call a file that is
 * not finished (*.tmp, *.part, *.incomplete, tmp-*, *-tmp), and names that begin with '_'.
 */
bool candidate_is_ignored(const char *name);

/*
 * A marker is a file beside a checkpoint that says "complete". Its pattern has {name}, the file
 * name of the checkpoint, or {stem}, that name without its last extension: "{name}.done" is
 * step-1.pt.done, "{stem}.done" is step-1.done.
 *
 * The name of the marker of a checkpoint: heap, NULL when out of memory.
 */
char *candidate_marker(const char *pattern, const char *name);

/* Whether a name can be the marker of some checkpoint, and so is no checkpoint itself. */
bool candidate_is_marker(const char *pattern, const char *name);

#endif
