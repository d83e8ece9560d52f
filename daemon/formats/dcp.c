/*
 * dcp - checkpoints of torch.distributed.checkpoint: a directory with .metadata, a pickle that says
 * which part of which tensor is where, and files (*.distcp) in which each part is an archive of
 * torch.save.
 *
 *     Metadata(state_dict_metadata = {name: TensorStorageMetadata(properties, size, chunks) ...},
 *              planner_data = {name: path of keys},
 *              storage_data = {MetadataIndex(fqn, offset, index): _StorageInfo(relative_path,
 *                              offset, length, transform_descriptors)})
 *
 * A tensor that was saved in one piece is a tensor like any other. One that was saved in several
 * has no place of its own: such checkpoints are refused with the command that puts them together.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/path.h"

#include "formats/arena.h"
#include "formats/directory.h"
#include "formats/name_order.h"
#include "formats/shown.h"
#include "formats/torch_body.h"

#define METADATA ".metadata"

enum { NAME_SIZE = LAYOUT_NAME_MAX + 1, GROUPS_MAX = 64 };

/* A tensor, or a part of one, and where it is. */
struct part {
    const char *name; /* the whole of it */
    const char *file;
    int64_t offset, bytes;
};

/* How a tensor is reached through the keys of the state that was saved. */
struct route {
    const char *name;
    const struct pickle_node *path;
};

struct dcp {
    const struct directory *d;
    char *path; /* of .metadata */
    struct buf bytes;
    struct pickle *pickle;
    const struct pickle_node *tensors, *planner, *storage; /* dictionaries; planner may be NULL */
    struct arena arena;
    struct part *parts; /* in order of names */
    size_t count;
    uint32_t *order;      /* of parts, by file */
    struct route *routes; /* in order of names */
    size_t route_count;
    const char *group;
    struct sha256 *digest; /* of the file that is being read: over the digests of its archives */
    uint8_t (*digests)[SHA256_SIZE]; /* by file */
    struct layout_builder *b;
};

static int no_memory(const struct dcp *c)
{
    return sewa_fail(c->d->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", c->d->name);
}

static int corrupt(const struct dcp *c, const char *what)
{
    return sewa_fail(c->d->err, SEWA_E_CORRUPT, "'%s': %s", c->path, what);
}

static void dcp_clear(struct dcp *c)
{
    pickle_free(c->pickle);
    buf_clear(&c->bytes);
    layout_builder_free(c->b);
    arena_clear(&c->arena);
    free(c->parts);
    free(c->order);
    free(c->routes);
    free(c->digests);
    sha256_free(c->digest);
    free(c->path);
}

/* The attributes of an object of a class of PyTorch's with this name, wherever it is defined. */
static const struct pickle_node *attributes(const struct pickle_node *n, const char *class)
{
    static const char package[] = "torch.distributed.";

    if (n->kind != PICKLE_OBJECT || n->object->callable->kind != PICKLE_GLOBAL)
        return NULL;
    const char *name = n->object->callable->text, *last = strrchr(name, '.');
    if (strncmp(name, package, sizeof package - 1) != 0 || strcmp(last + 1, class) != 0)
        return NULL;
    return n->object->state ? torch_dictionary(n->object->state) : NULL;
}

static const struct pickle_node *attribute(const struct pickle_node *attributes, const char *name)
{
    const struct pickle_node *n = attributes ? torch_lookup(attributes, name) : NULL;

    return n && n->kind != PICKLE_NONE ? n : NULL;
}

/* ---- .metadata ---- */

static int read_metadata(struct dcp *c)
{
    AUTOCLOSE int fd = -1;
    struct layout_file stat;
    int rc = directory_open(c->d, METADATA, "", &fd, &stat);

    if (rc < 0)
        return rc;
    if (stat.bytes > PICKLE_BYTES_MAX)
        return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                         "'%s' has %" PRId64 " bytes, at most %d are supported", c->path,
                         stat.bytes, PICKLE_BYTES_MAX);
    if (stat.bytes == 0)
        return sewa_fail(c->d->err, SEWA_E_INCOMPLETE, "'%s' is empty: it may still be written",
                         c->path);
    void *to = buf_reserve(&c->bytes, (size_t)stat.bytes);
    if (!to)
        return no_memory(c);
    ssize_t got = pread_full(fd, to, (size_t)stat.bytes, 0);
    if (got < 0)
        return sewa_fail_errno(c->d->err, SEWA_E_IO, "cannot read '%s'", c->path);
    buf_advance(&c->bytes, (size_t)got);
    return pickle_read(c->bytes.data, c->bytes.len, c->path, &c->pickle, c->d->err);
}

static int find_tables(struct dcp *c)
{
    const struct pickle_node *root = attributes(pickle_root(c->pickle), "Metadata");
    const struct pickle_node *tensors = attribute(root, "state_dict_metadata");
    const struct pickle_node *storage = attribute(root, "storage_data");
    const struct pickle_node *planner = attribute(root, "planner_data");

    c->tensors = tensors ? torch_dictionary(tensors) : NULL;
    c->storage = storage ? torch_dictionary(storage) : NULL;
    c->planner = planner ? torch_dictionary(planner) : NULL;
    if (!c->tensors || !c->storage)
        return corrupt(c, "this is not the metadata of a distributed checkpoint");
    return 0;
}

/* One entry of storage_data. */
static int add_part(struct dcp *c, const struct pickle_node *key, const struct pickle_node *value)
{
    char name[NAME_SIZE], file[256];
    const struct pickle_node *index = attributes(key, "MetadataIndex");
    const struct pickle_node *info = attributes(value, "_StorageInfo");
    const struct pickle_node *fqn = attribute(index, "fqn");
    const struct pickle_node *path = attribute(info, "relative_path");
    const struct pickle_node *offset = attribute(info, "offset");
    const struct pickle_node *bytes = attribute(info, "length");
    const struct pickle_node *transforms = attribute(info, "transform_descriptors");

    if (!fqn || !path || !offset || !bytes || !torch_text(fqn, name, sizeof name) ||
        !torch_text(path, file, sizeof file) || !path_is_name(file) || file[0] == '.' ||
        offset->kind != PICKLE_INTEGER || offset->integer < 0 || bytes->kind != PICKLE_INTEGER ||
        bytes->integer < 0)
        return corrupt(c, "an entry of storage_data does not say where it is");
    if (transforms && transforms->count > 0)
        return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                         "'%s': the parts are transformed (compressed), which is not read",
                         c->path);
    struct part *p = &c->parts[c->count++];
    *p = (struct part){ arena_text(&c->arena, name, strlen(name)),
                        arena_text(&c->arena, file, strlen(file)), offset->integer,
                        bytes->integer };
    return p->name && p->file ? 0 : no_memory(c);
}

static const char *part_name(const void *of, size_t i)
{
    return ((const struct part *)of)[i].name;
}

static const char *part_file(const void *of, size_t i)
{
    return ((const struct part *)of)[i].file;
}

static int sort_parts(struct dcp *c)
{
    AUTOFREE struct part *sorted = malloc((c->count + 1) * sizeof *sorted);
    size_t twice;

    c->order = malloc((c->count + 1) * sizeof *c->order);
    if (!sorted || !c->order || name_order(part_name, c->parts, c->count, c->order, &twice) < 0)
        return no_memory(c);
    for (size_t i = 0; i < c->count; i++)
        sorted[i] = c->parts[c->order[i]];
    struct part *unsorted = c->parts;
    c->parts = TAKE(sorted);
    free(unsorted);
    return name_order(part_file, c->parts, c->count, c->order, &twice) < 0 ? no_memory(c) : 0;
}

static int find_parts(struct dcp *c)
{
    int rc = 0;

    c->parts = malloc((c->storage->count / 2 + 1) * sizeof *c->parts);
    if (!c->parts)
        return no_memory(c);
    for (uint32_t i = 0; i + 1 < c->storage->count && rc == 0; i += 2)
        rc = add_part(c, c->storage->items[i], c->storage->items[i + 1]);
    return rc < 0 ? rc : sort_parts(c);
}

/* ---- which of the tensors are the model ---- */

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
    char name[NAME_SIZE];

    c->routes = malloc((room + 1) * sizeof *c->routes);
    if (!routes || !order || !c->routes)
        return no_memory(c);
    for (size_t i = 0; i < room; i++) {
        const struct pickle_node *const *pair = c->planner->items + 2 * i;
        if (!torch_text(pair[0], name, sizeof name))
            continue;
        routes[c->route_count] =
            (struct route){ arena_text(&c->arena, name, strlen(name)), pair[1] };
        if (!routes[c->route_count++].name)
            return no_memory(c);
    }
    if (name_order(route_name, routes, c->route_count, order, &twice) < 0)
        return no_memory(c);
    for (size_t i = 0; i < c->route_count; i++)
        c->routes[i] = routes[order[i]];
    return 0;
}

static int by_route(const void *name, const void *route)
{
    return strcmp(name, ((const struct route *)route)->name);
}

/* The first key on the way to a tensor, when there is more than one: {"model": {...}}. */
static bool group_of(const struct dcp *c, const char *name, char ret[NAME_SIZE])
{
    const struct route *route =
        c->route_count ? bsearch(name, c->routes, c->route_count, sizeof *route, by_route) : NULL;
    const struct pickle_node *path = route ? route->path : NULL;

    ret[0] = '\0';
    if (!path || (path->kind != PICKLE_TUPLE && path->kind != PICKLE_LIST) || path->count < 2)
        return true;
    return torch_text(path->items[0], ret, NAME_SIZE);
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
        return corrupt(c, "the tensors are under more than 64 keys");
    g->names[g->count] = arena_text(&c->arena, name, strlen(name));
    return g->names[g->count++] ? 0 : no_memory(c);
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

static const struct pickle_node *tensor_attributes(const struct pickle_node *n)
{
    return attributes(n, "TensorStorageMetadata");
}

static int find_group(struct dcp *c)
{
    struct groups g = { .count = 0 };
    char name[NAME_SIZE], group[NAME_SIZE];
    int rc = find_routes(c);

    for (uint32_t i = 0; i + 1 < c->tensors->count && rc == 0; i += 2)
        if (tensor_attributes(c->tensors->items[i + 1])) {
            if (!torch_text(c->tensors->items[i], name, sizeof name) || !group_of(c, name, group))
                return corrupt(c, "a tensor has a name or a path that is no text");
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

/* ---- tensors ---- */

/* Whether it was saved in one piece: one chunk from the beginning to the end. */
static int check_whole(const struct dcp *c, const char *name, const struct pickle_node *tensor,
                       int64_t size[LAYOUT_RANK_MAX], int *ret_rank)
{
    char shown[SHOWN_NAME_SIZE];
    const struct pickle_node *whole = attribute(tensor, "size");
    const struct pickle_node *chunks = attribute(tensor, "chunks");
    int64_t sizes[LAYOUT_RANK_MAX];

    if (!whole || !chunks || chunks->kind != PICKLE_LIST || chunks->count == 0)
        return corrupt(c, "a tensor has no size or no chunks");
    if (chunks->count > 1)
        return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                         "'%s' has tensor '%s' in %u parts: put it together with 'python -m "
                         "torch.distributed.checkpoint.format_utils dcp_to_torch %s model.pt'",
                         c->d->name, shown_name(name, shown), chunks->count, c->d->name);
    const struct pickle_node *chunk = attributes(chunks->items[0], "ChunkStorageMetadata");
    const struct pickle_node *sizes_node = attribute(chunk, "sizes");
    int rank = torch_counts(whole, size);
    if (rank < 0 || !sizes_node || torch_counts(sizes_node, sizes) != rank ||
        (rank > 0 && memcmp(size, sizes, (size_t)rank * sizeof *size) != 0))
        return corrupt(c, "a tensor's only chunk is not all of it");
    *ret_rank = rank;
    return 0;
}

/* The part with this name; there must be one. */
static int find_part(const struct dcp *c, const char *name, size_t *ret)
{
    size_t low = 0, high = c->count;
    char shown[SHOWN_NAME_SIZE];

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->parts[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == c->count || strcmp(c->parts[low].name, name) != 0 ||
        (low + 1 < c->count && strcmp(c->parts[low + 1].name, name) == 0))
        return sewa_fail(c->d->err, SEWA_E_CORRUPT,
                         "'%s': tensor '%s' is at no place, or at several", c->path,
                         shown_name(name, shown));
    *ret = low;
    return 0;
}

/* The name within the group: without "model." in front. */
static const char *name_in_group(const struct dcp *c, const char *name)
{
    size_t n = strlen(c->group);

    return n > 0 && strncmp(name, c->group, n) == 0 && name[n] == '.' && name[n + 1] ? name + n + 1
                                                                                     : name;
}

struct open_file {
    int fd;
    char *path;
    int64_t bytes;
    uint32_t number;
};

static int open_file(struct dcp *c, const char *name, uint32_t number, struct open_file *ret)
{
    struct layout_file stat;
    int rc = directory_open(c->d, name, ", and .metadata names it", &ret->fd, &stat);

    if (rc < 0)
        return rc;
    ret->path = directory_path(c->d, name);
    ret->bytes = stat.bytes;
    ret->number = number;
    c->digest = sha256_new();
    if (!ret->path || !c->digest)
        return no_memory(c);
    return layout_builder_file(c->b, &stat, c->d->err);
}

/* The next file, if there is one, begins with a digest of its own. */
static void end_file(struct dcp *c, struct open_file *f)
{
    if (c->digest)
        sha256_final(c->digest, c->digests[f->number]);
    sha256_free(c->digest);
    c->digest = NULL;
    cleanup_close(&f->fd);
    f->fd = -1;
    free(f->path);
    f->path = NULL;
}

static void open_file_clear(struct open_file *f)
{
    cleanup_close(&f->fd);
    free(f->path);
}

/* Read the archive of a part, and compare it with what .metadata says of the tensor. */
static int add_tensor(struct dcp *c, const struct open_file *f, const struct part *p,
                      const struct pickle_node *tensor)
{
    AUTO(torch_archive_clear) struct torch_archive a = { 0 };
    struct window_source source = { .name = f->path, .fd = f->fd };
    char shown[SHOWN_NAME_SIZE];
    struct torch_numbers numbers;
    int64_t size[LAYOUT_RANK_MAX];
    struct tensor t;
    int rank = 0, rc = check_whole(c, p->name, tensor, size, &rank);

    if (rc < 0)
        return rc;
    if (p->offset > f->bytes || p->bytes > f->bytes - p->offset)
        return sewa_fail(c->d->err, SEWA_E_INCOMPLETE,
                         "'%s' has %" PRId64 " bytes, tensor '%s' goes on behind them", f->path,
                         f->bytes, shown_name(p->name, shown));
    rc = torch_archive_open(&source, p->offset, p->bytes, &a, c->d->err);
    if (rc == 0)
        rc = torch_tensor(&a, pickle_root(a.pickle), p->name, &numbers, &t, c->d->err);
    if (rc < 0)
        return rc;
    sha256_update(c->digest, a.zip->digest, sizeof a.zip->digest);
    const struct pickle_node *properties = attribute(tensor, "properties"), *state = NULL;
    if (properties && properties->kind == PICKLE_OBJECT)
        state = properties->object->state;
    bool has_type = state && state->kind == PICKLE_TUPLE && state->count > 0;
    if (t.rank != rank || (rank > 0 && memcmp(t.shape, size, (size_t)rank * sizeof *size) != 0) ||
        (has_type && torch_dtype(state->items[0]) != (int)t.dtype))
        return sewa_fail(c->d->err, SEWA_E_CORRUPT,
                         "'%s' has tensor '%s' with another type or shape than .metadata", f->path,
                         shown_name(p->name, shown));
    t.name = name_in_group(c, p->name);
    t.file = f->number;
    return layout_builder_tensor(c->b, &t, c->d->err);
}

/* Which parts are wanted: the metadata of their tensors, by part; NULL for others. */
static int select_parts(struct dcp *c, const struct pickle_node **tensors)
{
    char name[NAME_SIZE], group[NAME_SIZE];
    size_t i = 0;

    for (uint32_t k = 0; k + 1 < c->tensors->count; k += 2) {
        const struct pickle_node *tensor = tensor_attributes(c->tensors->items[k + 1]);
        if (!tensor || !torch_text(c->tensors->items[k], name, sizeof name) ||
            !group_of(c, name, group) || strcmp(group, c->group) != 0)
            continue;
        int64_t size[LAYOUT_RANK_MAX];
        int rank, rc = check_whole(c, name, tensor, size, &rank);
        if (rc == 0)
            rc = find_part(c, name, &i);
        if (rc < 0)
            return rc;
        tensors[i] = tensor;
    }
    return 0;
}

/* File by file, so that one is open at a time. */
static int add_tensors(struct dcp *c)
{
    AUTOFREE const struct pickle_node **tensors = calloc(c->count + 1, sizeof *tensors);
    AUTO(open_file_clear) struct open_file f = { .fd = -1 };
    const char *before = NULL;
    uint32_t files = 0;

    c->digests = calloc(c->count + 1, sizeof *c->digests);
    if (!tensors || !c->digests)
        return no_memory(c);
    int rc = select_parts(c, tensors);
    for (size_t i = 0; i < c->count && rc == 0; i++) {
        const struct part *p = &c->parts[c->order[i]];
        if (!tensors[c->order[i]])
            continue;
        if (!before || strcmp(before, p->file) != 0) {
            end_file(c, &f);
            rc = open_file(c, p->file, files++, &f);
            before = p->file;
        }
        if (rc == 0)
            rc = add_tensor(c, &f, p, tensors[c->order[i]]);
    }
    end_file(c, &f);
    return rc;
}

int directory_read_dcp(const struct directory *d, struct layout **ret)
{
    AUTO(dcp_clear) struct dcp c = { .d = d, .path = directory_path(d, METADATA) };
    AUTOPTR(layout_free) struct layout *l = NULL;
    uint8_t digest[SHA256_SIZE];

    if (!c.path)
        return SEWA_E_NO_MEMORY;
    c.b = layout_builder_new("dcp");
    if (!c.b)
        return no_memory(&c);
    int rc = read_metadata(&c);
    if (rc == 0)
        rc = find_tables(&c);
    if (rc == 0)
        rc = find_group(&c);
    if (rc == 0)
        rc = find_parts(&c);
    if (rc == 0)
        rc = add_tensors(&c);
    if (rc == 0)
        rc = layout_builder_last_file(c.b, METADATA, d->err);
    if (rc == 0)
        rc = layout_builder_finish(c.b, &l, d->err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < l->file_count; i++)
        memcpy(l->files[i].header_digest, c.digests[i], SHA256_SIZE);
    sha256_of(c.bytes.data, c.bytes.len, digest);
    rc = directory_digest(d, digest, l);
    if (rc < 0)
        return rc;
    l->file_bytes = l->file_count ? l->files[0].bytes : 0;
    *ret = TAKE(l);
    return 0;
}
