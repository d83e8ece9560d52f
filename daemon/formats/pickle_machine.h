/*
 * pickle_machine - the stack, the memo and the memory of the machine that reads pickles. Only for
 * pickle*.c. Each function returns 0, or has failed and returns a negative code.
 */
#ifndef FORMATS_PICKLE_MACHINE_H
#define FORMATS_PICKLE_MACHINE_H

#include "formats/arena.h"
#include "formats/pickle.h"

struct pickle {
    const struct pickle_node *root;
    struct arena arena;
    size_t memory, memory_max;
};

struct pickle_machine {
    const uint8_t *start, *at, *end;
    const uint8_t *op; /* where the opcode that is being done stands */
    const char *name;
    struct sewa_error failure; /* the machine's own: a failing function leaves its code here */
    struct pickle *result;

    struct pickle_node **stack;
    size_t depth, stack_room;
    size_t *marks; /* depths of the stack at MARK */
    size_t mark_count, marks_room;
    struct pickle_node **memo;
    size_t memo_room;  /* slots, NULL where nothing was put */
    size_t memo_count; /* for MEMOIZE: how many were put, as Python counts */

    struct pickle_node *none, *truth[2], *empty_tuple, *small[256]; /* made once, when needed */
};

/* "'<name>', offset <of the opcode>: <text>". Returns the code. */
int machine_fail(struct pickle_machine *m, int code, const char *format, ...) SEWA_PRINTF(3, 4);
int machine_no_memory(struct pickle_machine *m);

/* Memory that lasts as long as the graph, counted. NULL after failing. */
void *machine_take(struct pickle_machine *m, size_t n);

/* The next n bytes of the pickle: an operand. NULL after failing. */
const uint8_t *machine_operand(struct pickle_machine *m, size_t n);

uint64_t machine_little_endian(const uint8_t *p, size_t n);

/* An operand that is a number of n bytes. */
int machine_number(struct pickle_machine *m, size_t n, uint64_t *ret);

/* What an opcode does; the two tables have different ones. */
typedef int machine_opcode(struct pickle_machine *m);
extern machine_opcode *const machine_values[256], *const machine_containers[256];

struct pickle_node *machine_node(struct pickle_machine *m, enum pickle_kind kind);

int machine_push(struct pickle_machine *m, struct pickle_node *n);
struct pickle_node *machine_pop(struct pickle_machine *m); /* NULL after failing */
struct pickle_node *machine_top(struct pickle_machine *m); /* NULL after failing */
int machine_mark(struct pickle_machine *m);

/* What lies above the last mark, which is taken away with it. The items stay where they are until
 * the next push. */
int machine_pop_mark(struct pickle_machine *m, struct pickle_node ***ret, size_t *ret_count);

int machine_put(struct pickle_machine *m, size_t i);
int machine_get(struct pickle_machine *m, size_t i);

/* Behind the items that a list or a dict has. */
int machine_append(struct pickle_machine *m, struct pickle_node *to,
                   struct pickle_node *const *from, size_t count);

/* The items of a new tuple, count > 0 of them: it never grows, so there is no room to spare. */
int machine_fill(struct pickle_machine *m, struct pickle_node *tuple,
                 struct pickle_node *const *from, size_t count);

#endif
