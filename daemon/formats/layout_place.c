/*
 * layout_place - how many elements a tensor has and where they lie: products of numbers that
 * somebody else wrote, each of which may overflow. Pure. Thread: any.
 */
#include <inttypes.h>
#include <stdbool.h>

#include "formats/layout_body.h"
#include "formats/shown.h"

/*
 * The product is taken in uint64 from left to right, as the reference implementation of safetensors
 * does: a zero behind an overflow does not heal it, one before it does.
 */
static int count_elements(struct tensor *t, struct sewa_error *err)
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
    t->elements = (int64_t)product;
    return 0;
}

static int check_bytes(const struct tensor *t, struct sewa_error *err)
{
    char name[SHOWN_NAME_SIZE], shape[SHOWN_SHAPE_SIZE];
    int64_t want = dtype_bytes(t->dtype, t->elements);
    uint64_t bits; /* the reference counts in them, so 2^61 bytes are too many for it */

    if (want < 0 || __builtin_mul_overflow((uint64_t)t->elements, dtype_bits(t->dtype), &bits))
        return sewa_fail(
            err, SEWA_E_CORRUPT, "tensor '%s' of type %s and shape %s has no whole number of bytes",
            shown_name(t->name, name), dtype_name(t->dtype), shown_shape(t->shape, t->rank, shape));
    if (want != t->bytes)
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "tensor '%s' of type %s and shape %s needs %" PRId64
                         " bytes and is given %" PRId64,
                         shown_name(t->name, name), dtype_name(t->dtype),
                         shown_shape(t->shape, t->rank, shape), want, t->bytes);
    return 0;
}

/* Whether the strides are those of C order. The stride of a dimension of one element never counts,
 * and without elements none does. */
static bool is_contiguous(const struct tensor *t)
{
    int64_t expected = 1; /* at most elements, which are counted: no overflow */

    if (!t->stride || t->elements == 0)
        return true;
    for (unsigned i = t->rank; i-- > 0; expected *= t->shape[i])
        if (t->shape[i] != 1 && t->stride[i] != expected)
            return false;
    return true;
}

/* Bytes from the first element to the end of the last, which is not always that of the last index:
 * with a stride of 0 they are fewer than the elements have. */
static int measure_span(struct tensor *t, struct sewa_error *err)
{
    char name[SHOWN_NAME_SIZE], strides[SHOWN_SHAPE_SIZE];
    int64_t last = 0, far = 0;
    bool failed = dtype_bits(t->dtype) % 8 != 0;

    for (unsigned i = 0; i < t->rank && !failed; i++)
        failed = t->stride[i] < 0 || __builtin_mul_overflow(t->shape[i] - 1, t->stride[i], &far) ||
                 __builtin_add_overflow(last, far, &last);
    if (!failed)
        failed = last == INT64_MAX || (t->span_bytes = dtype_bytes(t->dtype, last + 1)) < 0;
    if (failed)
        return sewa_fail(err, SEWA_E_CORRUPT, "the strides %s of tensor '%s' lead to no place",
                         shown_shape(t->stride, t->rank, strides), shown_name(t->name, name));
    return 0;
}

static int check_strides_of_nothing(const struct tensor *t, struct sewa_error *err)
{
    char name[SHOWN_NAME_SIZE], strides[SHOWN_SHAPE_SIZE];

    for (unsigned i = 0; t->stride && i < t->rank; i++)
        if (t->stride[i] < 0)
            return sewa_fail(err, SEWA_E_CORRUPT, "the strides %s of tensor '%s' lead to no place",
                             shown_shape(t->stride, t->rank, strides), shown_name(t->name, name));
    return 0;
}

int layout_place(struct tensor *t, struct sewa_error *err)
{
    char name[SHOWN_NAME_SIZE];
    int64_t end;
    int rc = count_elements(t, err);

    if (rc == 0)
        rc = check_bytes(t, err);
    if (rc == 0)
        rc = check_strides_of_nothing(t, err);
    if (rc < 0)
        return rc;
    t->span_bytes = t->bytes;
    if (is_contiguous(t))
        t->stride = NULL;
    else if ((rc = measure_span(t, err)) < 0)
        return rc;
    if (t->offset < 0 || __builtin_add_overflow(t->offset, t->bytes, &end) ||
        __builtin_add_overflow(t->offset, t->span_bytes, &end))
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "tensor '%s' of %" PRId64 " bytes at offset %" PRId64
                         " ends behind every file",
                         shown_name(t->name, name), t->bytes, t->offset);
    return 0;
}
