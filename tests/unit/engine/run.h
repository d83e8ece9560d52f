/*
 * run - a training run for tests: a directory with checkpoints of one model and what an index would
 * say of them. The files list their tensors in different orders, and their values are kept in
 * memory for comparison. Also the conversions of the tests' own definitions, which share no code
 * with numerics/.
 */
#ifndef TESTS_ENGINE_RUN_H
#define TESTS_ENGINE_RUN_H

#include "support/support.h"

#include "base/cleanup.h"
#include "engine/candidate.h"
#include "engine/engine.h"
#include "engine/resident.h"

struct spec {
    const char *name;
    enum dtype dtype;
    uint8_t rank;
    int64_t shape[3];
};

struct run {
    char *directory;
    const struct spec *specs;
    size_t count; /* tensors */
    size_t k;     /* checkpoints, oldest first */
    struct candidate *candidates;
    void **values; /* k x count */
};

/* All kinds of tensors, with shapes that fit no vector, chunk or piece. */
enum { MIXED_COUNT = 15 };
extern const struct spec mixed_model[MIXED_COUNT];

void run_init(struct run *r, const struct spec *specs, size_t count, size_t k, uint64_t seed);
void run_clear(struct run *r);

/* The state of a test: RUN_K checkpoints of the mixed model. */
enum { RUN_K = 5 };
int run_setup(void **state);
int run_teardown(void **state);

/* Write the file of a checkpoint from its values and learn what the index would say. */
void run_save(struct run *r, size_t candidate);

/* Only learn it: the test has written the file. */
void run_learn(struct run *r, size_t candidate);

/* The same of any file: its size, time and header digest. */
void candidate_learn(struct candidate *c);

/* Let element e of a tensor be x, and write the file. */
void run_spoil(struct run *r, size_t candidate, const char *tensor, size_t e, double x);

/* Each byte that a source gives of each piece is that of the values. */
void run_check(const struct run *r, struct source *s);

void *run_values(const struct run *r, size_t candidate, size_t tensor);
char *run_path(const struct run *r, size_t candidate); /* heap */

/* What may become of the file of checkpoint 4 while it is in use, and what is said then. */
struct meddler {
    void (*meddle)(const char *path);
    int wanted;
    const char *word;
};

enum { MEDDLER_COUNT = 3 };
extern const struct meddler meddlers[MEDDLER_COUNT];

int64_t spec_elements(const struct spec *s);
size_t spec_size(const struct spec *s); /* bytes of an element */

/* Index of a tensor of the model in the specs. */
size_t spec_of(const struct run *r, const char *name);

/* An open team. Table i of kernels_at(). */
struct engine engine_with(unsigned threads, size_t table);

struct resident *resident_of(const struct engine *e, const struct run *r);

/* ---- numbers ---- */

/* Element e of values of this type as a number. */
double number_at(enum dtype t, const void *values, size_t e);

/* The bytes of x in this type, rounded once, to nearest even; NaN is the positive quiet one. */
void store_number(enum dtype t, void *values, size_t e, double x);

uint64_t random_bits(uint64_t *state);
double random_number(uint64_t *state); /* in (-1, 1) */

#endif
