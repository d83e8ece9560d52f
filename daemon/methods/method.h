/*
 * method - deciding which checkpoints of one run to average, without ever seeing a weight.
 *
 * Every method looks for k coefficients alpha, one for each candidate w_i (oldest first); the
 * average is w = sum alpha_i w_i. A method is a small state machine that asks for points to be
 * evaluated and is told the answers:
 *
 *     method_new(...)
 *     while ((rc = method_ask(m, &points, &count, err)) == 1) {
 *         ... evaluate all points on the selection split, in any order, anywhere ...
 *         method_tell(m, answers, count, err);
 *         ... store method_save(m) and, if method_trace(m, &t) == 1, the row t ...
 *     }
 *     if (rc == 0) method_outcome(m) says what to average
 *
 * Pure: no files, no clock, no threads, no globals. The same setup and the same answers give the
 * same result to the bit, however often the state is saved and loaded in between, and on any number
 * of workers. All arithmetic is float64 in one defined order; only exp, log and cos come from the
 * C library, whose last bit may differ between machines with different versions of it.
 *
 * Thread: one at a time for each struct method.   Not here: evaluating (worker/, engine/), storing
 * and the verdict (jobs/).
 */
#ifndef METHODS_METHOD_H
#define METHODS_METHOD_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    METHOD_CANDIDATES_MAX = 4096,
    METHOD_SELECT_DEFAULT = 10, /* or k when there are fewer */
    METHOD_SELECT_AUTO = 0,     /* the method finds the number by itself */
    METHOD_NOTES_MAX = 4
};

/* What the evaluator must be able to do. */
enum method_need { METHOD_NEEDS_NOTHING, METHOD_NEEDS_LOSSES, METHOD_NEEDS_GRADIENTS };

/* How many checkpoints the result averages. The first two take no "select" from the caller. */
enum method_choice {
    METHOD_CHOOSES_ONE,
    METHOD_CHOOSES_ALL,
    METHOD_CHOOSES_SELECT, /* "select": a number */
    METHOD_CHOOSES_AUTO    /* "select": a number or "auto" */
};

enum method_param_kind {
    METHOD_PARAM_INTEGER,
    METHOD_PARAM_NUMBER,
    METHOD_PARAM_WORD,
    METHOD_PARAM_TEXT,
    METHOD_PARAM_SCHEDULE /* a number, or {"start", "end", "schedule"} with numbers (schedule.h) */
};

/* A member of "params". Readers take ranges and defaults from the row that the API shows. */
struct method_param {
    const char *name;
    enum method_param_kind kind;
    double least, most;       /* of numbers, both allowed */
    double fallback;          /* of numbers: what is taken when nothing is given */
    const char *const *words; /* of a word: those allowed, NULL-terminated */
    const char *word;    /* of words and texts: the fallback; NULL: the summary says what holds */
    const char *summary; /* for people */
};

struct method_info {
    const char *name;
    const char *summary; /* for people: what it does, in one sentence */
    enum method_need needs;
    enum method_choice choice;
    const struct method_param *params; /* in the order in which people read them */
    size_t param_count;
};

/* Row i of the table of methods, NULL past its end. */
const struct method_info *method_at(size_t i);

/* NULL when there is no method of this name. */
const struct method_info *method_find(const char *name);

/* Refuse such a name with this code at this pointer: what was meant, perhaps, and what there is. */
int method_unknown(const char *name, int code, const char *pointer, struct sewa_error *err);

/*
 * Everything about a request that can be judged before an evaluator runs. @select and @params are
 * the members of the job's request, NULL when absent; @k is the number of candidates.
 * ret_select: what method_setup.select is to be (may be NULL).
 * Errors: UNKNOWN_NAME at "/method", INVALID at "/select" or "/params/...", UNKNOWN_FIELD at
 * "/params/...", NO_CANDIDATES.
 */
int method_check(const char *name, size_t k, const json_t *select, const json_t *params,
                 size_t *ret_select, struct sewa_error *err);

struct method_metric {
    const char *name;
    bool larger_is_better;
};

/* What the evaluator said about itself. */
struct method_evaluator {
    bool gradient;
    const struct method_metric *metrics;
    size_t metric_count;
};

/* Borrowed during method_new() only. */
struct method_setup {
    size_t k;             /* candidates, oldest first */
    const int64_t *steps; /* k training steps, ascending */
    size_t select;        /* from method_check() */
    uint64_t seed;
    const json_t *params;                     /* the job's "params" or NULL */
    const struct method_evaluator *evaluator; /* NULL when the method needs none */
};

struct method;

/*
 * Begin a selection. Errors: those of method_check(); INVALID at "/evaluator" when one is needed;
 * UNSUPPORTED at "/params/estimator" when gradients are; INVALID at "/params/metric" when the
 * evaluator does not report it; NO_MEMORY.
 */
int method_new(const char *name, const struct method_setup *setup, struct method **ret,
               struct sewa_error *err);
void method_free(struct method *m); /* NULL is fine */
AUTOPTR_DEFINE(method_free, struct method);

/*
 * Every parameter with the value that is used, defaults and what "auto" became included: for the
 * manifest. As the "params" of another job they give the same selection. NULL when out of memory.
 */
json_t *method_params(const struct method *m);

/* What is wanted of a point. Append only: a Gram matrix of the candidates may follow. */
enum method_point_kind { METHOD_POINT_EVALUATE };

struct method_point {
    enum method_point_kind kind;
    const double *alpha; /* k coefficients; sum 1; equal weights are exactly 1.0 / count */
    bool gradient;       /* answer with c */
    int64_t batch;       /* number of the minibatch, or -1 for the whole selection split */
};

/*
 * 1: evaluate these points (owned by the method until method_tell); asking again gives the same
 * ones. 0: finished, see method_outcome(). Errors: NO_MEMORY (ask again later);
 * EVALUATOR_NONFINITE when nothing that could be chosen has a finite loss.
 */
int method_ask(struct method *m, const struct method_point **ret, size_t *count,
               struct sewa_error *err);

/*
 * The name of the metric that every answer must carry in .metric, or NULL. Valid as long as m is.
 */
const char *method_metric(const struct method *m);

struct method_answer {
    double loss;     /* NaN and infinity are legal: infinitely bad */
    double metric;   /* value of method_metric(), NaN when the evaluator gave none */
    const double *c; /* points with gradient: k centred products <dL/dw, w_i - w(alpha)>, else NULL.
                        May be NULL when the loss is not finite. */
};

/*
 * The answers to all points of the last ask, in their order. Never allocates; on failure nothing
 * has changed. Errors: INTERNAL when the count is wrong; EVALUATOR_PROTOCOL when a gradient is
 * missing; EVALUATOR_NONFINITE when ten evaluations in a row were useless.
 */
int method_tell(struct method *m, const struct method_answer *answers, size_t count,
                struct sewa_error *err);

/* One finished iteration of learning. */
struct method_trace {
    int64_t iteration;    /* from 0 */
    double loss;          /* mean over the samples that counted, NaN when none did */
    double temperature;   /* NaN for estimators without one */
    double learning_rate; /* of this iteration */
    const float *s;       /* k probabilities after the step; valid until the next tell */
    size_t k;
    double min, mean, max;
    double entropy; /* sum of -s ln s - (1-s) ln(1-s), in nats */
    double spread;  /* sum of s (1-s): the variance of the number of chosen ones */
    size_t dropped; /* samples without a finite loss or gradient */
};

/* 1 and *ret filled when the last method_tell() finished an iteration, else 0. Not saved. */
int method_trace(const struct method *m, struct method_trace *ret);

struct method_progress {
    int64_t iteration, iterations; /* 0 of 0 for a method that learns nothing */
    int64_t evaluations;           /* answered, with and without gradient */
    int64_t gradients;             /* those with gradient */
    int64_t dropped;               /* answers that were left out because they were not finite */
    /*
     * Evaluations at the end if no speculative one is in vain: an upper bound of the sequential
     * algorithm. Speculation may add to it, an early end makes it fewer.
     */
    int64_t expected;
};

void method_progress(const struct method *m, struct method_progress *ret);

/* What to average. Everything is owned by the method. */
struct method_outcome {
    size_t k;
    const double *alpha;    /* k weights, sum 1; equal weights are exactly 1.0 / count */
    const size_t *selected; /* candidates with a weight, ascending */
    size_t count;
    const double *probability; /* k learned probabilities, or NULL */
    double loss;               /* on the whole selection split; NaN when never evaluated */
    double metric;             /* value of method_metric(), else NaN */
    const char *const *notes;  /* sentences for people: collapse, dropped evaluations */
    size_t note_count;
};

/* NULL until method_ask() has returned 0. */
const struct method_outcome *method_outcome(const struct method *m);

/*
 * The whole state after the last tell, as plain JSON in which every double survives (write it with
 * json_text()). NULL when out of memory. Points that were asked for but not told are not in it:
 * they are asked for again.
 */
json_t *method_save(const struct method *m);

/*
 * Continue from a saved state. @m is fresh from method_new() with the same setup. Errors: CORRUPT,
 * naming the field; NO_MEMORY. After a failure m may only be freed.
 */
int method_load(struct method *m, const json_t *state, struct sewa_error *err);

#endif
