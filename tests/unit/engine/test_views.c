/*
 * test_views - PyTorch files with views and tied tensors through both sources: every tensor has the
 * bytes that PyTorch itself gave for it (golden/torch/views.pt.json), and a file that has the same
 * tensors in C order is averaged with one that has not.
 */
#include "run.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "engine/materialize.h"
#include "engine/mix.h"
#include "engine/stream.h"
#include "formats/checkpoint.h"
#include "support/alloc.h"

#define GOLDEN "golden/torch/views.pt"

struct fixture {
    char *directory;
    json_t *expected;
    struct candidate candidates[2]; /* views.pt, and its tensors in C order */
};

static void learn(struct candidate *c, const char *directory, const char *file, const char *id)
{
    *c = (struct candidate){ .id = id, .step = -1, .directory = directory, .file = file };
    candidate_learn(c);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    AUTO(buf_clear) struct buf file = { 0 };
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    AUTO(materialized_clear) struct materialized result = { 0 };
    static const double alone[] = { 1 };
    struct sewa_error err = { 0 };

    assert_non_null(f);
    f->directory = scratch_new();
    f->expected = json_load_file(GOLDEN ".json", 0, NULL);
    assert_non_null(f->expected);
    assert_ok(file_read(GOLDEN, 1 << 20, &file, &err), err);
    scratch_write(f->directory, "views.pt", file.data, file.len);
    learn(&f->candidates[0], f->directory, "views.pt", "ckpt_views");
    struct resident_options in = { .candidates = f->candidates, .count = 1 };
    struct materialize_options out = { .alpha = alone, .directory = f->directory };
    AUTOPTR(resident_close) struct resident *resident = NULL;
    assert_ok(resident_open(&e, &in, &resident, &err), err);
    struct roster *r = (struct roster *)(uintptr_t)resident_source(resident)->roster;
    r->tied_to = NULL; /* all of them, in full */
    assert_ok(materialize(&e, resident_source(resident), &out, &result, &err), err);
    learn(&f->candidates[1], f->directory, "model.safetensors", "ckpt_plain");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    json_decref(f->expected);
    scratch_free(f->directory);
    free(f);
    return 0;
}

static void check_digest(const struct fixture *f, const char *name, const void *values, size_t n)
{
    json_t *entry = json_object_get(json_object_get(f->expected, "tensors"), name);
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];

    assert_non_null(entry);
    sha256_of(values, n, digest);
    assert_string_equal(hex_encode(digest, SHA256_SIZE, hex),
                        json_string_value(json_object_get(entry, "sha256")));
}

/* All tensors are smaller than a chunk. */
static void check_contents(const struct fixture *f, struct source *s)
{
    const struct model *m = s->roster->model;
    struct sewa_error err = { 0 };
    size_t seen = 0;

    assert_int_equal(m->count, json_object_size(json_object_get(f->expected, "tensors")));
    for (size_t p = 0; p < model_partitions(m); p++) {
        struct piece_walk walk = model_walk(m, p, s->piece_bytes);
        for (struct piece piece; piece_next(&walk, &piece); seen++) {
            const struct model_tensor *t = &m->tensors[piece.tensor];
            for (uint32_t i = 0; i < s->roster->count; i++) {
                const void *x;
                source_advise(s, &piece, &i, 1);
                assert_ok(s->fetch(s, &piece, &i, 1, 0, &x, &err), err);
                assert_int_equal((uintptr_t)x % MODEL_ALIGNMENT, 0);
                check_digest(f, t->name, x, piece.count * model_element_bytes(t));
            }
        }
    }
    assert_int_equal(seen, m->count - 1); /* one is empty */
}

static void test_resident(void **state)
{
    const struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(3, 0);
    struct resident_options o = { .candidates = f->candidates, .count = 2 };
    AUTOPTR(resident_close) struct resident *resident = NULL;
    struct sewa_error err = { 0 };
    int64_t bytes = 0;

    assert_ok(resident_open(&e, &o, &resident, &err), err);
    check_contents(f, resident_source(resident));
    for (size_t t = 0; t < resident_model(resident)->count; t++)
        bytes += resident_model(resident)->tensors[t].elements * 4;
    assert_int_equal(resident_bytes_read(resident), 2 * bytes);
}

static void test_stream(void **state)
{
    const struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(3, 0);
    struct stream_options o = { .candidates = f->candidates, .count = 2 };
    AUTOPTR(stream_close) struct stream *stream = NULL;
    struct sewa_error err = { 0 };

    assert_ok(stream_open(&e, &o, &stream, &err), err);
    assert_true(stream_bytes_read(stream) > 0); /* the views */
    check_contents(f, stream_source(stream));
}

static struct layout *average_of(const struct fixture *f, size_t count, const double *alpha)
{
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    AUTO(materialized_clear) struct materialized result = { 0 };
    AUTOFREE char *path = path_join(f->directory, "ties.safetensors");
    struct stream_options in = { .candidates = f->candidates, .count = count };
    struct materialize_options out = { .alpha = alpha,
                                       .directory = f->directory,
                                       .name = "ties.safetensors" };
    AUTOPTR(stream_close) struct stream *stream = NULL;
    struct layout *l = NULL;
    struct stat st;
    struct sewa_error err = { 0 };

    unlink(path);
    assert_ok(stream_open(&e, &in, &stream, &err), err);
    assert_ok(materialize(&e, stream_source(stream), &out, &result, &err), err);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_ok(checkpoint_read_file(fd, path, st.st_size, NULL, &l, &err), err);
    return l;
}

/* Tensors that are one are written once, and the metadata says what else they are called. */
static void test_ties(void **state)
{
    static const double alone[] = { 1 }, both[] = { 0.5, 0.5 };
    const struct fixture *f = *state;
    AUTOPTR(layout_free) struct layout *tied = average_of(f, 1, alone);
    AUTOPTR(layout_free) struct layout *plain = average_of(f, 2, both);
    size_t count = json_object_size(json_object_get(f->expected, "tensors"));

    size_t names = tied->count;
    for (size_t i = 0; i < tied->metadata_count; i++) {
        const struct layout_metadata *m = &tied->metadata[i];
        if (strcmp(m->key, "format") == 0)
            continue;
        names++;
        const struct tensor *there = layout_find(tied, m->value);
        assert_null(layout_find(tied, m->key));
        assert_non_null(there);
        const struct tensor *whole = layout_find(plain, m->key);
        assert_int_equal(there->elements, whole->elements);
    }
    assert_true(tied->count < count);
    assert_int_equal(names, count);
    assert_int_equal(plain->count, count); /* the second one has no ties: they have parted */
}

/* The other names of a tensor stand in the file that has it. */
static void test_ties_in_several_files(void **state)
{
    static const double alone[] = { 1 };
    const struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    AUTO(materialized_clear) struct materialized result = { 0 };
    AUTOPTR(stream_close) struct stream *stream = NULL;
    struct stream_options in = { .candidates = f->candidates, .count = 1 };
    struct materialize_options out = {
        .alpha = alone, .directory = f->directory, .name = "split.safetensors", .max_file_bytes = 1
    };
    struct sewa_error err = { 0 };
    size_t names = 0;

    assert_ok(stream_open(&e, &in, &stream, &err), err);
    assert_ok(materialize(&e, stream_source(stream), &out, &result, &err), err);
    for (size_t i = 0; i + 1 < result.file_count; i++) {
        AUTOFREE char *path = path_join(f->directory, result.files[i].name);
        AUTOPTR(layout_free) struct layout *l = NULL;
        AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_ok(checkpoint_read_file(fd, path, result.files[i].bytes, NULL, &l, &err), err);
        assert_int_equal(l->count, 1);
        names += l->count;
        for (size_t k = 0; k < l->metadata_count; k++)
            if (strcmp(l->metadata[k].key, "format") != 0) {
                assert_string_equal(l->metadata[k].value, l->tensors[0].name);
                names++;
            }
    }
    assert_true(names > result.file_count - 1);
    assert_int_equal(names, json_object_size(json_object_get(f->expected, "tensors")));
}

/* A NaN in a view is found as any other. */
static void test_nonfinite(void **state)
{
    struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct resident_options all = { .candidates = f->candidates, .count = 1 };
    struct stream_options each = { .candidates = f->candidates, .count = 1 };
    AUTOPTR(resident_close) struct resident *resident = NULL;
    AUTOPTR(stream_close) struct stream *stream = NULL;
    AUTO(materialized_clear) struct materialized result = { 0 };
    static const double alone[] = { 1 };
    struct materialize_options out = { .alpha = alone, .directory = f->directory };
    AUTO(buf_clear) struct buf file = { 0 };
    struct sewa_error err = { 0 };

    /* the second element of a storage that has several views */
    assert_ok(resident_open(&e, &all, &resident, &err), err);
    const struct roster *r = resident_source(resident)->roster;
    int64_t t = model_find(r->model, "transposed");
    int64_t at = r->entries[0].data_begin + r->entries[0].placement->offset[t];
    assert_true(roster_is_view(r, 0, (size_t)t));
    assert_ok(file_read(GOLDEN, 1 << 20, &file, &err), err);
    memset(file.data + at + 4, 0xff, 4);
    scratch_write(f->directory, "views.pt", file.data, file.len);
    resident_close(TAKE(resident));
    learn(&f->candidates[0], f->directory, "views.pt", "ckpt_views");

    assert_failed(resident_open(&e, &all, &resident, &err), err, SEWA_E_NONFINITE, "ckpt_views");
    assert_ok(stream_open(&e, &each, &stream, &err), err);
    assert_failed(materialize(&e, stream_source(stream), &out, &result, &err), err,
                  SEWA_E_NONFINITE, "ckpt_views");
    assert_non_null(strstr(err.text, "not finite"));
}

static void test_failures(void **state)
{
    const struct fixture *f = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct resident_options all = { .candidates = f->candidates, .count = 2 };
    struct stream_options each = { .candidates = f->candidates, .count = 2 };
    struct resident *resident = NULL;
    struct stream *stream = NULL;
    struct sewa_error err = { 0 };

    each.memory_budget_bytes = 1000;
    assert_failed(stream_open(&e, &each, &stream, &err), err, SEWA_E_NO_MEMORY, "1000 bytes");
    each.memory_budget_bytes = 0;
#ifdef SEWA_FAILPOINTS
    failpoint_set("gather_read=errno:EIO@2");
    assert_failed(resident_open(&e, &all, &resident, &err), err, SEWA_E_IO, "cannot read");
    failpoint_set("gather_read=errno:EIO@2");
    assert_failed(stream_open(&e, &each, &stream, &err), err, SEWA_E_IO, "cannot read");
    failpoint_set(NULL);
#endif
    for (int kind = 0; kind < 2; kind++) {
        for (int64_t n = 0;; n++) {
            alloc_fail_at(n);
            int rc = kind == 0 ? resident_open(&e, &all, &resident, &err)
                               : stream_open(&e, &each, &stream, &err);
            if (!alloc_fired()) {
                assert_ok(rc, err);
                break;
            }
            assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
        }
    }
    resident_close(resident);
    stream_close(stream);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resident, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ties, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ties_in_several_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonfinite, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
