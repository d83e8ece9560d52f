/*
 * sewa_search - from the learned ranking to the set that is averaged, with losses only.
 *
 * A given number K: start with the K highest probabilities s and exchange members one by one.
 *   Pool: the 40 highest s, or K + 20 when that is more. Exchanges (out o of the set, in i of the
 *   pool) are tried in the order of s_o - s_i ascending; among equal differences the worst-ranked o
 *   first, then the best-ranked i. No set is tried twice. The first exchange that lowers the loss
 *   is taken, and the search starts over with the new set, until no exchange lowers it or `polish`
 *   sets have been tried. polish = 0 leaves the plain top K of the paper.
 *
 * A number to be found (K = METHOD_SELECT_AUTO): the best of the nested top 1, 2, 3, 5, 7, 10, 15,
 *   20, 30, 50, 70, 100 ... k, equal losses to the larger; then each of the 40 highest s outside it
 *   is added if that lowers the loss; then, from the lowest s, each member is dropped if that
 * lowers the loss. Adding and dropping together try `polish` sets at most.
 *
 * Evaluations run ahead in batches, but they are counted, and accepted, in this sequential order
 * (see subsets.h): the result does not depend on the size of a batch.
 */
#ifndef METHODS_SEWA_SEARCH_H
#define METHODS_SEWA_SEARCH_H

#include "methods/subsets.h"

enum { SEWA_SEARCH_BATCH = 8 };

struct sewa_search;

int sewa_search_new(size_t k, size_t select, int64_t polish, struct sewa_search **ret,
                    struct sewa_error *err);
void sewa_search_free(struct sewa_search *f);
AUTOPTR_DEFINE(sewa_search_free, struct sewa_search);

/*
 * 1: points have been put into m; their answers go to sewa_search_tell(). 0: the search is over.
 * @s must be the same k probabilities in every call. Errors: NO_MEMORY; EVALUATOR_NONFINITE when no
 * set that was tried has a finite loss.
 */
int sewa_search_ask(struct sewa_search *f, const double *s, struct method *m,
                    struct sewa_error *err);
void sewa_search_tell(struct sewa_search *f, const struct method_answer *answers);

/* The result: members ascending into selected (room for k). Returns their number. */
size_t sewa_search_result(const struct sewa_search *f, size_t *selected, double *loss);

/* Evaluations still to come, if none that runs ahead is in vain: an upper bound. */
int64_t sewa_search_remaining(const struct sewa_search *f);

/* All known losses; where the search stands follows from them. */
int sewa_search_save(const struct sewa_search *f, json_t *object);
int sewa_search_load(struct sewa_search *f, struct json_reader *r, struct sewa_error *err);

/* How far evaluations may run ahead: SEWA_SEARCH_BATCH unless a test says otherwise. */
void sewa_search_set_batch(struct sewa_search *f, size_t batch);

#endif
