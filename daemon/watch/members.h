/*
 * members - a directory that is one checkpoint (shards and their index): a look at the files in it.
 *
 * Size is the sum of theirs and time the latest, so that a directory settles as a file does; in the
 * place of the inode stands a number made of all names, sizes and times, because a sum and a latest
 * time stay the same when an older member is replaced. Thread: any.
 */
#ifndef WATCH_MEMBERS_H
#define WATCH_MEMBERS_H

#include "sewa/error.h"
#include "watch/target.h"

/*
 * Look at every member: a regular file that rules->is_member() takes, directly in the directory fd.
 * Symbolic links are none. 1, 0 when there is no member, SEWA_E_IO, or SEWA_E_UNSUPPORTED past
 * MEMBERS_MAX entries.
 */
int members_look(const struct target_rules *rules, const struct target_spec *spec, int fd,
                 struct look *ret, struct sewa_error *err);

/* The same for a directory by its name in another; also 0 when it is no directory (any more). */
int members_look_at(const struct target_rules *rules, const struct target_spec *spec, int parent_fd,
                    const char *name, struct look *ret, struct sewa_error *err);

enum { MEMBERS_MAX = 20000 };

#endif
