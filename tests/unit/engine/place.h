/*
 * place - where tests publish averages: a run, an engine that has read it, and a directory for the
 * output; and the files of an average as somebody else would read them.
 */
#ifndef TESTS_ENGINE_PLACE_H
#define TESTS_ENGINE_PLACE_H

#include "run.h"

#include "engine/materialize.h"

struct place {
    struct run run;
    struct engine engine;
    struct resident *resident;
    char *directory; /* of the output */
};

/* k checkpoints of the mixed model, for an engine of two threads. */
int place_setup(void **state, size_t k, uint64_t seed);
int place_teardown(void **state);
void place_clear(struct place *p);

/* Nothing was published, nothing is left behind, and the result is empty. */
void check_refused(const struct place *p, const struct materialize_options *o, int wanted,
                   const char *word);

/* The same when any one allocation fails, of which there are more than this; then it succeeds. */
void check_no_memory(const struct place *p, const struct materialize_options *o, int64_t least);

/* A file's bytes, and what its header says. */
struct opened {
    struct buf bytes;
    struct layout *layout;
};

void opened_init(struct opened *o, const struct place *p, const char *name);
void opened_clear(struct opened *o);

#endif
