/*
 * follow - wait for a job, with a bar, and leave it alone when Ctrl-C comes.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "context.h"

/* The options --timeout and --progress of the command are read here. */
struct follow {
    struct context *context;
    int64_t end_ms; /* monotonic; INT64_MAX: no end */
};

void follow_init(struct follow *f, struct context *c);

/*
 * Until the job is finished; *job is replaced by what it is then. EXIT_OK (look at its state), or
 * another exit status that was explained: interrupted, too late, deleted.
 */
int follow_job(struct follow *f, struct sewa_job *job);

/* How to come back to a job that nobody waits for any more. */
void follow_say(struct context *c, const char *id);

/* Wait for this job, show it in the format that is asked for; the exit status says how it ended.
 * With --output name only its id. */
int follow_and_show(struct context *c, struct sewa_job *job);

/* Show a job in any format. */
int show_job(struct context *c, const struct sewa_job *job);

#endif
