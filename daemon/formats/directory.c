/*
 * directory - what kind of checkpoint a directory is, by the names in it.
 */
#include "formats/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/beneath.h"
#include "base/digest.h"
#include "base/path.h"

#include "formats/shown.h"

static int no_memory(const struct directory *d)
{
    return sewa_fail(d->err, SEWA_E_NO_MEMORY, "no memory to read '%s'", d->name);
}

/* ---- names ---- */

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void directory_clear(struct directory *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->names[i]);
    free(d->names);
}

static void close_stream(DIR **stream)
{
    if (*stream)
        closedir(*stream);
}

static int keep_name(struct directory *d, const char *name, size_t *room)
{
    if (d->count == DIRECTORY_NAMES_MAX)
        return sewa_fail(d->err, SEWA_E_UNSUPPORTED, "'%s' has more than %d entries", d->name,
                         DIRECTORY_NAMES_MAX);
    if (d->count == *room) {
        size_t more = *room ? 2 * *room : 64;
        char **grown = realloc(d->names, more * sizeof(char *));
        if (!grown)
            return no_memory(d);
        d->names = grown;
        *room = more;
    }
    size_t n = strlen(name) + 1;
    char *copy = malloc(n);
    if (!copy)
        return no_memory(d);
    memcpy(copy, name, n);
    d->names[d->count++] = copy;
    return 0;
}

static int list(struct directory *d)
{
    AUTOCLOSE int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO(close_stream) DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    size_t room = 0;
    int rc = 0;

    if (!stream)
        return sewa_fail_errno(d->err, SEWA_E_IO, "cannot list '%s'", d->name);
    fd = -1; /* the stream closes it */
    errno = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(stream)) != NULL; errno = 0)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = keep_name(d, e->d_name, &room);
    if (rc == 0 && errno != 0)
        return sewa_fail_errno(d->err, SEWA_E_IO, "cannot list '%s'", d->name);
    if (d->count > 0)
        qsort(d->names, d->count, sizeof(char *), by_text);
    return rc;
}

bool directory_has(const struct directory *d, const char *name)
{
    return d->count > 0 && bsearch(&name, d->names, d->count, sizeof(char *), by_text) != NULL;
}

/* ---- files ---- */

char *directory_path(const struct directory *d, const char *file)
{
    AUTOFREE char *shown = path_to_text(file);
    char *path = shown ? path_join(d->name, shown) : NULL;

    if (!path)
        no_memory(d);
    return path;
}

static int open_failed(const struct directory *d, const char *path, const char *why)
{
    switch (errno) {
    case ENOENT: return sewa_fail(d->err, SEWA_E_INCOMPLETE, "'%s' is not there%s", path, why);
    case ELOOP:
        return sewa_fail(d->err, SEWA_E_UNSUPPORTED,
                         "'%s' is a symbolic link, which is not followed", path);
    default: return sewa_fail_errno(d->err, SEWA_E_IO, "cannot open '%s'", path);
    }
}

int directory_open(const struct directory *d, const char *file, const char *why, int *ret,
                   struct layout_file *ret_file)
{
    AUTOFREE char *path = directory_path(d, file);
    struct stat st;

    if (!path)
        return SEWA_E_NO_MEMORY;
    /* O_NONBLOCK: a pipe with this name must not hang us */
    AUTOCLOSE int fd = open_beneath(d->fd, file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return open_failed(d, path, why);
    if (fstat(fd, &st) < 0)
        return sewa_fail_errno(d->err, SEWA_E_IO, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return sewa_fail(d->err, SEWA_E_UNSUPPORTED, "'%s' is no regular file", path);
    *ret_file = (struct layout_file){
        .name = file,
        .bytes = st.st_size,
        .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
    };
    *ret = take_fd(&fd);
    return 0;
}

int directory_digest(const struct directory *d, const uint8_t *first, struct layout *l)
{
    static const char domain[] = "sewa directory 1\n";
    AUTOPTR(sha256_free) struct sha256 *digest = sha256_new();

    if (!digest)
        return no_memory(d);
    sha256_update(digest, domain, sizeof domain - 1);
    if (first)
        sha256_update(digest, first, SHA256_SIZE);
    for (size_t i = 0; i < l->file_count; i++) {
        const struct layout_file *f = &l->files[i];
        char numbers[64];
        int n =
            snprintf(numbers, sizeof numbers, "%" PRId64 " %" PRId64 "\n", f->bytes, f->mtime_ns);
        sha256_update(digest, f->name, strlen(f->name) + 1);
        sha256_update(digest, numbers, (size_t)n);
        sha256_update(digest, f->header_digest, SHA256_SIZE);
    }
    sha256_final(digest, l->header_digest);
    return 0;
}

/* ---- kinds ---- */

static bool has_ending(const char *name, const char *ending)
{
    size_t n = strlen(name), length = strlen(ending);

    return n > length && strcmp(name + n - length, ending) == 0;
}

/* "model-00001-of-00002.safetensors" */
static bool is_shard(const char *name)
{
    const char *of = strstr(name, "-of-");

    return of && of - name >= 5 && strspn(of - 5, "0123456789") == 5 &&
           strspn(of + 4, "0123456789") == 5;
}

/* "model-00001-of-00001.safetensors" is whole, with an index or without. */
static bool is_only_shard(const char *name)
{
    const char *of = strstr(name, "-of-");

    return is_shard(name) && strncmp(of - 5, "00001", 5) == 0 && strncmp(of + 4, "00001", 5) == 0 &&
           (of[9] < '0' || of[9] > '9');
}

/* The names with this ending that may be weights. Returns how many; the first goes to ret. */
static size_t find_ending(const struct directory *d, const char *ending, bool shards,
                          const char **ret)
{
    size_t count = 0;

    for (size_t i = 0; i < d->count; i++)
        if (has_ending(d->names[i], ending) && d->names[i][0] != '.' &&
            !checkpoint_is_companion(d->names[i]) && is_shard(d->names[i]) == shards &&
            count++ == 0)
            *ret = d->names[i];
    return count;
}

static int fail_choice(const struct directory *d, const char *one, const char *other)
{
    char a[SHOWN_NAME_SIZE], b[SHOWN_NAME_SIZE];

    return sewa_fail(d->err, SEWA_E_UNSUPPORTED,
                     "'%s' has '%s' and '%s', and nothing says which of them counts", d->name,
                     shown_name(one, a), shown_name(other, b));
}

/* 1 when the directory is of this kind, 0 when it is not. */
static int try_ending(const struct directory *d, const char *ending, const char *index_ending,
                      struct layout **ret)
{
    const char *index = NULL, *single = NULL, *shard = NULL;
    size_t indexes = find_ending(d, index_ending, false, &index);
    size_t singles = find_ending(d, ending, false, &single);
    size_t shards = find_ending(d, ending, true, &shard);

    if (indexes > 1)
        return sewa_fail(d->err, SEWA_E_UNSUPPORTED, "'%s' has %zu indexes of shards", d->name,
                         indexes);
    if (indexes == 1 && singles > 0)
        return fail_choice(d, index, single);
    if (indexes == 1) {
        int rc = directory_read_sharded(d, index, ret);
        return rc < 0 ? rc : 1;
    }
    if (singles > 1)
        return sewa_fail(d->err, SEWA_E_UNSUPPORTED,
                         "'%s' has %zu files that end in '%s' and no index", d->name, singles,
                         ending);
    if (singles + shards == 1 && (singles == 1 || is_only_shard(shard))) {
        int rc = directory_read_single(d, singles == 1 ? single : shard, ret);
        return rc < 0 ? rc : 1;
    }
    if (shards > 0)
        return sewa_fail(d->err, SEWA_E_INCOMPLETE,
                         "'%s' has shards and no index yet, which is written last", d->name);
    return 0;
}

/* Directories of others, and what makes something of them that can be read. */
static const struct {
    const char *name; /* with a '*' at one end: how it begins or ends */
    const char *what;
} foreign[] = {
    { "zero_to_fp32.py", "a DeepSpeed checkpoint: convert it with 'python zero_to_fp32.py . "
                         "pytorch_model.bin' in it" },
    { "*_optim_states.pt", "part of a DeepSpeed checkpoint: convert it with zero_to_fp32.py, "
                           "which is in the directory above" },
    { "*_model_states.pt", "part of a DeepSpeed checkpoint: convert it with zero_to_fp32.py, "
                           "which is in the directory above" },
    { "latest_checkpointed_iteration.txt", "a Megatron-LM checkpoint: convert it with "
                                           "tools/checkpoint/convert.py" },
    { "mp_rank_0*", "a Megatron-LM checkpoint: convert it with tools/checkpoint/convert.py" },
    { "common.pt", "a Megatron-Core distributed checkpoint: convert it with "
                   "tools/checkpoint/convert.py" },
    { "_CHECKPOINT_METADATA", "an Orbax checkpoint (JAX): save the weights with "
                              "safetensors.flax.save_file" },
    { "_METADATA", "an Orbax checkpoint (JAX): save the weights with safetensors.flax.save_file" },
    { "saved_model.pb", "a TensorFlow model: save the weights with safetensors" },
    { "*.ckpt.index", "a TensorFlow checkpoint: save the weights with safetensors" },
    { "*.gguf", "GGUF files: average before converting to them" },
};

static bool matches(const char *name, const char *pattern)
{
    size_t n = strlen(pattern);

    if (pattern[0] == '*')
        return has_ending(name, pattern + 1);
    if (pattern[n - 1] == '*')
        return strncmp(name, pattern, n - 1) == 0;
    return strcmp(name, pattern) == 0;
}

static int fail_foreign(const struct directory *d)
{
    for (size_t k = 0; k < COUNT_OF(foreign); k++)
        for (size_t i = 0; i < d->count; i++)
            if (matches(d->names[i], foreign[k].name))
                return sewa_fail(d->err, SEWA_E_UNSUPPORTED, "'%s' is %s", d->name,
                                 foreign[k].what);
    if (d->count == 0)
        return sewa_fail(d->err, SEWA_E_INCOMPLETE, "there is nothing in '%s' yet", d->name);
    return sewa_fail(d->err, SEWA_E_UNSUPPORTED,
                     "'%s' is no checkpoint that is known: neither safetensors nor PyTorch files "
                     "of weights are in it",
                     d->name);
}

static int read_by_kind(const struct directory *d, struct layout **ret)
{
    const char *part = NULL;
    bool has_parts = find_ending(d, ".distcp", false, &part) > 0;

    if (directory_has(d, ".metadata") && has_parts) {
        int rc = directory_read_dcp(d, ret);
        return rc < 0 ? rc : 1;
    }
    if (has_parts)
        return sewa_fail(d->err, SEWA_E_INCOMPLETE,
                         "'%s' has parts of a distributed checkpoint and no .metadata yet, which "
                         "is written last",
                         d->name);
    int rc = try_ending(d, ".safetensors", ".safetensors.index.json", ret);
    if (rc == 0)
        rc = try_ending(d, ".bin", ".bin.index.json", ret);
    return rc == 0 ? fail_foreign(d) : rc;
}

int checkpoint_read_directory(int fd, const char *name, const struct checkpoint_options *options,
                              struct layout **ret, struct sewa_error *err)
{
    AUTO(directory_clear)
    struct directory d = { .fd = fd, .name = name, .options = options, .err = err };
    AUTOPTR(layout_free) struct layout *l = NULL;
    int rc = list(&d);

    if (rc == 0)
        rc = read_by_kind(&d, &l);
    if (rc < 0)
        return rc;
    rc = checkpoint_clean(&l, options, err);
    if (rc < 0)
        return sewa_context(err, rc, "'%s'", name);
    *ret = TAKE(l);
    return 0;
}
