/*
 * class - what a method is made of: the inside of method.h, for the files of this room only.
 *
 * A method is a struct that begins with struct method, and a struct method_class with its
 * functions; registry.c lists the classes. method.c does what all methods share: it keeps the
 * points between ask and tell, counts, checks and wraps the saved state.
 */
#ifndef METHODS_CLASS_H
#define METHODS_CLASS_H

#include "base/json.h"
#include "methods/method.h"

enum { METHOD_NOTE_SIZE = 200 };

struct method_class {
    struct method_info info;
    size_t size; /* of the struct that begins with struct method */

    /* Judge setup->params (may be NULL); setup->evaluator is NULL as long as none has been started.
     * NULL: the method takes no parameters. */
    int (*check)(const struct method_setup *setup, struct sewa_error *err);

    /* Fill the zeroed struct; may be NULL. After a failure close() is called. */
    int (*open)(struct method *m, const struct method_setup *setup, struct sewa_error *err);
    void (*close)(struct method *m); /* half-built is fine; may be NULL */

    /* Add the parameters in use to the object: 0, or -1 when out of memory. NULL: there are none.
     */
    int (*params)(const struct method *m, json_t *object);

    /* 1 after method_points_begin() and method_points_add(), 0 after one of method_choose*(). */
    int (*ask)(struct method *m, struct sewa_error *err);

    /* Answers to m->points; must not allocate. NULL for a method that never asks. */
    int (*tell)(struct method *m, const struct method_answer *answers, struct sewa_error *err);

    /* Evaluations that may still be asked for. NULL: none. */
    int64_t (*remaining)(const struct method *m);

    /* 0, or -1 when out of memory. NULL: there is nothing to save. */
    int (*save)(const struct method *m, json_t *object);

    /* Problems are recorded with json_reader_fail(); anything else is returned. */
    int (*load)(struct method *m, struct json_reader *r, struct sewa_error *err);
};

struct method {
    const struct method_class *class;
    size_t k;
    size_t select; /* 1 to k, or METHOD_SELECT_AUTO */
    uint64_t seed;
    const char *metric; /* owned by the method's own part */

    struct method_point *points; /* room for point_capacity; point_count wait for answers */
    double *alphas;
    size_t point_count, point_capacity;

    struct method_progress progress; /* all but .expected */
    struct method_trace trace;
    bool has_trace;

    bool finished;
    struct method_outcome outcome;
    double *alpha;
    size_t *selected;
    const char *notes[METHOD_NOTES_MAX];
    char note_text[METHOD_NOTES_MAX][METHOD_NOTE_SIZE];
};

/* Room for @count points; afterwards method_points_add() cannot fail that often. */
int method_points_begin(struct method *m, size_t count, struct sewa_error *err);

/* One more point; returns its k coefficients, all zero, to be filled in. */
double *method_points_add(struct method *m, bool gradient, int64_t batch);

/* The outcome: these candidates (ascending) with equal weights. loss may be NaN: not evaluated. */
void method_choose(struct method *m, const size_t *selected, size_t count, double loss);

/* The outcome: the candidates first .. first + count - 1 with equal weights, never evaluated. */
void method_choose_range(struct method *m, size_t first, size_t count);

/* Add a sentence to the outcome. */
void method_note(struct method *m, const char *format, ...) SEWA_PRINTF(2, 3);

/* The class, or NULL and err filled by method_unknown(). */
const struct method_class *method_class_find(const char *name, struct sewa_error *err);

/* How many checkpoints will be averaged; METHOD_SELECT_AUTO when only the method can say. */
size_t method_class_select(const struct method_class *class, const struct method_setup *setup);

/* The checks that method_check() and method_new() share; @select is a resolved number. */
int method_class_check(const struct method_class *class, const struct method_setup *setup,
                       struct sewa_error *err);

extern const struct method_class method_last;
extern const struct method_class method_best;
extern const struct method_class method_uniform;
extern const struct method_class method_lawa;
extern const struct method_class method_sewa;

#endif
