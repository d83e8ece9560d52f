/*
 * layout_compare - say how the tensors of two checkpoints differ, in a text that helps a person.
 * Both tables are walked in order of names at once, so the order within the files does not matter.
 * Pure. Thread: any.
 */
#include "formats/layout.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "formats/shown.h"
#include "formats/torch_body.h"

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

/* The text of the message as far as it has come. What does not fit is cut. */
struct text {
    char text[SEWA_ERROR_TEXT_MAX];
    size_t n;
};

static void put(struct text *t, const char *format, ...) SEWA_PRINTF(2, 3);
static void put(struct text *t, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int n = vsnprintf(t->text + t->n, sizeof t->text - t->n, format, ap);
    va_end(ap);
    t->n += (size_t)n;
    if (t->n >= sizeof t->text)
        t->n = sizeof t->text - 1;
}

/* "'w'", "'w' [2, 4] instead of [2, 3]" or "'w' F32 instead of BF16". */
static void describe(struct text *t, enum kind kind, const struct tensor *a, const struct tensor *b)
{
    char name[SHOWN_NAME_SIZE], shape_a[SHOWN_SHAPE_SIZE], shape_b[SHOWN_SHAPE_SIZE];

    put(t, "'%s'", shown_name(a ? a->name : b->name, name));
    if (kind == SHAPE)
        put(t, " %s instead of %s", shown_shape(b->shape, b->rank, shape_b),
            shown_shape(a->shape, a->rank, shape_a));
    else if (kind == TYPE)
        put(t, " %s instead of %s", dtype_name(b->dtype), dtype_name(a->dtype));
}

/* ": 'x', 'y', ..." in about room bytes; at least one example, always. */
static void list_examples(struct text *t, size_t room, const struct difference *d, enum kind kind)
{
    static const char more[] = ", ...";
    size_t count = d->count[kind] < EXAMPLES ? d->count[kind] : EXAMPLES;
    size_t start = t->n, shown = 0;

    for (; shown < count; shown++) {
        struct text one = { .n = 0 };
        describe(&one, kind, d->example[kind][shown].a, d->example[kind][shown].b);
        if (shown > 0 && t->n - start + 2 + one.n + sizeof more > room)
            break;
        put(t, "%s%s", shown ? ", " : ": ", one.text);
    }
    if (shown < d->count[kind])
        put(t, "%s", more);
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
    char a[SHOWN_NAME_SIZE], b[SHOWN_NAME_SIZE];
    struct text t = { .n = 0 };
    size_t kinds = 0;

    put(&t, "'%s' does not have the tensors of '%s'", shown_name(name_b, b), shown_name(name_a, a));
    for (int k = 0; k < KINDS; k++)
        if (d->count[k])
            put(&t, "%s%zu %s", kinds++ ? ", " : ": ", d->count[k], words[k]);
    bool is_alone = kinds == 1;
    for (int k = 0; k < KINDS; k++) {
        if (!d->count[k])
            continue;
        if (!is_alone)
            put(&t, "; %s", words[k]);
        list_examples(&t, (sizeof t.text - 1 - t.n) / kinds--, d, (enum kind)k);
    }
    return sewa_fail(err, SEWA_E_MISMATCH, "%s", t.text);
}

/* The part of the file that the tensors are: "all of it", or "its 'state_dict'". */
static const char *shown_state(const struct layout *l, char shown[SHOWN_NAME_SIZE + 8])
{
    char key[SHOWN_NAME_SIZE];

    if (*l->state_key == '\0')
        return "all of it";
    snprintf(shown, SHOWN_NAME_SIZE + 8, "its '%s'", shown_name(l->state_key, key));
    return shown;
}

/* Row 5 of what must be right: weights that were averaged in training are not those beside them. */
static int compare_state(const struct layout *a, const char *name_a, const struct layout *b,
                         const char *name_b, struct sewa_error *err)
{
    char shown_a[SHOWN_NAME_SIZE], shown_b[SHOWN_NAME_SIZE], state_a[SHOWN_NAME_SIZE + 8],
        state_b[SHOWN_NAME_SIZE + 8];

    if (torch_is_ema_key(a->state_key) == torch_is_ema_key(b->state_key))
        return 0;
    return sewa_fail(err, SEWA_E_MISMATCH,
                     "the tensors of '%s' are %s, those of '%s' %s: averaged (EMA) and raw weights "
                     "are not mixed",
                     shown_name(name_a, shown_a), shown_state(a, state_a),
                     shown_name(name_b, shown_b), shown_state(b, state_b));
}

int layout_compare(const struct layout *a, const char *name_a, const struct layout *b,
                   const char *name_b, struct sewa_error *err)
{
    struct difference d = { 0 };

    find_differences(&d, a, b);
    for (int k = 0; k < KINDS; k++)
        if (d.count[k])
            return report(&d, name_a, name_b, err);
    return compare_state(a, name_a, b, name_b, err);
}
