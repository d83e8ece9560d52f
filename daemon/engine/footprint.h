/*
 * footprint - how much memory the parts of this room will take, from numbers that an index has:
 * said before a file is opened, and never less than what is taken. Estimates of peaks: memory that
 * a plan allows for, so what lives shortly and stays small (headers while they are read, stacks) is
 * not counted. Pure. Thread: any.
 */
#ifndef ENGINE_FOOTPRINT_H
#define ENGINE_FOOTPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct footprint {
    int64_t candidates;
    int64_t tensors;    /* of one candidate */
    int64_t data_bytes; /* of all tensors of one candidate */
    int64_t threads;
    int64_t
        view_bytes; /* of tensors with strides, of all candidates together: a stream keeps them */
};

/* Bytes; INT64_MAX when that is too small a number. */

/* What resident_open() takes: a row for each candidate, and the tables of tensors. */
int64_t footprint_resident(const struct footprint *f);

/*
 * What stream_open() takes: scratch memory for each thread, and the tables. Nearly independent of
 * data_bytes (a bit for each chunk), and of the candidates while one chunk of each fits
 * STREAM_SCRATCH.
 */
int64_t footprint_stream(const struct footprint *f);

/* Bytes of one candidate in a piece of a stream. */
size_t footprint_piece_bytes(int64_t candidates);

/* What materialize() takes beside its source. */
int64_t footprint_materialize(void);

/* Whether resident_open() will accept this budget; 0: no limit. */
bool footprint_fits_resident(const struct footprint *f, int64_t budget_bytes);

#endif
