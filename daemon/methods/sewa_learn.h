/*
 * sewa_learn - learn for every candidate the probability of being kept.
 *
 * One iteration: draw `samples` random masks, have their averages evaluated, take one Adam step on
 * the probabilities s and project them back onto the capped simplex { eps <= s_i <= 1 - eps,
 * sum s = total }. The noise is what makes s a ranking; the constraint is what keeps it one.
 *
 * Not here: what is done with the ranking (sewa_search.h).
 */
#ifndef METHODS_SEWA_LEARN_H
#define METHODS_SEWA_LEARN_H

#include "methods/adam.h"
#include "methods/class.h"
#include "methods/sewa_params.h"

/*
 * Source of noise: a number strictly between 0 and 1 for candidate i of sample j in iteration t.
 * A pure function of its arguments. The tests put another one in place of Philox.
 */
typedef double sewa_uniform_fn(void *arg, size_t i, size_t j, int64_t t);

struct estimator;

struct sewa_learn {
    const struct estimator *estimator;
    struct sewa_params params;
    size_t k;
    size_t total; /* sum of s */
    double epsilon;
    uint64_t seed;
    sewa_uniform_fn *uniform;
    void *uniform_arg;

    /* the saved state */
    int64_t t;             /* iterations done */
    int64_t useless_count; /* evaluations in a row without a finite result */
    double *s;             /* k probabilities */
    double *theta;         /* k logits, NULL for estimators that step on s */
    struct adam adam;

    /* scratch */
    double *noise;    /* k */
    double *gradient; /* k */
    double *slope;    /* samples x k: what ask() drew, until tell() */
    double *factor;   /* samples */
    float *shown;     /* k: s as the trace has it */
};

/* total < k. After a failure sewa_learn_clear() is still needed. */
int sewa_learn_init(struct sewa_learn *l, const struct sewa_params *params, size_t k, size_t total,
                    uint64_t seed, struct sewa_error *err);
void sewa_learn_clear(struct sewa_learn *l);

bool sewa_learn_is_done(const struct sewa_learn *l);

/* Evaluations of all iterations that are not finished. */
int64_t sewa_learn_remaining(const struct sewa_learn *l);

/* The points of one iteration into m. */
int sewa_learn_ask(struct sewa_learn *l, struct method *m, struct sewa_error *err);

/* Finish the iteration: fills m->trace and counts what was dropped. */
int sewa_learn_tell(struct sewa_learn *l, struct method *m, const struct method_answer *answers,
                    struct sewa_error *err);

/* 0 or -1. */
int sewa_learn_save(const struct sewa_learn *l, json_t *object);
void sewa_learn_load(struct sewa_learn *l, struct json_reader *r);

#endif
