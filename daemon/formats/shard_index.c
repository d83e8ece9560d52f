/*
 * shard_index - the JSON of an index, token by token; then the names of files get numbers.
 */
#include "formats/shard_index.h"

#include <inttypes.h>
#include <string.h>

#include "base/path.h"

#include "formats/arena.h"
#include "formats/layout.h"
#include "formats/name_order.h"
#include "formats/scanner.h"
#include "formats/shown.h"

enum { FILE_NAME_MAX = 255 };

/* While it is read: the file is still a text. */
struct pair {
    const char *name, *file;
};

struct index_body {
    struct shard_index index;
    struct arena arena; /* names */
};

struct index_reader {
    struct scanner in;
    struct index_body *body;
    struct pair *pairs;
    size_t count, room;
    bool has_map;
    struct buf key, value;
};

static int no_memory(struct index_reader *r)
{
    return sewa_fail(r->in.err, SEWA_E_NO_MEMORY, "no memory to read '%s'", r->in.in.source.name);
}

static struct pair *append(struct index_reader *r)
{
    if (r->count == r->room) {
        size_t more = r->room ? 2 * r->room : 64;
        struct pair *grown = realloc(r->pairs, more * sizeof *grown);
        if (!grown)
            return NULL;
        r->pairs = grown;
        r->room = more;
    }
    return &r->pairs[r->count++];
}

static int check_file_name(struct index_reader *r, int64_t at, const struct scanned *value)
{
    char name[FILE_NAME_MAX + 1], shown[SHOWN_NAME_SIZE];

    memcpy(name, value->text, value->n);
    name[value->n] = '\0';
    if (path_is_name(name) && name[0] != '.')
        return 0;
    return scanner_fail(&r->in, SEWA_E_CORRUPT, at, "'%s' is not the name of a file beside it",
                        shown_name(name, shown));
}

/* "a.weight": "model-00001-of-00002.safetensors" */
static int read_pair(struct index_reader *r)
{
    struct scanned key, value;
    int64_t at = scanner_offset(&r->in);
    int rc = scanner_key(&r->in, LAYOUT_NAME_MAX, &r->key, &key);

    if (rc < 0)
        return rc;
    if (r->count == LAYOUT_TENSORS_MAX)
        return scanner_fail(&r->in, SEWA_E_UNSUPPORTED, at,
                            "more than %d tensors are not supported", LAYOUT_TENSORS_MAX);
    struct pair *pair = append(r);
    if (!pair)
        return no_memory(r);
    *pair = (struct pair){ .name = arena_text(&r->body->arena, key.text, key.n) };
    at = scanner_offset(&r->in);
    rc = scanner_string(&r->in, FILE_NAME_MAX, &r->value, &value);
    if (rc == 0)
        rc = check_file_name(r, at, &value);
    if (rc < 0)
        return rc;
    const char *before = r->count > 1 ? pair[-1].file : NULL; /* mostly the same again */
    pair->file = before && scanned_is(&value, before, strlen(before))
                     ? before
                     : arena_text(&r->body->arena, value.text, value.n);
    return pair->name && pair->file ? 0 : no_memory(r);
}

static int read_map(struct index_reader *r, int64_t at)
{
    bool is_first = true;

    if (r->has_map)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, at, "'weight_map' is there twice");
    r->has_map = true;
    int rc = scanner_take(&r->in, '{', "the '{' of 'weight_map'");
    while (rc == 0 && (rc = scanner_next(&r->in, '}', &is_first)) > 0)
        rc = read_pair(r);
    return rc;
}

static int read_member(struct index_reader *r)
{
    static const char map[] = "weight_map";
    int64_t at = scanner_offset(&r->in);
    struct scanned key;
    int rc = scanner_key(&r->in, LAYOUT_NAME_MAX, &r->key, &key);

    if (rc < 0)
        return rc;
    return scanned_is(&key, map, sizeof map - 1) ? read_map(r, at) : scanner_skip(&r->in, 1);
}

static int read_text(struct index_reader *r)
{
    bool is_first = true;
    int rc = scanner_take(&r->in, '{', "'{'");

    while (rc == 0 && (rc = scanner_next(&r->in, '}', &is_first)) > 0)
        rc = read_member(r);
    if (rc < 0)
        return rc;
    int c = scanner_peek(&r->in);
    if (c >= 0)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, scanner_offset(&r->in),
                            "byte 0x%02x behind the end of the object", (unsigned)c);
    if (r->in.in.rc < 0)
        return r->in.in.rc;
    if (!r->has_map || r->count == 0)
        return sewa_fail(r->in.err, SEWA_E_CORRUPT, "'%s' has no 'weight_map' with tensors",
                         r->in.in.source.name);
    return 0;
}

static const char *pair_name(const void *of, size_t i)
{
    return ((const struct pair *)of)[i].name;
}

static const char *pair_file(const void *of, size_t i)
{
    return ((const struct pair *)of)[i].file;
}

/* Row 7 of what must be right: a tensor is in one file, or we do not know which one counts. */
static int sort_names(struct index_reader *r, uint32_t *order)
{
    struct shard_index *x = &r->body->index;
    char shown[SHOWN_NAME_SIZE], a[SHOWN_NAME_SIZE], b[SHOWN_NAME_SIZE];
    size_t twice;

    x->entries = malloc(r->count * sizeof *x->entries);
    if (!x->entries || name_order(pair_name, r->pairs, r->count, order, &twice) < 0)
        return no_memory(r);
    if (twice > 0) {
        const struct pair *p = &r->pairs[order[twice - 1]], *q = &r->pairs[order[twice]];
        return sewa_fail(r->in.err, SEWA_E_CORRUPT,
                         "'%s' has tensor '%s' twice, in '%s' and in '%s'", r->in.in.source.name,
                         shown_name(p->name, shown), shown_name(p->file, a),
                         shown_name(q->file, b));
    }
    return 0;
}

/* Files in order of names; each pair's number goes to numbers. */
static int number_files(struct index_reader *r, uint32_t *order, uint32_t *numbers)
{
    struct shard_index *x = &r->body->index;
    size_t twice;

    if (name_order(pair_file, r->pairs, r->count, order, &twice) < 0)
        return no_memory(r);
    x->files = malloc(LAYOUT_FILES_MAX * sizeof *x->files);
    if (!x->files)
        return no_memory(r);
    for (size_t i = 0; i < r->count; i++) {
        const char *file = r->pairs[order[i]].file;
        if (x->file_count == 0 || strcmp(x->files[x->file_count - 1], file) != 0) {
            if (x->file_count == LAYOUT_FILES_MAX)
                return sewa_fail(r->in.err, SEWA_E_UNSUPPORTED, "'%s' names more than %d files",
                                 r->in.in.source.name, LAYOUT_FILES_MAX);
            x->files[x->file_count++] = file;
        }
        numbers[order[i]] = (uint32_t)(x->file_count - 1);
    }
    return 0;
}

static int finish(struct index_reader *r)
{
    struct shard_index *x = &r->body->index;
    AUTOFREE uint32_t *order = malloc(r->count * sizeof *order);
    AUTOFREE uint32_t *numbers = malloc(r->count * sizeof *numbers);

    if (!order || !numbers)
        return no_memory(r);
    int rc = number_files(r, order, numbers);
    if (rc == 0)
        rc = sort_names(r, order);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < r->count; i++)
        x->entries[i] = (struct shard_index_entry){ r->pairs[order[i]].name, numbers[order[i]] };
    x->count = r->count;
    window_digest(&r->in.in, x->digest);
    return 0;
}

static void index_reader_clear(struct index_reader *r)
{
    window_clear(&r->in.in);
    free(r->pairs);
    buf_clear(&r->key);
    buf_clear(&r->value);
}

int shard_index_read(const struct window_source *source, int64_t bytes, struct shard_index **ret,
                     struct sewa_error *err)
{
    AUTO(index_reader_clear) struct index_reader r = { .in.err = err };
    struct index_body *body = calloc(1, sizeof *body);

    if (!body)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", source->name);
    AUTOPTR(shard_index_free) struct shard_index *x = &body->index;
    r.body = body;
    int rc = window_init(&r.in.in, source, WINDOW_BYTES, err);
    if (rc < 0)
        return rc;
    r.in.in.limit = bytes;
    r.in.text_end = INT64_MAX; /* it says nowhere how long it is: breaking off is "not yet" */
    rc = read_text(&r);
    if (rc == SEWA_E_INCOMPLETE)
        return sewa_fail(err, rc, "'%s' breaks off at byte %" PRId64 ": it may still be written",
                         source->name, bytes);
    if (rc == 0)
        rc = finish(&r);
    if (rc < 0)
        return rc;
    *ret = TAKE(x);
    return 0;
}

void shard_index_free(struct shard_index *x)
{
    if (!x)
        return;
    struct index_body *body = container_of(x, struct index_body, index);
    arena_clear(&body->arena);
    free(x->entries);
    free(x->files);
    free(body);
}

const struct shard_index_entry *shard_index_find(const struct shard_index *x, const char *name)
{
    size_t low = 0, high = x->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, x->entries[middle].name);
        if (order == 0)
            return &x->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
