/*
 * pickle - the machine's run from the protocol to STOP. Each opcode does to the stack what Python's
 * pickle module does, with nodes instead of objects: see pickle_values.c and pickle_containers.c.
 */
#include "formats/pickle.h"

#include <string.h>

#include "formats/pickle_machine.h"

enum { PROTOCOL_FIRST = 2, PROTOCOL_LAST = 5, PROTO = 0x80, STOP = '.' };

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
        machine_opcode *run_op = machine_values[op] ? machine_values[op] : machine_containers[op];
        rc = run_op ? run_op(m)
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
