/*
 * progress - the line on stderr that moves: a bar on a terminal, a sentence every five seconds
 * elsewhere when it is asked for, and nothing otherwise.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "context.h"

enum progress_mode { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_PLAIN };

/* The option that chooses, for the commands that wait. */
extern const char *const progress_words[];
#define PROGRESS_OPTION                                                                       \
    {                                                                                         \
        0, "progress", "HOW",                                                                 \
            "auto (a bar on a terminal, else nothing), bar, plain (a line each 5 s) or none", \
            OPTION_WORD, NULL, 0, 0, progress_words                                           \
    }

struct progress {
    struct context *context;
    enum progress_mode mode;
    int64_t next_ms; /* when the next line or drawing is due */
    bool is_drawn;
};

void progress_init(struct progress *p, struct context *c);

/* Whether it is time to show something; a clock that only goes forward, in milliseconds. */
bool progress_is_due(const struct progress *p, int64_t now_ms);
void progress_job(struct progress *p, const struct sewa_job *job, double loss, int64_t now_ms);
void progress_bytes(struct progress *p, const char *name, int64_t done, int64_t size, double rate,
                    int64_t now_ms);
void progress_end(struct progress *p); /* take the bar away */

/* ---- the lines themselves; pure ---- */

/* A line of at most @width columns: "running [###......] 34/60  loss 0.4120  12 s left". */
void progress_job_bar(struct text *to, const struct sewa_job *job, double loss, size_t width);
void progress_job_line(struct text *to, const struct sewa_job *job, double loss);
void progress_bytes_bar(struct text *to, const char *name, int64_t done, int64_t size, double rate,
                        size_t width);

#endif
