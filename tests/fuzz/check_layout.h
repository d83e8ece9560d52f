/*
 * check_layout - what must be true of every layout, whoever made it. For the fuzz targets.
 */
#ifndef TESTS_CHECK_LAYOUT_H
#define TESTS_CHECK_LAYOUT_H

#include <string.h>

#include "formats/layout.h"

#include "fuzz.h"

/* An alias comes behind what it is an alias of, which is none, and has the same elements. */
static inline void check_alias(const struct layout *l, const struct tensor *t)
{
    if (t->alias_of == LAYOUT_NO_ALIAS)
        return;
    MUST(t->alias_of < (size_t)(t - l->tensors));
    const struct tensor *of = &l->tensors[t->alias_of];
    MUST(of->alias_of == LAYOUT_NO_ALIAS && t->bytes > 0);
    MUST(of->file == t->file && of->offset == t->offset && of->span_bytes == t->span_bytes);
    MUST(of->dtype == t->dtype && of->rank == t->rank && of->bytes == t->bytes);
    MUST(t->rank == 0 || memcmp(of->shape, t->shape, t->rank * sizeof *t->shape) == 0);
}

static inline void check_tensor(const struct layout *l, const struct tensor *t)
{
    unsigned __int128 bits = dtype_bits(t->dtype);

    MUST(t->rank <= LAYOUT_RANK_MAX && (t->rank == 0) == (t->shape == NULL));
    for (unsigned i = 0; i < t->rank; i++) {
        MUST(t->shape[i] >= 0);
        bits *= (uint64_t)t->shape[i]; /* exact: the builder refused a product past 2^64 */
    }
    MUST(t->elements >= 0 && t->bytes >= 0 && t->offset >= 0);
    MUST(bits == (unsigned __int128)t->elements * dtype_bits(t->dtype));
    MUST(bits == (unsigned __int128)t->bytes * 8);
    MUST(t->offset <= INT64_MAX - t->bytes);
    MUST(t->span_bytes >= 0 && t->offset <= INT64_MAX - t->span_bytes);
    MUST(t->stride || t->span_bytes == t->bytes);
    MUST(!t->stride || (t->rank > 0 && t->elements > 0));
    for (unsigned i = 0; t->stride && i < t->rank; i++)
        MUST(t->stride[i] >= 0);
    MUST(l->file_count == 0 || t->file < l->file_count);
    check_alias(l, t);
    MUST(strlen(t->name) <= LAYOUT_NAME_MAX);
    MUST(layout_find(l, t->name) == t);
}

/* Tables of a and b are the same, places included. */
static inline void check_same(const struct layout *a, const struct layout *b)
{
    uint8_t sign_a[32], sign_b[32];

    MUST(strcmp(a->format, b->format) == 0 && a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct tensor *x = &a->tensors[i], *y = &b->tensors[i];
        MUST(strcmp(x->name, y->name) == 0 && x->dtype == y->dtype && x->rank == y->rank);
        MUST(x->file == y->file && x->offset == y->offset && x->bytes == y->bytes);
        MUST(x->rank == 0 || memcmp(x->shape, y->shape, x->rank * sizeof *x->shape) == 0);
        MUST((x->stride != NULL) == (y->stride != NULL) && x->alias_of == y->alias_of);
        MUST(!x->stride || memcmp(x->stride, y->stride, x->rank * sizeof *x->stride) == 0);
    }
    MUST(strcmp(a->state_key, b->state_key) == 0 && a->file_count == b->file_count);
    MUST(a->note_count == b->note_count && a->left_count == b->left_count);
    for (size_t i = 0; i < a->left_count; i++)
        MUST(strcmp(a->left[i], b->left[i]) == 0);
    MUST(layout_signature(a, sign_a, NULL) == 0 && layout_signature(b, sign_b, NULL) == 0);
    MUST(memcmp(sign_a, sign_b, sizeof sign_a) == 0);
    MUST(layout_compare(a, "a", b, "b", NULL) == 0);
}

static inline void check_layout(const struct layout *l)
{
    AUTO(buf_clear) struct buf bytes = { 0 }, again = { 0 };
    AUTOPTR(layout_free) struct layout *back = NULL;

    for (size_t i = 0; i < l->count; i++) {
        check_tensor(l, &l->tensors[i]);
        if (i > 0)
            MUST(strcmp(l->tensors[l->by_name[i - 1]].name, l->tensors[l->by_name[i]].name) < 0);
    }
    MUST(layout_data_bytes(l) >= 0 && layout_float_elements(l) >= 0);
    MUST(layout_encode(l, &bytes, NULL) == 0);
    MUST(layout_decode(bytes.data, bytes.len, &back, NULL) == 0);
    check_same(l, back);
    MUST(layout_encode(back, &again, NULL) == 0);
    MUST(bytes.len == again.len && memcmp(bytes.data, again.data, bytes.len) == 0);
}

#endif
