/*
 * dcp_group - which tensors of a distributed checkpoint are the model's: the state that was saved
 * may hold an optimizer, too, and planner_data says under which key each tensor was.
 */
#include <string.h>

#include "formats/dcp_body.h"
#include "formats/name_order.h"
#include "formats/shown.h"

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

bool dcp_group_of(const struct dcp *c, const char *name, char ret[DCP_NAME_SIZE])
{
    const struct route *route =
        c->route_count ? bsearch(name, c->routes, c->route_count, sizeof *route, by_route) : NULL;
    const struct pickle_node *path = route ? route->path : NULL;

    ret[0] = '\0';
    if (!path || (path->kind != PICKLE_TUPLE && path->kind != PICKLE_LIST) || path->count < 2)
        return true;
    return torch_text(path->items[0], ret, DCP_NAME_SIZE);
}

struct groups {
    char *names[GROUPS_MAX];
    size_t count;
};

static int add_group(struct dcp *c, struct groups *g, const char *name)
{
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->names[i], name) == 0)
            return 0;
    if (g->count == GROUPS_MAX)
        return dcp_corrupt(c, "the tensors are under more than 64 keys");
    g->names[g->count] = arena_text(&c->arena, name, strlen(name));
    return g->names[g->count++] ? 0 : dcp_no_memory(c);
}

/* The only group of a kind; *ret_count says how many there are. */
static const char *only_group(const struct groups *g, enum torch_key kind, size_t *ret_count)
{
    const char *one = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < g->count; i++)
        if (*g->names[i] && torch_key(g->names[i]) == kind && (*ret_count)++ == 0)
            one = g->names[i];
    return one;
}

static int fail_choice(struct dcp *c, const struct groups *g)
{
    AUTO(buf_clear) struct buf names = { 0 };
    char shown[SHOWN_NAME_SIZE];

    for (size_t i = 0; i < g->count; i++)
        buf_printf(&names, "%s'%s'", i ? ", " : "", shown_name(g->names[i], shown));
    return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                     "'%s' has tensors in %s: state_key says which of them are the weights",
                     c->d->name, buf_cstr(&names));
}

/* As in a single file (torch_state.c): raw weights, else those that are under no key... */
static int choose_group(struct dcp *c, const struct groups *g)
{
    const char *wanted = c->d->options ? c->d->options->state_key : NULL;
    size_t raw, other, ema;
    const char *raw_group = only_group(g, TORCH_KEY_RAW, &raw);
    const char *other_group = only_group(g, TORCH_KEY_OTHER, &other);
    const char *ema_group = only_group(g, TORCH_KEY_EMA, &ema);

    for (size_t i = 0; i < g->count; i++)
        if (wanted && *wanted ? strcmp(g->names[i], strcmp(wanted, ".") == 0 ? "" : wanted) == 0
                              : raw == 0 && *g->names[i] == '\0')
            c->group = g->names[i];
    if (c->group || (wanted && *wanted))
        return c->group ? 0 : fail_choice(c, g);
    if (raw + other + ema == 0)
        return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED, "'%s' has no tensors of a model",
                         c->d->name);
    c->group = raw == 1 ? raw_group : raw == 0 && other == 1 ? other_group : NULL;
    if (!c->group && raw == 0 && other == 0 && ema == 1)
        c->group = ema_group;
    return c->group ? 0 : fail_choice(c, g);
}

int dcp_find_group(struct dcp *c)
{
    struct groups g = { .count = 0 };
    char name[DCP_NAME_SIZE], group[DCP_NAME_SIZE];
    int rc = find_routes(c);

    for (uint32_t i = 0; i + 1 < c->tensors->count && rc == 0; i += 2)
        if (dcp_tensor(c->tensors->items[i + 1])) {
            if (!torch_text(c->tensors->items[i], name, sizeof name) ||
                !dcp_group_of(c, name, group))
                return dcp_corrupt(c, "a tensor has a name or a path that is no text");
            rc = add_group(c, &g, group);
        }
    if (rc == 0)
        rc = choose_group(c, &g);
    for (size_t i = 0; i < g.count && rc == 0; i++)
        if (strcmp(g.names[i], c->group) != 0)
            rc =
                layout_builder_note(c->b, c->d->err, "left aside: the tensors in '%s'", g.names[i]);
    return rc < 0 ? rc : layout_builder_state_key(c->b, c->group, c->d->err);
}
