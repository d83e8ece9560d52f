/*
 * layout_compare - say how the tensors of two checkpoints differ, in a text that helps a person.
 * Both tables are walked in order of names at once, so the order within the files does not matter.
 * Pure. Thread: any.
 */
#include "formats/layout.h"

#include <stdio.h>
#include <string.h>

#include "formats/shown.h"

enum kind { MISSING, EXTRA, SHAPE, TYPE, KINDS };

enum { EXAMPLES = 5 };

struct difference {
    size_t count[KINDS];
    struct {
        const struct tensor *a, *b; /* one of them is NULL for MISSING and EXTRA */
    } example[KINDS][EXAMPLES];
};

static void note(struct difference *d, enum kind kind, const struct tensor *a,
                 const struct tensor *b)
{
    if (d->count[kind] < EXAMPLES) {
        d->example[kind][d->count[kind]].a = a;
        d->example[kind][d->count[kind]].b = b;
    }
    d->count[kind]++;
}

static void note_pair(struct difference *d, const struct tensor *a, const struct tensor *b)
{
    if (a->rank != b->rank ||
        (a->rank && memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) != 0))
        note(d, SHAPE, a, b);
    if (a->dtype != b->dtype)
        note(d, TYPE, a, b);
}

static void find_differences(struct difference *d, const struct layout *a, const struct layout *b)
{
    size_t i = 0, j = 0;

    while (i < a->count || j < b->count) {
        const struct tensor *x = i < a->count ? &a->tensors[a->by_name[i]] : NULL;
        const struct tensor *y = j < b->count ? &b->tensors[b->by_name[j]] : NULL;
        int order = !x ? 1 : !y ? -1 : strcmp(x->name, y->name);
        if (order < 0)
            note(d, MISSING, x, NULL);
        else if (order > 0)
            note(d, EXTRA, NULL, y);
        else
            note_pair(d, x, y);
        i += order <= 0;
        j += order >= 0;
    }
}

/* "'w'", "'w' [2, 4] instead of [2, 3]" or "'w' F32 instead of BF16"; returns its length. */
static size_t describe(char *text, size_t size, enum kind kind, const struct tensor *a,
                       const struct tensor *b)
{
    char name[SHOWN_NAME_SIZE], shape_a[SHOWN_SHAPE_SIZE], shape_b[SHOWN_SHAPE_SIZE];
    int n;

    shown_name(a ? a->name : b->name, name);
    if (kind == SHAPE)
        n = snprintf(text, size, "'%s' %s instead of %s", name,
                     shown_shape(b->shape, b->rank, shape_b),
                     shown_shape(a->shape, a->rank, shape_a));
    else if (kind == TYPE)
        n = snprintf(text, size, "'%s' %s instead of %s", name, dtype_name(b->dtype),
                     dtype_name(a->dtype));
    else
        n = snprintf(text, size, "'%s'", name);
    return (size_t)n;
}

/* ": 'x', 'y', ..." in at most room bytes; at least one example, always. */
static size_t list_examples(char *text, size_t room, const struct difference *d, enum kind kind)
{
    static const char more[] = ", ...";
    size_t count = d->count[kind] < EXAMPLES ? d->count[kind] : EXAMPLES;
    size_t n = 0, shown = 0;

    for (; shown < count; shown++) {
        char one[SHOWN_NAME_SIZE + 2 * SHOWN_SHAPE_SIZE + 32];
        size_t length =
            describe(one, sizeof one, kind, d->example[kind][shown].a, d->example[kind][shown].b);
        if (shown > 0 && n + 2 + length + sizeof more > room)
            break;
        n += (size_t)sprintf(text + n, "%s%s", shown ? ", " : ": ", one);
    }
    if (shown < d->count[kind])
        n += (size_t)sprintf(text + n, "%s", more);
    return n;
}

/*
 * The counts first, so that they are there however long the names are; then the kinds share what
 * room is left, and one that needs less leaves more to the next.
 */
static int report(const struct difference *d, const char *name_a, const char *name_b,
                  struct sewa_error *err)
{
    static const char *const words[KINDS] = { "missing", "only in it", "of another shape",
                                              "of another type" };
    /* one example may overrun its share: four of them fit behind the rest */
    char text[SEWA_ERROR_TEXT_MAX + KINDS * 256], a[SHOWN_NAME_SIZE], b[SHOWN_NAME_SIZE];
    size_t n = 0, kinds = 0;

    for (int k = 0; k < KINDS; k++)
        if (d->count[k])
            n += (size_t)sprintf(text + n, "%s%zu %s", kinds++ ? ", " : "", d->count[k], words[k]);
    size_t outside = strlen("'' does not have the tensors of '': ") +
                     strlen(shown_name(name_a, a)) + strlen(shown_name(name_b, b));
    for (int k = 0; k < KINDS; k++) {
        if (!d->count[k])
            continue;
        n += (size_t)sprintf(text + n, "; %s", words[k]);
        size_t used = outside + n;
        size_t left = used < SEWA_ERROR_TEXT_MAX ? SEWA_ERROR_TEXT_MAX - 1 - used : 0;
        n += list_examples(text + n, left / kinds--, d, (enum kind)k);
    }
    return sewa_fail(err, SEWA_E_MISMATCH, "'%s' does not have the tensors of '%s': %s", b, a,
                     text);
}

int layout_compare(const struct layout *a, const char *name_a, const struct layout *b,
                   const char *name_b, struct sewa_error *err)
{
    struct difference d = { 0 };

    find_differences(&d, a, b);
    for (int k = 0; k < KINDS; k++)
        if (d.count[k])
            return report(&d, name_a, name_b, err);
    return 0;
}
