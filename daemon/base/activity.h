/*
 * activity - what this process is doing, and a number that grows while it gets on with it.
 *
 * A thread that lives says nothing of a read that hangs. So a worker's heartbeats carry both
 * (proto/worker.md), and whoever receives them can tell work that is slow from work that stands
 * still. One of each for the process, because such a process has one task at a time; the number is
 * moved by whatever has read, written, computed or received something. Thread: any.
 */
#ifndef BASE_ACTIVITY_H
#define BASE_ACTIVITY_H

#include <stdint.h>

enum activity {
    ACTIVITY_IDLE,        /* waits for a task */
    ACTIVITY_READ,        /* opens and reads checkpoints */
    ACTIVITY_START,       /* waits for the evaluator to be ready */
    ACTIVITY_MIX,         /* averages; reads, where checkpoints are streamed */
    ACTIVITY_EVALUATE,    /* waits for the evaluator */
    ACTIVITY_RECALIBRATE, /* waits for the evaluator */
    ACTIVITY_MULTIPLY,    /* gradients with checkpoints; reads, where these are streamed */
    ACTIVITY_PUBLISH,     /* writes the average */
    ACTIVITIES
};

/* As heartbeats have them: "idle", "read" ... NULL behind the last. */
extern const char *const activity_names[];

/* From here on it does this. Moves the number, too. */
void activity_begin(enum activity a);
enum activity activity_current(void);

/* A step is done: some bytes, a piece of an average, a message. Cheap, but not for inner loops. */
void activity_moved(void);
int64_t activity_progress(void); /* never negative, never less than before */

#endif
