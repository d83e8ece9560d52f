/*
 * model - parse the table, map the blocks.
 *
 * The host made the blocks, but a program in another language may play the host, and a mistake
 * there must be a message here and not a wild pointer: every offset is checked.
 */
#include "model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sewa/protocol.h"

enum { RANK_MAX = 16 };

struct model_place {
    int64_t offset, gradient_offset;
    int64_t shape[RANK_MAX];
};

/* Bytes of an element of the types that a bank can hold; 0: no such type. */
static size_t element_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {
        { "F32", 4 }, { "F64", 8 }, { "BOOL", 1 }, { "U8", 1 },  { "I8", 1 },  { "U16", 2 },
        { "I16", 2 }, { "U32", 4 }, { "I32", 4 },  { "U64", 8 }, { "I64", 8 },
    };

    for (size_t i = 0; dtype && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, dtype) == 0)
            return types[i].bytes;
    return 0;
}

static int parse_shape(const json_t *shape, const char *name, struct sewa_evaluator_tensor *t,
                       struct model_place *p, struct sewa_error *err)
{
    size_t rank = json_array_size(shape);

    if (!json_is_array(shape) || rank > RANK_MAX)
        return sewa_fail(err, SEWA_E_PROTOCOL, "the shape of '%.100s' is no array of at most %d",
                         name, RANK_MAX);
    t->rank = (unsigned)rank;
    t->shape = p->shape;
    t->elements = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *n = json_array_get(shape, i);
        p->shape[i] = json_integer_value(n);
        if (!json_is_integer(n) || p->shape[i] < 0 ||
            __builtin_mul_overflow(t->elements, p->shape[i], &t->elements))
            return sewa_fail(err, SEWA_E_PROTOCOL, "the shape of '%.100s' is impossible", name);
    }
    return 0;
}

static int check_place(const char *name, const char *what, int64_t offset, int64_t count,
                       int64_t size, int64_t bank_bytes, struct sewa_error *err)
{
    int64_t bytes, end;

    if (offset >= 0 && offset % EVALUATOR_ALIGNMENT == 0 &&
        !__builtin_mul_overflow(count, size, &bytes) &&
        !__builtin_add_overflow(offset, bytes, &end) && end <= bank_bytes)
        return 0;
    return sewa_fail(err, SEWA_E_PROTOCOL,
                     "%s of '%.100s' (%" PRId64 " elements at %" PRId64
                     ") do not fit into a bank of %" PRId64 " bytes",
                     what, name, count, offset, bank_bytes);
}

static int parse_tensor(struct model *m, size_t i, const json_t *row, struct sewa_error *err)
{
    struct sewa_evaluator_tensor *t = &m->tensors[i];
    struct model_place *p = &m->places[i];
    const json_t *offset = json_object_get(row, "offset");
    const json_t *gradient_offset = json_object_get(row, "gradient_offset");
    size_t size;

    t->name = json_string_value(json_object_get(row, "name"));
    t->dtype = json_string_value(json_object_get(row, "dtype"));
    if (!t->name || !(size = element_bytes(t->dtype)))
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "tensor %zu of the table has no name or the unknown "
                         "type '%.20s'",
                         i, t->dtype ? t->dtype : "");
    int rc = parse_shape(json_object_get(row, "shape"), t->name, t, p, err);
    if (rc < 0)
        return rc;
    t->is_float = t->dtype[0] == 'F';
    t->bytes = (size_t)t->elements * size;
    p->offset = json_is_integer(offset) ? json_integer_value(offset) : -1;
    p->gradient_offset = json_is_integer(gradient_offset) ? json_integer_value(gradient_offset)
                                                          : -1;
    rc = check_place(t->name, "values", p->offset, t->elements, (int64_t)size, m->bank_bytes, err);
    if (rc == 0 && t->is_float)
        rc = check_place(t->name, "gradients", p->gradient_offset, t->elements, sizeof(float),
                         m->gradient_bank_bytes, err);
    return rc;
}

static int compare_order(const void *a, const void *b, void *tensors)
{
    const struct sewa_evaluator_tensor *t = tensors;

    return strcmp(t[*(const size_t *)a].name, t[*(const size_t *)b].name);
}

static int parse_table(struct model *m, struct sewa_error *err)
{
    const json_t *list = json_object_get(m->table, "tensors");
    size_t n = json_array_size(list);

    if (!json_is_array(list))
        return sewa_fail(err, SEWA_E_PROTOCOL, "the table has no 'tensors'");
    m->tensors = calloc(n ? n : 1, sizeof *m->tensors);
    m->places = calloc(n ? n : 1, sizeof *m->places);
    m->order = calloc(n ? n : 1, sizeof *m->order);
    if (!m->tensors || !m->places || !m->order)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        int rc = parse_tensor(m, i, json_array_get(list, i), err);
        if (rc < 0)
            return rc;
        m->order[i] = i;
    }
    qsort_r(m->order, n, sizeof *m->order, compare_order, m->tensors);
    m->shown.count = n;
    m->shown.tensors = m->tensors;
    return 0;
}

static int read_table(struct model *m, int fd, int64_t bytes, struct sewa_error *err)
{
    json_error_t why;
    char *text = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0);

    if (text == MAP_FAILED)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot map the table of tensors");
    m->table = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &why);
    munmap(text, (size_t)bytes);
    if (!m->table)
        return sewa_fail(err, SEWA_E_PROTOCOL, "the table of tensors is no JSON: %s", why.text);
    return parse_table(m, err);
}

static int check_size(int fd, const char *what, int64_t banks, int64_t bank_bytes,
                      struct sewa_error *err)
{
    struct stat st;
    int64_t bytes;

    if (fd < 0 || fstat(fd, &st) < 0)
        return sewa_fail(err, SEWA_E_PROTOCOL, "no descriptor came for the %s", what);
    if (banks < 1 || bank_bytes < 0 || __builtin_mul_overflow(banks, bank_bytes, &bytes) ||
        bytes > st.st_size)
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "%" PRId64 " banks of %" PRId64 " bytes, but the %s have %lld", banks,
                         bank_bytes, what, (long long)st.st_size);
    return 0;
}

static int map_block(int fd, int64_t bytes, int flags, char **ret, struct sewa_error *err)
{
    void *data = mmap(NULL, bytes ? (size_t)bytes : 1, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (data == MAP_FAILED)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot map %" PRId64 " bytes", bytes);
    *ret = data;
    return 0;
}

int sewa_model_open(struct model *m, const struct model_blocks *b, struct sewa_error *err)
{
    m->banks = b->banks;
    m->bank_bytes = b->bank_bytes;
    m->gradient_bank_bytes = b->gradient_bank_bytes;
    int rc = check_size(b->weights, "weights", b->banks, b->bank_bytes, err);
    if (rc == 0)
        rc = check_size(b->gradient, "gradients", b->banks, b->gradient_bank_bytes, err);
    if (rc == 0)
        rc = check_size(b->table, "table", 1, b->table_bytes, err);
    if (rc == 0)
        rc = read_table(m, b->table, b->table_bytes, err);
    if (rc == 0)
        rc = map_block(b->weights, b->banks * b->bank_bytes, MAP_PRIVATE, &m->weights, err);
    if (rc == 0)
        rc = map_block(b->gradient, b->banks * b->gradient_bank_bytes, MAP_SHARED, &m->gradient,
                       err);
    return rc;
}

static void unmap(char *data, int64_t bytes)
{
    if (data)
        munmap(data, bytes ? (size_t)bytes : 1);
}

void sewa_model_close(struct model *m)
{
    unmap(m->weights, m->banks * m->bank_bytes);
    unmap(m->gradient, m->banks * m->gradient_bank_bytes);
    json_decref(m->table);
    free(m->tensors);
    free(m->places);
    free(m->order);
    memset(m, 0, sizeof *m);
}

/*
 * A page that the program once wrote to is its own copy and would never show the host's next
 * average. Pages that reach into a neighbouring bank may go as well: they come back fresh.
 */
static int drop_private_pages(struct model *m, int64_t bank, struct sewa_error *err)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)m->weights + (uintptr_t)(bank * m->bank_bytes);
    uintptr_t end = (from + (uintptr_t)m->bank_bytes + page - 1) / page * page;

    from = from / page * page;
    if (end > from && madvise((void *)from, end - from, MADV_DONTNEED) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot renew the weights of bank %" PRId64, bank);
    return 0;
}

int sewa_model_show(struct model *m, int64_t bank, bool gradient, const bool *mask,
                    struct sewa_error *err)
{
    if (bank < 0 || bank >= m->banks)
        return sewa_fail(err, SEWA_E_PROTOCOL, "bank %" PRId64 " of %" PRId64, bank, m->banks);
    int rc = drop_private_pages(m, bank, err);
    if (rc < 0)
        return rc;
    char *weights = m->weights + bank * m->bank_bytes;
    char *gradients = m->gradient + bank * m->gradient_bank_bytes;
    for (size_t i = 0; i < m->shown.count; i++) {
        struct sewa_evaluator_tensor *t = &m->tensors[i];
        t->values = weights + m->places[i].offset;
        t->gradient = NULL;
        if (!gradient || !t->is_float || (mask && !mask[i]))
            continue;
        t->gradient = (float *)(void *)(gradients + m->places[i].gradient_offset);
        memset(t->gradient, 0, (size_t)t->elements * sizeof(float));
    }
    return 0;
}

const struct sewa_evaluator_tensor *sewa_evaluator_find(const struct sewa_evaluator_model *model,
                                                        const char *name)
{
    const struct model *m = (const struct model *)(const void *)model; /* its first member */
    size_t low = 0, high = model->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct sewa_evaluator_tensor *t = &model->tensors[m->order[middle]];
        int c = strcmp(t->name, name);
        if (c == 0)
            return t;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
