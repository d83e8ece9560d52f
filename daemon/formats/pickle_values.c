/*
 * pickle_values - opcodes that push a value: numbers, texts, bytes, names of classes.
 */
#include <inttypes.h>
#include <string.h>

#include "base/path.h"

#include "formats/pickle_machine.h"

enum { GLOBAL_NAME_MAX = 512 };

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
    int rc = machine_number(m, 4, &x);

    return rc < 0 ? rc : push_integer(m, (int32_t)(uint32_t)x);
}

static int op_binint1(struct pickle_machine *m)
{
    uint64_t x = 0;
    int rc = machine_number(m, 1, &x);

    return rc < 0 ? rc : push_integer(m, (int64_t)x);
}

static int op_binint2(struct pickle_machine *m)
{
    uint64_t x = 0;
    int rc = machine_number(m, 2, &x);

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
    uint64_t x = machine_little_endian(p, n);
    if (n > 0 && n < 8 && p[n - 1] & 0x80)
        x |= UINT64_MAX << 8 * n;
    return push_integer(m, (int64_t)x);
}

static int op_long1(struct pickle_machine *m)
{
    uint64_t n = 0;
    int rc = machine_number(m, 1, &n);

    return rc < 0 ? rc : push_long(m, n);
}

static int op_long4(struct pickle_machine *m)
{
    uint64_t n = 0;
    int rc = machine_number(m, 4, &n);

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
    int rc = machine_number(m, length_bytes, &length);

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

machine_opcode *const machine_values[256] = {
    [')'] = op_empty_tuple, ['B'] = op_bytes4,        ['C'] = op_bytes1,
    ['G'] = op_binfloat,    ['J'] = op_binint,        ['K'] = op_binint1,
    ['M'] = op_binint2,     ['N'] = op_none,          ['T'] = op_bytes4, /* a string of Python 2 */
    ['U'] = op_bytes1,      ['X'] = op_text4,         ['c'] = op_global,
    [0x88] = op_true,       [0x89] = op_false,        [0x8a] = op_long1,
    [0x8b] = op_long4,      [0x8c] = op_text1,        [0x8d] = op_text8,
    [0x8e] = op_bytes8,     [0x93] = op_stack_global, [0x96] = op_bytes8, /* BYTEARRAY8 */
};
