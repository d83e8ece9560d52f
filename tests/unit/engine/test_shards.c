/*
 * test_shards - checkpoints that are directories of shards give the numbers of the same checkpoint
 * in one file, and a shard that is missing, replaced or unreadable is named.
 */
#include "run.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "engine/materialize.h"
#include "engine/stream.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "support/alloc.h"

enum { K = 3, SHARDS = 4 };

struct fixture {
    struct run run;    /* in one file each */
    struct run shards; /* the same values, as directories */
    struct engine engine;
};

/* ---- writing ---- */

static void shard_name(size_t i, char *ret, size_t size)
{
    snprintf(ret, size, "model-%05zu-of-%05d.safetensors", i + 1, SHARDS);
}

/* Tensors i, i + SHARDS, ... of the specs; one shard lists them backwards. */
static void write_shard(const struct run *r, size_t candidate, size_t shard, const char *directory)
{
    struct safetensors_item items[64] = { 0 };
    size_t which[64], n = 0;
    AUTO(buf_clear) struct buf file = { 0 };
    struct sewa_error err = { 0 };
    char name[64];

    for (size_t i = shard; i < r->count; i += SHARDS)
        which[n++] = i;
    for (size_t i = 0; shard == 1 && i < n / 2; i++) {
        size_t other = which[n - 1 - i];
        which[n - 1 - i] = which[i];
        which[i] = other;
    }
    for (size_t i = 0; i < n; i++) {
        const struct spec *s = &r->specs[which[i]];
        items[i] = (struct safetensors_item){ s->name, s->dtype, s->rank, s->shape };
    }
    assert_ok(safetensors_header(items, n, NULL, 0, &file, &err), err);
    for (size_t i = 0; i < n; i++) {
        const struct spec *s = &r->specs[which[i]];
        buf_append(&file, run_values(r, candidate, which[i]),
                   (size_t)spec_elements(s) * spec_size(s));
    }
    shard_name(shard, name, sizeof name);
    scratch_write(directory, name, file.data, file.len);
}

static void write_index(const struct run *r, const char *directory)
{
    AUTO(buf_clear) struct buf text = { 0 };
    char name[64];

    buf_text(&text, "{\"weight_map\":{");
    for (size_t i = 0; i < r->count; i++) {
        shard_name(i % SHARDS, name, sizeof name);
        buf_printf(&text, "%s\"%s\":\"%s\"", i ? "," : "", r->specs[i].name, name);
    }
    buf_text(&text, "}}");
    scratch_write(directory, "model.safetensors.index.json", buf_cstr(&text), text.len);
}

/* What the index would say of it. */
static void learn(struct run *r, size_t candidate)
{
    AUTOFREE char *path = run_path(r, candidate);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    assert_ok(checkpoint_read_directory(fd, path, NULL, &l, &err), err);
    memcpy(r->candidates[candidate].header_digest, l->header_digest, 32);
}

static void save_shards(struct run *r, size_t candidate)
{
    AUTOFREE char *path = run_path(r, candidate);

    mkdir(path, 0755);
    for (size_t i = 0; i < SHARDS; i++)
        write_shard(r, candidate, i, path);
    write_index(r, path);
    learn(r, candidate);
}

static int setup(void **state)
{
    static const char *const names[K] = { "checkpoint-1", "checkpoint-2", "checkpoint-3" };
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    run_init(&f->run, mixed_model, MIXED_COUNT, K, 7);
    run_init(&f->shards, mixed_model, MIXED_COUNT, K, 7);
    for (size_t i = 0; i < K; i++) {
        free((char *)(uintptr_t)f->shards.candidates[i].file);
        f->shards.candidates[i].file = strdup(names[i]);
        f->shards.candidates[i].bytes = 12345; /* a sum over more than the shards: not asked */
        save_shards(&f->shards, i);
    }
    f->engine = engine_with(2, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

#ifdef SEWA_FAILPOINTS
    failpoint_set("");
#endif
    engine_clear(&f->engine);
    run_clear(&f->run);
    run_clear(&f->shards);
    free(f);
    return 0;
}

/* ---- the numbers ---- */

static void assert_same_pieces(struct source *a, struct source *b)
{
    const struct model *m = a->roster->model;
    static const uint32_t all[K] = { 0, 1, 2 };
    const void *x[K], *y[K];
    struct sewa_error err = { 0 };
    size_t bytes = a->piece_bytes && a->piece_bytes < b->piece_bytes ? a->piece_bytes
                                                                     : b->piece_bytes;
    struct piece piece;

    assert_int_equal(m->count, b->roster->model->count);
    for (size_t p = 0; p < model_partitions(m); p++)
        for (struct piece_walk w = model_walk(m, p, bytes); piece_next(&w, &piece);) {
            size_t n = piece.count * model_element_bytes(&m->tensors[piece.tensor]);
            assert_ok(a->fetch(a, &piece, all, K, 0, x, &err), err);
            assert_ok(b->fetch(b, &piece, all, K, 0, y, &err), err);
            for (size_t i = 0; i < K; i++)
                assert_memory_equal(x[i], y[i], n);
        }
}

static struct stream *stream_of(struct fixture *f, const struct run *r)
{
    struct stream_options o = { .candidates = r->candidates, .count = K };
    struct stream *s = NULL;
    struct sewa_error err = { 0 };

    assert_ok(stream_open(&f->engine, &o, &s, &err), err);
    return s;
}

static void test_same_numbers(void **state)
{
    struct fixture *f = *state;
    struct resident *whole = resident_of(&f->engine, &f->run);
    struct resident *shards = resident_of(&f->engine, &f->shards);
    struct stream *stream = stream_of(f, &f->shards);

    assert_int_equal(resident_bytes_read(whole), resident_bytes_read(shards));
    assert_same_pieces(stream_source(stream), resident_source(shards));
    resident_close(shards);
    assert_same_pieces(stream_source(stream), resident_source(whole));
    resident_close(whole);
    stream_close(stream);
}

static void test_digest_is_over_all_files(void **state)
{
    struct fixture *f = *state;
    AUTOFREE char *path = run_path(&f->shards, 1);
    AUTOPTR(sha256_free) struct sha256 *expected = sha256_new();
    uint8_t want[32], got[32];
    struct sewa_error err = { 0 };
    char name[64];

    for (size_t i = 0; i < SHARDS; i++) {
        char block[4096];
        shard_name(i, name, sizeof name);
        AUTOFREE char *file = path_join(path, name);
        AUTOCLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;)
            sha256_update(expected, block, (size_t)n);
    }
    sha256_final(expected, want);
    assert_ok(candidate_digest(&f->shards.candidates[1], NULL, got, &err), err);
    assert_memory_equal(want, got, 32);
#ifdef SEWA_FAILPOINTS
    failpoint_set("candidate_digest=errno:EIO@2");
    assert_failed(candidate_digest(&f->shards.candidates[1], NULL, got, &err), err, SEWA_E_IO,
                  "checkpoint-2/model-00002-of-00004.safetensors' at offset 0");
#endif
}

/* ---- the average of shards is sharded ---- */

/* Tensors i, i + SHARDS, ... and no others, with the values of the newest. */
static void check_shard(const struct fixture *f, const char *directory, size_t i)
{
    char name[64];
    struct sewa_error err = { 0 };
    size_t wanted = 0;

    shard_name(i, name, sizeof name);
    AUTOFREE char *path = path_join(directory, name);
    AUTO(buf_clear) struct buf file = { 0 };
    AUTOPTR(layout_free) struct layout *l = NULL;
    assert_ok(file_read(path, 1 << 26, &file, &err), err);
    assert_ok(safetensors_parse(file.data, file.len, name, (int64_t)file.len, &l, &err), err);
    for (size_t t = i; t < f->run.count; t += SHARDS, wanted++) {
        const struct tensor *in_file = layout_find(l, f->run.specs[t].name);
        assert_non_null(in_file);
        assert_memory_equal(file.data + in_file->offset, run_values(&f->run, K - 1, t),
                            (size_t)in_file->bytes);
    }
    assert_int_equal(l->count, wanted);
}

/* Of one checkpoint alone, so that the values are its own. */
static size_t average_into(struct fixture *f, const struct run *r, const char *directory)
{
    static const double newest[K] = { 0, 0, 1 };
    AUTO(materialized_clear) struct materialized m = { 0 };
    struct stream *stream = stream_of(f, r);
    struct materialize_options o = { .alpha = newest,
                                     .directory = directory,
                                     .max_file_bytes = MATERIALIZE_AS_INPUT };
    struct sewa_error err = { 0 };

    assert_ok(materialize(&f->engine, stream_source(stream), &o, &m, &err), err);
    stream_close(stream);
    return m.file_count;
}

static void test_the_average_is_sharded_as_its_input(void **state)
{
    struct fixture *f = *state;
    char *shards = scratch_new(), *plain = scratch_new();

    assert_int_equal(average_into(f, &f->shards, shards), SHARDS + 1);
    for (size_t i = 0; i < SHARDS; i++)
        check_shard(f, shards, i);
    assert_int_equal(average_into(f, &f->run, plain), 1);
    scratch_free(shards);
    scratch_free(plain);
}

/* ---- what may become of a shard ---- */

static void shard_removed(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void shard_cut(const char *path)
{
    assert_int_equal(truncate(path, 200), 0);
}

static void shard_touched(const char *path)
{
    struct timespec times[2] = { { 1, 0 }, { 1, 5 } };

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void shard_linked(const char *path)
{
    AUTOFREE char *away = NULL;

    assert_true(asprintf(&away, "%s.away", path) > 0);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink(away, path), 0);
}

static void test_a_shard_is_another_one(void **state)
{
    static const struct {
        void (*spoil)(const char *path);
        const char *word;
    } rows[] = {
        { shard_removed, "model-00003-of-00004.safetensors' is not there" },
        { shard_cut, "model-00003-of-00004.safetensors" },
        { shard_touched, "SHA-256" },
        { shard_linked, "symbolic link" },
    };
    struct fixture *f = *state;
    const struct candidate *c = &f->shards.candidates[0];

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTOFREE char *directory = run_path(&f->shards, 0);
        AUTOFREE char *path = path_join(directory, "model-00003-of-00004.safetensors");
        struct sewa_error err = { 0 };
        assert_ok(candidate_verify(c, &err), err);
        rows[i].spoil(path);
        assert_failed(candidate_verify(c, &err), err, SEWA_E_CHANGED, rows[i].word);
        unlink(path);
        save_shards(&f->shards, 0);
    }
}

#ifdef SEWA_FAILPOINTS
static void test_reads_that_fail_name_the_shard(void **state)
{
    struct fixture *f = *state;
    struct resident_options o = { .candidates = f->shards.candidates, .count = K };
    struct resident *r = NULL;
    struct stream *s = stream_of(f, &f->shards);
    struct sewa_error err = { 0 };
    static const uint32_t first[1] = { 0 };
    struct piece piece = { .tensor = 0, .count = 1 };
    const void *x;

    failpoint_set("resident_read=errno:EIO");
    assert_failed(resident_open(&f->engine, &o, &r, &err), err, SEWA_E_IO, "of-00004.safetensors");
    failpoint_set("stream_read=errno:EIO");
    assert_failed(stream_source(s)->fetch(stream_source(s), &piece, first, 1, 0, &x, &err), err,
                  SEWA_E_IO, "of-00004.safetensors' at offset");
    stream_close(s);
}
#endif

static void test_shards_at(void **state)
{
    (void)state;
    struct shard list[] = { { .begin = 0, .bytes = 10 },
                            { .begin = 10, .bytes = 100 },
                            { .begin = 110, .bytes = 1 } };
    static const struct {
        int64_t place;
        size_t shard;
        int64_t offset;
    } rows[] = { { 0, 0, 0 }, { 9, 0, 9 }, { 10, 1, 0 }, { 109, 1, 99 }, { 110, 2, 0 } };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t count = rows[i].shard + 1; count <= 3; count++) {
            struct shards s = { count, list };
            int64_t offset = -1;
            assert_ptr_equal(shards_at(&s, rows[i].place, &offset), &list[rows[i].shard]);
            assert_int_equal(offset, rows[i].offset);
        }
}

#define SHARDS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SHARDS_TEST(test_same_numbers),
        SHARDS_TEST(test_digest_is_over_all_files),
        SHARDS_TEST(test_a_shard_is_another_one),
#ifdef SEWA_FAILPOINTS
        SHARDS_TEST(test_reads_that_fail_name_the_shard),
#endif
        SHARDS_TEST(test_the_average_is_sharded_as_its_input),
        cmocka_unit_test(test_shards_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
