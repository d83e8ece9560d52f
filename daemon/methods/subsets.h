/*
 * subsets - a search over subsets of the candidates, written as if evaluating were a function call.
 *
 * The search itself is a plain sequential walk that calls subsets_look() wherever it needs the loss
 * of an equal-weight average. Known losses are simply returned. An unknown set is noted as wanted
 * and answered with infinity, as if it were no gain, and the walk goes on: so it collects the sets
 * that it will need next if nothing it waits for is accepted. When the walk ends and something is
 * wanted, that batch is evaluated and the walk is started again from the beginning; when nothing is
 * wanted, its result is the result. Each set is asked for at most once in the life of a search, and
 * the result is that of the sequential walk, whatever the size of a batch.
 *
 * A set is an array of subsets_words() words, bit i of word i / 64 for candidate i.
 * Thread: one at a time.
 */
#ifndef METHODS_SUBSETS_H
#define METHODS_SUBSETS_H

#include "methods/class.h"

struct subsets;

/* batch: how many sets are wanted at once. */
int subsets_new(size_t k, size_t batch, struct subsets **ret, struct sewa_error *err);
void subsets_free(struct subsets *s);

size_t subsets_words(size_t k);
void subsets_set_batch(struct subsets *s, size_t batch);

static inline void subset_add(uint64_t *set, size_t i)
{
    set[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void subset_remove(uint64_t *set, size_t i)
{
    set[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static inline bool subset_has(const uint64_t *set, size_t i)
{
    return set[i / 64] >> (i % 64) & 1;
}

/* Begin a walk. Makes room for it, in m too: no call of a walk can fail after this. */
int subsets_begin(struct subsets *s, struct method *m, struct sewa_error *err);

enum subsets_look {
    SUBSETS_KNOWN,    /* *loss is it, infinity when it was not finite */
    SUBSETS_WANTED,   /* noted; *loss is infinity */
    SUBSETS_REPEATED, /* this walk has looked at it before */
    SUBSETS_FULL      /* the batch is full: end the walk */
};

/* The loss of a set that is not empty. */
enum subsets_look subsets_look(struct subsets *s, const uint64_t *set, double *loss);

/* Sets that this walk wants, so far. */
size_t subsets_wanted(const struct subsets *s);

/* Sets whose loss is known. */
size_t subsets_known(const struct subsets *s);

/* The wanted sets as points of m, and their answers. */
void subsets_ask(const struct subsets *s, struct method *m);
void subsets_tell(struct subsets *s, const struct method_answer *answers);

/* Everything known, as "sets" and "losses" of @object. 0 or -1. */
int subsets_save(const struct subsets *s, json_t *object);
int subsets_load(struct subsets *s, struct json_reader *r, struct sewa_error *err);

#endif
