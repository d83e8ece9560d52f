/*
 * unknown - the words behind "there is no method 'swea'": what was meant, perhaps, and what there
 * is. A list of any length becomes a piece of text that fits into a struct sewa_error.
 * Thread: one at a time.
 */
#ifndef BASE_UNKNOWN_H
#define BASE_UNKNOWN_H

#include "base/buf.h"
#include "sewa/nearest.h"

struct unknown {
    struct nearest nearest;
    struct buf list, words;
    size_t count, left_out;
};

/* @word is borrowed, and so are the names that follow. */
void unknown_begin(struct unknown *u, const char *word);
void unknown_known(struct unknown *u, const char *name); /* one that there is */

/* "; is it 'sewa'? There are last, best, sewa", or less when there is less to say; "" when there is
 * no memory for it. Valid until unknown_clear(). */
const char *unknown_words(struct unknown *u);
void unknown_clear(struct unknown *u);

#endif
