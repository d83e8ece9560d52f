/*
 * directory_files - the files of a directory become one layout: a single file as it is, shards one
 * behind the other, as their index says and no otherwise.
 */
#include <inttypes.h>
#include <string.h>

#include "formats/directory.h"
#include "formats/shard_index.h"
#include "formats/shown.h"

/* Hugging Face's trainer writes it last, behind weights and optimizer. */
#define TRAINER_STATE "trainer_state.json"

struct merge {
    const struct directory *d;
    struct layout_builder *b;
    const struct shard_index *index; /* NULL for a single file */
    uint8_t *seen;                   /* by entry of the index */
};

static int no_memory(const struct directory *d)
{
    return sewa_fail(d->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", d->name);
}

/* The index decides where a tensor is: what a shard has besides is a contradiction. */
static int check_entry(struct merge *m, const struct tensor *t, uint32_t file, const char *path)
{
    char shown[SHOWN_NAME_SIZE], other[SHOWN_NAME_SIZE];
    const struct shard_index_entry *e = shard_index_find(m->index, t->name);

    if (!e)
        return sewa_fail(m->d->err, SEWA_E_CORRUPT,
                         "'%s' has tensor '%s', which the index does not name", path,
                         shown_name(t->name, shown));
    if (e->file != file)
        return sewa_fail(m->d->err, SEWA_E_CORRUPT,
                         "'%s' has tensor '%s', which is in '%s' by the index", path,
                         shown_name(t->name, shown), shown_name(m->index->files[e->file], other));
    m->seen[e - m->index->entries] = 1;
    return 0;
}

static int add_tensors(struct merge *m, const struct layout *l, uint32_t file, const char *path)
{
    int rc = 0;

    for (size_t i = 0; i < l->count && rc == 0; i++) {
        struct tensor t = l->tensors[i];
        t.file = file;
        rc = m->index ? check_entry(m, &t, file, path) : 0;
        if (rc == 0)
            rc = layout_builder_tensor(m->b, &t, m->d->err);
    }
    for (size_t i = 0; i < l->storage_count && rc == 0; i++) {
        struct layout_storage s = l->storages[i];
        s.file = file;
        rc = layout_builder_storage(m->b, &s, m->d->err);
    }
    return rc;
}

/* What the first file says of all: "format", the key of the state, and notes. */
static int add_rest(struct merge *m, const struct layout *l)
{
    int rc = layout_builder_state_key(m->b, l->state_key, m->d->err);

    for (size_t i = 0; i < l->metadata_count && rc == 0; i++)
        rc = layout_builder_metadata(m->b, l->metadata[i].key, l->metadata[i].value, m->d->err);
    for (size_t i = 0; i < l->note_count && rc == 0; i++)
        rc = layout_builder_note(m->b, m->d->err, "%s", l->notes[i]);
    return rc;
}

static int check_state_key(const struct merge *m, const char *first, const struct layout *l,
                           const char *path)
{
    char a[SHOWN_NAME_SIZE], b[SHOWN_NAME_SIZE];

    if (strcmp(first, l->state_key) == 0)
        return 0;
    return sewa_fail(m->d->err, SEWA_E_CORRUPT,
                     "the tensors of '%s' are in its '%s', those of other shards in '%s'", path,
                     shown_name(l->state_key, a), shown_name(first, b));
}

/* Names keep their prefixes here: the index has them too. */
static int add_file(struct merge *m, uint32_t number, const char *file, char first_key[],
                    size_t room)
{
    const struct directory *d = m->d;
    AUTOFREE char *path = directory_path(d, file);
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTOCLOSE int fd = -1;
    struct checkpoint_options options = { .keeps_prefixes = true };
    struct layout_file stat;

    if (!path)
        return SEWA_E_NO_MEMORY;
    if (d->options)
        options.state_key = d->options->state_key;
    int rc = directory_open(d, file, m->index ? ", and the index names it" : "", &fd, &stat);
    if (rc == 0)
        rc = checkpoint_read_file(fd, path, stat.bytes, &options, &l, d->err);
    if (rc < 0)
        return rc;
    memcpy(stat.header_digest, l->header_digest, sizeof stat.header_digest);
    rc = layout_builder_file(m->b, &stat, d->err);
    if (rc == 0 && number == 0) {
        rc = add_rest(m, l);
        if (strlen(l->state_key) < room)
            memcpy(first_key, l->state_key, strlen(l->state_key) + 1);
    } else if (rc == 0) {
        rc = check_state_key(m, first_key, l, path);
    }
    return rc < 0 ? rc : add_tensors(m, l, number, path);
}

static int add_last_file(struct merge *m, const char *index)
{
    const char *last = directory_has(m->d, TRAINER_STATE) ? TRAINER_STATE : index;

    return last ? layout_builder_last_file(m->b, last, m->d->err) : 0;
}

int directory_read_single(const struct directory *d, const char *file, struct layout **ret)
{
    const struct checkpoint_format *format = checkpoint_format_for(file);
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new(format->name);
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct merge m = { .d = d, .b = b };
    char key[LAYOUT_NAME_MAX + 1] = "";

    if (!b)
        return no_memory(d);
    int rc = add_file(&m, 0, file, key, sizeof key);
    if (rc == 0)
        rc = add_last_file(&m, NULL);
    if (rc == 0)
        rc = layout_builder_finish(b, &l, d->err);
    if (rc == 0)
        rc = directory_digest(d, NULL, l);
    if (rc < 0)
        return rc;
    l->file_bytes = l->files[0].bytes;
    *ret = TAKE(l);
    return 0;
}

static int read_index(const struct directory *d, const char *file, struct shard_index **ret)
{
    AUTOFREE char *path = directory_path(d, file);
    AUTOCLOSE int fd = -1;
    struct layout_file stat;

    if (!path)
        return SEWA_E_NO_MEMORY;
    int rc = directory_open(d, file, "", &fd, &stat);
    if (rc < 0)
        return rc;
    struct window_source source = { .name = path, .fd = fd };
    return shard_index_read(&source, stat.bytes, ret, d->err);
}

/* All shards have the format of the index: ".safetensors.index.json" has only ".safetensors". */
static int check_names(const struct directory *d, const char *index, const struct shard_index *x,
                       const struct checkpoint_format **ret)
{
    char shown[SHOWN_NAME_SIZE], other[SHOWN_NAME_SIZE];

    *ret = checkpoint_format_named(strstr(index, ".safetensors.") ? "safetensors" : "torch");
    for (size_t i = 0; i < x->file_count; i++)
        if (checkpoint_format_for(x->files[i]) != *ret)
            return sewa_fail(d->err, SEWA_E_CORRUPT, "'%s/%s' names '%s', which is no %s file",
                             d->name, shown_name(index, shown), shown_name(x->files[i], other),
                             (*ret)->name);
    return 0;
}

static int check_all_seen(const struct merge *m)
{
    char shown[SHOWN_NAME_SIZE], file[SHOWN_NAME_SIZE];

    for (size_t i = 0; i < m->index->count; i++)
        if (!m->seen[i])
            return sewa_fail(m->d->err, SEWA_E_CORRUPT,
                             "'%s' lacks tensor '%s', which is in '%s' by the index", m->d->name,
                             shown_name(m->index->entries[i].name, shown),
                             shown_name(m->index->files[m->index->entries[i].file], file));
    return 0;
}

int directory_read_sharded(const struct directory *d, const char *index, struct layout **ret)
{
    AUTOPTR(shard_index_free) struct shard_index *x = NULL;
    AUTOPTR(layout_builder_free) struct layout_builder *b = NULL;
    AUTOPTR(layout_free) struct layout *l = NULL;
    const struct checkpoint_format *format = NULL;
    char key[LAYOUT_NAME_MAX + 1] = "";
    int rc = read_index(d, index, &x);

    if (rc == 0)
        rc = check_names(d, index, x, &format);
    if (rc < 0)
        return rc;
    AUTOFREE uint8_t *seen = calloc(x->count, 1);
    b = layout_builder_new(format->name);
    if (!b || !seen)
        return no_memory(d);
    struct merge m = { d, b, x, seen };
    for (size_t i = 0; i < x->file_count && rc == 0; i++)
        rc = add_file(&m, (uint32_t)i, x->files[i], key, sizeof key);
    if (rc == 0)
        rc = check_all_seen(&m);
    if (rc == 0)
        rc = add_last_file(&m, index);
    if (rc == 0)
        rc = layout_builder_finish(b, &l, d->err);
    if (rc == 0)
        rc = directory_digest(d, x->digest, l);
    if (rc < 0)
        return rc;
    l->file_bytes = l->files[0].bytes;
    *ret = TAKE(l);
    return 0;
}
