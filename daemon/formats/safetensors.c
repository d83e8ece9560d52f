/*
 * safetensors - the rules of the header, on top of the scanner that knows JSON.
 * Each tensor is checked by itself as soon as it is read; what concerns them all (names, gaps, the
 * length of the file) when the header has ended.
 */
#include "formats/safetensors.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "formats/safetensors_entry.h"
#include "formats/scanner.h"
#include "formats/shown.h"

enum { LENGTH_BYTES = 8, UNKNOWN_MAX = 16, FIELD_ANY_MAX = LAYOUT_NAME_MAX };

#define METADATA "__metadata__"

/* The fields of a tensor that must be there, as bits of what was seen. */
enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = DTYPE | SHAPE | OFFSETS };

struct reader {
    struct scanner in;
    struct layout_builder *builder;
    int64_t data_start; /* offset in the file: length field and header are before it */
    int64_t file_bytes;
    bool has_metadata;
    struct buf key;     /* of tensors and metadata */
    struct buf field;   /* within a tensor; values of metadata */
    struct buf unknown; /* names of unknown fields of one tensor, each with its NUL */
    struct tensor tensor;
    int64_t shape[LAYOUT_RANK_MAX];
};

/* A file that begins like this has the wrong name, or is no more than a reference to the file. */
static const char *known_beginning(const uint8_t *p)
{
    static const struct {
        const char *bytes, *what;
    } known[] = {
        { "version ", "a Git LFS pointer" },
        { "PK\3\4", "a zip archive (PyTorch)" },
        { "\x80\2", "a pickle" },
        { "GGUF", "a GGUF file" },
        { "\x89HDF", "an HDF5 file" },
        { "\x1f\x8b", "a gzip file" },
        { "<!DOCTYP", "an HTML page" },
        { "<html", "an HTML page" },
        { "{", "bare JSON" },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (memcmp(p, known[i].bytes, strlen(known[i].bytes)) == 0)
            return known[i].what;
    return NULL;
}

static int fail_length(struct reader *r, const uint8_t *field, uint64_t length)
{
    const char *what = known_beginning(field);

    return scanner_fail(&r->in, SEWA_E_CORRUPT, 0,
                        "the length field says %" PRIu64 " bytes of header, at most %d are allowed"
                        "%s%s%s",
                        length, SAFETENSORS_HEADER_MAX, what ? " (the file begins like " : "",
                        what ? what : "", what ? ")" : "");
}

/* Read the length field and let the window go on to the end of the header, or of the file. */
static int begin(struct reader *r)
{
    struct window *w = &r->in.in;
    const char *name = w->source.name;
    uint64_t length = 0;

    r->in.text_end = LENGTH_BYTES;
    w->limit = r->file_bytes < LENGTH_BYTES ? r->file_bytes : LENGTH_BYTES;
    if (!window_has(w, LENGTH_BYTES))
        return w->rc < 0 ? w->rc
                         : sewa_fail(r->in.err, SEWA_E_INCOMPLETE,
                                     "'%s' has %td bytes, its length field alone has %d", name,
                                     w->end - w->at, LENGTH_BYTES);
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | w->at[i];
    if (length > SAFETENSORS_HEADER_MAX)
        return fail_length(r, w->at, length);
    if (length == 0)
        return sewa_fail(r->in.err, SEWA_E_INCOMPLETE,
                         "the length field of '%s' is zero, it may still be written", name);
    w->at += LENGTH_BYTES;
    r->data_start = r->in.text_end = LENGTH_BYTES + (int64_t)length;
    w->limit = r->file_bytes < r->data_start ? r->file_bytes : r->data_start;
    if (window_has(w, 1) && *w->at != '{') /* no white space here, other than in JSON at large */
        return scanner_unexpected(&r->in, "'{'");
    return 0;
}

static int no_memory(struct reader *r)
{
    return sewa_fail(r->in.err, SEWA_E_NO_MEMORY, "no memory to read '%s'", r->in.in.source.name);
}

/* Make a string outlive the next token: into its room, if it does not lie there already. */
static int keep(struct reader *r, const struct scanned *s, struct buf *room)
{
    if (s->text == buf_cstr(room))
        return 0;
    buf_reset(room);
    buf_append(room, s->text, s->n);
    return buf_failed(room) ? no_memory(r) : 0;
}

static int read_dtype(struct reader *r)
{
    struct scanned word;
    int64_t at = scanner_offset(&r->in);
    int rc = scanner_string(&r->in, FIELD_ANY_MAX, &r->field, &word);

    if (rc < 0)
        return rc;
    int dtype = dtype_from_name(word.text, word.n);
    if (dtype < 0) {
        char name[LAYOUT_NAME_MAX + 1], shown[SHOWN_NAME_SIZE];
        memcpy(name, word.text, word.n);
        name[word.n] = '\0';
        return scanner_fail(&r->in, SEWA_E_UNSUPPORTED, at, "the type '%s' is not known",
                            shown_name(name, shown));
    }
    r->tensor.dtype = (enum dtype)dtype;
    return 0;
}

/* "[1, 2, 3]". How many there are; max + 1 means more than max. */
static int read_counts(struct reader *r, int64_t *numbers, int max)
{
    bool is_first = true;
    int n = 0, rc = scanner_take(&r->in, '[', "'['");

    while (rc == 0 && (rc = scanner_next(&r->in, ']', &is_first)) > 0) {
        if (n == max)
            return max + 1;
        rc = scanner_count(&r->in, &numbers[n++]);
    }
    return rc < 0 ? rc : n;
}

static int read_shape(struct reader *r)
{
    int64_t at = scanner_offset(&r->in);
    int n = read_counts(r, r->shape, LAYOUT_RANK_MAX);

    if (n < 0)
        return n;
    if (n > LAYOUT_RANK_MAX)
        return scanner_fail(&r->in, SEWA_E_UNSUPPORTED, at,
                            "more than %d dimensions are not supported", LAYOUT_RANK_MAX);
    r->tensor.rank = (uint8_t)n;
    r->tensor.shape = n ? r->shape : NULL;
    return 0;
}

static int read_offsets(struct reader *r)
{
    int64_t at = scanner_offset(&r->in), ends[2], behind;
    int n = read_counts(r, ends, 2);

    if (n < 0)
        return n;
    if (n != 2)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, at, "expected two data offsets, found %s",
                            n > 2    ? "more"
                            : n == 1 ? "one"
                                     : "none");
    if (ends[1] < ends[0])
        return scanner_fail(&r->in, SEWA_E_CORRUPT, at,
                            "data offsets from %" PRId64 " back to %" PRId64, ends[0], ends[1]);
    if (__builtin_add_overflow(ends[1], r->data_start, &behind))
        return scanner_fail(&r->in, SEWA_E_CORRUPT, at,
                            "the data offset %" PRId64 " lies behind the end of every file",
                            ends[1]);
    r->tensor.offset = ends[0] + r->data_start;
    r->tensor.bytes = ends[1] - ends[0];
    return 0;
}

/* Remember the name of a field that nobody knows: twice is a duplicate key like any other. */
static int note_unknown(struct reader *r, const struct scanned *field, int64_t at)
{
    int count = 0;

    for (size_t i = 0; i < r->unknown.len; i += strlen(r->unknown.data + i) + 1, count++)
        if (scanned_is(field, r->unknown.data + i, strlen(r->unknown.data + i)))
            return scanner_fail(&r->in, SEWA_E_CORRUPT, at, "a field of a tensor is there twice");
    if (count == UNKNOWN_MAX)
        return scanner_fail(&r->in, SEWA_E_UNSUPPORTED, at,
                            "more than %d unknown fields in a tensor are not supported",
                            UNKNOWN_MAX);
    buf_append(&r->unknown, field->text, field->n);
    buf_append(&r->unknown, "", 1);
    return buf_failed(&r->unknown) ? no_memory(r) : 0;
}

static unsigned known_field(const struct scanned *field)
{
    return scanned_is(field, "dtype", 5)           ? DTYPE
           : scanned_is(field, "shape", 5)         ? SHAPE
           : scanned_is(field, "data_offsets", 12) ? OFFSETS
                                                   : 0;
}

static int read_field(struct reader *r, unsigned *seen)
{
    int64_t at = scanner_offset(&r->in);
    struct scanned field;
    int rc = scanner_key(&r->in, FIELD_ANY_MAX, &r->field, &field);

    if (rc < 0)
        return rc;
    unsigned known = known_field(&field);
    if (*seen & known)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, at, "'%.*s' is there twice", (int)field.n,
                            field.text);
    *seen |= known;
    switch (known) {
    case DTYPE: return read_dtype(r);
    case SHAPE: return read_shape(r);
    case OFFSETS: return read_offsets(r);
    }
    rc = note_unknown(r, &field, at);
    return rc < 0 ? rc : scanner_skip(&r->in, 2);
}

static int add_tensor(struct reader *r, int64_t at)
{
    int rc = layout_builder_tensor(r->builder, &r->tensor, r->in.err);

    return sewa_context(r->in.err, rc, "'%s', offset %" PRId64, r->in.in.source.name, at);
}

/* The object of a tensor; its name is in r->key. @at: where the name stands. */
static int read_tensor(struct reader *r, int64_t at)
{
    char shown[SHOWN_NAME_SIZE];
    bool is_first = true;
    unsigned seen = 0;

    buf_reset(&r->unknown);
    int rc = scanner_take(&r->in, '{', "the '{' of a tensor");
    while (rc == 0 && (rc = scanner_next(&r->in, '}', &is_first)) > 0)
        rc = read_field(r, &seen);
    if (rc < 0)
        return rc;
    r->tensor.name = buf_cstr(&r->key);
    if (seen != ALL)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, at, "tensor '%s' lacks%s%s%s",
                            shown_name(r->tensor.name, shown), seen & DTYPE ? "" : " dtype",
                            seen & SHAPE ? "" : " shape", seen & OFFSETS ? "" : " data_offsets");
    return add_tensor(r, at);
}

static int read_metadata_pair(struct reader *r)
{
    struct scanned key, value;
    int64_t at = scanner_offset(&r->in);
    int rc = scanner_key(&r->in, SAFETENSORS_HEADER_MAX, &r->key, &key);

    if (rc == 0)
        rc = keep(r, &key, &r->key);
    if (rc == 0)
        rc = scanner_string(&r->in, SAFETENSORS_HEADER_MAX, &r->field, &value);
    if (rc == 0)
        rc = keep(r, &value, &r->field);
    if (rc < 0)
        return rc;
    rc = layout_builder_metadata(r->builder, buf_cstr(&r->key), buf_cstr(&r->field), r->in.err);
    return sewa_context(r->in.err, rc, "'%s', offset %" PRId64, r->in.in.source.name, at);
}

/* {"key": "value", ...} or null, which the reference takes for none. */
static int read_metadata(struct reader *r, int64_t at)
{
    bool is_first = true;

    if (r->has_metadata)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, at, "'__metadata__' is there twice");
    r->has_metadata = true;
    if (scanner_peek(&r->in) == 'n')
        return scanner_skip(&r->in, 1);
    int rc = scanner_take(&r->in, '{', "the '{' of '__metadata__'");
    while (rc == 0 && (rc = scanner_next(&r->in, '}', &is_first)) > 0)
        rc = read_metadata_pair(r);
    return rc;
}

/* As most writers write it: what read_tensor() would have found. 1, or 0 when it is not that. */
static int take_entry(struct reader *r)
{
    struct window *w = &r->in.in;
    const uint8_t *before = w->at;
    struct safetensors_entry e;

    if (!safetensors_entry(w, &e))
        return 0;
    struct scanned name = { e.name, e.name_length };
    if (e.dtype < 0 || e.end < e.begin || e.name_length > LAYOUT_NAME_MAX ||
        scanned_is(&name, METADATA, sizeof METADATA - 1)) {
        w->at = before; /* there it is said what is wrong with it */
        return 0;
    }
    memcpy(r->shape, e.shape, e.rank * sizeof e.shape[0]);
    r->tensor = (struct tensor){
        .dtype = (enum dtype)e.dtype,
        .rank = (uint8_t)e.rank,
        .shape = e.rank ? r->shape : NULL,
        .offset = e.begin + r->data_start,
        .bytes = e.end - e.begin,
    };
    int rc = keep(r, &name, &r->key);
    r->tensor.name = buf_cstr(&r->key);
    return rc < 0 ? rc : 1;
}

static int read_member(struct reader *r)
{
    int64_t at = scanner_offset(&r->in);
    struct scanned key;
    int rc = take_entry(r);

    if (rc != 0)
        return rc < 0 ? rc : add_tensor(r, at);
    /* a name that is too long is refused here, before its memory is taken */
    rc = scanner_key(&r->in, LAYOUT_NAME_MAX, &r->key, &key);
    if (rc < 0)
        return rc;
    if (scanned_is(&key, METADATA, sizeof METADATA - 1))
        return read_metadata(r, at);
    rc = keep(r, &key, &r->key);
    return rc < 0 ? rc : read_tensor(r, at);
}

static int read_header(struct reader *r)
{
    bool is_first = true;
    int rc = scanner_take(&r->in, '{', "'{'");

    while (rc == 0 && (rc = scanner_next(&r->in, '}', &is_first)) > 0)
        rc = read_member(r);
    if (rc < 0)
        return rc;
    int c = scanner_peek(&r->in);
    if (c >= 0) /* zeros are no "not yet written" here: the text is whole, they are bad padding */
        return scanner_fail(&r->in, SEWA_E_CORRUPT, window_offset(&r->in.in),
                            "byte 0x%02x behind the end of the header's object", (unsigned)c);
    if (window_offset(&r->in.in) < r->data_start) /* it fits, but the padding is not there yet */
        return scanner_ends(&r->in, "the end of the header");
    return 0;
}

static int fail_gap(struct reader *r, const struct layout *l, size_t i, int64_t expected)
{
    char name[SHOWN_NAME_SIZE], before[SHOWN_NAME_SIZE];
    const struct tensor *t = &l->tensors[i];

    shown_name(t->name, name);
    if (t->offset > expected)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, expected,
                            "the %" PRId64 " bytes before tensor '%s' belong to no tensor",
                            t->offset - expected, name);
    return scanner_fail(&r->in, SEWA_E_CORRUPT, t->offset,
                        "tensor '%s' begins here, and '%s' goes on to offset %" PRId64, name,
                        shown_name(l->tensors[i - 1].name, before), expected);
}

/* One tensor behind the other, from the header to the end of the file. */
static int check_places(struct reader *r, struct layout *l)
{
    int64_t end = r->data_start;

    for (size_t i = 0; i < l->count; i++) {
        if (l->tensors[i].offset != end)
            return fail_gap(r, l, i, end);
        end += l->tensors[i].bytes;
    }
    if (r->file_bytes < end)
        return sewa_fail(r->in.err, SEWA_E_INCOMPLETE,
                         "'%s' has %" PRId64 " bytes, its header tells of %" PRId64,
                         r->in.in.source.name, r->file_bytes, end);
    if (r->file_bytes > end)
        return scanner_fail(&r->in, SEWA_E_CORRUPT, end,
                            "the last tensor ends here, and the file at %" PRId64, r->file_bytes);
    l->file_bytes = end;
    return 0;
}

static int read_all(struct reader *r, struct layout **ret)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    int rc = begin(r);

    if (rc == 0)
        rc = read_header(r);
    if (rc < 0)
        return rc;
    rc = layout_builder_finish(r->builder, &l, r->in.err);
    if (rc < 0)
        return sewa_context(r->in.err, rc, "'%s'", r->in.in.source.name);
    rc = check_places(r, l);
    if (rc < 0)
        return rc;
    window_digest(&r->in.in, l->header_digest);
    *ret = TAKE(l);
    return 0;
}

static void reader_clear(struct reader *r)
{
    window_clear(&r->in.in);
    layout_builder_free(r->builder);
    buf_clear(&r->key);
    buf_clear(&r->field);
    buf_clear(&r->unknown);
}

int safetensors_read_from(const struct window_source *source, size_t window_bytes,
                          int64_t file_bytes, struct layout **ret, struct sewa_error *err)
{
    AUTO(reader_clear) struct reader r = { .file_bytes = file_bytes, .in.err = err };

    assert(file_bytes >= 0);
    int rc = window_init(&r.in.in, source, window_bytes, err);
    if (rc < 0)
        return rc;
    r.builder = layout_builder_new("safetensors");
    if (!r.builder)
        return no_memory(&r);
    return read_all(&r, ret);
}

int safetensors_read(int fd, const char *name, int64_t file_bytes, struct layout **ret,
                     struct sewa_error *err)
{
    struct window_source source = { .name = name, .fd = fd };

    return safetensors_read_from(&source, WINDOW_BYTES, file_bytes, ret, err);
}

int safetensors_parse(const void *bytes, size_t n, const char *name, int64_t file_bytes,
                      struct layout **ret, struct sewa_error *err)
{
    struct window_source source = { .name = name, .fd = -1, .bytes = bytes, .n = n };

    return safetensors_read_from(&source, WINDOW_BYTES, file_bytes, ret, err);
}
