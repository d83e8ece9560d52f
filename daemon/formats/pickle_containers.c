/*
 * pickle_containers - opcodes that put together what is on the stack: tuples, lists, dictionaries,
 * objects, which are not made; and those that move things between stack and memo.
 */
#include <inttypes.h>

#include "formats/pickle_machine.h"

/* ---- containers ---- */

static int op_empty_list(struct pickle_machine *m)
{
    return machine_push(m, machine_node(m, PICKLE_LIST));
}

static int op_empty_dict(struct pickle_machine *m)
{
    return machine_push(m, machine_node(m, PICKLE_DICT));
}

static int op_empty_set(struct pickle_machine *m)
{
    return machine_push(m, machine_node(m, PICKLE_SET));
}

/* A container of what lies above the last mark. */
static int push_from_mark(struct pickle_machine *m, enum pickle_kind kind)
{
    struct pickle_node **items = NULL, *n;
    size_t count = 0;
    int rc = machine_pop_mark(m, &items, &count);

    if (rc < 0)
        return rc;
    if (kind == PICKLE_DICT && count % 2 != 0)
        return machine_fail(m, SEWA_E_CORRUPT, "a key without a value");
    n = machine_node(m, kind);
    if (!n)
        return m->failure.code;
    if (kind == PICKLE_SET)
        n->count = (uint32_t)count;
    else if (count > 0)
        rc = kind == PICKLE_TUPLE ? machine_fill(m, n, items, count)
                                  : machine_append(m, n, items, count);
    return rc < 0 ? rc : machine_push(m, n);
}

static int op_tuple(struct pickle_machine *m)
{
    return push_from_mark(m, PICKLE_TUPLE);
}

static int op_list(struct pickle_machine *m)
{
    return push_from_mark(m, PICKLE_LIST);
}

static int op_dict(struct pickle_machine *m)
{
    return push_from_mark(m, PICKLE_DICT);
}

static int op_frozenset(struct pickle_machine *m)
{
    return push_from_mark(m, PICKLE_SET);
}

static int push_tuple_of(struct pickle_machine *m, size_t count)
{
    struct pickle_node *items[3], *n = machine_node(m, PICKLE_TUPLE);

    for (size_t i = count; n && i-- > 0;)
        if (!(items[i] = machine_pop(m)))
            return m->failure.code;
    int rc = n ? machine_fill(m, n, items, count) : m->failure.code;
    return rc < 0 ? rc : machine_push(m, n);
}

static int op_tuple1(struct pickle_machine *m)
{
    return push_tuple_of(m, 1);
}

static int op_tuple2(struct pickle_machine *m)
{
    return push_tuple_of(m, 2);
}

static int op_tuple3(struct pickle_machine *m)
{
    return push_tuple_of(m, 3);
}

/* Put elements into what is now on top: a list, or an object whose class we do not know. */
static int add_elements(struct pickle_machine *m, enum pickle_kind kind,
                        struct pickle_node *const *items, size_t count)
{
    struct pickle_node *to = machine_top(m);

    if (!to)
        return m->failure.code;
    if (to->kind == PICKLE_OBJECT) {
        to->object->has_elements = true;
        return 0;
    }
    if (to->kind != kind)
        return machine_fail(m, SEWA_E_CORRUPT, "opcode 0x%02x adds to what is no list or set",
                            *m->op);
    if (kind == PICKLE_SET) {
        to->count = to->count > UINT32_MAX / 2 ? to->count : to->count + (uint32_t)count;
        return 0;
    }
    return machine_append(m, to, items, count);
}

static int op_append(struct pickle_machine *m)
{
    struct pickle_node *item = machine_pop(m);

    return item ? add_elements(m, PICKLE_LIST, &item, 1) : m->failure.code;
}

static int op_appends(struct pickle_machine *m)
{
    struct pickle_node **items = NULL;
    size_t count = 0;
    int rc = machine_pop_mark(m, &items, &count);

    return rc < 0 ? rc : add_elements(m, PICKLE_LIST, items, count);
}

static int op_additems(struct pickle_machine *m)
{
    struct pickle_node **items = NULL;
    size_t count = 0;
    int rc = machine_pop_mark(m, &items, &count);

    return rc < 0 ? rc : add_elements(m, PICKLE_SET, items, count);
}

/* GHSA-63cw-57p8-fm3p: only a dictionary has items that can be set. */
static int set_items(struct pickle_machine *m, struct pickle_node *const *items, size_t count)
{
    struct pickle_node *to = machine_top(m);

    if (!to)
        return m->failure.code;
    if (count % 2 != 0)
        return machine_fail(m, SEWA_E_CORRUPT, "a key without a value");
    if (to->kind == PICKLE_OBJECT) {
        if (!to->object->items && !(to->object->items = machine_node(m, PICKLE_DICT)))
            return m->failure.code;
        to = to->object->items;
    }
    if (to->kind != PICKLE_DICT)
        return machine_fail(m, SEWA_E_CORRUPT, "opcode 0x%02x sets items of what is no dictionary",
                            *m->op);
    return count > 0 ? machine_append(m, to, items, count) : 0;
}

static int op_setitem(struct pickle_machine *m)
{
    struct pickle_node *pair[2];

    pair[1] = machine_pop(m);
    pair[0] = pair[1] ? machine_pop(m) : NULL;
    return pair[0] ? set_items(m, pair, 2) : m->failure.code;
}

static int op_setitems(struct pickle_machine *m)
{
    struct pickle_node **items = NULL;
    size_t count = 0;
    int rc = machine_pop_mark(m, &items, &count);

    return rc < 0 ? rc : set_items(m, items, count);
}

/* ---- objects, which are not made ---- */

static int push_object(struct pickle_machine *m, const struct pickle_node *callable,
                       const struct pickle_node *args)
{
    if (callable->kind != PICKLE_GLOBAL && callable->kind != PICKLE_OBJECT)
        return machine_fail(m, SEWA_E_CORRUPT, "opcode 0x%02x calls what is no function or class",
                            *m->op);
    if (args->kind != PICKLE_TUPLE)
        return machine_fail(m, SEWA_E_CORRUPT, "the arguments of a call are no tuple");
    struct pickle_node *n = machine_node(m, PICKLE_OBJECT);
    struct pickle_object *o = n ? machine_take(m, sizeof *o) : NULL;
    if (!o)
        return m->failure.code;
    *o = (struct pickle_object){ .callable = callable, .args = args };
    n->object = o;
    return machine_push(m, n);
}

/* REDUCE and NEWOBJ: the difference is one of Python, not of what is in the file. */
static int op_reduce(struct pickle_machine *m)
{
    struct pickle_node *args = machine_pop(m), *callable = args ? machine_pop(m) : NULL;

    return callable ? push_object(m, callable, args) : m->failure.code;
}

/* Arguments with names belong to classes that nobody here reads. They are dropped. */
static int op_newobj_ex(struct pickle_machine *m)
{
    struct pickle_node *named = machine_pop(m), *args = named ? machine_pop(m) : NULL;
    struct pickle_node *callable = args ? machine_pop(m) : NULL;

    if (!callable)
        return m->failure.code;
    if (named->kind != PICKLE_DICT)
        return machine_fail(m, SEWA_E_CORRUPT, "the named arguments of a call are no dictionary");
    return push_object(m, callable, args);
}

static int op_build(struct pickle_machine *m)
{
    struct pickle_node *state = machine_pop(m), *to = state ? machine_top(m) : NULL;

    if (!to)
        return m->failure.code;
    if (to->kind != PICKLE_OBJECT)
        return machine_fail(m, SEWA_E_CORRUPT, "a state is given to what is no object");
    if (to->object->state)
        return machine_fail(m, SEWA_E_CORRUPT, "a state is given to an object that has one");
    to->object->state = state;
    return 0;
}

static int op_binpersid(struct pickle_machine *m)
{
    const struct pickle_node *id = machine_pop(m),
                             **items = id ? machine_take(m, sizeof *items) : NULL;
    struct pickle_node *n = items ? machine_node(m, PICKLE_PERSISTENT) : NULL;

    if (!n)
        return m->failure.code;
    items[0] = id;
    n->items = items;
    n->count = 1;
    return machine_push(m, n);
}

/* ---- stack and memo ---- */

static int op_mark(struct pickle_machine *m)
{
    return machine_mark(m);
}

static int op_pop(struct pickle_machine *m)
{
    return machine_pop(m) ? 0 : m->failure.code;
}

static int op_pop_mark(struct pickle_machine *m)
{
    struct pickle_node **items = NULL;
    size_t count = 0;

    return machine_pop_mark(m, &items, &count);
}

static int op_dup(struct pickle_machine *m)
{
    return machine_push(m, machine_top(m));
}

static int put(struct pickle_machine *m, size_t bytes)
{
    uint64_t i = 0;
    int rc = machine_number(m, bytes, &i);

    return rc < 0 ? rc : machine_put(m, (size_t)i);
}

static int get(struct pickle_machine *m, size_t bytes)
{
    uint64_t i = 0;
    int rc = machine_number(m, bytes, &i);

    return rc < 0 ? rc : machine_get(m, (size_t)i);
}

static int op_binput(struct pickle_machine *m)
{
    return put(m, 1);
}

static int op_long_binput(struct pickle_machine *m)
{
    return put(m, 4);
}

static int op_memoize(struct pickle_machine *m)
{
    return machine_put(m, m->memo_count);
}

static int op_binget(struct pickle_machine *m)
{
    return get(m, 1);
}

static int op_long_binget(struct pickle_machine *m)
{
    return get(m, 4);
}

/* Frames only tell a reader how much to fetch at once. They must not promise what is not there. */
static int op_frame(struct pickle_machine *m)
{
    uint64_t n = 0;
    int rc = machine_number(m, 8, &n);

    if (rc == 0 && n > (uint64_t)(m->end - m->at))
        return machine_fail(m, SEWA_E_CORRUPT, "a frame of %" PRIu64 " bytes and %td are left", n,
                            m->end - m->at);
    return rc;
}

machine_opcode *const machine_containers[256] = {
    ['('] = op_mark,        ['0'] = op_pop,        ['1'] = op_pop_mark,   ['2'] = op_dup,
    ['Q'] = op_binpersid,   ['R'] = op_reduce,     [']'] = op_empty_list, ['a'] = op_append,
    ['b'] = op_build,       ['d'] = op_dict,       ['e'] = op_appends,    ['h'] = op_binget,
    ['j'] = op_long_binget, ['l'] = op_list,       ['q'] = op_binput,     ['r'] = op_long_binput,
    ['s'] = op_setitem,     ['t'] = op_tuple,      ['u'] = op_setitems,   ['}'] = op_empty_dict,
    [0x81] = op_reduce, /* NEWOBJ */
    [0x85] = op_tuple1,     [0x86] = op_tuple2,    [0x87] = op_tuple3,    [0x8f] = op_empty_set,
    [0x90] = op_additems,   [0x91] = op_frozenset, [0x92] = op_newobj_ex, [0x94] = op_memoize,
    [0x95] = op_frame,
};
