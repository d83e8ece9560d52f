/*
 * dcp_group - which tensors of a distributed checkpoint are the model's: the state that was saved
 * may hold an optimizer, too. planner_data says through which keys each tensor was reached:
 *
 *     ("model", "emb.weight")                      {"model": state_dict}
 *     ("app", "optim", "state", "w", "exp_avg")    {"app": AppState}, which has a state_dict() of
 * its own
 *     ("emb.weight",)                              state_dict; the dots are the model's
 *
 * Where there is no planner_data, or one key only, the name alone must say it (trainer_state.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/dcp_body.h"
#include "formats/name_order.h"
#include "formats/shown.h"
#include "formats/trainer_state.h"

enum { GROUPS_MAX = 64 };

static const char *route_name(const void *of, size_t i)
{
    return ((const struct route *)of)[i].name;
}

/* planner_data, sorted; what is no name in it concerns no tensor. */
static int find_routes(struct dcp *c)
{
    size_t room = c->planner ? c->planner->count / 2 : 0, twice;
    AUTOFREE struct route *routes = malloc((room + 1) * sizeof *routes);
    AUTOFREE uint32_t *order = malloc((room + 1) * sizeof *order);
    char name[DCP_NAME_SIZE];

    c->routes = malloc((room + 1) * sizeof *c->routes);
    if (!routes || !order || !c->routes)
        return dcp_no_memory(c);
    for (size_t i = 0; i < room; i++) {
        const struct pickle_node *const *pair = c->planner->items + 2 * i;
        if (!torch_text(pair[0], name, sizeof name))
            continue;
        routes[c->route_count] =
            (struct route){ arena_text(&c->arena, name, strlen(name)), pair[1] };
        if (!routes[c->route_count++].name)
            return dcp_no_memory(c);
    }
    if (name_order(route_name, routes, c->route_count, order, &twice) < 0)
        return dcp_no_memory(c);
    for (size_t i = 0; i < c->route_count; i++)
        c->routes[i] = routes[order[i]];
    return 0;
}

static int by_route(const void *name, const void *route)
{
    return strcmp(name, ((const struct route *)route)->name);
}

static const struct pickle_node *find_path(const struct dcp *c, const char *name)
{
    const struct route *route =
        c->route_count ? bsearch(name, c->routes, c->route_count, sizeof *route, by_route) : NULL;
    const struct pickle_node *path = route ? route->path : NULL;

    return path && (path->kind == PICKLE_TUPLE || path->kind == PICKLE_LIST) && path->count > 1
               ? path
               : NULL;
}

/* One key of a path: a text, or a number in a list. */
static bool key_text(const struct pickle_node *n, char ret[DCP_NAME_SIZE])
{
    if (n->kind != PICKLE_INTEGER)
        return torch_text(n, ret, DCP_NAME_SIZE);
    snprintf(ret, DCP_NAME_SIZE, "%" PRId64, n->integer);
    return true;
}

/* What a tensor is a part of. */
struct group {
    char text[DCP_NAME_SIZE]; /* "app.model"; "" for tensors under no key */
    enum torch_key kind;      /* ASIDE: it is no part of a model */
};

static bool add_key(char text[DCP_NAME_SIZE], const char *key)
{
    size_t n = strlen(text);
    int more = snprintf(text + n, DCP_NAME_SIZE - n, "%s%s", n ? "." : "", key);

    return (size_t)more < DCP_NAME_SIZE - n;
}

/*
 * Up to the first key that names a state; without one, the first. A trainer's state may be deeper
 * than that: {"model": AppState}. False when a key is no text.
 */
static bool group_of(const struct dcp *c, const char *name, struct group *ret)
{
    const struct pickle_node *path = find_path(c, name);
    char key[DCP_NAME_SIZE], way[DCP_NAME_SIZE] = "";

    *ret = (struct group){ .kind = TORCH_KEY_OTHER };
    if (!path) {
        if (trainer_state_of(name, ret->text))
            ret->kind = TORCH_KEY_ASIDE;
        return true;
    }
    for (uint32_t i = 0; i + 1 < path->count; i++) {
        if (!key_text(path->items[i], key) || !add_key(way, key))
            return false;
        enum torch_key kind = torch_key(key);
        bool is_aside = trainer_state_is_key(key) || (i == 0 && kind == TORCH_KEY_ASIDE);
        bool names_state = kind == TORCH_KEY_RAW || kind == TORCH_KEY_EMA;
        if (i > 0 && !is_aside && (!names_state || ret->kind != TORCH_KEY_OTHER))
            continue;
        memcpy(ret->text, way, sizeof way);
        ret->kind = is_aside ? TORCH_KEY_ASIDE : names_state ? kind : TORCH_KEY_OTHER;
        if (is_aside)
            return true;
    }
    return true;
}

/* The keys before the last, whatever they are; of a name without a path, what is before its dots.
 */
static bool is_below(const struct dcp *c, const char *name, const char *way)
{
    const struct pickle_node *path = find_path(c, name);
    char key[DCP_NAME_SIZE], keys[DCP_NAME_SIZE] = "";
    size_t n = strlen(way);

    if (n == 0)
        return !path;
    for (uint32_t i = 0; path && i + 1 < path->count; i++)
        if (!key_text(path->items[i], key) || !add_key(keys, key))
            return false;
    const char *whole = path ? keys : name;
    return strncmp(whole, way, n) == 0 && (whole[n] == '.' || (path && whole[n] == '\0'));
}

bool dcp_is_taken(const struct dcp *c, const char *name)
{
    struct group g;

    if (!group_of(c, name, &g) || g.kind == TORCH_KEY_ASIDE)
        return false;
    return c->is_asked ? is_below(c, name, c->group) : strcmp(g.text, c->group) == 0;
}

struct groups {
    struct {
        const char *text;
        enum torch_key kind;
    } of[GROUPS_MAX];
    size_t count;
};

static int add_group(struct dcp *c, struct groups *g, const struct group *one)
{
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->of[i].text, one->text) == 0 && g->of[i].kind == one->kind)
            return 0;
    if (g->count == GROUPS_MAX)
        return dcp_corrupt(c, "the tensors are under more than 64 keys");
    g->of[g->count].kind = one->kind;
    g->of[g->count].text = arena_text(&c->arena, one->text, strlen(one->text));
    return g->of[g->count++].text ? 0 : dcp_no_memory(c);
}

/* The only group of a kind; *ret_count says how many there are. */
static const char *only_group(const struct groups *g, enum torch_key kind, size_t *ret_count)
{
    const char *one = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < g->count; i++)
        if (*g->of[i].text && g->of[i].kind == kind && (*ret_count)++ == 0)
            one = g->of[i].text;
    return one;
}

static int fail_choice(struct dcp *c, const struct groups *g)
{
    AUTO(buf_clear) struct buf names = { 0 };
    char shown[SHOWN_NAME_SIZE];

    for (size_t i = 0; i < g->count; i++)
        if (g->of[i].kind != TORCH_KEY_ASIDE)
            buf_printf(&names, "%s'%s'", names.len ? ", " : "",
                       shown_name(*g->of[i].text ? g->of[i].text : ".", shown));
    if (names.len == 0)
        return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED, "'%s' has no tensors of a model",
                         c->d->name);
    return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                     "'%s' has tensors in %s: state_key says which of them are the weights",
                     c->d->name, buf_cstr(&names));
}

/* Tensors that are in 'app' and not in 'app.model': which of them are the model? */
static bool has_others_beside(const struct groups *g, const char *taken)
{
    for (size_t i = 0; i < g->count; i++) {
        size_t n = strlen(g->of[i].text);
        if (g->of[i].kind == TORCH_KEY_OTHER && n > 0 && strncmp(g->of[i].text, taken, n) == 0 &&
            taken[n] == '.')
            return true;
    }
    return false;
}

/* As in a single file (torch_state.c): raw weights, else those that are under no key... */
static int choose_group(struct dcp *c, const struct groups *g)
{
    size_t raw, other, ema;
    const char *raw_group = only_group(g, TORCH_KEY_RAW, &raw);
    const char *other_group = only_group(g, TORCH_KEY_OTHER, &other);
    const char *ema_group = only_group(g, TORCH_KEY_EMA, &ema);

    for (size_t i = 0; i < g->count; i++)
        if (raw == 0 && *g->of[i].text == '\0')
            c->group = g->of[i].text;
    if (c->group)
        return 0;
    c->group = raw == 1 ? raw_group : raw == 0 && other == 1 ? other_group : NULL;
    if (!c->group && raw == 0 && other == 0 && ema == 1)
        c->group = ema_group;
    return c->group && !has_others_beside(g, c->group) ? 0 : fail_choice(c, g);
}

typedef int each_tensor(struct dcp *c, const char *name, void *arg);

static int for_each_tensor(struct dcp *c, each_tensor *each, void *arg)
{
    char name[DCP_NAME_SIZE];
    int rc = 0;

    for (uint32_t i = 0; i + 1 < c->tensors->count && rc == 0; i += 2) {
        if (!dcp_tensor(c->tensors->items[i + 1]))
            continue;
        if (!torch_text(c->tensors->items[i], name, sizeof name))
            return dcp_corrupt(c, "a tensor has a name or a path that is no text");
        rc = each(c, name, arg);
    }
    return rc;
}

static int note_group(struct dcp *c, const char *name, void *arg)
{
    struct group one;

    if (!group_of(c, name, &one))
        return dcp_corrupt(c, "a tensor has a name or a path that is no text");
    return add_group(c, arg, &one);
}

static int count_taken(struct dcp *c, const char *name, void *arg)
{
    *(size_t *)arg += dcp_is_taken(c, name);
    return 0;
}

/* state_key decides, but makes no model of a trainer's state. */
static int ask_group(struct dcp *c, const struct groups *g, const char *wanted)
{
    char shown[SHOWN_NAME_SIZE];
    size_t count = 0;

    c->is_asked = true;
    c->group = strcmp(wanted, ".") == 0 ? "" : wanted;
    for (size_t i = 0; i < g->count; i++) {
        size_t n = strlen(g->of[i].text);
        if (g->of[i].kind == TORCH_KEY_ASIDE && strncmp(wanted, g->of[i].text, n) == 0 &&
            (wanted[n] == '\0' || wanted[n] == '.'))
            return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                             "'%s' in '%s' is a trainer's state, which is never averaged",
                             shown_name(g->of[i].text, shown), c->d->name);
    }
    int rc = for_each_tensor(c, count_taken, &count);
    return rc < 0 || count > 0 ? rc : fail_choice(c, g);
}

/* ---- a key that all names begin with ---- */

struct common {
    const char *key;
    char way[DCP_NAME_SIZE]; /* the group and the key */
    bool is_common, is_elsewhere;
};

static int compare_common(struct dcp *c, const char *name, void *arg)
{
    struct common *k = arg;
    size_t n = strlen(k->way), skipped = strlen(c->group);
    char inside[64];

    if (dcp_is_taken(c, name)) {
        k->is_common = k->is_common && strncmp(name, k->way, n) == 0 && name[n] == '.' &&
                       name[n + 1];
        return 0;
    }
    snprintf(inside, sizeof inside, ".%s.", k->key);
    k->is_elsewhere = k->is_elsewhere || (strlen(name) > skipped && strstr(name + skipped, inside));
    return 0;
}

/* Whether a trainer's state is in the group, too: then the group is more than a model. */
static bool has_state_inside(const struct dcp *c, const struct groups *g)
{
    size_t n = strlen(c->group);

    for (size_t i = 0; i < g->count; i++)
        if (g->of[i].kind == TORCH_KEY_ASIDE &&
            (n == 0 || (strncmp(g->of[i].text, c->group, n) == 0 && g->of[i].text[n] == '.')))
            return true;
    return false;
}

/*
 * Flat names, "model.w" beside "optimizer.state.w.exp_avg": the first key was a dictionary's. But
 * where the optimizer knows its parameters as "model.w", too, it is a part of the model.
 */
static int find_common_key(struct dcp *c, const struct groups *g)
{
    static const char *const keys[] = { "model", "state_dict", "module" };
    bool may_be = has_state_inside(c, g);
    int rc = 0;

    for (size_t i = 0; i < COUNT_OF(keys) && rc == 0 && may_be; i++) {
        struct common k = { .key = keys[i], .is_common = true };
        snprintf(k.way, sizeof k.way, "%s", c->group);
        if (!add_key(k.way, keys[i]))
            continue;
        rc = for_each_tensor(c, compare_common, &k);
        if (rc < 0 || !k.is_common || k.is_elsewhere)
            continue;
        c->is_asked = true;
        c->group = arena_text(&c->arena, k.way, strlen(k.way));
        return c->group ? 0 : dcp_no_memory(c);
    }
    return rc;
}

/* ---- what is left ---- */

static int leave(struct dcp *c, const char *group)
{
    return layout_builder_left(c->b, *group ? group : ".", c->d->err);
}

static int leave_tensor(struct dcp *c, const char *name, void *arg)
{
    struct groups *seen = arg;
    size_t count = seen->count;
    struct group one;

    if (dcp_is_taken(c, name) || !group_of(c, name, &one))
        return 0;
    int rc = add_group(c, seen, &one);
    if (rc < 0 || seen->count == count)
        return rc;
    rc = leave(c, one.text);
    return rc < 0 ? rc
                  : layout_builder_note(c->b, c->d->err, "left aside: the tensors in '%s'",
                                        *one.text ? one.text : ".");
}

/* Up to the key that does not lead to the group. */
static bool way_beside(const struct dcp *c, const struct pickle_node *path, char ret[DCP_NAME_SIZE])
{
    char key[DCP_NAME_SIZE];

    ret[0] = '\0';
    for (uint32_t i = 0; i < path->count; i++) {
        if (!key_text(path->items[i], key) || !add_key(ret, key))
            return false;
        size_t n = strlen(ret);
        if (strncmp(c->group, ret, n) != 0 || (c->group[n] != '.' && c->group[n] != '\0'))
            return true;
    }
    return false;
}

/* What is no tensor is left, too: 'lr_scheduler', 'step'. Not what modules keep beside weights. */
static int leave_others(struct dcp *c)
{
    char name[DCP_NAME_SIZE], way[DCP_NAME_SIZE];
    size_t n = strlen(c->group);
    int rc = 0;

    for (uint32_t i = 0; i + 1 < c->tensors->count && rc == 0; i += 2) {
        if (dcp_tensor(c->tensors->items[i + 1]) ||
            !torch_text(c->tensors->items[i], name, sizeof name) ||
            (n > 0 && strncmp(name, c->group, n) == 0 && name[n] == '.'))
            continue;
        const struct pickle_node *path = find_path(c, name);
        if (path ? way_beside(c, path, way) : !strchr(name, '.'))
            rc = leave(c, path ? way : name);
    }
    return rc;
}

static int say_left(struct dcp *c)
{
    struct groups seen = { .count = 0 };
    int rc = for_each_tensor(c, leave_tensor, &seen);

    return rc < 0 ? rc : leave_others(c);
}

int dcp_find_group(struct dcp *c)
{
    const char *wanted = c->d->options ? c->d->options->state_key : NULL;
    struct groups g = { .count = 0 };
    int rc = find_routes(c);

    if (rc == 0)
        rc = for_each_tensor(c, note_group, &g);
    if (rc == 0)
        rc = wanted && *wanted ? ask_group(c, &g, wanted) : choose_group(c, &g);
    if (rc == 0 && !c->is_asked)
        rc = find_common_key(c, &g);
    if (rc == 0)
        rc = say_left(c);
    return rc < 0 ? rc : layout_builder_state_key(c->b, c->group, c->d->err);
}
