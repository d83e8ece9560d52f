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

struct layout_builder *layout_builder_new(const char *format)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->body = calloc(1, sizeof *b->body);
    if (!b->body)
        return NULL;
    b->body->layout.state_key = "";
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

static int copy_numbers(struct layout_builder *b, const int64_t **numbers, unsigned n,
                        struct sewa_error *err)
{
    if (n == 0 || !*numbers) {
        *numbers = NULL;
        return 0;
    }
    int64_t *copy = arena_take(&b->body->arena, n * sizeof *copy, _Alignof(int64_t));
    if (!copy)
        return layout_no_memory(err, &b->body->layout);
    memcpy(copy, *numbers, n * sizeof *copy);
    *numbers = copy;
    return 0;
}

/* Numbers and name of t become copies. */
static int append_tensor(struct layout_builder *b, struct tensor *t, size_t name_length,
                         struct sewa_error *err)
{
    struct layout *l = &b->body->layout;
    struct tensor *tensors = layout_grow(l->tensors, l->count, &b->tensors_room, sizeof *tensors);

    if (!tensors)
        return layout_no_memory(err, l);
    l->tensors = tensors;
    int rc = copy_numbers(b, &t->shape, t->rank, err);
    if (rc == 0)
        rc = copy_numbers(b, &t->stride, t->rank, err);
    if (rc < 0)
        return rc;
    t->name = arena_text(&b->body->arena, t->name, name_length);
    if (!t->name)
        return layout_no_memory(err, l);
    tensors[l->count++] = *t;
    return 0;
}

int layout_builder_tensor(struct layout_builder *b, const struct tensor *t, struct sewa_error *err)
{
    struct tensor copy = *t;
    char name[SHOWN_NAME_SIZE];
    size_t name_length = strlen(t->name);

    assert((unsigned)t->dtype < DTYPE_COUNT);
    if (b->body->layout.count == LAYOUT_TENSORS_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED, "more than %d tensors are not supported",
                         LAYOUT_TENSORS_MAX);
    int rc = check_name(t->name, name_length, err);
    if (rc == 0)
        rc = layout_place(&copy, err);
    if (rc < 0)
        return rc;
    if (__builtin_add_overflow(b->data_bytes, t->bytes, &b->data_bytes))
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "tensor '%s' of %" PRId64 " bytes at offset %" PRId64
                         " ends behind every file",
                         shown_name(t->name, name), t->bytes, t->offset);
    return append_tensor(b, &copy, name_length, err);
}

static int by_place(const void *left, const void *right)
{
    const struct tensor *a = left, *b = right;

    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    if (a->span_bytes != b->span_bytes)
        return a->span_bytes < b->span_bytes ? -1 : 1;
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
        return layout_no_memory(err, l);
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
        return layout_no_memory(err, l);
    if (twice == 0)
        return 0;
    return sewa_fail(err, SEWA_E_CORRUPT, "the metadata have the key '%s' twice",
                     shown_name(l->metadata[index[twice]].key, shown));
}

static int check_files(const struct layout *l, struct sewa_error *err)
{
    char shown[SHOWN_NAME_SIZE];

    for (size_t i = 0; i < l->count && l->file_count > 0; i++)
        if (l->tensors[i].file >= l->file_count)
            return sewa_fail(err, SEWA_E_CORRUPT,
                             "tensor '%s' is in file %" PRIu32 " of a checkpoint that has %zu",
                             shown_name(l->tensors[i].name, shown), l->tensors[i].file,
                             l->file_count);
    return 0;
}

int layout_builder_finish(struct layout_builder *b, struct layout **ret, struct sewa_error *err)
{
    struct layout *l = &b->body->layout;

    sort_tensors(l);
    int rc = index_names(b->body, err);
    if (rc == 0)
        rc = check_metadata(l, err);
    if (rc == 0)
        rc = check_files(l, err);
    if (rc == 0)
        rc = layout_find_aliases(l, err);
    if (rc < 0)
        return rc;
    b->body = NULL;
    *ret = l;
    return 0;
}
