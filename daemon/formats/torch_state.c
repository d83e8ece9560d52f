/*
 * torch_state - which dictionary of a checkpoint holds the weights, and what is in it.
 *
 * Trainers nest the state at will: nothing around it, "state_dict" (Lightning, timm, mmdetection),
 * "model" (fairseq, DETR), "module" (DeepSpeed)... A key that is configured decides. Otherwise the
 * names that trainers use are tried; where that leaves a choice the file is refused, because an
 * average of the wrong weights looks like an average of the right ones. Averaged weights that the
 * trainer keeps beside the raw ones (EMA) are never taken instead of them, nor mixed with them.
 * What a trainer keeps for itself (trainer_state.h) is not taken, whoever asks for it.
 */
#include <stdio.h>
#include <string.h>

#include "formats/shown.h"
#include "formats/torch_body.h"
#include "formats/trainer_state.h"

enum { KEY_SIZE = LAYOUT_NAME_MAX + 1, LISTED_MAX = 12, SEARCH_DEPTH = 4, SEARCH_MAX = 4000000 };

/* Keys of states, by how likely they are. */
static const char *const raw_keys[] = { "state_dict", "model_state_dict", "model",
                                        "module",     "model_state",      "net",
                                        "network",    "weights",          "params" };
static const char *const ema_keys[] = { "state_dict_ema",
                                        "model_state_dict_ema",
                                        "model_ema",
                                        "ema_state_dict",
                                        "model_ema_state_dict",
                                        "ema_model",
                                        "ema",
                                        "params_ema" };

/* Parts of keys of what is never a state: it is not looked into. */
static const char *const aside[] = { "optim", "sched",  "scaler",    "rng",         "args",
                                     "cfg",   "config", "hparam",    "hyper_param", "callback",
                                     "loops", "loss",   "criterion", "random" };

/* Names for a message: "'a', 'b', 'c' and 4 more". */
struct list {
    char text[LISTED_MAX * (SHOWN_NAME_SIZE + 4) + 32];
    size_t n, count;
};

static void list_add(struct list *l, const char *name)
{
    char shown[SHOWN_NAME_SIZE];

    if (l->count++ < LISTED_MAX)
        l->n += (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, "%s'%s'", l->n ? ", " : "",
                                 shown_name(name, shown));
}

static const char *list_text(struct list *l)
{
    if (l->count > LISTED_MAX)
        snprintf(l->text + l->n, sizeof l->text - l->n, " and %zu more", l->count - LISTED_MAX);
    return l->text;
}

/* ---- nodes ---- */

bool torch_text(const struct pickle_node *n, char *ret, size_t room)
{
    if (n->kind != PICKLE_TEXT || n->count >= room || memchr(n->text, 0, n->count))
        return false;
    memcpy(ret, n->text, n->count);
    ret[n->count] = '\0';
    return true;
}

const struct pickle_node *torch_dictionary(const struct pickle_node *n)
{
    static const struct pickle_node empty = { .kind = PICKLE_DICT };
    static const char *const classes[] = { "collections.OrderedDict", "collections.defaultdict",
                                           "collections.Counter", "builtins.dict" };

    if (n->kind == PICKLE_DICT)
        return n;
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        if (pickle_is_call(n, classes[i])) {
            bool is_filled = n->object->args->count > 0 && i != 1; /* by what it was made of */
            return is_filled ? NULL : n->object->items ? n->object->items : &empty;
        }
    return NULL;
}

const char *torch_kind(const struct pickle_node *n, char *text, size_t room)
{
    static const char *const kinds[] = {
        [PICKLE_NONE] = "None",
        [PICKLE_BOOL] = "a bool",
        [PICKLE_INTEGER] = "an integer",
        [PICKLE_BIG] = "an integer",
        [PICKLE_FLOAT] = "a float",
        [PICKLE_TEXT] = "a text",
        [PICKLE_BYTES] = "bytes",
        [PICKLE_TUPLE] = "a tuple",
        [PICKLE_LIST] = "a list",
        [PICKLE_DICT] = "a dictionary",
        [PICKLE_SET] = "a set",
        [PICKLE_GLOBAL] = "a class or function",
        [PICKLE_PERSISTENT] = "a storage",
    };
    char shown[SHOWN_NAME_SIZE];

    if (n->kind == PICKLE_OBJECT && n->object->callable->kind == PICKLE_GLOBAL)
        snprintf(text, room, "an object made with %s",
                 shown_name(n->object->callable->text, shown));
    else if (n->kind == PICKLE_GLOBAL)
        snprintf(text, room, "the name %s", shown_name(n->text, shown));
    else
        snprintf(text, room, "%s", n->kind == PICKLE_OBJECT ? "an object" : kinds[n->kind]);
    return text;
}

const struct pickle_node *torch_lookup(const struct pickle_node *dictionary, const char *key)
{
    for (uint32_t i = 0; i + 1 < dictionary->count; i += 2)
        if (pickle_is_text(dictionary->items[i], key))
            return dictionary->items[i + 1];
    return NULL;
}

static bool holds_tensors(const struct pickle_node *n)
{
    const struct pickle_node *d = torch_dictionary(n);

    for (uint32_t i = 0; d && i + 1 < d->count; i += 2)
        if (torch_is_tensor(d->items[i + 1]))
            return true;
    return false;
}

/*
 * Whether there is a tensor anywhere below. The graph may have cycles, and a few nodes may make a
 * tree without end: so looking is bounded for the whole file, and past that the answer is yes.
 */
static bool holds_tensors_deep(const struct pickle_node *n, int depth, int64_t *budget)
{
    const struct pickle_node *d = torch_dictionary(n);

    if (torch_is_tensor(n) || --*budget < 0)
        return true;
    if (!d && (n->kind == PICKLE_LIST || n->kind == PICKLE_TUPLE))
        d = n;
    for (uint32_t i = 0; d && depth > 0 && i < d->count; i++)
        if (holds_tensors_deep(d->items[i], depth - 1, budget))
            return true;
    return false;
}

static bool is_aside(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(aside); i++)
        if (strcasestr(key, aside[i]))
            return true;
    return trainer_state_is_key(key);
}

enum torch_key torch_key(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(raw_keys); i++)
        if (strcmp(key, raw_keys[i]) == 0)
            return TORCH_KEY_RAW;
    for (size_t i = 0; i < COUNT_OF(ema_keys); i++)
        if (strcmp(key, ema_keys[i]) == 0)
            return TORCH_KEY_EMA;
    return is_aside(key) ? TORCH_KEY_ASIDE : TORCH_KEY_OTHER;
}

bool torch_is_ema_key(const char *state_key)
{
    const char *last = state_key + strlen(state_key);

    while (last > state_key && last[-1] != '.' && last[-1] != '/')
        last--;
    return torch_key(last) == TORCH_KEY_EMA;
}

/* ---- finding the state ---- */

struct search {
    const struct torch_archive *archive;
    struct layout_builder *builder;
    struct sewa_error *err;
    const struct pickle_node *root, *state;
    char key[KEY_SIZE]; /* of the state, "" for the root */
    struct list left;   /* what is beside it, for a note */
    int64_t budget;     /* nodes that may still be looked at for tensors */
};

static int fail_root(const struct search *s, const struct pickle_node *n)
{
    char kind[128];

    if (torch_is_tensor(n))
        return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                         "'%s' is one tensor without a name, not a checkpoint", s->archive->name);
    return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                     "'%s' is %s, not a dictionary of tensors: save model.state_dict() and not the "
                     "model",
                     s->archive->name, torch_kind(n, kind, sizeof kind));
}

static void list_keys(const struct pickle_node *d, struct list *ret)
{
    char key[KEY_SIZE];

    for (uint32_t i = 0; i + 1 < d->count; i += 2)
        if (torch_text(d->items[i], key, sizeof key))
            list_add(ret, key);
}

/* What is in d beside the key that leads on is left; way is how d was reached, "a." or "". */
static int leave_siblings(struct search *s, const struct pickle_node *d, const char *way,
                          const char *followed)
{
    char key[KEY_SIZE], full[2 * KEY_SIZE];
    int rc = 0;

    for (uint32_t i = 0; i + 1 < d->count && rc == 0; i += 2) {
        if (!torch_text(d->items[i], key, sizeof key) || strcmp(key, followed) == 0)
            continue;
        snprintf(full, sizeof full, "%s%s", way, key);
        if (strlen(full) > LAYOUT_NAME_MAX)
            continue;
        if (torch_key(key) != TORCH_KEY_EMA) /* which has a note of its own */
            list_add(&s->left, full);
        rc = layout_builder_left(s->builder, full, s->err);
    }
    return rc;
}

static int fail_trainer_state(const struct search *s, const char *part)
{
    char shown[SHOWN_NAME_SIZE];

    return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                     "'%s' in '%s' is a trainer's state, which is never averaged",
                     shown_name(part, shown), s->archive->name);
}

/* "a.b" or "a/b": the whole of it first, because keys may contain dots themselves. */
static int follow_key(struct search *s, const char *path)
{
    const struct pickle_node *d = s->root;
    struct list keys = { .n = 0 };
    char shown[SHOWN_NAME_SIZE];
    const char *begin = path;

    snprintf(s->key, sizeof s->key, "%s", strcmp(path, ".") == 0 ? "" : path);
    while (d && *path && strcmp(path, ".") != 0) {
        const struct pickle_node *value = torch_lookup(d, path);
        size_t n = value ? strlen(path) : strcspn(path, "./");
        char part[KEY_SIZE];
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        if (!value)
            value = torch_lookup(d, part);
        if (!value) {
            list_keys(d, &keys);
            return sewa_fail(s->err, SEWA_E_UNSUPPORTED, "'%s' has no '%s', but %s",
                             s->archive->name, shown_name(part, shown),
                             keys.count ? list_text(&keys) : "nothing");
        }
        if (trainer_state_is_key(part))
            return fail_trainer_state(s, part);
        char way[KEY_SIZE];
        snprintf(way, sizeof way, "%.*s", (int)(path - begin), begin);
        int rc = leave_siblings(s, d, way, part);
        if (rc < 0)
            return rc;
        path += n + (path[n] != '\0');
        d = torch_dictionary(value);
    }
    if (!d || !holds_tensors(d))
        return sewa_fail(s->err, SEWA_E_UNSUPPORTED, "'%s' holds no tensors in '%s'",
                         s->archive->name, shown_name(s->key, shown));
    s->state = d;
    return 0;
}

/* Of these keys, the ones that hold tensors; the first of them goes to ret. */
static size_t try_keys(const struct search *s, const char *const *keys, size_t count,
                       const char **ret, struct list *found)
{
    for (size_t i = 0; i < count; i++) {
        const struct pickle_node *value = torch_lookup(s->root, keys[i]);
        if (!value || !holds_tensors(value))
            continue;
        if (found->count == 0)
            *ret = keys[i];
        list_add(found, keys[i]);
    }
    return found->count;
}

static int take(struct search *s, const char *key)
{
    snprintf(s->key, sizeof s->key, "%s", key);
    s->state = *key ? torch_dictionary(torch_lookup(s->root, key)) : s->root;
    return *key ? leave_siblings(s, s->root, "", key) : 0;
}

static int fail_choice(const struct search *s, struct list *found)
{
    return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                     "'%s' has tensors in %s: state_key says which of them are the weights",
                     s->archive->name, list_text(found));
}

/* Nothing that is known has tensors: what is there instead? */
static int fail_empty(const struct search *s)
{
    static const char *const megatron[] = { "checkpoint_version", "iteration", "args" };
    const struct pickle_node *state = torch_lookup(s->root, "state"), *value;
    struct list keys = { .n = 0 };
    char kind[128];
    size_t marks = 0;

    if (state && torch_lookup(s->root, "param_groups"))
        return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                         "'%s' is the state of an optimizer, not of a model", s->archive->name);
    for (size_t i = 0; i < COUNT_OF(megatron); i++)
        marks += torch_lookup(s->root, megatron[i]) != NULL;
    if (marks == COUNT_OF(megatron) && torch_lookup(s->root, "model"))
        return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                         "'%s' is one part of a Megatron-LM checkpoint: convert it with "
                         "tools/checkpoint/convert.py",
                         s->archive->name);
    for (size_t i = 0; i < COUNT_OF(raw_keys); i++)
        if ((value = torch_lookup(s->root, raw_keys[i])) && value->kind == PICKLE_OBJECT &&
            !torch_dictionary(value))
            return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                             "'%s' has %s as its '%s': save model.state_dict() and not the model",
                             s->archive->name, torch_kind(value, kind, sizeof kind), raw_keys[i]);
    list_keys(s->root, &keys);
    return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                     "'%s' has no dictionary of names and tensors, but %s; state_key can say where "
                     "it is",
                     s->archive->name, keys.count ? list_text(&keys) : "nothing");
}

/* Any other key, when there is only one that could be meant. */
static int find_unknown(struct search *s)
{
    struct list found = { .n = 0 };
    char key[KEY_SIZE], one[KEY_SIZE] = "";

    for (uint32_t i = 0; i + 1 < s->root->count; i += 2)
        if (torch_text(s->root->items[i], key, sizeof key) && !is_aside(key) &&
            holds_tensors(s->root->items[i + 1])) {
            if (found.count == 0)
                memcpy(one, key, sizeof one);
            list_add(&found, key);
        }
    if (found.count == 1)
        return take(s, one);
    return found.count ? fail_choice(s, &found) : fail_empty(s);
}

static int find_state(struct search *s)
{
    struct list raw = { .n = 0 }, ema = { .n = 0 };
    const char *raw_key = "", *ema_key = "";

    if (try_keys(s, raw_keys, COUNT_OF(raw_keys), &raw_key, &raw) > 1)
        return fail_choice(s, &raw);
    try_keys(s, ema_keys, COUNT_OF(ema_keys), &ema_key, &ema);
    if (raw.count == 1) {
        int rc = take(s, raw_key);
        return rc == 0 && ema.count
                   ? layout_builder_note(s->builder, s->err, "%s found beside '%s': '%s' is used",
                                         list_text(&ema), raw_key, raw_key)
                   : rc;
    }
    if (holds_tensors(s->root))
        return take(s, "");
    if (ema.count > 1)
        return fail_choice(s, &ema);
    if (ema.count == 1) {
        int rc = take(s, ema_key);
        return rc < 0
                   ? rc
                   : layout_builder_note(s->builder, s->err,
                                         "only the averaged weights '%s' are here: they are used",
                                         ema_key);
    }
    return find_unknown(s);
}

/* What lies beside the state is neither averaged nor copied: say so once. */
static int note_left(struct search *s)
{
    return s->left.count
               ? layout_builder_note(s->builder, s->err, "left aside: %s", list_text(&s->left))
               : 0;
}

/* ---- what is in it ---- */

static bool is_extra_state(const char *key)
{
    static const char ending[] = "_extra_state";
    size_t n = strlen(key), length = sizeof ending - 1;

    return n >= length && strcmp(key + n - length, ending) == 0;
}

/*
 * An entry of the state that is no tensor. Numbers and texts are what a module keeps beside its
 * weights, and are left aside; what might be weights in another dress is not.
 */
static int check_other(struct search *s, const char *key, const struct pickle_node *n)
{
    const struct pickle_node *d = torch_dictionary(n);
    char shown[SHOWN_NAME_SIZE], kind[128];
    bool is_plain = d || n->kind < PICKLE_GLOBAL;

    if (is_extra_state(key) || trainer_state_is_key(key) || (s->state == s->root && is_aside(key)))
        return 0;
    if (is_plain && !holds_tensors_deep(n, SEARCH_DEPTH, &s->budget))
        return 0;
    if (is_plain)
        return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                         "'%s': '%s' is %s with tensors inside: state_key says which of them are "
                         "the weights",
                         s->archive->name, shown_name(key, shown),
                         d ? "a dictionary" : torch_kind(n, kind, sizeof kind));
    return sewa_fail(s->err, SEWA_E_UNSUPPORTED, "'%s': '%s' is %s and no tensor", s->archive->name,
                     shown_name(key, shown), torch_kind(n, kind, sizeof kind));
}

/* In the file itself, and what is a trainer's anywhere: the rest is the model's, without tensors.
 */
static int leave_entry(struct search *s, const char *key)
{
    char full[2 * KEY_SIZE];

    if (s->state != s->root && !trainer_state_is_key(key))
        return 0;
    snprintf(full, sizeof full, "%s%s%s", s->key, *s->key ? "." : "", key);
    return strlen(full) > LAYOUT_NAME_MAX ? 0 : layout_builder_left(s->builder, full, s->err);
}

static int add_entry(struct search *s, const struct pickle_node *key_node,
                     const struct pickle_node *value, struct list *others)
{
    char key[KEY_SIZE], kind[128];
    struct torch_numbers numbers;
    struct tensor t;

    if (!torch_text(key_node, key, sizeof key))
        return sewa_fail(s->err, SEWA_E_UNSUPPORTED,
                         "'%s': a tensor has %s as its name, which is no name here",
                         s->archive->name,
                         key_node->kind == PICKLE_TEXT ? "a text with NUL or past 1024 bytes"
                                                       : torch_kind(key_node, kind, sizeof kind));
    if (!torch_is_tensor(value)) {
        list_add(others, key);
        int rc = check_other(s, key, value);
        return rc == 0 ? leave_entry(s, key) : rc;
    }
    int rc = torch_tensor(s->archive, value, key, &numbers, &t, s->err);
    if (rc < 0)
        return rc;
    t.name = key;
    rc = layout_builder_tensor(s->builder, &t, s->err);
    return sewa_context(s->err, rc, "'%s'", s->archive->name);
}

static int add_entries(struct search *s)
{
    const struct pickle_node *d = s->state;
    struct list others = { .n = 0 };
    int rc = 0;

    for (uint32_t i = 0; i + 1 < d->count && rc == 0; i += 2)
        rc = add_entry(s, d->items[i], d->items[i + 1], &others);
    if (rc == 0 && others.count)
        rc = layout_builder_note(s->builder, s->err, "left aside, because they are no tensors: %s",
                                 list_text(&others));
    return rc;
}

int torch_state(const struct torch_archive *a, const char *state_key, struct layout_builder *b,
                struct sewa_error *err)
{
    const struct pickle_node *root = pickle_root(a->pickle);
    struct search s = {
        .archive = a, .builder = b, .err = err, .root = torch_dictionary(root), .budget = SEARCH_MAX
    };

    if (!s.root)
        return fail_root(&s, root);
    int rc = state_key && *state_key ? follow_key(&s, state_key) : find_state(&s);
    if (rc == 0)
        rc = layout_builder_state_key(b, s.key, err);
    if (rc == 0)
        rc = note_left(&s);
    return rc < 0 ? rc : add_entries(&s);
}
