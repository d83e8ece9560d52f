/*
 * layout_prefix - names as the model has them, without what training has wrapped around it.
 *
 * A run whose wrapping changed half-way writes some files with prefixes and some without; averaging
 * by name would then find nothing in common, or, worse, half of it. Each file is judged by itself.
 */
#include <stdbool.h>
#include <string.h>

#include "formats/layout_body.h"
#include "formats/name_order.h"
#include "formats/shown.h"

/* In front only: a model may well have a part of its own that it calls "module". */
static const char leading[] = "module.";

/* At any depth: nobody names a part of a model like this. */
static const char *const anywhere[] = {
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module.",
};

/* Length of the prefix that the name has here, 0 for none. What it leaves must not be empty. */
static size_t prefix_here(const char *at, bool is_front)
{
    for (size_t i = 0; i < COUNT_OF(anywhere); i++) {
        size_t n = strlen(anywhere[i]);
        if (strncmp(at, anywhere[i], n) == 0 && at[n] != '\0')
            return n;
    }
    size_t n = sizeof leading - 1;
    return is_front && strncmp(at, leading, n) == 0 && at[n] != '\0' ? n : 0;
}

/* Whether it is worth looking closer: most files have many names and no prefixes. */
static bool may_have_prefix(const char *name)
{
    return strncmp(name, leading, sizeof leading - 1) == 0 || *name == '_' || strstr(name, "._");
}

/* Copy the name without prefixes; whether it had any. */
static bool strip(const char *name, char to[LAYOUT_NAME_MAX + 1])
{
    bool is_front = true, is_start = true, has_any = false;
    size_t n = 0, skip;

    while (*name) {
        if (is_start && (skip = prefix_here(name, is_front)) > 0) {
            name += skip;
            has_any = true;
            continue;
        }
        is_front = false;
        is_start = *name == '.';
        to[n++] = *name++;
    }
    to[n] = '\0';
    return has_any;
}

struct renaming {
    const struct layout *layout;
    struct arena arena;
    const char **names; /* by tensor; those of the layout where nothing changes */
    size_t changed;
};

static void renaming_clear(struct renaming *r)
{
    arena_clear(&r->arena);
    free(r->names);
}

static int rename_all(struct renaming *r, struct sewa_error *err)
{
    const struct layout *l = r->layout;
    char name[LAYOUT_NAME_MAX + 1];

    for (size_t i = 0; i < l->count; i++) {
        const char *old = l->tensors[i].name;
        if (r->names)
            r->names[i] = old;
        if (!may_have_prefix(old) || !strip(old, name))
            continue;
        if (!r->names) { /* the first one: most files have none and cost no memory */
            r->names = malloc(l->count * sizeof *r->names);
            for (size_t j = 0; r->names && j < i; j++)
                r->names[j] = l->tensors[j].name;
        }
        char *copy = r->names ? arena_text(&r->arena, name, strlen(name)) : NULL;
        if (!copy)
            return layout_no_memory(err, l);
        r->names[i] = copy;
        r->changed++;
    }
    return 0;
}

static const char *new_name(const void *of, size_t i)
{
    return ((const struct renaming *)of)->names[i];
}

static int check_collisions(const struct renaming *r, struct sewa_error *err)
{
    const struct layout *l = r->layout;
    char a[SHOWN_NAME_SIZE], b[SHOWN_NAME_SIZE], both[SHOWN_NAME_SIZE];
    AUTOFREE uint32_t *order = malloc(l->count * sizeof *order);
    size_t twice;

    if (!order || name_order(new_name, r, l->count, order, &twice) < 0)
        return layout_no_memory(err, l);
    if (twice == 0)
        return 0;
    return sewa_fail(
        err, SEWA_E_CORRUPT,
        "tensors '%s' and '%s' are both '%s' without the prefixes of training wrappers",
        shown_name(l->tensors[order[twice - 1]].name, a),
        shown_name(l->tensors[order[twice]].name, b), shown_name(r->names[order[twice]], both));
}

/* The same layout with the other names: their order among equals, and so the aliases, may change.
 */
static int rebuild(const struct renaming *r, struct layout **ret, struct sewa_error *err)
{
    const struct layout *l = r->layout;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new(l->format);
    int rc = b ? layout_builder_copy_rest(b, l, err) : layout_no_memory(err, l);

    for (size_t i = 0; i < l->count && rc == 0; i++) {
        struct tensor t = l->tensors[i];
        t.name = r->names[i];
        rc = layout_builder_tensor(b, &t, err);
    }
    if (rc == 0)
        rc = layout_builder_note(b, err,
                                 "prefixes of training wrappers were taken off %zu of %zu "
                                 "names of tensors",
                                 r->changed, l->count);
    return rc < 0 ? rc : layout_builder_finish(b, ret, err);
}

int layout_strip_prefixes(struct layout **l, struct sewa_error *err)
{
    AUTO(renaming_clear) struct renaming r = { .layout = *l };
    struct layout *renamed = NULL;
    int rc = rename_all(&r, err);

    if (rc < 0 || r.changed == 0)
        return rc;
    rc = check_collisions(&r, err);
    if (rc == 0)
        rc = rebuild(&r, &renamed, err);
    if (rc < 0)
        return rc;
    layout_free(*l);
    *l = renamed;
    return 0;
}
