/*
 * layout_builder - a layout made piece by piece, for the readers of formats.
 *
 * The pieces come from files that somebody else wrote, so everything that other rooms rely on is
 * checked here, once, whatever the format: the limits, the sums, the sizes, unique names.
 * Duplicates are found by sorting, not by hashing: no choice of names makes it slow.
 * Thread: one at a time.
 */
#include "formats/layout.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/path.h"

#include "formats/layout_body.h"
#include "formats/name_order.h"
#include "formats/shown.h"

struct layout_builder {
    struct layout_body *body; /* NULL once it was handed over */
    size_t tensors_room, metadata_room;
    int64_t data_bytes;
};

struct layout_builder *layout_builder_new(const char *format)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->body = calloc(1, sizeof *b->body);
    if (!b->body)
        return NULL;
    b->body->layout.format = arena_text(&b->body->arena, format, strlen(format));
    return b->body->layout.format ? TAKE(b) : NULL;
}

void layout_builder_free(struct layout_builder *b)
{
    if (!b)
        return;
    if (b->body)
        layout_free(&b->body->layout);
    free(b);
}

/* Room for one more element; doubling. The new array, or NULL and the old one stays. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    size_t more = *room ? 2 * *room : 64;
    void *grown = realloc(array, more * size);
    if (grown)
        *room = more;
    return grown;
}

/* Length of the part in front that is plain ASCII, eight bytes at a time. */
static size_t ascii_prefix(const char *text, size_t n)
{
    size_t i = 0;

    for (uint64_t word; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        if (word & 0x8080808080808080u)
            break;
    }
    while (i < n && (unsigned char)text[i] < 0x80)
        i++;
    return i;
}

static int check_name(const char *name, size_t n, struct sewa_error *err)
{
    char shown[SHOWN_NAME_SIZE];

    if (n > LAYOUT_NAME_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "the name of tensor '%s' has %zu bytes, at most %d are supported",
                         shown_name(name, shown), n, LAYOUT_NAME_MAX);
    size_t plain = ascii_prefix(name, n);
    if (!utf8_is_valid(name + plain, n - plain)) /* not shown: messages are UTF-8 */
        return sewa_fail(err, SEWA_E_CORRUPT, "the name of a tensor is not UTF-8");
    return 0;
}

/*
 * The product is taken in uint64 from left to right, as the reference implementation does: a zero
 * behind an overflow does not heal it, one before it does.
 */
static int count_elements(const struct tensor *t, int64_t *ret, struct sewa_error *err)
{
    char name[SHOWN_NAME_SIZE], shape[SHOWN_SHAPE_SIZE];
    uint64_t product = 1;

    if (t->rank > LAYOUT_RANK_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "tensor '%s' has %u dimensions, at most %d are supported",
                         shown_name(t->name, name), t->rank, LAYOUT_RANK_MAX);
    for (unsigned i = 0; i < t->rank; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(product, (uint64_t)t->shape[i], &product))
            return sewa_fail(err, SEWA_E_CORRUPT,
                             "the shape %s of tensor '%s' has no number of elements",
                             shown_shape(t->shape, t->rank, shape), shown_name(t->name, name));
    if (product > INT64_MAX)
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "tensor '%s' has %" PRIu64 " elements, more than a file can hold",
                         shown_name(t->name, name), product);
    *ret = (int64_t)product;
    return 0;
}

static int check_place(struct layout_builder *b, const struct tensor *t, int64_t elements,
                       struct sewa_error *err)
{
    char name[SHOWN_NAME_SIZE], shape[SHOWN_SHAPE_SIZE];
    int64_t want = dtype_bytes(t->dtype, elements), end;
    uint64_t bits; /* the reference counts in them, so 2^61 bytes are too many for it */

    if (want < 0 || __builtin_mul_overflow((uint64_t)elements, dtype_bits(t->dtype), &bits))
        return sewa_fail(
            err, SEWA_E_CORRUPT, "tensor '%s' of type %s and shape %s has no whole number of bytes",
            shown_name(t->name, name), dtype_name(t->dtype), shown_shape(t->shape, t->rank, shape));
    if (want != t->bytes)
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "tensor '%s' of type %s and shape %s needs %" PRId64
                         " bytes and is given %" PRId64,
                         shown_name(t->name, name), dtype_name(t->dtype),
                         shown_shape(t->shape, t->rank, shape), want, t->bytes);
    if (t->offset < 0 || __builtin_add_overflow(t->offset, t->bytes, &end) ||
        __builtin_add_overflow(b->data_bytes, t->bytes, &b->data_bytes))
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "tensor '%s' of %" PRId64 " bytes at offset %" PRId64
                         " ends behind every file",
                         shown_name(t->name, name), t->bytes, t->offset);
    return 0;
}

static int no_memory(struct sewa_error *err, const struct layout *l)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a layout of %zu tensors", l->count);
}

static int append_tensor(struct layout_builder *b, const struct tensor *t, size_t name_length,
                         int64_t elements, struct sewa_error *err)
{
    struct layout *l = &b->body->layout;
    struct arena *arena = &b->body->arena;
    struct tensor *tensors = grow(l->tensors, l->count, &b->tensors_room, sizeof *tensors);
    int64_t *shape = NULL;

    if (!tensors)
        return no_memory(err, l);
    l->tensors = tensors;
    if (t->rank) {
        shape = arena_take(arena, t->rank * sizeof *shape, _Alignof(int64_t));
        if (!shape)
            return no_memory(err, l);
        memcpy(shape, t->shape, t->rank * sizeof *shape);
    }
    const char *name = arena_text(arena, t->name, name_length);
    if (!name)
        return no_memory(err, l);
    struct tensor *added = &tensors[l->count++];
    *added = *t;
    added->name = name;
    added->shape = shape;
    added->elements = elements;
    return 0;
}

int layout_builder_tensor(struct layout_builder *b, const struct tensor *t, struct sewa_error *err)
{
    int64_t elements = 0;
    size_t name_length = strlen(t->name);

    assert((unsigned)t->dtype < DTYPE_COUNT);
    if (b->body->layout.count == LAYOUT_TENSORS_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED, "more than %d tensors are not supported",
                         LAYOUT_TENSORS_MAX);
    int rc = check_name(t->name, name_length, err);
    if (rc == 0)
        rc = count_elements(t, &elements, err);
    if (rc == 0)
        rc = check_place(b, t, elements, err);
    return rc < 0 ? rc : append_tensor(b, t, name_length, elements, err);
}

int layout_builder_metadata(struct layout_builder *b, const char *key, const char *value,
                            struct sewa_error *err)
{
    struct layout *l = &b->body->layout;
    struct arena *arena = &b->body->arena;

    if (l->metadata_count == LAYOUT_METADATA_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED, "more than %d metadata keys are not supported",
                         LAYOUT_METADATA_MAX);
    struct layout_metadata *metadata =
        grow(l->metadata, l->metadata_count, &b->metadata_room, sizeof *metadata);
    if (!metadata)
        return no_memory(err, l);
    l->metadata = metadata;
    struct layout_metadata *added = &metadata[l->metadata_count];
    added->key = arena_text(arena, key, strlen(key));
    added->value = arena_text(arena, value, strlen(value));
    if (!added->key || !added->value)
        return no_memory(err, l);
    l->metadata_count++;
    return 0;
}

static int by_place(const void *left, const void *right)
{
    const struct tensor *a = left, *b = right;

    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

static const char *tensor_name(const void *of, size_t i)
{
    return ((const struct tensor *)of)[i].name;
}

static const char *metadata_key(const void *of, size_t i)
{
    return ((const struct layout_metadata *)of)[i].key;
}

static void sort_tensors(struct layout *l)
{
    for (size_t i = 1; i < l->count; i++)
        if (by_place(&l->tensors[i - 1], &l->tensors[i]) > 0) {
            qsort(l->tensors, l->count, sizeof *l->tensors, by_place);
            return;
        }
}

static int index_names(struct layout_body *body, struct sewa_error *err)
{
    struct layout *l = &body->layout;
    char shown[SHOWN_NAME_SIZE];
    size_t twice;

    if (l->count == 0)
        return 0;
    l->by_name = body->by_name = malloc(l->count * sizeof *body->by_name);
    if (!l->by_name || name_order(tensor_name, l->tensors, l->count, body->by_name, &twice) < 0)
        return no_memory(err, l);
    if (twice == 0)
        return 0;
    const struct tensor *a = &l->tensors[l->by_name[twice - 1]];
    const struct tensor *b = &l->tensors[l->by_name[twice]];
    return sewa_fail(err, SEWA_E_CORRUPT,
                     "two tensors have the name '%s' (data at offsets %" PRId64 " and %" PRId64 ")",
                     shown_name(a->name, shown), a->offset, b->offset);
}

static int check_metadata(struct layout *l, struct sewa_error *err)
{
    char shown[SHOWN_NAME_SIZE];
    size_t twice;

    if (l->metadata_count == 0)
        return 0;
    AUTOFREE uint32_t *index = malloc(l->metadata_count * sizeof *index);
    if (!index || name_order(metadata_key, l->metadata, l->metadata_count, index, &twice) < 0)
        return no_memory(err, l);
    if (twice == 0)
        return 0;
    return sewa_fail(err, SEWA_E_CORRUPT, "the metadata have the key '%s' twice",
                     shown_name(l->metadata[index[twice]].key, shown));
}

int layout_builder_finish(struct layout_builder *b, struct layout **ret, struct sewa_error *err)
{
    struct layout *l = &b->body->layout;

    sort_tensors(l);
    int rc = index_names(b->body, err);
    if (rc == 0)
        rc = check_metadata(l, err);
    if (rc < 0)
        return rc;
    b->body = NULL;
    *ret = l;
    return 0;
}
