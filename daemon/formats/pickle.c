/*
 * pickle - the opcodes. Each does to the stack what Python's pickle module does, with nodes instead
 * of objects; pickle_machine.c holds the stack.
 */
#include "formats/pickle.h"

#include <inttypes.h>
#include <string.h>

#include "base/path.h"

#include "formats/pickle_machine.h"

enum { PROTOCOL_FIRST = 2, PROTOCOL_LAST = 5, GLOBAL_NAME_MAX = 512 };

typedef int opcode_fn(struct pickle_machine *m);

static uint64_t little_endian(const uint8_t *p, size_t n)
{
    uint64_t x = 0;

    while (n-- > 0)
        x = x << 8 | p[n];
    return x;
}

/* An operand that is a number of n bytes. */
static int get_number(struct pickle_machine *m, size_t n, uint64_t *ret)
{
    const uint8_t *p = machine_operand(m, n);

    if (!p)
        return m->failure.code;
    *ret = little_endian(p, n);
    return 0;
}

/* ---- constants ---- */

static int push_shared(struct pickle_machine *m, struct pickle_node **shared, enum pickle_kind kind,
                       int64_t value)
{
    if (!*shared && (*shared = machine_node(m, kind)) != NULL)
        (*shared)->integer = value;
    return machine_push(m, *shared);
}

static int op_none(struct pickle_machine *m)
{
    return push_shared(m, &m->none, PICKLE_NONE, 0);
}

static int op_true(struct pickle_machine *m)
{
    return push_shared(m, &m->truth[1], PICKLE_BOOL, 1);
}

static int op_false(struct pickle_machine *m)
{
    return push_shared(m, &m->truth[0], PICKLE_BOOL, 0);
}

static int op_empty_tuple(struct pickle_machine *m)
{
    return push_shared(m, &m->empty_tuple, PICKLE_TUPLE, 0);
}

static int push_integer(struct pickle_machine *m, int64_t value)
{
    if (value >= 0 && value < (int64_t)COUNT_OF(m->small))
        return push_shared(m, &m->small[value], PICKLE_INTEGER, value);
    struct pickle_node *n = machine_node(m, PICKLE_INTEGER);
    if (n)
        n->integer = value;
    return machine_push(m, n);
}

static int op_binint(struct pickle_machine *m)
{
    uint64_t x = 0;
    int rc = get_number(m, 4, &x);

    return rc < 0 ? rc : push_integer(m, (int32_t)(uint32_t)x);
}

static int op_binint1(struct pickle_machine *m)
{
    uint64_t x = 0;
    int rc = get_number(m, 1, &x);

    return rc < 0 ? rc : push_integer(m, (int64_t)x);
}

static int op_binint2(struct pickle_machine *m)
{
    uint64_t x = 0;
    int rc = get_number(m, 2, &x);

    return rc < 0 ? rc : push_integer(m, (int64_t)x);
}

/* Two's complement of n bytes, little-endian. What does not fit 64 bits keeps no value. */
static int push_long(struct pickle_machine *m, size_t n)
{
    const uint8_t *p = machine_operand(m, n);

    if (!p)
        return m->failure.code;
    if (n > 8)
        return machine_push(m, machine_node(m, PICKLE_BIG));
    uint64_t x = little_endian(p, n);
    if (n > 0 && n < 8 && p[n - 1] & 0x80)
        x |= UINT64_MAX << 8 * n;
    return push_integer(m, (int64_t)x);
}

static int op_long1(struct pickle_machine *m)
{
    uint64_t n = 0;
    int rc = get_number(m, 1, &n);

    return rc < 0 ? rc : push_long(m, n);
}

static int op_long4(struct pickle_machine *m)
{
    uint64_t n = 0;
    int rc = get_number(m, 4, &n);

    if (rc == 0 && n > INT32_MAX)
        return machine_fail(m, SEWA_E_CORRUPT, "an integer of a negative number of bytes");
    return rc < 0 ? rc : push_long(m, n);
}

static int op_binfloat(struct pickle_machine *m)
{
    const uint8_t *p = machine_operand(m, 8);
    uint64_t bits = 0;

    if (!p)
        return m->failure.code;
    for (int i = 0; i < 8; i++) /* the one operand that is big-endian */
        bits = bits << 8 | p[i];
    struct pickle_node *n = machine_node(m, PICKLE_FLOAT);
    if (n)
        memcpy(&n->real, &bits, sizeof bits);
    return machine_push(m, n);
}

/* ---- text and bytes ---- */

static int push_bytes(struct pickle_machine *m, enum pickle_kind kind, size_t length_bytes)
{
    uint64_t length = 0;
    int rc = get_number(m, length_bytes, &length);

    if (rc < 0)
        return rc;
    const uint8_t *text = length <= PICKLE_BYTES_MAX ? machine_operand(m, (size_t)length) : NULL;
    if (!text)
        return m->failure.code ? m->failure.code
                               : machine_fail(m, SEWA_E_CORRUPT,
                                              "a text of %" PRIu64 " bytes in a pickle of %td",
                                              length, m->end - m->start);
    /* Python lets halves of surrogate pairs pass. They are no text to us, and no name. */
    if (kind == PICKLE_TEXT && !utf8_is_valid((const char *)text, (size_t)length))
        kind = PICKLE_BYTES;
    struct pickle_node *n = machine_node(m, kind);
    if (n) {
        n->text = (const char *)text;
        n->count = (uint32_t)length;
    }
    return machine_push(m, n);
}

static int op_text1(struct pickle_machine *m)
{
    return push_bytes(m, PICKLE_TEXT, 1);
}

static int op_text4(struct pickle_machine *m)
{
    return push_bytes(m, PICKLE_TEXT, 4);
}

static int op_text8(struct pickle_machine *m)
{
    return push_bytes(m, PICKLE_TEXT, 8);
}

static int op_bytes1(struct pickle_machine *m)
{
    return push_bytes(m, PICKLE_BYTES, 1);
}

static int op_bytes4(struct pickle_machine *m)
{
    return push_bytes(m, PICKLE_BYTES, 4);
}

static int op_bytes8(struct pickle_machine *m)
{
    return push_bytes(m, PICKLE_BYTES, 8);
}

/* ---- names of classes and functions ---- */

/* A part of a name: Python identifiers and dots, here all bytes that are text and show. */
static int check_name(struct pickle_machine *m, const char *text, size_t n)
{
    bool is_fine = n > 0 && n <= GLOBAL_NAME_MAX && utf8_is_valid(text, n);

    for (size_t i = 0; i < n && is_fine; i++)
        is_fine = (unsigned char)text[i] > ' ' && text[i] != 0x7f;
    return is_fine ? 0 : machine_fail(m, SEWA_E_CORRUPT, "the name of a global is no name");
}

static int push_global(struct pickle_machine *m, const char *module, size_t module_bytes,
                       const char *name, size_t name_bytes)
{
    int rc = check_name(m, module, module_bytes);

    if (rc == 0)
        rc = check_name(m, name, name_bytes);
    if (rc < 0)
        return rc;
    struct pickle_node *n = machine_node(m, PICKLE_GLOBAL);
    char *text = n ? machine_take(m, module_bytes + name_bytes + 2) : NULL;
    if (!text)
        return m->failure.code;
    memcpy(text, module, module_bytes);
    text[module_bytes] = '.';
    memcpy(text + module_bytes + 1, name, name_bytes);
    text[module_bytes + 1 + name_bytes] = '\0';
    n->text = text;
    n->count = (uint32_t)(module_bytes + 1 + name_bytes);
    return machine_push(m, n);
}

static int get_line(struct pickle_machine *m, const char **ret, size_t *ret_n)
{
    const uint8_t *end = memchr(m->at, '\n', (size_t)(m->end - m->at));

    if (!end)
        return machine_fail(m, SEWA_E_CORRUPT, "the name of a global does not end");
    *ret = (const char *)m->at;
    *ret_n = (size_t)(end - m->at);
    m->at = end + 1;
    return 0;
}

static int op_global(struct pickle_machine *m)
{
    const char *module = NULL, *name = NULL;
    size_t module_bytes = 0, name_bytes = 0;
    int rc = get_line(m, &module, &module_bytes);

    if (rc == 0)
        rc = get_line(m, &name, &name_bytes);
    return rc < 0 ? rc : push_global(m, module, module_bytes, name, name_bytes);
}

static int op_stack_global(struct pickle_machine *m)
{
    const struct pickle_node *name = machine_pop(m), *module = name ? machine_pop(m) : NULL;

    if (!module)
        return m->failure.code;
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return machine_fail(m, SEWA_E_CORRUPT, "the name of a global is no text");
    return push_global(m, module->text, module->count, name->text, name->count);
}

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
    int rc = get_number(m, bytes, &i);

    return rc < 0 ? rc : machine_put(m, (size_t)i);
}

static int get(struct pickle_machine *m, size_t bytes)
{
    uint64_t i = 0;
    int rc = get_number(m, bytes, &i);

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
    int rc = get_number(m, 8, &n);

    if (rc == 0 && n > (uint64_t)(m->end - m->at))
        return machine_fail(m, SEWA_E_CORRUPT, "a frame of %" PRIu64 " bytes and %td are left", n,
                            m->end - m->at);
    return rc;
}

enum { PROTO = 0x80, STOP = '.' };

static opcode_fn *const opcodes[256] = {
    ['('] = op_mark,        [')'] = op_empty_tuple, ['0'] = op_pop,           ['1'] = op_pop_mark,
    ['2'] = op_dup,         ['B'] = op_bytes4,      ['C'] = op_bytes1,        ['G'] = op_binfloat,
    ['J'] = op_binint,      ['K'] = op_binint1,     ['M'] = op_binint2,       ['N'] = op_none,
    ['Q'] = op_binpersid,   ['R'] = op_reduce,      ['T'] = op_bytes4, /* a string of Python 2 */
    ['U'] = op_bytes1,      ['X'] = op_text4,       [']'] = op_empty_list,    ['a'] = op_append,
    ['b'] = op_build,       ['c'] = op_global,      ['d'] = op_dict,          ['e'] = op_appends,
    ['h'] = op_binget,      ['j'] = op_long_binget, ['l'] = op_list,          ['q'] = op_binput,
    ['r'] = op_long_binput, ['s'] = op_setitem,     ['t'] = op_tuple,         ['u'] = op_setitems,
    ['}'] = op_empty_dict,  [0x81] = op_reduce, /* NEWOBJ */
    [0x85] = op_tuple1,     [0x86] = op_tuple2,     [0x87] = op_tuple3,       [0x88] = op_true,
    [0x89] = op_false,      [0x8a] = op_long1,      [0x8b] = op_long4,        [0x8c] = op_text1,
    [0x8d] = op_text8,      [0x8e] = op_bytes8,     [0x8f] = op_empty_set,    [0x90] = op_additems,
    [0x91] = op_frozenset,  [0x92] = op_newobj_ex,  [0x93] = op_stack_global, [0x94] = op_memoize,
    [0x95] = op_frame,      [0x96] = op_bytes8, /* BYTEARRAY8 */
};

static int begin(struct pickle_machine *m)
{
    if (m->end - m->at < 2 || m->at[0] != PROTO)
        return machine_fail(m, SEWA_E_CORRUPT, "this is no pickle: it does not say its protocol");
    if (m->at[1] < PROTOCOL_FIRST || m->at[1] > PROTOCOL_LAST)
        return machine_fail(m, SEWA_E_UNSUPPORTED, "pickle protocol %u, %d to %d are supported",
                            m->at[1], PROTOCOL_FIRST, PROTOCOL_LAST);
    m->at += 2;
    return 0;
}

static int finish(struct pickle_machine *m)
{
    if (m->depth != 1 || m->mark_count != 0)
        return machine_fail(m, SEWA_E_CORRUPT,
                            "the pickle stops with %zu things on its stack and %zu open marks",
                            m->depth, m->mark_count);
    if (m->at != m->end)
        return machine_fail(m, SEWA_E_CORRUPT, "%td bytes behind the end of the pickle",
                            m->end - m->at);
    m->result->root = m->stack[0];
    return 0;
}

static int run(struct pickle_machine *m)
{
    int rc = begin(m);

    while (rc == 0) {
        m->op = m->at;
        if (m->at == m->end)
            return machine_fail(m, SEWA_E_CORRUPT, "the pickle breaks off");
        uint8_t op = *m->at++;
        if (op == STOP)
            return finish(m);
        rc = opcodes[op] ? opcodes[op](m)
                         : machine_fail(m, SEWA_E_UNSUPPORTED,
                                        "opcode 0x%02x has no place in a checkpoint", op);
    }
    return rc;
}

static void machine_clear(struct pickle_machine *m)
{
    free(m->stack);
    free(m->marks);
    free(m->memo);
}

static size_t memory_max(size_t n)
{
    size_t max = (size_t)PICKLE_MEMORY_FACTOR * n + (1 << 20);

    return max < PICKLE_MEMORY_MAX ? max : PICKLE_MEMORY_MAX;
}

int pickle_read(const void *bytes, size_t n, const char *name, struct pickle **ret,
                struct sewa_error *err)
{
    AUTO(machine_clear)
    struct pickle_machine m = { .start = bytes, .name = name };
    AUTOPTR(pickle_free) struct pickle *p = calloc(1, sizeof *p);

    if (!p)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", name);
    if (n > PICKLE_BYTES_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "the pickle in '%s' has %zu bytes, at most %d are supported", name, n,
                         PICKLE_BYTES_MAX);
    p->memory_max = memory_max(n);
    m.at = m.op = m.start;
    m.end = m.start + n;
    m.result = p;
    int rc = run(&m);
    if (rc < 0) {
        if (err)
            *err = m.failure;
        return rc;
    }
    *ret = TAKE(p);
    return 0;
}

void pickle_free(struct pickle *p)
{
    if (!p)
        return;
    arena_clear(&p->arena);
    free(p);
}

const struct pickle_node *pickle_root(const struct pickle *p)
{
    return p->root;
}

size_t pickle_memory(const struct pickle *p)
{
    return p->memory;
}
