/*
 * dcp_tensors - the parts of a distributed checkpoint, each an archive of one tensor.
 */
#include <inttypes.h>
#include <string.h>

#include "formats/dcp_body.h"
#include "formats/shown.h"

/* Whether it was saved in one piece: one chunk from the beginning to the end. */
static int check_whole(const struct dcp *c, const char *name, const struct pickle_node *tensor,
                       int64_t size[LAYOUT_RANK_MAX], int *ret_rank)
{
    char shown[SHOWN_NAME_SIZE];
    const struct pickle_node *whole = dcp_attribute(tensor, "size");
    const struct pickle_node *chunks = dcp_attribute(tensor, "chunks");
    int64_t sizes[LAYOUT_RANK_MAX];

    if (!whole || !chunks || chunks->kind != PICKLE_LIST || chunks->count == 0)
        return dcp_corrupt(c, "a tensor has no size or no chunks");
    if (chunks->count > 1)
        return sewa_fail(c->d->err, SEWA_E_UNSUPPORTED,
                         "'%s' has tensor '%s' in %u parts: put it together with 'python -m "
                         "torch.distributed.checkpoint.format_utils dcp_to_torch %s model.pt'",
                         c->d->name, shown_name(name, shown), chunks->count, c->d->name);
    const struct pickle_node *chunk = dcp_attributes(chunks->items[0], "ChunkStorageMetadata");
    const struct pickle_node *sizes_node = dcp_attribute(chunk, "sizes");
    int rank = torch_counts(whole, size);
    if (rank < 0 || !sizes_node || torch_counts(sizes_node, sizes) != rank ||
        (rank > 0 && memcmp(size, sizes, (size_t)rank * sizeof *size) != 0))
        return dcp_corrupt(c, "a tensor's only chunk is not all of it");
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
        return dcp_no_memory(c);
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
    const struct pickle_node *properties = dcp_attribute(tensor, "properties"), *state = NULL;
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
    char name[DCP_NAME_SIZE];
    size_t i = 0;

    for (uint32_t k = 0; k + 1 < c->tensors->count; k += 2) {
        const struct pickle_node *tensor = dcp_tensor(c->tensors->items[k + 1]);
        if (!tensor || !torch_text(c->tensors->items[k], name, sizeof name) ||
            !dcp_is_taken(c, name))
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
int dcp_add_tensors(struct dcp *c)
{
    AUTOFREE const struct pickle_node **tensors = calloc(c->count + 1, sizeof *tensors);
    AUTO(open_file_clear) struct open_file f = { .fd = -1 };
    const char *before = NULL;
    uint32_t files = 0;

    c->digests = calloc(c->count + 1, sizeof *c->digests);
    if (!tensors || !c->digests)
        return dcp_no_memory(c);
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
