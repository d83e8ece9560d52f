/*
 * pickle_machine - nothing here trusts a number of the pickle: stack, marks, memo and memory each
 * have a limit, and none of them grows by more than what the bytes that were read can justify.
 */
#include "formats/pickle_machine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int machine_fail(struct pickle_machine *m, int code, const char *format, ...)
{
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sewa_fail(&m->failure, code, "'%s', offset %td: %s", m->name, m->op - m->start, text);
}

int machine_no_memory(struct pickle_machine *m)
{
    return sewa_fail(&m->failure, SEWA_E_NO_MEMORY, "no memory to read '%s'", m->name);
}

/* Count what is about to be taken, against the limit. */
static int charge(struct pickle_machine *m, size_t n)
{
    struct pickle *p = m->result;

    if (n > p->memory_max - p->memory)
        return machine_fail(m, SEWA_E_UNSUPPORTED,
                            "the pickle of %td bytes needs more than %zu bytes of memory",
                            m->end - m->start, p->memory_max);
    p->memory += n;
    return 0;
}

void *machine_take(struct pickle_machine *m, size_t n)
{
    if (charge(m, n) < 0)
        return NULL;
    void *taken = arena_take(&m->result->arena, n, 8);
    if (!taken)
        machine_no_memory(m);
    return taken;
}

const uint8_t *machine_operand(struct pickle_machine *m, size_t n)
{
    if (n > (size_t)(m->end - m->at)) {
        machine_fail(m, SEWA_E_CORRUPT,
                     "opcode 0x%02x wants %zu bytes and the pickle ends after %td", *m->op, n,
                     m->end - m->at);
        return NULL;
    }
    const uint8_t *operand = m->at;
    m->at += n;
    return operand;
}

uint64_t machine_little_endian(const uint8_t *p, size_t n)
{
    uint64_t x = 0;

    while (n-- > 0)
        x = x << 8 | p[n];
    return x;
}

/* An operand that is a number of n bytes. */
int machine_number(struct pickle_machine *m, size_t n, uint64_t *ret)
{
    const uint8_t *p = machine_operand(m, n);

    if (!p)
        return m->failure.code;
    *ret = machine_little_endian(p, n);
    return 0;
}

struct pickle_node *machine_node(struct pickle_machine *m, enum pickle_kind kind)
{
    struct pickle_node *n = machine_take(m, sizeof *n);

    if (n) {
        memset(n, 0, sizeof *n);
        n->kind = (uint8_t)kind;
    }
    return n;
}

/* Grow an array of @size bytes an element to hold count + 1; 0, or a code after failing. */
static int reserve(struct pickle_machine *m, void **array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return 0;
    size_t more = *room ? 2 * *room : 64;
    int rc = charge(m, (more - *room) * size);
    if (rc < 0)
        return rc;
    void *grown = realloc(*array, more * size);
    if (!grown)
        return machine_no_memory(m);
    *array = grown;
    *room = more;
    return 0;
}

int machine_push(struct pickle_machine *m, struct pickle_node *n)
{
    void *stack = m->stack;

    if (!n)
        return m->failure.code; /* whoever made it has said why */
    if (m->depth == PICKLE_STACK_MAX)
        return machine_fail(m, SEWA_E_UNSUPPORTED, "the stack is deeper than %d", PICKLE_STACK_MAX);
    int rc = reserve(m, &stack, m->depth, &m->stack_room, sizeof(struct pickle_node *));
    m->stack = stack;
    if (rc == 0)
        m->stack[m->depth++] = n;
    return rc;
}

/* Below a mark lies what belongs to somebody else. */
static size_t floor_of(const struct pickle_machine *m)
{
    return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

struct pickle_node *machine_top(struct pickle_machine *m)
{
    if (m->depth == floor_of(m)) {
        machine_fail(m, SEWA_E_CORRUPT, "opcode 0x%02x finds nothing on the stack", *m->op);
        return NULL;
    }
    return m->stack[m->depth - 1];
}

struct pickle_node *machine_pop(struct pickle_machine *m)
{
    struct pickle_node *top = machine_top(m);

    m->depth -= top != NULL;
    return top;
}

int machine_mark(struct pickle_machine *m)
{
    void *marks = m->marks;

    if (m->mark_count == PICKLE_MARKS_MAX)
        return machine_fail(m, SEWA_E_UNSUPPORTED, "more than %d marks are open", PICKLE_MARKS_MAX);
    int rc = reserve(m, &marks, m->mark_count, &m->marks_room, sizeof *m->marks);
    m->marks = marks;
    if (rc == 0)
        m->marks[m->mark_count++] = m->depth;
    return rc;
}

int machine_pop_mark(struct pickle_machine *m, struct pickle_node ***ret, size_t *ret_count)
{
    if (m->mark_count == 0)
        return machine_fail(m, SEWA_E_CORRUPT, "opcode 0x%02x finds no mark", *m->op);
    size_t floor = m->marks[--m->mark_count];
    *ret = m->stack ? m->stack + floor : NULL;
    *ret_count = m->depth - floor;
    m->depth = floor;
    return 0;
}

/* Make the memo as long as index i demands. Indices count what was put, so none can be past the
 * bytes that there are. */
static int grow_memo(struct pickle_machine *m, size_t i)
{
    size_t more = m->memo_room ? 2 * m->memo_room : 64;

    if (i >= (size_t)(m->end - m->start))
        return machine_fail(m, SEWA_E_UNSUPPORTED, "memo index %zu in a pickle of %td bytes", i,
                            m->end - m->start);
    if (more <= i)
        more = i + 1;
    int rc = charge(m, (more - m->memo_room) * sizeof(struct pickle_node *));
    if (rc < 0)
        return rc;
    struct pickle_node **grown = realloc(m->memo, more * sizeof(struct pickle_node *));
    if (!grown)
        return machine_no_memory(m);
    memset(grown + m->memo_room, 0, (more - m->memo_room) * sizeof(struct pickle_node *));
    m->memo = grown;
    m->memo_room = more;
    return 0;
}

int machine_put(struct pickle_machine *m, size_t i)
{
    struct pickle_node *top = machine_top(m);
    int rc = top ? 0 : m->failure.code;

    if (rc == 0 && i >= m->memo_room)
        rc = grow_memo(m, i);
    if (rc < 0)
        return rc;
    m->memo_count += m->memo[i] == NULL;
    m->memo[i] = top;
    return 0;
}

int machine_get(struct pickle_machine *m, size_t i)
{
    if (i >= m->memo_room || !m->memo[i])
        return machine_fail(m, SEWA_E_CORRUPT, "nothing was put into the memo at %zu", i);
    return machine_push(m, m->memo[i]);
}

/* Room for count items, a power of two, with those that are there; 0 or a code after failing. */
static int make_room(struct pickle_machine *m, struct pickle_node *to, size_t count)
{
    unsigned room = to->room ? to->room : 1;

    while ((size_t)1 << room < count)
        room++;
    if (room == to->room)
        return 0;
    const struct pickle_node **items = machine_take(m, sizeof *items << room);
    if (!items)
        return m->failure.code;
    if (to->count)
        memcpy(items, to->items, to->count * sizeof *items);
    to->items = items;
    to->room = (uint8_t)room;
    return 0;
}

int machine_append(struct pickle_machine *m, struct pickle_node *to,
                   struct pickle_node *const *from, size_t count)
{
    if (count > UINT32_MAX / 4 - to->count) /* no memory limit allows it */
        return machine_fail(m, SEWA_E_UNSUPPORTED, "a container has too many items");
    int rc = make_room(m, to, to->count + count);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++)
        to->items[to->count + i] = from[i];
    to->count += (uint32_t)count;
    return 0;
}

int machine_fill(struct pickle_machine *m, struct pickle_node *tuple,
                 struct pickle_node *const *from, size_t count)
{
    const struct pickle_node **items = machine_take(m, count * sizeof *items);

    if (!items)
        return m->failure.code;
    for (size_t i = 0; i < count; i++)
        items[i] = from[i];
    tuple->items = items;
    tuple->count = (uint32_t)count;
    return 0;
}
