/*
 * test_torch_golden - files that PyTorch itself has written (tests/golden/torch/make.py), and files
 * as newer versions write them: every tensor that PyTorch sees is found, with its type, shape and,
 * gathered by offset and strides, its elements; what cannot be read is refused with its name.
 */
#include "support/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fdio.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "formats/crc32.h"

#define GOLDEN "golden/torch"

enum { FILES_MAX = 200 };

static char names[FILES_MAX][64];

static json_t *load_expected(const char *name)
{
    char path[256];
    json_error_t error;

    snprintf(path, sizeof path, "%s/%s.json", GOLDEN, name);
    json_t *expected = json_load_file(path, 0, &error);
    if (!expected)
        fail_msg("%s: %s", path, error.text);
    return expected;
}

static int open_golden(const char *name, int64_t *ret_bytes)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", GOLDEN, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    *ret_bytes = st.st_size;
    return fd;
}

/* A file of a checkpoint: the one, or one of the directory's. */
static int open_part(int fd, const struct layout *l, uint32_t file)
{
    int part = l->file_count ? openat(fd, l->files[file].name, O_RDONLY | O_CLOEXEC) : dup(fd);

    assert_true(part >= 0);
    return part;
}

/* The elements in C order, read one by one: slow, and plain to see that it is right. */
static void gather(int fd, const struct tensor *t, uint8_t *to)
{
    int64_t size = dtype_bits(t->dtype) / 8;

    for (int64_t i = 0; i < t->elements; i++) {
        int64_t rest = i, at = 0;
        for (unsigned d = t->rank; d-- > 0; rest /= t->shape[d])
            at += rest % t->shape[d] * (t->stride ? t->stride[d] : 0);
        if (!t->stride)
            at = i;
        assert_true((at + 1) * size <= t->span_bytes);
        assert_int_equal(pread_full(fd, to + i * size, (size_t)size, t->offset + at * size), size);
    }
}

static void check_tensor(int fd, const struct layout *l, const char *name, const json_t *expected)
{
    const struct tensor *t = layout_find(l, name);
    const json_t *shape = json_object_get(expected, "shape");
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];

    if (!t)
        fail_msg("there is no tensor '%s'", name);
    assert_string_equal(dtype_name(t->dtype),
                        json_string_value(json_object_get(expected, "dtype")));
    assert_int_equal(t->rank, json_array_size(shape));
    for (unsigned i = 0; i < t->rank; i++)
        assert_int_equal(t->shape[i], json_integer_value(json_array_get(shape, i)));
    AUTOFREE uint8_t *bytes = malloc((size_t)t->bytes + 1);
    assert_non_null(bytes);
    AUTOCLOSE int part = open_part(fd, l, t->file);
    gather(part, t, bytes);
    sha256_of(bytes, (size_t)t->bytes, digest);
    if (strcmp(hex_encode(digest, sizeof digest, hex),
               json_string_value(json_object_get(expected, "sha256"))) != 0)
        fail_msg("tensor '%s' has other elements", name);
}

static void check_notes(const struct layout *l, const json_t *notes)
{
    for (size_t i = 0; i < json_array_size(notes); i++) {
        const char *wanted = json_string_value(json_array_get(notes, i));
        bool is_there = false;
        for (size_t k = 0; k < l->note_count; k++)
            is_there = is_there || strstr(l->notes[k], wanted);
        if (!is_there)
            fail_msg("no note says '%s', the first of %zu is '%s'", wanted, l->note_count,
                     l->note_count ? l->notes[0] : "");
    }
    for (size_t i = 1; i < l->note_count; i++) /* each is said once */
        assert_string_not_equal(l->notes[i - 1], l->notes[i]);
}

/* Exactly those, in this order, where the expectation has a list. */
static void check_left(const struct layout *l, const json_t *left)
{
    if (!left)
        return;
    assert_int_equal(l->left_count, json_array_size(left));
    for (size_t i = 0; i < l->left_count; i++)
        assert_string_equal(l->left[i], json_string_value(json_array_get(left, i)));
}

/* Exactly those that are expected: PyTorch's data_ptr would be the same. */
static void check_aliases(const struct layout *l, const json_t *aliases)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct tensor *t = &l->tensors[i];
        const char *of = json_string_value(json_object_get(aliases, t->name));
        if (of)
            assert_string_equal(l->tensors[t->alias_of].name, of);
        else
            assert_int_equal(t->alias_of, LAYOUT_NO_ALIAS);
    }
}

static void check_storages(int fd, const struct layout *l)
{
    for (size_t i = 0; i < l->storage_count; i++) {
        const struct layout_storage *s = &l->storages[i];
        AUTOFREE uint8_t *bytes = malloc((size_t)s->bytes + 1);
        assert_int_equal(pread_full(fd, bytes, (size_t)s->bytes, s->offset), s->bytes);
        assert_int_equal(crc32_update(0, bytes, (size_t)s->bytes), s->crc32);
    }
}

static void check_accepted(int fd, const struct layout *l, const json_t *expected, int64_t bytes)
{
    json_t *tensors = json_object_get(expected, "tensors"), *tensor;
    const char *name;

    assert_string_equal(l->format, l->file_count ? "dcp" : "torch");
    if (!l->file_count)
        assert_int_equal(l->file_bytes, bytes);
    assert_int_equal(l->count, json_object_size(tensors));
    json_object_foreach(tensors, name, tensor) check_tensor(fd, l, name, tensor);
    assert_string_equal(l->state_key, json_string_value(json_object_get(expected, "state_key")));
    check_notes(l, json_object_get(expected, "notes"));
    check_left(l, json_object_get(expected, "left"));
    check_aliases(l, json_object_get(expected, "aliases"));
    check_storages(fd, l);
}

static void test_file(void **state)
{
    const char *name = *state;
    AUTOJSON json_t *expected = load_expected(name);
    const char *slug = json_string_value(json_object_get(expected, "code"));
    struct checkpoint_options options = { .state_key = json_string_value(
                                              json_object_get(expected, "given")) };
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int64_t bytes = 0;
    AUTOCLOSE int fd = open_golden(name, &bytes);
    int rc = strstr(name, ".dcp") ? checkpoint_read_directory(fd, name, &options, &l, &err)
                                  : checkpoint_read_file(fd, name, bytes, &options, &l, &err);

    if (slug) {
        assert_failed(rc, err, sewa_code_from_slug(slug),
                      json_string_value(json_object_get(expected, "word")));
        return;
    }
    assert_ok(rc, err);
    check_accepted(fd, l, expected, bytes);
}

/* Whoever knows only offset and bytes is not given views: a wrong average would be the result. */
static void test_views_are_only_for_those_who_gather(void **state)
{
    (void)state;
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int64_t bytes = 0;
    AUTOCLOSE int views = open_golden("views.pt", &bytes);

    assert_failed(checkpoint_read(views, "views.pt", bytes, &l, &err), err, SEWA_E_UNSUPPORTED,
                  "which is not read here");
    memset(&err, 0, sizeof err);
    AUTOCLOSE int plain = open_golden("many.pt", &bytes);
    assert_ok(checkpoint_read(plain, "many.pt", bytes, &l, &err), err);
    assert_int_equal(l->count, 120);
}

/* A file that is still being written is incomplete wherever it ends, never corrupt. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    int64_t bytes = 0;
    AUTOCLOSE int fd = open_golden("model.pt", &bytes);

    for (int64_t n = 0; n < bytes; n++) {
        char name[32], path[64];
        snprintf(name, sizeof name, "cut at %d", (int)n);
        snprintf(path, sizeof path, "%s.pt", name);
        struct layout *l = NULL;
        memset(&err, 0, sizeof err);
        assert_failed(checkpoint_read_file(fd, path, n, NULL, &l, &err), err, SEWA_E_INCOMPLETE,
                      name);
    }
}

/* What identifies a checkpoint: its structure and the checksums of its storages. */
static void test_header_digest(void **state)
{
    (void)state;
    AUTOPTR(layout_free) struct layout *a = NULL, *again = NULL, *b = NULL;
    struct sewa_error err = { 0 };
    int64_t bytes = 0;
    AUTOCLOSE int fd = open_golden("timm.pth", &bytes);

    assert_ok(checkpoint_read_file(fd, "timm.pth", bytes, NULL, &a, &err), err);
    assert_ok(checkpoint_read_file(fd, "timm.pth", bytes, NULL, &again, &err), err);
    assert_memory_equal(a->header_digest, again->header_digest, 32);
    AUTOCLOSE int other = open_golden("timm_ema.pth", &bytes);
    assert_ok(checkpoint_read_file(other, "timm_ema.pth", bytes, NULL, &b, &err), err);
    assert_memory_not_equal(a->header_digest, b->header_digest, 32);
}

/* What state_key makes of the groups of a distributed checkpoint. */
static const struct asked_row {
    const char *name, *key;
    int code;
    const char *word; /* of the message, or the names of tensors */
} asked[] = {
    { "app.dcp", "app.model", 0, "bias steps weight" },
    { "app.dcp", "app", 0, "model.bias model.steps model.weight" },
    { "app.dcp", "app.optim", SEWA_E_UNSUPPORTED, "'app.optim' in 'app.dcp' is a trainer's state" },
    { "app.dcp", "app.optim.state", SEWA_E_UNSUPPORTED, "is a trainer's state, which is never" },
    { "app.dcp", "app.mod", SEWA_E_UNSUPPORTED, "has tensors in 'app.model'" },
    { "app.dcp", ".", SEWA_E_UNSUPPORTED, "has tensors in 'app.model'" },
    { "beside.dcp", "app.model", 0, "bias steps weight" },
    { "beside.dcp", "app.head", 0, "weight" },
    { "app_ema.dcp", "app.ema", 0, "weight" },
    { "unplanned.dcp", "model", 0, "bias steps weight" },
    { "unplanned.dcp", ".", 0, "model.bias model.steps model.weight" },
    { "unplanned.dcp", "optimizer", SEWA_E_UNSUPPORTED, "'optimizer' in 'unplanned.dcp' is a" },
    { "own_model.dcp", "model", 0, "bias steps weight" },
    { "flat_optimizer.dcp", ".", 0, "bias steps weight" },
    { "flat.dcp", "weight", SEWA_E_UNSUPPORTED, "has tensors in '.': state_key" },
    { "nested.dcp", "optimum", SEWA_E_UNSUPPORTED, "has tensors in 'model': state_key" },
    { "choice_deep.dcp", "ema", 0, "model.w" },
    { "choice_deep.dcp", "optim.sched", SEWA_E_UNSUPPORTED, "is a trainer's state" },
    { "choice_beside_root.dcp", ".", 0, "w" },
    { "only_optimizer.dcp", ".", SEWA_E_UNSUPPORTED, "has no tensors of a model" },
};

static void test_asked(void **state)
{
    const struct asked_row *row = *state;
    struct checkpoint_options options = { .state_key = row->key };
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTO(buf_clear) struct buf found = { 0 };
    struct sewa_error err = { 0 };
    int64_t bytes = 0;
    AUTOCLOSE int fd = open_golden(row->name, &bytes);
    int rc = checkpoint_read_directory(fd, row->name, &options, &l, &err);

    if (row->code) {
        assert_failed(rc, err, row->code, row->word);
        return;
    }
    assert_ok(rc, err);
    for (size_t i = 0; i < l->count; i++)
        buf_printf(&found, "%s%s", i ? " " : "", l->tensors[l->by_name[i]].name);
    assert_string_equal(buf_cstr(&found), row->word);
    assert_string_equal(l->state_key, strcmp(row->key, ".") == 0 ? "" : row->key);
}

static int is_expectation(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 5 && strcmp(d->d_name + n - 5, ".json") == 0;
}

static size_t find_files(void)
{
    struct dirent **found = NULL;
    int count = scandir(GOLDEN, &found, is_expectation, alphasort);

    for (int i = 0; i < count; i++) {
        if (i < FILES_MAX)
            snprintf(names[i], sizeof names[i], "%.*s", (int)strlen(found[i]->d_name) - 5,
                     found[i]->d_name);
        free(found[i]);
    }
    free(found);
    return count < 0 ? 0 : (size_t)count;
}

int main(void)
{
    static struct CMUnitTest tests[FILES_MAX + COUNT_OF(asked) + 4];
    size_t n = 0, files = find_files();

    if (files == 0 || files > FILES_MAX) {
        fprintf(stderr, "%zu golden files\n", files);
        return 1;
    }
    for (; n < files; n++)
        tests[n] = (struct CMUnitTest){ names[n], test_file, NULL, NULL, names[n] };
    for (size_t i = 0; i < COUNT_OF(asked); i++)
        tests[n++] =
            (struct CMUnitTest){ asked[i].name, test_asked, NULL, NULL, (void *)&asked[i] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_views_are_only_for_those_who_gather);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_cut_anywhere);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_header_digest);
    return _cmocka_run_group_tests("torch_golden", tests, n, NULL, NULL);
}
