/*
 * torch_tensor - what Python would make a tensor of, as a place in the file.
 *
 *     torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, extra])
 *     torch._utils._rebuild_tensor_v3(the same, dtype[, extra])
 *     torch._utils._rebuild_parameter(tensor, requires_grad, hooks)
 *     torch._utils._rebuild_parameter_with_state(the same, state)
 *     torch._tensor._rebuild_from_type_v2(function, type, arguments, state)
 *
 * A storage is the persistent id ("storage", type, key, location, number of elements).
 * Each number is checked against the bytes that are there; nothing is taken on trust.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/shown.h"
#include "formats/torch_body.h"

enum { WRAPPINGS_MAX = 8, NONE = -1, UNTYPED = -2 };

/* What is being read, for messages. */
struct subject {
    const struct torch_archive *archive;
    const char *key;
    struct sewa_error *err;
};

static int fail(const struct subject *s, int code, const char *what)
{
    char key[SHOWN_NAME_SIZE];

    return sewa_fail(s->err, code, "'%s': '%s' %s", s->archive->name, shown_name(s->key, key),
                     what);
}

/* ---- types ---- */

static const struct {
    const char *storage, *dtype; /* names below "torch." */
    int type;                    /* enum dtype, or NONE: known to PyTorch and not to us */
} types[] = {
    { "FloatStorage", "float32", DTYPE_F32 },
    { "HalfStorage", "float16", DTYPE_F16 },
    { "BFloat16Storage", "bfloat16", DTYPE_BF16 },
    { "DoubleStorage", "float64", DTYPE_F64 },
    { "LongStorage", "int64", DTYPE_I64 },
    { "IntStorage", "int32", DTYPE_I32 },
    { "ShortStorage", "int16", DTYPE_I16 },
    { "CharStorage", "int8", DTYPE_I8 },
    { "ByteStorage", "uint8", DTYPE_U8 },
    { "BoolStorage", "bool", DTYPE_BOOL },
    { "ComplexFloatStorage", "complex64", DTYPE_C64 },
    { "ComplexDoubleStorage", "complex128", NONE },
    { "ComplexHalfStorage", "complex32", NONE },
    { "QInt8Storage", "qint8", NONE },
    { "QUInt8Storage", "quint8", NONE },
    { "QInt32Storage", "qint32", NONE },
    { "QUInt4x2Storage", "quint4x2", NONE },
    { "QUInt2x4Storage", "quint2x4", NONE },
    { "UntypedStorage", "", UNTYPED },
    { "_UntypedStorage", "", UNTYPED },
    { "", "uint16", DTYPE_U16 },
    { "", "uint32", DTYPE_U32 },
    { "", "uint64", DTYPE_U64 },
    { "", "float8_e4m3fn", DTYPE_F8_E4M3 },
    { "", "float8_e5m2", DTYPE_F8_E5M2 },
    { "", "float8_e4m3fnuz", DTYPE_F8_E4M3FNUZ },
    { "", "float8_e5m2fnuz", DTYPE_F8_E5M2FNUZ },
    { "", "float8_e8m0fnu", DTYPE_F8_E8M0 },
};

static int fail_type(const struct subject *s, const char *name)
{
    char what[2 * SHOWN_NAME_SIZE], shown[SHOWN_NAME_SIZE];

    snprintf(what, sizeof what, "has elements of type %s, which are not read",
             shown_name(name, shown));
    return fail(s, SEWA_E_UNSUPPORTED, what);
}

/* The name behind "torch." and perhaps a module of it, or NULL. */
static const char *torch_name(const struct pickle_node *n)
{
    static const char *const modules[] = { "torch.storage.", "torch.cuda.", "torch." };

    for (size_t i = 0; n->kind == PICKLE_GLOBAL && i < COUNT_OF(modules); i++)
        if (strncmp(n->text, modules[i], strlen(modules[i])) == 0)
            return n->text + strlen(modules[i]);
    return NULL;
}

static int find_type(const struct subject *s, const struct pickle_node *n, bool is_storage,
                     int *ret)
{
    const char *name = torch_name(n);

    for (size_t i = 0; name && i < COUNT_OF(types); i++) {
        const char *known = is_storage ? types[i].storage : types[i].dtype;
        if (*known == '\0' || strcmp(known, name) != 0)
            continue;
        if (types[i].type == NONE)
            return fail_type(s, n->text);
        *ret = types[i].type;
        return 0;
    }
    if (n->kind == PICKLE_GLOBAL)
        return fail_type(s, n->text);
    return fail(s, SEWA_E_CORRUPT, "has a type that is no name");
}

int torch_dtype(const struct pickle_node *n)
{
    const char *name = torch_name(n);

    for (size_t i = 0; name && i < COUNT_OF(types); i++)
        if (*types[i].dtype && strcmp(types[i].dtype, name) == 0)
            return types[i].type;
    return -1;
}

/* ---- numbers ---- */

int torch_counts(const struct pickle_node *n, int64_t ret[LAYOUT_RANK_MAX])
{
    if (pickle_is_call(n, "torch.Size") && n->object->args->count == 1)
        n = n->object->args->items[0];
    if ((n->kind != PICKLE_TUPLE && n->kind != PICKLE_LIST) || n->count > LAYOUT_RANK_MAX)
        return -1;
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->items[i]->kind != PICKLE_INTEGER || n->items[i]->integer < 0)
            return -1;
        ret[i] = n->items[i]->integer;
    }
    return (int)n->count;
}

static int get_count(const struct subject *s, const struct pickle_node *n, const char *what,
                     int64_t *ret)
{
    char text[96];

    if (n->kind == PICKLE_INTEGER && n->integer >= 0) {
        *ret = n->integer;
        return 0;
    }
    if (n->kind == PICKLE_INTEGER)
        snprintf(text, sizeof text, "has the %s %" PRId64, what, n->integer);
    else
        snprintf(text, sizeof text, "has a %s that is no integer of 64 bits", what);
    return fail(s, SEWA_E_CORRUPT, text);
}

/* A tuple of numbers, or torch.Size of one. */
static int get_counts(const struct subject *s, const struct pickle_node *n, const char *what,
                      int64_t ret[LAYOUT_RANK_MAX], unsigned *ret_count)
{
    int rc = 0;

    if (pickle_is_call(n, "torch.Size") && n->object->args->count == 1)
        n = n->object->args->items[0];
    if (n->kind != PICKLE_TUPLE && n->kind != PICKLE_LIST)
        return fail(s, SEWA_E_CORRUPT, "has a shape or strides that are no tuple");
    if (n->count > LAYOUT_RANK_MAX)
        return fail(s, SEWA_E_UNSUPPORTED, "has more than 16 dimensions");
    for (uint32_t i = 0; i < n->count && rc == 0; i++)
        rc = get_count(s, n->items[i], what, &ret[i]);
    *ret_count = n->count;
    return rc;
}

/* ---- storages ---- */

struct storage {
    const struct zip_member *member;
    int type;      /* enum dtype or UNTYPED */
    int64_t count; /* elements; bytes of what is untyped */
};

static int find_storage(const struct subject *s, const struct pickle_node *key,
                        const struct zip_member **ret)
{
    char name[ZIP_NAME_MAX + 1], text[128], shown[SHOWN_NAME_SIZE];
    const char *prefix = s->archive->prefix;
    size_t n = strlen(prefix);

    if (n + 5 > ZIP_NAME_MAX)
        return fail(s, SEWA_E_UNSUPPORTED, "is in an archive whose name is too long");
    memcpy(name, prefix, n);
    memcpy(name + n, "data/", 5);
    if (!torch_text(key, name + n + 5, sizeof name - n - 5))
        return fail(s, SEWA_E_CORRUPT, "has a storage without a name");
    *ret = zip_find(s->archive->zip, name);
    if (*ret)
        return 0;
    snprintf(text, sizeof text, "needs storage '%s', which the archive does not have",
             shown_name(name + n + 5, shown));
    return fail(s, SEWA_E_CORRUPT, text);
}

/* GHSA-63cw-57p8-fm3p, pytorch 181310: the bytes that are there are those that were announced. */
static int check_storage(const struct subject *s, const struct storage *storage)
{
    char text[160];
    int64_t bytes = storage->type == UNTYPED
                        ? storage->count
                        : dtype_bytes((enum dtype)storage->type, storage->count);

    if (bytes == storage->member->bytes)
        return 0;
    snprintf(text, sizeof text,
             "is in a storage of %" PRId64 " elements, which the archive has %" PRId64 " bytes of",
             storage->count, storage->member->bytes);
    return fail(s, SEWA_E_CORRUPT, text);
}

static int get_storage(const struct subject *s, const struct pickle_node *n, struct storage *ret)
{
    const struct pickle_node *id = n->kind == PICKLE_PERSISTENT ? n->items[0] : NULL;

    if (!id || id->kind != PICKLE_TUPLE || id->count < 5 || id->count > 6 ||
        !pickle_is_text(id->items[0], "storage"))
        return fail(s, SEWA_E_CORRUPT, "has no storage");
    if (id->count == 6 && id->items[5]->kind != PICKLE_NONE)
        return fail(s, SEWA_E_UNSUPPORTED, "is a view of a view, as PyTorch 0.3 wrote them");
    int rc = find_type(s, id->items[1], true, &ret->type);
    if (rc == 0)
        rc = get_count(s, id->items[4], "number of elements in its storage", &ret->count);
    if (rc == 0)
        rc = find_storage(s, id->items[2], &ret->member);
    return rc < 0 ? rc : check_storage(s, ret);
}

/* ---- tensors ---- */

/* pytorch 184652: every element lies within the storage, whatever offset and strides say. */
static int check_place(const struct subject *s, const struct storage *storage, struct tensor *t,
                       int64_t first)
{
    int64_t size = dtype_bits(t->dtype) / 8, last = first, far = 0, end = 0, begin = 0;
    bool failed = false;

    t->elements = 1;
    for (unsigned i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(t->elements, t->shape[i], &t->elements))
            return fail(s, SEWA_E_CORRUPT, "has a shape without a number of elements");
    if (__builtin_mul_overflow(t->elements, size, &t->bytes))
        return fail(s, SEWA_E_CORRUPT, "has a shape without a number of elements");
    if (t->elements == 0) { /* it is nowhere, and may point anywhere */
        t->offset = storage->member->offset;
        t->stride = NULL;
        return 0;
    }
    for (unsigned i = 0; i < t->rank && !failed; i++)
        failed = __builtin_mul_overflow(t->shape[i] - 1, t->stride[i], &far) ||
                 __builtin_add_overflow(last, far, &last);
    if (failed || __builtin_mul_overflow(first, size, &begin) ||
        __builtin_add_overflow(last, 1, &end) || __builtin_mul_overflow(end, size, &end) ||
        end > storage->member->bytes)
        return fail(s, SEWA_E_CORRUPT, "reaches behind the end of its storage");
    t->offset = storage->member->offset + begin;
    return 0;
}

static int refuse_bits(const struct subject *s, const struct pickle_node *n)
{
    const struct pickle_node *d = torch_dictionary(n);

    if (n->kind == PICKLE_NONE || (d && d->count == 0))
        return 0;
    return fail(s, SEWA_E_UNSUPPORTED,
                "is kept conjugated or negated: save it after "
                "resolve_conj() and resolve_neg()");
}

/* version 2: storage, offset, size, stride, requires_grad, hooks; version 3: and dtype. */
static int get_plain(const struct subject *s, const struct pickle_node *args, unsigned version,
                     struct torch_numbers *numbers, struct tensor *ret)
{
    struct storage storage = { .type = NONE };
    unsigned fixed = version == 3 ? 7 : 6, strides = 0, rank = 0;
    int64_t first = 0;
    int type = NONE;

    if (version == 1 ? args->count != 4 : (args->count < fixed || args->count > fixed + 1))
        return fail(s, SEWA_E_CORRUPT, "is made with a wrong number of arguments");
    int rc = get_storage(s, args->items[0], &storage);
    if (rc == 0)
        rc = get_count(s, args->items[1], "offset", &first);
    if (rc == 0)
        rc = get_counts(s, args->items[2], "dimension", numbers->shape, &rank);
    if (rc == 0)
        rc = get_counts(s, args->items[3], "stride", numbers->stride, &strides);
    if (rc == 0 && rank != strides)
        rc = fail(s, SEWA_E_CORRUPT, "has not as many strides as dimensions");
    if (rc == 0)
        type = storage.type;
    if (rc == 0 && version == 3)
        rc = find_type(s, args->items[6], false, &type);
    if (rc == 0 && type < 0)
        rc = fail(s, SEWA_E_CORRUPT, "has elements without a type");
    if (rc == 0 && version != 1 && args->count == fixed + 1)
        rc = refuse_bits(s, args->items[fixed]);
    if (rc < 0)
        return rc;
    *ret = (struct tensor){ .dtype = (enum dtype)type,
                            .rank = (uint8_t)rank,
                            .shape = rank ? numbers->shape : NULL,
                            .stride = rank ? numbers->stride : NULL };
    return check_place(s, &storage, ret, first);
}

enum making { PLAIN_1, PLAIN_2, PLAIN_3, WRAPPED, TYPED, REFUSED };

/* Everything that PyTorch makes tensors with. */
static const struct {
    const char *callable;
    enum making making;
    const char *what; /* why it is refused */
} makers[] = {
    { "torch._utils._rebuild_tensor_v2", PLAIN_2, NULL },
    { "torch._utils._rebuild_parameter", WRAPPED, NULL },
    { "torch._utils._rebuild_parameter_with_state", WRAPPED, NULL },
    { "torch._utils._rebuild_tensor_v3", PLAIN_3, NULL },
    { "torch._utils._rebuild_tensor", PLAIN_1, NULL },
    { "torch._tensor._rebuild_from_type_v2", TYPED, NULL },
    { "torch._tensor._rebuild_from_type", TYPED, NULL },
    { "torch._utils._rebuild_sparse_tensor", REFUSED, "is a sparse tensor, which is not read" },
    { "torch._utils._rebuild_sparse_csr_tensor", REFUSED, "is a sparse tensor, which is not read" },
    { "torch._utils._rebuild_qtensor", REFUSED,
      "is a quantized tensor: average before quantizing" },
    { "torch._utils._rebuild_meta_tensor_no_storage", REFUSED,
      "is a tensor without data (device 'meta')" },
    { "torch._utils._rebuild_nested_tensor", REFUSED, "is a nested tensor, which is not read" },
    { "torch._utils._rebuild_wrapper_subclass", REFUSED,
      "is a tensor of a class of its own, which is not read" },
    { "torch._utils._rebuild_device_tensor_from_numpy", REFUSED,
      "was on a device whose tensors are saved as NumPy arrays: save it from the CPU" },
    { "torch._utils._rebuild_device_tensor_from_cpu_tensor", REFUSED,
      "was on a device of another maker: save it from the CPU" },
    { "torch._utils._rebuild_xla_tensor", REFUSED, "was on an XLA device: save it from the CPU" },
    { "torch.distributed.tensor.DTensor", REFUSED,
      "is part of a distributed tensor: save the full state (full_tensor())" },
    { "torch.distributed._tensor.api.DTensor", REFUSED,
      "is part of a distributed tensor: save the full state (full_tensor())" },
    { "torch.distributed._shard.sharded_tensor.api.ShardedTensor", REFUSED,
      "is part of a sharded tensor: save the full state (StateDictType.FULL_STATE_DICT)" },
};

/* Row of the table, or -1. */
static int find_maker(const struct pickle_node *n)
{
    if (n->kind == PICKLE_OBJECT && n->object->callable->kind == PICKLE_GLOBAL)
        for (size_t i = 0; i < COUNT_OF(makers); i++)
            if (strcmp(n->object->callable->text, makers[i].callable) == 0)
                return (int)i;
    return -1;
}

bool torch_is_tensor(const struct pickle_node *n)
{
    return find_maker(n) >= 0;
}

/* _rebuild_from_type_v2(function, type, arguments, state): as if the function were called itself.
 * pytorch 169570: each of them is looked at before it is used. */
static int unwrap_typed(const struct subject *s, const struct pickle_node *args,
                        struct pickle_object *object, struct pickle_node *ret)
{
    static const char *const fine[] = { "torch.Tensor", "torch._tensor.Tensor",
                                        "torch.nn.parameter.Parameter",
                                        "torch.nn.parameter.Buffer" };
    char text[128], shown[SHOWN_NAME_SIZE];

    if (args->count != 4 || args->items[0]->kind != PICKLE_GLOBAL ||
        args->items[1]->kind != PICKLE_GLOBAL || args->items[2]->kind != PICKLE_TUPLE)
        return fail(s, SEWA_E_CORRUPT, "is made with wrong arguments");
    for (size_t i = 0; i < COUNT_OF(fine); i++)
        if (pickle_is_global(args->items[1], fine[i])) {
            *object = (struct pickle_object){ .callable = args->items[0], .args = args->items[2] };
            *ret = (struct pickle_node){ .kind = PICKLE_OBJECT, .object = object };
            return 0;
        }
    snprintf(text, sizeof text, "is a tensor of class %s, which is not read",
             shown_name(args->items[1]->text, shown));
    return fail(s, SEWA_E_UNSUPPORTED, text);
}

static int fail_kind(const struct subject *s, const struct pickle_node *n)
{
    char kind[128], text[192];

    snprintf(text, sizeof text, "is %s and no tensor", torch_kind(n, kind, sizeof kind));
    return fail(s, SEWA_E_UNSUPPORTED, text);
}

int torch_tensor(const struct torch_archive *a, const struct pickle_node *n, const char *key,
                 struct torch_numbers *numbers, struct tensor *ret, struct sewa_error *err)
{
    struct subject s = { a, key, err };
    struct pickle_object object;
    struct pickle_node typed;

    for (int depth = 0; depth < WRAPPINGS_MAX; depth++) {
        int row = find_maker(n), rc = 0;
        if (row < 0)
            return fail_kind(&s, n);
        const struct pickle_node *args = n->object->args;
        if (n->object->items || n->object->has_elements || n->object->state)
            return fail(&s, SEWA_E_CORRUPT, "is a tensor that is changed after it is made");
        switch (makers[row].making) {
        case PLAIN_1: return get_plain(&s, args, 1, numbers, ret);
        case PLAIN_2: return get_plain(&s, args, 2, numbers, ret);
        case PLAIN_3: return get_plain(&s, args, 3, numbers, ret);
        case REFUSED: return fail(&s, SEWA_E_UNSUPPORTED, makers[row].what);
        case WRAPPED:
            if (args->count < 3 || args->count > 4)
                return fail(&s, SEWA_E_CORRUPT, "is made with a wrong number of arguments");
            n = args->items[0];
            break;
        case TYPED:
            rc = unwrap_typed(&s, args, &object, &typed);
            n = &typed;
            break;
        }
        if (rc < 0)
            return rc;
    }
    return fail(&s, SEWA_E_CORRUPT, "is wrapped too often");
}
