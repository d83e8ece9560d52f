/*
 * output - what an evaluator prints: handed on to the listener, and its last lines remembered for
 * the message that says how it ended.
 */
#ifndef HOST_OUTPUT_H
#define HOST_OUTPUT_H

#include "host/evaluator.h"

#include <stddef.h>

enum { OUTPUT_TAIL_BYTES = 2048, OUTPUT_WORDS_SIZE = 320 };

struct output {
    int fd; /* reading end of the pipe, non-blocking; -1 once it is closed */
    struct evaluator_listener *listener;
    char tail[OUTPUT_TAIL_BYTES];
    size_t tail_length;
};

void output_init(struct output *o, int fd, struct evaluator_listener *listener);
void output_close(struct output *o);

/* Read once, at most 64 KiB: a flood must not keep the host from its other duties. Returns how many
 * bytes there were. */
size_t output_read(struct output *o);

/* Read what a program left in the pipe when it ended: at most 1 MiB, all that a pipe can hold, in
 * case that something outlived it and goes on printing. */
void output_drain(struct output *o);

/* Text that did not come through the pipe (log messages, tracebacks). */
void output_text(struct output *o, const char *text, size_t n);

/*
 * The last lines, one behind the other with " / " between, as clean UTF-8 of one line: "" when
 * nothing was printed.
 */
const char *output_last_words(const struct output *o, char ret[OUTPUT_WORDS_SIZE]);

#endif
