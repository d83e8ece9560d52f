/*
 * weights - the candidates of a job, or the ingredients of its average, as a source of numbers:
 * held in memory, or streamed where sewad's plan says that they do not fit. Results are the same to
 * the bit. Thread: the main thread of the worker.
 */
#ifndef WORKER_WEIGHTS_H
#define WORKER_WEIGHTS_H

#include "base/cleanup.h"
#include "engine/source.h"

#include <stdatomic.h>
#include <stdbool.h>

struct weights_options {
    const struct candidate *candidates; /* oldest first; borrowed until weights_close() */
    size_t count;
    bool streams;
    int64_t memory_bytes; /* 0: no limit */
    bool allow_nonfinite;
    const atomic_bool *cancel;
};

struct weights;

/* Errors are those of resident_open() and stream_open(). */
int weights_open(const struct engine *e, const struct weights_options *o, struct weights **ret,
                 struct sewa_error *err);
void weights_close(struct weights *w); /* NULL is fine */
AUTOPTR_DEFINE(weights_close, struct weights);

struct source *weights_source(struct weights *w);
const struct model *weights_model(const struct weights *w);

/* Bytes of tensors that were read since this was asked last. */
int64_t weights_take_bytes_read(struct weights *w);

#endif
