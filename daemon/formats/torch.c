/*
 * torch - from the archive to a layout. Finding the state is in torch_state.c, tensors are in
 * torch_tensor.c, and what other files are in torch_foreign.c.
 */
#include "formats/torch.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse.h"

#include "formats/crc32.h"
#include "formats/shown.h"
#include "formats/torch_body.h"

#define PICKLE_NAME "data.pkl"

enum { SMALL_MEMBER = 64, VERSION_MAX = 10 }; /* of the file format, that PyTorch itself accepts */

static int no_memory(const char *name, struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", name);
}

/* "archive/data.pkl": the archive's own pickle, below one folder. */
static bool is_pickle_of_archive(const char *name)
{
    const char *slash = strchr(name, '/');

    return slash && slash > name && strcmp(slash + 1, PICKLE_NAME) == 0;
}

/* What a zip archive without data.pkl is, to somebody who has given it the wrong name. */
static int fail_not_torch(const struct torch_archive *a, struct sewa_error *err)
{
    static const struct {
        const char *ending, *what;
    } known[] = {
        { ".npy", "a NumPy archive (.npz)" },
        { "model.weights.h5", "a Keras file" },
        { "serialized_exported_program.json", "an exported program (torch.export)" },
        { "META-INF/MANIFEST.MF", "a Java archive" },
    };

    for (size_t i = 0; i < a->zip->count; i++)
        for (size_t k = 0; k < COUNT_OF(known); k++) {
            const char *name = a->zip->members[i].name;
            size_t n = strlen(name), ending = strlen(known[k].ending);
            if (n >= ending && strcmp(name + n - ending, known[k].ending) == 0)
                return sewa_fail(err, SEWA_E_UNSUPPORTED,
                                 "'%s' is %s: load it where it was made and save the weights with "
                                 "torch.save(model.state_dict(), path)",
                                 a->name, known[k].what);
        }
    return sewa_fail(err, SEWA_E_UNSUPPORTED,
                     "'%s' is a zip archive, but torch.save has not written it: there is no "
                     "data.pkl",
                     a->name);
}

static int find_prefix(struct torch_archive *a, struct sewa_error *err)
{
    const struct zip_member *found = NULL;
    char one[SHOWN_NAME_SIZE], other[SHOWN_NAME_SIZE];

    for (size_t i = 0; i < a->zip->count; i++) {
        const struct zip_member *m = &a->zip->members[i];
        if (!is_pickle_of_archive(m->name))
            continue;
        if (found)
            return sewa_fail(err, SEWA_E_CORRUPT, "'%s' has two pickles, '%s' and '%s'", a->name,
                             shown_name(found->name, one), shown_name(m->name, other));
        found = m;
    }
    if (!found)
        return fail_not_torch(a, err);
    size_t n = strlen(found->name) - strlen(PICKLE_NAME);
    a->prefix = malloc(n + 1);
    if (!a->prefix)
        return no_memory(a->name, err);
    memcpy(a->prefix, found->name, n);
    a->prefix[n] = '\0';
    return 0;
}

static const struct zip_member *find_member(const struct torch_archive *a, const char *name)
{
    char full[ZIP_NAME_MAX + 1];
    size_t n = strlen(a->prefix), length = strlen(name);

    if (n + length > ZIP_NAME_MAX)
        return NULL;
    memcpy(full, a->prefix, n);
    memcpy(full + n, name, length + 1);
    return zip_find(a->zip, full);
}

/* A whole member, its checksum compared. Writers that were told to compute none leave it zero. */
static int read_member(const struct torch_archive *a, const struct window_source *source,
                       const struct zip_member *m, void *to, struct sewa_error *err)
{
    ssize_t got = window_source_read(source, to, (size_t)m->bytes, m->offset);
    char shown[SHOWN_NAME_SIZE];

    if (got < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s' at offset %" PRId64, a->name,
                               m->offset);
    if (got < m->bytes)
        return sewa_fail(err, SEWA_E_INCOMPLETE, "'%s' ends within its member '%s'", a->name,
                         shown_name(m->name, shown));
    uint32_t crc = crc32_update(0, to, (size_t)m->bytes);
    if (m->crc32 != 0 && crc != m->crc32)
        return sewa_fail(err, SEWA_E_CORRUPT,
                         "'%s', offset %" PRId64 ": member '%s' has the checksum %08x, the zip "
                         "directory says %08x (torch.serialization.set_crc32_options(False) "
                         "writes wrong ones)",
                         a->name, m->offset, shown_name(m->name, shown), crc, m->crc32);
    return 0;
}

/* A member of a few bytes, as text without the white space at its end. 1, or 0: there is none. */
static int read_small(const struct torch_archive *a, const struct window_source *source,
                      const char *name, char text[SMALL_MEMBER], struct sewa_error *err)
{
    const struct zip_member *m = find_member(a, name);

    if (!m)
        return 0;
    if (m->bytes >= SMALL_MEMBER)
        return sewa_fail(err, SEWA_E_CORRUPT, "'%s': member '%s' has %" PRId64 " bytes", a->name,
                         name, m->bytes);
    int rc = read_member(a, source, m, text, err);
    if (rc < 0)
        return rc;
    size_t n = (size_t)m->bytes;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    text[n] = '\0';
    return 1;
}

static int check_byte_order(const struct torch_archive *a, const struct window_source *source,
                            struct sewa_error *err)
{
    char text[SMALL_MEMBER];
    int rc = read_small(a, source, "byteorder", text, err);

    if (rc <= 0 || strcmp(text, "little") == 0)
        return rc < 0 ? rc : 0;
    if (strcmp(text, "big") == 0)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s' was written on a big-endian machine: save it again on another one",
                         a->name);
    return sewa_fail(err, SEWA_E_CORRUPT, "'%s' has a byte order that is neither little nor big",
                     a->name);
}

static int check_version(const struct torch_archive *a, const struct window_source *source,
                         struct sewa_error *err)
{
    char text[SMALL_MEMBER];
    int64_t version;
    int rc = read_small(a, source, "version", text, err);

    if (rc <= 0)
        return rc;
    if (parse_i64(text, 0, INT64_MAX, &version) < 0)
        return sewa_fail(err, SEWA_E_CORRUPT, "'%s' has a version that is no number", a->name);
    if (version > VERSION_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s' has version %" PRId64 " of PyTorch's format, %d is known", a->name,
                         version, VERSION_MAX);
    return 0;
}

/* Archives that have a data.pkl, too, but are programs. */
static int check_kind(const struct torch_archive *a, struct sewa_error *err)
{
    size_t n = strlen(a->prefix);

    if (find_member(a, "constants.pkl"))
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s' is a TorchScript program: save its weights with "
                         "torch.save(torch.jit.load(path).state_dict(), other)",
                         a->name);
    for (size_t i = 0; i < a->zip->count; i++) {
        const char *name = a->zip->members[i].name;
        if (strncmp(name, a->prefix, n) == 0 && strncmp(name + n, "code/", 5) == 0)
            return sewa_fail(err, SEWA_E_UNSUPPORTED,
                             "'%s' is a TorchScript program: save its weights with "
                             "torch.save(torch.jit.load(path).state_dict(), other)",
                             a->name);
    }
    if (find_member(a, ".data/extern_modules"))
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s' is a package (torch.package): load it and save its weights with "
                         "torch.save(model.state_dict(), path)",
                         a->name);
    return 0;
}

/* The zip archive is ours to read only if its members lie in it as they are. */
static int check_stored(const struct torch_archive *a, struct sewa_error *err)
{
    char shown[SHOWN_NAME_SIZE];

    for (size_t i = 0; i < a->zip->count; i++)
        if (a->zip->members[i].method != 0)
            return sewa_fail(err, SEWA_E_UNSUPPORTED,
                             "'%s': member '%s' is compressed (method %u): save the checkpoint "
                             "again with torch.save, which only stores",
                             a->name, shown_name(a->zip->members[i].name, shown),
                             a->zip->members[i].method);
    return 0;
}

static int read_pickle(struct torch_archive *a, const struct window_source *source,
                       struct sewa_error *err)
{
    const struct zip_member *m = find_member(a, PICKLE_NAME);

    if (m->bytes > PICKLE_BYTES_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "the pickle in '%s' has %" PRId64 " bytes, at most %d are supported",
                         a->name, m->bytes, PICKLE_BYTES_MAX);
    a->pickle_size = (size_t)m->bytes;
    a->pickle_bytes = malloc(a->pickle_size + 1);
    if (!a->pickle_bytes)
        return no_memory(a->name, err);
    int rc = read_member(a, source, m, a->pickle_bytes, err);
    if (rc < 0)
        return rc;
    rc = pickle_read(a->pickle_bytes, a->pickle_size, PICKLE_NAME, &a->pickle, err);
    return sewa_context(err, rc, "'%s'", a->name);
}

int torch_archive_open(const struct window_source *source, int64_t begin, int64_t bytes,
                       struct torch_archive *ret, struct sewa_error *err)
{
    AUTO(torch_archive_clear) struct torch_archive a = { .name = source->name };
    int rc = zip_read(source, begin, bytes, &a.zip, err);

    if (rc == 0)
        rc = find_prefix(&a, err);
    if (rc == 0)
        rc = check_kind(&a, err);
    if (rc == 0)
        rc = check_stored(&a, err);
    if (rc == 0)
        rc = check_byte_order(&a, source, err);
    if (rc == 0)
        rc = check_version(&a, source, err);
    if (rc == 0)
        rc = read_pickle(&a, source, err);
    if (rc < 0)
        return rc;
    *ret = a;
    memset(&a, 0, sizeof a); /* it is the caller's now */
    return 0;
}

void torch_archive_clear(struct torch_archive *a)
{
    pickle_free(a->pickle);
    free(a->pickle_bytes);
    free(a->prefix);
    zip_free(a->zip);
    memset(a, 0, sizeof *a);
}

static int sign(const struct torch_archive *a, uint8_t ret[SHA256_SIZE], struct sewa_error *err)
{
    AUTOPTR(sha256_free) struct sha256 *digest = sha256_new();

    if (!digest)
        return no_memory(a->name, err);
    sha256_update(digest, a->zip->digest, sizeof a->zip->digest);
    sha256_update(digest, a->pickle_bytes, a->pickle_size);
    sha256_final(digest, ret);
    return 0;
}

/* Storages that the pickle may refer to, in the order of their places. */
static int add_storages(const struct torch_archive *a, struct layout_builder *b,
                        struct sewa_error *err)
{
    size_t n = strlen(a->prefix);
    int rc = 0;

    for (size_t i = 0; i < a->zip->count && rc == 0; i++) {
        const struct zip_member *m = &a->zip->members[i];
        struct layout_storage s = { .offset = m->offset, .bytes = m->bytes, .crc32 = m->crc32 };
        if (strncmp(m->name, a->prefix, n) == 0 && strncmp(m->name + n, "data/", 5) == 0)
            rc = layout_builder_storage(b, &s, err);
    }
    return rc;
}

static int read_source(const struct window_source *source, int64_t bytes,
                       const struct checkpoint_options *options, struct layout **ret,
                       struct sewa_error *err)
{
    AUTO(torch_archive_clear) struct torch_archive a = { 0 };
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("torch");
    uint8_t begin[4] = { 0 };
    ssize_t got = window_source_read(source, begin, sizeof begin, 0);

    if (!b)
        return no_memory(source->name, err);
    if (got < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", source->name);
    if (memcmp(begin, "PK\3\4", sizeof begin) != 0)
        return torch_foreign(source, bytes, err);
    int rc = torch_archive_open(source, 0, bytes, &a, err);
    if (rc == 0)
        rc = torch_state(&a, options ? options->state_key : NULL, b, err);
    if (rc == 0)
        rc = add_storages(&a, b, err);
    if (rc == 0) /* what Hugging Face's libraries want to see in a file that is made of this one */
        rc = layout_builder_metadata(b, "format", "pt", err);
    if (rc < 0)
        return rc;
    rc = layout_builder_finish(b, &l, err);
    if (rc < 0)
        return sewa_context(err, rc, "'%s'", source->name);
    l->file_bytes = bytes;
    rc = sign(&a, l->header_digest, err);
    if (rc == 0)
        *ret = TAKE(l);
    return rc;
}

int torch_read(int fd, const char *name, int64_t bytes, const struct checkpoint_options *options,
               struct layout **ret, struct sewa_error *err)
{
    struct window_source source = { .name = name, .fd = fd };

    return read_source(&source, bytes, options, ret, err);
}

int torch_parse(const void *bytes, size_t n, const char *name,
                const struct checkpoint_options *options, struct layout **ret,
                struct sewa_error *err)
{
    struct window_source source = { .name = name, .fd = -1, .bytes = bytes, .n = n };

    return read_source(&source, (int64_t)n, options, ret, err);
}
