/*
 * layout_codec - a tensor table as bytes for the index, and back.
 *
 *     version        1 byte: 1, or 2 or 3 for a table that has what the one before cannot say
 *     format         text
 *     types          count, then their names (text), in order of first use
 *     tensors        count, then one record each, in the order of the layout:
 *       name         bytes shared with the name before, then the rest (text)
 *       type         index into types
 *       shape        rank, then the numbers
 *       file         number
 *       gap          offset - end of the tensor before (0 before the first and in a new file),
 *                    zigzag
 *       strides      version 2: 0, or 1 and as many numbers as the shape has
 *     rest           version 2: state key, last file (both text), notes (count, texts), files
 *                    (count, then name, bytes, zigzag of mtime_ns, 32 bytes of digest)
 *     left           version 3: count, texts
 *
 * What is version 1 or 2 stays it: the index keeps equal tables once, old ones included. Which
 * tensors are one is not stored: it follows from where they lie.
 *
 * Numbers are unsigned LEB128 in their shortest form; text is a number of bytes and the bytes. The
 * size of a tensor is not stored: it follows from type and shape. Types are stored by name, so that
 * enum dtype may change. Names of neighbours share much: a table of Llama shapes takes 29 bytes a
 * tensor. Pure but for memory. Thread: any.
 */
#include "formats/layout.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { VERSION_PLAIN = 1, VERSION_REST = 2, VERSION = 3 };
enum { VARINT_MAX = 10, FORMAT_MAX = 64, TYPE_NAME_MAX = 32, NOTE_MAX = 512, DIGEST = 32 };

/* Differences of int64 are taken modulo 2^64: they come back whatever the values were. */
static uint64_t zigzag(uint64_t x)
{
    return x << 1 ^ (x >> 63 ? UINT64_MAX : 0);
}

static uint64_t unzigzag(uint64_t x)
{
    return x >> 1 ^ (x & 1 ? UINT64_MAX : 0);
}

static void put_number(struct buf *b, uint64_t x)
{
    uint8_t bytes[VARINT_MAX];
    size_t n = 0;

    for (; x >= 0x80; x >>= 7)
        bytes[n++] = (uint8_t)(x | 0x80);
    bytes[n++] = (uint8_t)x;
    buf_append(b, bytes, n);
}

static void put_text(struct buf *b, const char *text, size_t n)
{
    put_number(b, n);
    buf_append(b, text, n);
}

/* Numbers the types in order of first use. Returns how many there are. */
static unsigned number_types(const struct layout *l, int number[DTYPE_COUNT],
                             enum dtype types[DTYPE_COUNT])
{
    unsigned used = 0;

    for (int t = 0; t < DTYPE_COUNT; t++)
        number[t] = -1;
    for (size_t i = 0; i < l->count; i++) {
        enum dtype t = l->tensors[i].dtype;
        if (number[t] < 0) {
            number[t] = (int)used;
            types[used++] = t;
        }
    }
    return used;
}

static size_t shared_prefix(const char *a, const char *b)
{
    size_t n = 0;

    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

static void put_tensor(struct buf *b, const struct tensor *t, const struct tensor *before, int type)
{
    size_t shared = before ? shared_prefix(before->name, t->name) : 0;
    bool is_same_file = before && before->file == t->file;
    uint64_t end = is_same_file ? (uint64_t)before->offset + (uint64_t)before->bytes : 0;

    put_number(b, shared);
    put_text(b, t->name + shared, strlen(t->name) - shared);
    put_number(b, (uint64_t)type);
    put_number(b, t->rank);
    for (unsigned i = 0; i < t->rank; i++)
        put_number(b, (uint64_t)t->shape[i]);
    put_number(b, t->file);
    put_number(b, zigzag((uint64_t)t->offset - end));
}

static void put_strides(struct buf *b, const struct tensor *t)
{
    put_number(b, t->stride != NULL);
    for (unsigned i = 0; t->stride && i < t->rank; i++)
        put_number(b, (uint64_t)t->stride[i]);
}

static void put_rest(struct buf *b, const struct layout *l)
{
    const char *last = l->last_file ? l->last_file : "";

    put_text(b, l->state_key, strlen(l->state_key));
    put_text(b, last, strlen(last));
    put_number(b, l->note_count);
    for (size_t i = 0; i < l->note_count; i++)
        put_text(b, l->notes[i], strlen(l->notes[i]));
    put_number(b, l->file_count);
    for (size_t i = 0; i < l->file_count; i++) {
        put_text(b, l->files[i].name, strlen(l->files[i].name));
        put_number(b, (uint64_t)l->files[i].bytes);
        put_number(b, zigzag((uint64_t)l->files[i].mtime_ns));
        buf_append(b, l->files[i].header_digest, DIGEST);
    }
}

static void put_left(struct buf *b, const struct layout *l)
{
    put_number(b, l->left_count);
    for (size_t i = 0; i < l->left_count; i++)
        put_text(b, l->left[i], strlen(l->left[i]));
}

static unsigned version_of(const struct layout *l)
{
    if (l->left_count)
        return VERSION;
    if (l->file_count || l->note_count || l->last_file || *l->state_key)
        return VERSION_REST;
    for (size_t i = 0; i < l->count; i++)
        if (l->tensors[i].stride)
            return VERSION_REST;
    return VERSION_PLAIN;
}

int layout_encode(const struct layout *l, struct buf *ret, struct sewa_error *err)
{
    int number[DTYPE_COUNT];
    enum dtype types[DTYPE_COUNT];
    unsigned used = number_types(l, number, types), version = version_of(l);

    buf_char(ret, (char)version);
    put_text(ret, l->format, strlen(l->format));
    put_number(ret, used);
    for (unsigned i = 0; i < used; i++)
        put_text(ret, dtype_name(types[i]), strlen(dtype_name(types[i])));
    put_number(ret, l->count);
    for (size_t i = 0; i < l->count; i++) {
        put_tensor(ret, &l->tensors[i], i ? &l->tensors[i - 1] : NULL, number[l->tensors[i].dtype]);
        if (version >= VERSION_REST)
            put_strides(ret, &l->tensors[i]);
    }
    if (version >= VERSION_REST)
        put_rest(ret, l);
    if (version >= VERSION)
        put_left(ret, l);
    if (buf_failed(ret))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to write a layout of %zu tensors",
                         l->count);
    return 0;
}

/* What is left of the bytes. After a failure the rest is empty and every answer is 0. */
struct cursor {
    const uint8_t *start, *at, *end;
    bool failed;
    int64_t failed_at;
};

static uint64_t fail_cursor(struct cursor *c)
{
    if (!c->failed)
        c->failed_at = c->at - c->start;
    c->failed = true;
    c->at = c->end;
    return 0;
}

static uint64_t get_number(struct cursor *c)
{
    uint64_t x = 0;

    for (unsigned shift = 0; shift < 7 * VARINT_MAX && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at;
        if (shift == 63 && byte > 1)
            break;
        c->at++;
        x |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return byte == 0 && shift > 0 ? fail_cursor(c) : x;
    }
    return fail_cursor(c);
}

static uint64_t get_number_to(struct cursor *c, uint64_t max)
{
    uint64_t x = get_number(c);

    return x <= max ? x : fail_cursor(c);
}

/* A text of at most room - 1 bytes; its length. It contains no NUL. */
static size_t get_text(struct cursor *c, char *text, size_t room)
{
    size_t n = (size_t)get_number_to(c, room - 1);

    if (n > (size_t)(c->end - c->at) || memchr(c->at, 0, n))
        n = (size_t)fail_cursor(c);
    memcpy(text, c->at, n);
    text[n] = '\0';
    c->at += n;
    return n;
}

struct decoding {
    struct cursor in;
    struct layout_builder *builder;
    unsigned version;
    enum dtype types[DTYPE_COUNT];
    unsigned type_count;
    struct tensor before; /* its name is in name */
    char name[LAYOUT_NAME_MAX + 1];
};

static int broken(const struct decoding *d, struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_CORRUPT, "the stored layout breaks off at byte %" PRId64 " of %td",
                     d->in.failed_at, d->in.end - d->in.start);
}

static int get_types(struct decoding *d, struct sewa_error *err)
{
    char name[TYPE_NAME_MAX];

    d->type_count = (unsigned)get_number_to(&d->in, DTYPE_COUNT);
    for (unsigned i = 0; i < d->type_count; i++) {
        size_t n = get_text(&d->in, name, sizeof name);
        int type = dtype_from_name(name, n);
        if (d->in.failed)
            break;
        if (type < 0)
            return sewa_fail(err, SEWA_E_CORRUPT, "the stored layout has a type that is not known");
        d->types[i] = (enum dtype)type;
    }
    return d->in.failed ? broken(d, err) : 0;
}

static void get_strides(struct decoding *d, struct tensor *t, int64_t stride[LAYOUT_RANK_MAX])
{
    if (d->version < VERSION_REST || get_number_to(&d->in, 1) == 0)
        return;
    for (unsigned i = 0; i < t->rank; i++)
        stride[i] = (int64_t)get_number_to(&d->in, INT64_MAX);
    t->stride = stride;
}

static int get_tensor(struct decoding *d, struct sewa_error *err)
{
    int64_t shape[LAYOUT_RANK_MAX], stride[LAYOUT_RANK_MAX];
    struct tensor t = { .name = d->name, .shape = shape };
    size_t shared = (size_t)get_number_to(&d->in, strlen(d->name));
    uint64_t elements = 1;

    get_text(&d->in, d->name + shared, sizeof d->name - shared);
    uint64_t type = get_number(&d->in);
    if (type >= d->type_count)
        fail_cursor(&d->in);
    t.rank = (uint8_t)get_number_to(&d->in, LAYOUT_RANK_MAX);
    for (unsigned i = 0; i < t.rank; i++) {
        shape[i] = (int64_t)get_number_to(&d->in, INT64_MAX);
        elements *= (uint64_t)shape[i]; /* when it wraps, the builder says so */
    }
    t.file = (uint32_t)get_number_to(&d->in, UINT32_MAX);
    uint64_t gap = unzigzag(get_number(&d->in));
    get_strides(d, &t, stride);
    if (d->in.failed)
        return broken(d, err);
    t.dtype = d->types[type];
    t.bytes = dtype_bytes(t.dtype, (int64_t)elements);
    bool is_same_file = t.file == d->before.file; /* before the first: file 0, end 0 */
    t.offset =
        (int64_t)(gap +
                  (is_same_file ? (uint64_t)d->before.offset + (uint64_t)d->before.bytes : 0));
    d->before = t;
    return layout_builder_tensor(d->builder, &t, err);
}

static int get_tensors(struct decoding *d, struct sewa_error *err)
{
    uint64_t count = get_number_to(&d->in, LAYOUT_TENSORS_MAX);
    int rc = d->in.failed ? broken(d, err) : 0;

    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = get_tensor(d, err);
    return rc;
}

static int get_notes(struct decoding *d, struct sewa_error *err)
{
    uint64_t count = get_number_to(&d->in, LAYOUT_NOTES_MAX);
    char note[NOTE_MAX];
    int rc = 0;

    for (uint64_t i = 0; i < count && rc == 0 && !d->in.failed; i++) {
        get_text(&d->in, note, sizeof note);
        rc = layout_builder_note(d->builder, err, "%s", note);
    }
    return rc;
}

static int get_files(struct decoding *d, struct sewa_error *err)
{
    uint64_t count = get_number_to(&d->in, LAYOUT_FILES_MAX);
    char name[LAYOUT_NAME_MAX + 1];
    int rc = 0;

    for (uint64_t i = 0; i < count && rc == 0 && !d->in.failed; i++) {
        struct layout_file file = { .name = name };
        get_text(&d->in, name, sizeof name);
        file.bytes = (int64_t)get_number_to(&d->in, INT64_MAX);
        file.mtime_ns = (int64_t)unzigzag(get_number(&d->in));
        if (d->in.end - d->in.at < DIGEST) {
            fail_cursor(&d->in);
            break;
        }
        memcpy(file.header_digest, d->in.at, DIGEST);
        d->in.at += DIGEST;
        rc = layout_builder_file(d->builder, &file, err);
    }
    return rc;
}

static int get_rest(struct decoding *d, struct sewa_error *err)
{
    char text[LAYOUT_NAME_MAX + 1];

    get_text(&d->in, text, sizeof text);
    int rc = layout_builder_state_key(d->builder, text, err);
    get_text(&d->in, text, sizeof text);
    if (rc == 0 && *text)
        rc = layout_builder_last_file(d->builder, text, err);
    if (rc == 0)
        rc = get_notes(d, err);
    if (rc == 0)
        rc = get_files(d, err);
    return rc == 0 && d->in.failed ? broken(d, err) : rc;
}

static int get_left(struct decoding *d, struct sewa_error *err)
{
    uint64_t count = get_number_to(&d->in, LAYOUT_LEFT_MAX);
    char text[LAYOUT_NAME_MAX + 1];
    int rc = 0;

    for (uint64_t i = 0; i < count && rc == 0 && !d->in.failed; i++) {
        get_text(&d->in, text, sizeof text);
        if (!d->in.failed)
            rc = layout_builder_left(d->builder, text, err);
    }
    return rc == 0 && d->in.failed ? broken(d, err) : rc;
}

int layout_decode(const void *bytes, size_t n, struct layout **ret, struct sewa_error *err)
{
    const uint8_t *start = bytes;
    struct decoding d = { .in = { .start = start, .at = start, .end = start + n } };
    char format[FORMAT_MAX];

    if (n == 0)
        return sewa_fail(err, SEWA_E_CORRUPT, "the stored layout is empty");
    d.version = *d.in.at++;
    if (d.version < VERSION_PLAIN || d.version > VERSION)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "the stored layout has version %u, this program knows %d", d.version,
                         VERSION);
    get_text(&d.in, format, sizeof format);
    AUTOPTR(layout_builder_free) struct layout_builder *builder = layout_builder_new(format);
    if (!builder)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a stored layout");
    d.builder = builder;
    int rc = get_types(&d, err);
    if (rc == 0)
        rc = get_tensors(&d, err);
    if (rc == 0 && d.version >= VERSION_REST)
        rc = get_rest(&d, err);
    if (rc == 0 && d.version >= VERSION)
        rc = get_left(&d, err);
    if (rc == 0 && d.in.at != d.in.end)
        return sewa_fail(err, SEWA_E_CORRUPT, "the stored layout has %td bytes behind its end",
                         d.in.end - d.in.at);
    return rc < 0 ? rc : layout_builder_finish(builder, ret, err);
}
