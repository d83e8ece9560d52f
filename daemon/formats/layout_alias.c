/*
 * layout_alias - tensors that are one: tied weights, which a file may name twice. Only tensors that
 * begin at the same place can be, and in files that people make there are few of those; sorting
 * them keeps a file that was made to have many from costing more than n log n.
 */
#include <string.h>

#include "formats/layout_body.h"

static int compare_numbers(const int64_t *a, const int64_t *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* Of the dimensions with more than one element: the others never move. */
static int compare_strides(const struct tensor *a, const struct tensor *b)
{
    if (!a->stride || !b->stride)
        return (a->stride != NULL) - (b->stride != NULL);
    for (unsigned i = 0; i < a->rank; i++)
        if (a->shape[i] != 1 && a->stride[i] != b->stride[i])
            return a->stride[i] < b->stride[i] ? -1 : 1;
    return 0;
}

/* 0 for tensors that have the same elements; they begin at the same place. */
static int compare_elements(const struct tensor *a, const struct tensor *b)
{
    if (a->dtype != b->dtype)
        return a->dtype < b->dtype ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    int order = compare_numbers(a->shape, b->shape, a->rank);
    return order ? order : compare_strides(a, b);
}

static int by_elements(const void *left, const void *right)
{
    const struct tensor *a = *(const struct tensor *const *)left;
    const struct tensor *b = *(const struct tensor *const *)right;
    int order = compare_elements(a, b);

    return order ? order : a < b ? -1 : 1; /* the first in the layout comes first */
}

/* All begin at the same place and have bytes. */
static void tie_group(struct layout *l, struct tensor **group, size_t count)
{
    size_t first = 0;

    qsort(group, count, sizeof(struct tensor *), by_elements);
    for (size_t i = 1; i < count; i++) {
        if (compare_elements(group[first], group[i]) == 0)
            group[i]->alias_of = (uint32_t)(group[first] - l->tensors);
        else
            first = i;
    }
}

static size_t group_end(const struct layout *l, size_t start)
{
    const struct tensor *t = &l->tensors[start];
    size_t end = start + 1;

    while (end < l->count && l->tensors[end].file == t->file && l->tensors[end].offset == t->offset)
        end++;
    return end;
}

int layout_find_aliases(struct layout *l, struct sewa_error *err)
{
    AUTOFREE struct tensor **group = NULL;

    for (size_t i = 0; i < l->count; i++)
        l->tensors[i].alias_of = LAYOUT_NO_ALIAS;
    for (size_t start = 0, end; start < l->count; start = end) {
        size_t count = 0;
        end = group_end(l, start);
        if (end - start == 1)
            continue;
        if (!group) /* once, for the largest there can be */
            group = malloc((l->count - start) * sizeof(struct tensor *));
        if (!group)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a layout of %zu tensors",
                             l->count);
        for (size_t i = start; i < end; i++)
            if (l->tensors[i].bytes > 0)
                group[count++] = &l->tensors[i];
        if (count > 1)
            tie_group(l, group, count);
    }
    return 0;
}

bool layout_is_plain(const struct layout *l, const struct tensor **ret_other)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->tensors[i].stride || l->tensors[i].alias_of != LAYOUT_NO_ALIAS ||
            l->tensors[i].file != 0 ||
            (i > 0 && l->tensors[i].offset < l->tensors[i - 1].offset + l->tensors[i - 1].bytes)) {
            if (ret_other)
                *ret_other = &l->tensors[i];
            return false;
        }
    return l->file_count == 0;
}
