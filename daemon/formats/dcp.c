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
#include <string.h>

#include "base/fdio.h"
#include "base/path.h"

#include "formats/dcp_body.h"
#include "formats/name_order.h"

#define METADATA ".metadata"

int dcp_no_memory(const struct dcp *c)
{
    return sewa_fail(c->d->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", c->d->name);
}

int dcp_corrupt(const struct dcp *c, const char *what)
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
const struct pickle_node *dcp_attributes(const struct pickle_node *n, const char *class)
{
    static const char package[] = "torch.distributed.";

    if (n->kind != PICKLE_OBJECT || n->object->callable->kind != PICKLE_GLOBAL)
        return NULL;
    const char *name = n->object->callable->text, *last = strrchr(name, '.');
    if (strncmp(name, package, sizeof package - 1) != 0 || strcmp(last + 1, class) != 0)
        return NULL;
    return n->object->state ? torch_dictionary(n->object->state) : NULL;
}

const struct pickle_node *dcp_attribute(const struct pickle_node *attributes, const char *name)
{
    const struct pickle_node *n = attributes ? torch_lookup(attributes, name) : NULL;

    return n && n->kind != PICKLE_NONE ? n : NULL;
}

const struct pickle_node *dcp_tensor(const struct pickle_node *n)
{
    return dcp_attributes(n, "TensorStorageMetadata");
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
        return dcp_no_memory(c);
    ssize_t got = pread_full(fd, to, (size_t)stat.bytes, 0);
    if (got < 0)
        return sewa_fail_errno(c->d->err, SEWA_E_IO, "cannot read '%s'", c->path);
    buf_advance(&c->bytes, (size_t)got);
    return pickle_read(c->bytes.data, c->bytes.len, c->path, &c->pickle, c->d->err);
}

static int find_tables(struct dcp *c)
{
    const struct pickle_node *root = dcp_attributes(pickle_root(c->pickle), "Metadata");
    const struct pickle_node *tensors = dcp_attribute(root, "state_dict_metadata");
    const struct pickle_node *storage = dcp_attribute(root, "storage_data");
    const struct pickle_node *planner = dcp_attribute(root, "planner_data");

    c->tensors = tensors ? torch_dictionary(tensors) : NULL;
    c->storage = storage ? torch_dictionary(storage) : NULL;
    c->planner = planner ? torch_dictionary(planner) : NULL;
    if (!c->tensors || !c->storage)
        return dcp_corrupt(c, "this is not the metadata of a distributed checkpoint");
    return 0;
}

/* One entry of storage_data. */
static int add_part(struct dcp *c, const struct pickle_node *key, const struct pickle_node *value)
{
    char name[DCP_NAME_SIZE], file[256];
    const struct pickle_node *index = dcp_attributes(key, "MetadataIndex");
    const struct pickle_node *info = dcp_attributes(value, "_StorageInfo");
    const struct pickle_node *fqn = dcp_attribute(index, "fqn");
    const struct pickle_node *path = dcp_attribute(info, "relative_path");
    const struct pickle_node *offset = dcp_attribute(info, "offset");
    const struct pickle_node *bytes = dcp_attribute(info, "length");
    const struct pickle_node *transforms = dcp_attribute(info, "transform_descriptors");

    if (!fqn || !path || !offset || !bytes || !torch_text(fqn, name, sizeof name) ||
        !torch_text(path, file, sizeof file) || !path_is_name(file) || file[0] == '.' ||
        offset->kind != PICKLE_INTEGER || offset->integer < 0 || bytes->kind != PICKLE_INTEGER ||
        bytes->integer < 0)
        return dcp_corrupt(c, "an entry of storage_data does not say where it is");
    if (transforms && transforms->count > 0)
        return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                         "'%s': the parts are transformed (compressed), which is not read",
                         c->path);
    struct part *p = &c->parts[c->count++];
    *p = (struct part){ arena_text(&c->arena, name, strlen(name)),
                        arena_text(&c->arena, file, strlen(file)), offset->integer,
                        bytes->integer };
    return p->name && p->file ? 0 : dcp_no_memory(c);
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
        return dcp_no_memory(c);
    for (size_t i = 0; i < c->count; i++)
        sorted[i] = c->parts[c->order[i]];
    struct part *unsorted = c->parts;
    c->parts = TAKE(sorted);
    free(unsorted);
    return name_order(part_file, c->parts, c->count, c->order, &twice) < 0 ? dcp_no_memory(c) : 0;
}

static int find_parts(struct dcp *c)
{
    int rc = 0;

    c->parts = malloc((c->storage->count / 2 + 1) * sizeof *c->parts);
    if (!c->parts)
        return dcp_no_memory(c);
    for (uint32_t i = 0; i + 1 < c->storage->count && rc == 0; i += 2)
        rc = add_part(c, c->storage->items[i], c->storage->items[i + 1]);
    return rc < 0 ? rc : sort_parts(c);
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
        return dcp_no_memory(&c);
    int rc = read_metadata(&c);
    if (rc == 0)
        rc = find_tables(&c);
    if (rc == 0)
        rc = dcp_find_group(&c);
    if (rc == 0)
        rc = find_parts(&c);
    if (rc == 0)
        rc = dcp_add_tensors(&c);
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
