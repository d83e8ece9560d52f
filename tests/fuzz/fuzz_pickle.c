/*
 * fuzz_pickle - the input is a pickle. What is accepted is a graph whose every node is sound, that
 * took no more memory than it may, and that the same bytes give again.
 */
#include "fuzz.h"

#include <string.h>

#include "formats/pickle.h"

enum { DEPTH = 12, WIDTH = 200, STEPS = 100000 };

static int steps; /* a list that contains itself is a tree without end */

static size_t walk(const struct pickle_node *n, const uint8_t *data, size_t size, int depth);

static size_t walk_items(const struct pickle_node *n, const uint8_t *data, size_t size, int depth)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < n->count && i < WIDTH; i++) {
        MUST(n->items[i] != NULL);
        sum += walk(n->items[i], data, size, depth - 1);
    }
    return sum;
}

static size_t walk_object(const struct pickle_node *n, const uint8_t *data, size_t size, int depth)
{
    const struct pickle_object *o = n->object;

    MUST(o->callable->kind == PICKLE_GLOBAL || o->callable->kind == PICKLE_OBJECT);
    MUST(o->args->kind == PICKLE_TUPLE);
    MUST(!o->items || (o->items->kind == PICKLE_DICT && o->items->count % 2 == 0));
    return walk(o->callable, data, size, depth - 1) + walk(o->args, data, size, depth - 1) +
           (o->state ? walk(o->state, data, size, depth - 1) : 0) +
           (o->items ? walk(o->items, data, size, depth - 1) : 0);
}

/* Something that depends on all that was looked at, so that a sanitizer sees each byte read. */
static size_t walk(const struct pickle_node *n, const uint8_t *data, size_t size, int depth)
{
    size_t sum = n->kind;

    if (depth == 0 || steps-- <= 0)
        return sum;
    switch ((enum pickle_kind)n->kind) {
    case PICKLE_TEXT:
    case PICKLE_BYTES:
        MUST((const uint8_t *)n->text >= data && n->count <= size);
        MUST((const uint8_t *)n->text + n->count <= data + size);
        for (uint32_t i = 0; i < n->count && i < WIDTH; i++)
            sum += (unsigned char)n->text[i];
        return sum;
    case PICKLE_GLOBAL: MUST(strlen(n->text) == n->count && strchr(n->text, '.')); return sum;
    case PICKLE_DICT: MUST(n->count % 2 == 0); return sum + walk_items(n, data, size, depth);
    case PICKLE_TUPLE:
    case PICKLE_LIST:
    case PICKLE_PERSISTENT: return sum + walk_items(n, data, size, depth);
    case PICKLE_OBJECT: return sum + walk_object(n, data, size, depth);
    case PICKLE_BOOL: MUST(n->integer == 0 || n->integer == 1); return sum;
    case PICKLE_NONE:
    case PICKLE_INTEGER:
    case PICKLE_BIG:
    case PICKLE_FLOAT:
    case PICKLE_SET: return sum;
    }
    MUST(!"a kind that there is not");
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOPTR(pickle_free) struct pickle *p = NULL, *again = NULL;
    struct sewa_error err = { 0 };
    int rc = pickle_read(data, size, "f", &p, &err);

    MUST((rc == 0) == (p != NULL) && rc == err.code);
    if (rc < 0) {
        MUST((rc == SEWA_E_CORRUPT || rc == SEWA_E_UNSUPPORTED) && err.text[0]);
        return 0;
    }
    MUST(pickle_memory(p) <= PICKLE_MEMORY_FACTOR * size + (1 << 20));
    MUST(pickle_read(data, size, "f", &again, NULL) == 0);
    steps = STEPS;
    size_t sum = walk(pickle_root(p), data, size, DEPTH);
    steps = STEPS;
    MUST(walk(pickle_root(again), data, size, DEPTH) == sum);
    return 0;
}
