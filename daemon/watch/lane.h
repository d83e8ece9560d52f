/*
 * lane - one scan thread: the queue of its commands, its directories, its reports. For this room.
 *
 * One lock, that of struct scan, guards all queues and lists: a command to a directory and its move
 * from one lane to another must not overtake each other. It is never held while a file system is
 * asked.
 */
#ifndef WATCH_LANE_H
#define WATCH_LANE_H

#include <pthread.h>

#include "base/list.h"
#include "base/loop.h"
#include "watch/scan.h"

enum command_kind { COMMAND_TAKE, COMMAND_REMOVE, COMMAND_SCAN, COMMAND_HINT };

struct command {
    struct list link; /* in the lane's queue */
    enum command_kind kind;
    struct seat *seat;
    char *name; /* HINT; may be NULL */
};

/* A directory, from scan_add() on until it is removed. */
struct seat {
    struct list in_scan; /* not linked once it is to be removed */
    struct list in_lane; /* the thread's own */
    struct lane *lane;   /* whose queue its commands go to */
    struct command take; /* so that giving it to a lane cannot fail */
    struct target *target;
};

struct lane {
    struct list link; /* in the scan, until the loop has got the goodbye */
    struct scan *scan;
    char *mount;
    pthread_t thread;
    pthread_cond_t wake; /* a command, room for reports, or the end */
    struct list commands;
    bool is_leaving; /* takes no commands any more */
    int unread;      /* batches that the loop has not delivered */
    struct post goodbye;
    /* the thread's own */
    struct list seats;
    struct batch *batch; /* being filled, NULL when there is none */
    struct report_sink sink;
    int64_t mounts_read_ms;
};

struct scan {
    struct scan_options options;
    char *mountinfo;
    _Atomic int64_t interval_ms;
    atomic_bool stop;
    pthread_mutex_t lock; /* of all that follows but the handles */
    struct list lanes;
    struct list seats;
    bool is_closed; /* nobody may post any more */
    bool is_held;   /* what has been told must be written first */
    struct mailbox mailbox;
    uv_timer_t grace;
    unsigned open_handles;
    bool is_finishing;
};

/*
 * The lane of the mount, started if there is none. Thread: any, with the lock. NULL when there is
 * no memory (SEWA_E_NO_MEMORY) or no thread (SEWA_E_UNAVAILABLE).
 */
struct lane *lane_for(struct scan *s, const char *mount, struct sewa_error *err);

/* Let a lane have a directory. With the lock. */
void lane_give(struct lane *l, struct seat *seat);

/* Append a command, which is the lane's then. With the lock. */
void lane_push(struct lane *l, struct command *c);

/*
 * Join the thread, which has said goodbye, and free the lane, which is in no list any more. Thread:
 * loop, without the lock.
 */
void lane_join(struct lane *l);

void seat_free(struct seat *seat);

/* The loop has got the goodbye of a lane. In scan.c. */
void scan_lane_ended(struct lane *l);

#endif
