/*
 * check_layout - what must be true of every layout, whoever made it. For the fuzz targets.
 */
#ifndef TESTS_CHECK_LAYOUT_H
#define TESTS_CHECK_LAYOUT_H

#include <string.h>

#include "formats/layout.h"

#include "fuzz.h"

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
    }
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
