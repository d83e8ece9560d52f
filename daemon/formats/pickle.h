/*
 * pickle - what a Python pickle says, as a graph of nodes. Nothing is executed or imported: a call
 * is a node with a name and arguments, and whoever reads the graph decides what it means.
 *
 * The opcodes are those that PyTorch's own weights-only loader accepts, and what protocols 3 to 5
 * have for the same things. All else is SEWA_E_UNSUPPORTED, with its byte and offset. The texts of
 * nodes lie in the pickle's bytes, which must outlive the graph.
 *
 * The graph may share nodes and may have cycles (a list that contains itself): whoever walks it
 * bounds the depth. Reading does not recurse. Memory is at most PICKLE_MEMORY_FACTOR times the
 * bytes, and a real checkpoint needs five times.
 */
#ifndef FORMATS_PICKLE_H
#define FORMATS_PICKLE_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICKLE_BYTES_MAX     (256 << 20)
#define PICKLE_MEMORY_MAX    ((size_t)768 << 20)
#define PICKLE_MEMORY_FACTOR 16
#define PICKLE_STACK_MAX     (1 << 20)
#define PICKLE_MARKS_MAX     1000 /* Python's own pickler goes no deeper */

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,       /* integer: 0 or 1 */
    PICKLE_INTEGER,    /* integer */
    PICKLE_BIG,        /* an integer past 64 bits; no value */
    PICKLE_FLOAT,      /* real */
    PICKLE_TEXT,       /* text, count bytes of UTF-8 that may contain NUL */
    PICKLE_BYTES,      /* text, count bytes */
    PICKLE_TUPLE,      /* items */
    PICKLE_LIST,       /* items */
    PICKLE_DICT,       /* items: key, value, key, value... as they came; a key may be there twice */
    PICKLE_SET,        /* count; its items are not kept */
    PICKLE_GLOBAL,     /* text: "module.name" with a NUL behind it */
    PICKLE_PERSISTENT, /* items[0]: its id */
    PICKLE_OBJECT,     /* object */
};

/* callable(*args), or callable.__new__(callable, *args); then items were set, state was given. */
struct pickle_object {
    const struct pickle_node *callable; /* a global or an object */
    const struct pickle_node *args;     /* a tuple */
    const struct pickle_node *state;    /* of BUILD; NULL for none */
    struct pickle_node *items;          /* a dict, of SETITEM and SETITEMS; NULL for none */
    bool has_elements;                  /* APPEND, APPENDS or ADDITEMS; they are not kept */
};

struct pickle_node {
    union {
        int64_t integer;
        double real;
        const char *text;
        const struct pickle_node **items;
        struct pickle_object *object;
    };
    uint32_t count; /* bytes of text, items (two for each pair of a dict) */
    uint8_t kind;   /* enum pickle_kind */
    uint8_t room;   /* the machine's: the items have room for 2^room, 0 for none */
};

struct pickle;

/*
 * @name is for messages. SEWA_E_CORRUPT: it breaks off, takes from an empty stack, sets an item of
 * what is no dictionary... SEWA_E_UNSUPPORTED: an opcode or a limit; SEWA_E_NO_MEMORY.
 */
int pickle_read(const void *bytes, size_t n, const char *name, struct pickle **ret,
                struct sewa_error *err);
void pickle_free(struct pickle *p);
AUTOPTR_DEFINE(pickle_free, struct pickle);

const struct pickle_node *pickle_root(const struct pickle *p);

/* Bytes that the graph takes. */
size_t pickle_memory(const struct pickle *p);

static inline bool pickle_is_text(const struct pickle_node *n, const char *text)
{
    size_t length = __builtin_strlen(text);

    return n->kind == PICKLE_TEXT && n->count == length &&
           __builtin_memcmp(n->text, text, length) == 0;
}

static inline bool pickle_is_global(const struct pickle_node *n, const char *name)
{
    return n->kind == PICKLE_GLOBAL && __builtin_strcmp(n->text, name) == 0;
}

/* Whether the node is what calling this global gave. */
static inline bool pickle_is_call(const struct pickle_node *n, const char *name)
{
    return n->kind == PICKLE_OBJECT && pickle_is_global(n->object->callable, name);
}

#endif
