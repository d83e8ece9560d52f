/*
 * test_stream - candidates read piece by piece: every byte as in the file, every result as from
 * resident candidates to the bit, whatever the team, the number of candidates and the state of the
 * page cache; and the same refusals. Edge cases "a file that vanishes or changes under a job", "NaN
 * or Inf inside an ingredient", "a failed read names the file and the offset".
 */
#include "run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "engine/dots.h"
#include "engine/materialize.h"
#include "engine/mix.h"
#include "engine/stream.h"
#include "support/alloc.h"

enum { K = RUN_K, M = 3 };

static struct stream_options options_of(const struct run *r)
{
    return (struct stream_options){ .candidates = r->candidates, .count = r->k };
}

static struct stream *stream_of(const struct engine *e, const struct run *r)
{
    struct stream_options o = options_of(r);
    struct stream *stream = NULL;
    struct sewa_error err = { 0 };

    assert_ok(stream_open(e, &o, &stream, &err), err);
    return stream;
}

/*
 * Nothing of the files in the page cache; on a file system in memory, everything stays there. What
 * the kernel is still reading ahead is not dropped: so all of it is read first.
 */
static void make_cold(const struct run *r)
{
    for (size_t i = 0; i < r->k; i++) {
        AUTOFREE char *path = run_path(r, i);
        AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        AUTO(buf_clear) struct buf all = { 0 };
        struct sewa_error err = { 0 };
        assert_ok(file_read(path, 1 << 26, &all, &err), err);
        assert_int_equal(fsync(fd), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    }
}

/* ---- contents ---- */

static void test_contents(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    AUTOPTR(stream_close) struct stream *stream = stream_of(&e, r);
    int64_t bytes = 0;

    for (size_t t = 0; t < r->count; t++)
        bytes += spec_elements(&r->specs[t]) * (int64_t)spec_size(&r->specs[t]) * K;
    run_check(r, stream_source(stream));
    assert_int_equal(stream_bytes_read(stream), bytes);
    run_check(r, stream_source(stream));
    assert_int_equal(stream_bytes_read(stream), 2 * bytes);
}

static void test_more_candidates_than_fit_the_scratch(void **state)
{
    static const struct spec specs[] = { { "w", DTYPE_F64, 1, { 2 * DOTS_CHUNK + 3 } },
                                         { "flag", DTYPE_BOOL, 1, { 1 } } };
    AUTO(run_clear) struct run r;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);

    (void)state;
    run_init(&r, specs, COUNT_OF(specs), 70, 5);
    AUTOPTR(stream_close) struct stream *stream = stream_of(&e, &r);
    assert_true(stream_memory_bytes(stream) > 2 * STREAM_SCRATCH);
    run_check(&r, stream_source(stream));
}

static void test_empty_models(void **state)
{
    static const struct spec none[] = { { "e", DTYPE_F32, 1, { 0 } } };

    (void)state;
    for (size_t count = 0; count < 2; count++) {
        AUTO(run_clear) struct run r;
        AUTO(engine_clear) struct engine e = engine_with(2, 0);
        run_init(&r, none, count, 2, 5);
        AUTOPTR(stream_close) struct stream *stream = stream_of(&e, &r);
        assert_int_equal(stream_model(stream)->count, count);
        run_check(&r, stream_source(stream));
    }
}

/* ---- results ---- */

static const double alpha[M * K] = {
    0.2, 0.2, 0.2, 0.2, 0.2, 0.5, 0, 0.25, 0, 0.25, 0.1, 0.3, 0.05, 0.15, 0.4,
};

struct results {
    void *mixed[M], *exact[M];
    double products[M * K];
    uint8_t sha256[SHA256_SIZE];
};

static void results_clear(struct results *r)
{
    for (size_t j = 0; j < M; j++) {
        free(r->mixed[j]);
        free(r->exact[j]);
    }
}

static void *bank_of(int64_t bytes)
{
    void *p = aligned_alloc(MODEL_ALIGNMENT, (size_t)bytes);

    assert_non_null(p);
    return memset(p, 0x5a, (size_t)bytes);
}

/* Everything that passes and publishing make of a source. */
static void results_of(const struct engine *e, struct source *s, const char *directory,
                       struct results *ret)
{
    const struct model *m = s->roster->model;
    const struct exact_options exact = { .output = OUTPUT_BF16 };
    const struct materialize_options out = { .alpha = alpha + K, .directory = directory };
    struct materialized file = { 0 };
    struct sewa_error err = { 0 };
    AUTOFREE float *gradient = bank_of(m->gradient_bank_bytes);

    for (int64_t n = 0; n < m->gradient_bank_bytes / 4; n++)
        gradient[n] = sinf((float)n);
    for (size_t j = 0; j < M; j++) {
        ret->mixed[j] = bank_of(m->bank_bytes);
        ret->exact[j] = bank_of(m->bank_bytes);
    }
    const void *gradients[M] = { gradient, gradient, gradient };
    struct mix_request mixing = { .count = M, .alpha = alpha, .banks = ret->mixed };
    struct dots_request products = { .count = M, .alpha = alpha, .gradients = gradients };
    assert_ok(mix(e, s, &mixing, &err), err);
    mixing.banks = ret->exact;
    assert_ok(mix_exact(e, s, &mixing, &exact, &err), err);
    assert_ok(dots(e, s, &products, ret->products, &err), err);
    assert_ok(materialize(e, s, &out, &file, &err), err);
    memcpy(ret->sha256, file.files[0].sha256, sizeof ret->sha256);
    materialized_clear(&file);
}

static void compare(const struct results *a, const struct results *b, const struct model *m)
{
    for (size_t j = 0; j < M; j++) {
        assert_memory_equal(a->mixed[j], b->mixed[j], (size_t)m->bank_bytes);
        assert_memory_equal(a->exact[j], b->exact[j], (size_t)m->bank_bytes);
    }
    assert_memory_equal(a->products, b->products, sizeof a->products);
    assert_memory_equal(a->sha256, b->sha256, sizeof a->sha256);
}

static void check_results(const struct run *r)
{
    static const struct {
        unsigned threads;
        int64_t page_cache_bytes;
        bool is_cold;
    } rows[] = { { 1, 0, false }, { 2, 0, true }, { 3, 1, true }, { 7, 1, false } };
    AUTO(engine_clear) struct engine one = engine_with(1, 0);
    AUTOPTR(resident_close) struct resident *resident = resident_of(&one, r);
    AUTO(results_clear) struct results want = { 0 };
    char *directory = scratch_new();

    results_of(&one, resident_source(resident), directory, &want);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(engine_clear) struct engine e = engine_with(rows[i].threads, 0);
        AUTO(results_clear) struct results got = { 0 };
        struct stream_options o = options_of(r);
        struct stream *stream = NULL;
        struct sewa_error err = { 0 };

        o.page_cache_bytes = rows[i].page_cache_bytes;
        assert_ok(stream_open(&e, &o, &stream, &err), err);
        if (rows[i].is_cold)
            make_cold(r);
        stream_source(stream)->piece_bytes = 1; /* chunk by chunk: less than it has room for */
        results_of(&e, stream_source(stream), directory, &got);
        compare(&want, &got, resident_model(resident));
        stream_close(stream);
    }
    scratch_free(directory);
}

static void test_results_are_those_of_resident_candidates(void **state)
{
    check_results(*state);
}

/* A piece or two in each of all partitions, so that the walk ahead crosses them. */
static void test_results_over_many_partitions(void **state)
{
    static const struct spec large[] = { { "a", DTYPE_F32, 1, { 270 * DOTS_CHUNK + 3 } },
                                         { "odd", DTYPE_U8, 1, { 7 } } };
    AUTO(run_clear) struct run r;

    (void)state;
    run_init(&r, large, COUNT_OF(large), K, 8);
    check_results(&r);
}

/* Whether the page cache has the byte: 1, 0, or -1 where that cannot be said. May fetch its page.
 */
static int is_cached(const char *path, int64_t offset)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char byte;
    struct iovec one = { &byte, 1 };

    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
    ssize_t n = preadv2(fd, &one, 1, (off_t)offset, RWF_NOWAIT);
    return n == 1 ? 1 : n < 0 && errno == EAGAIN ? 0 : -1;
}

/* What came from disk is dropped behind, unless all files fit. */
static void test_dropping_behind(void **state)
{
    static const struct spec large[] = { { "a", DTYPE_F32, 1, { 2000 * 1000 } } };
    static const int64_t page_cache_bytes[] = { 0, 1 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(page_cache_bytes); i++) {
        AUTO(run_clear) struct run r;
        AUTO(engine_clear) struct engine e = engine_with(1, 0);
        run_init(&r, large, 1, 1, 8);
        AUTOFREE char *path = run_path(&r, 0);
        struct stream_options o = options_of(&r);
        struct stream *stream = NULL;
        struct sewa_error err = { 0 };
        const double all[] = { 1 };

        o.page_cache_bytes = page_cache_bytes[i];
        assert_ok(stream_open(&e, &o, &stream, &err), err);
        make_cold(&r);
        if (is_cached(path, 6000 * 1000) != 0) { /* a file system in memory */
            stream_close(stream);
            continue;
        }
        AUTOFREE void *bank = bank_of(stream_model(stream)->bank_bytes);
        struct mix_request mixing = { .count = 1, .alpha = all, .banks = &bank };
        assert_ok(mix(&e, stream_source(stream), &mixing, &err), err);
        assert_true(stream_cold_reads(stream) > 0);
        assert_int_equal(stream_dropped_bytes(stream) > 0, i == 1);
        stream_close(stream);
    }
}

/* ---- refusals ---- */

static void test_the_budget(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct stream_options o = options_of(r);
    struct stream *stream = NULL;
    struct sewa_error err = { 0 };
    char number[32];

    assert_ok(stream_open(&e, &o, &stream, &err), err);
    int64_t need = stream_memory_bytes(stream);
    stream_close(TAKE(stream));
    o.memory_budget_bytes = need;
    assert_ok(stream_open(&e, &o, &stream, &err), err);
    stream_close(TAKE(stream));
    o.memory_budget_bytes = need - 1;
    assert_failed(stream_open(&e, &o, &stream, &err), err, SEWA_E_NO_MEMORY, "5 checkpoints");
    snprintf(number, sizeof number, "%" PRId64, need);
    assert_non_null(strstr(err.text, number));
    snprintf(number, sizeof number, "%" PRId64, need - 1);
    assert_non_null(strstr(err.text, number));
}

static void test_no_candidates(void **state)
{
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct stream_options o = { 0 };
    struct stream *stream = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    assert_failed(stream_open(&e, &o, &stream, &err), err, SEWA_E_NO_CANDIDATES, "no checkpoint");
}

/* One pass over everything, with all candidates. */
static int mix_once(const struct engine *e, struct stream *stream, struct sewa_error *err)
{
    AUTOFREE void *bank = bank_of(stream_model(stream)->bank_bytes);
    struct mix_request mixing = { .count = 1, .alpha = alpha, .banks = &bank };

    return mix(e, stream_source(stream), &mixing, err);
}

static void test_nonfinite(void **state)
{
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct sewa_error err = { 0 };

    run_spoil(r, 3, "layers.9.weight", 5, NAN);
    run_spoil(r, 3, "layers.9.weight", 70000, -INFINITY);
    AUTOPTR(stream_close) struct stream *refusing = stream_of(&e, r);
    assert_failed(mix_once(&e, refusing, &err), err, SEWA_E_NONFINITE,
                  "checkpoint 'ckpt_3' (step 300): tensor 'layers.9.weight' has 2 of 70001 values");
    struct stream_options o = options_of(r);
    o.allow_nonfinite = true;
    struct stream *allowing = NULL;
    assert_ok(stream_open(&e, &o, &allowing, &err), err);
    assert_ok(mix_once(&e, allowing, &err), err);
    stream_close(allowing);
}

/* An ingredient that takes no part in an average is not looked at. */
static void test_only_what_takes_part_is_read(void **state)
{
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    char *directory = scratch_new();
    struct materialize_options out = { .alpha = alpha + K, .directory = directory };
    struct materialized file = { 0 };
    struct sewa_error err = { 0 };

    run_spoil(r, 1, "scalar", 0, NAN);
    AUTOPTR(stream_close) struct stream *stream = stream_of(&e, r);
    assert_ok(materialize(&e, stream_source(stream), &out, &file, &err), err);
    materialized_clear(&file);
    scratch_free(directory);
}

/* What happens to a file after it was opened is seen by the pass that reads it. */
static void test_changes_while_reading(void **state)
{
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);

    for (size_t i = 0; i < COUNT_OF(meddlers); i++) {
        AUTOFREE char *path = run_path(r, 4);
        struct sewa_error err = { 0 };

        run_save(r, 4);
        AUTOPTR(stream_close) struct stream *stream = stream_of(&e, r);
        meddlers[i].meddle(path);
        assert_failed(mix_once(&e, stream, &err), err, meddlers[i].wanted, meddlers[i].word);
        assert_non_null(strstr(err.text, "ckpt_4"));
    }
}

/* Somebody writes into a file that is being read: that is said, and not that values are bad. */
static void test_a_change_comes_before_what_it_wrote(void **state)
{
    static const unsigned char ones[4000] = { [0 ... 3999] = 0xff };
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    AUTOPTR(stream_close) struct stream *stream = stream_of(&e, r);
    AUTOFREE char *path = run_path(r, 4);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    struct sewa_error err = { 0 };

    assert_int_equal(pwrite_full(fd, ones, sizeof ones, r->candidates[4].bytes / 2), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    assert_failed(mix_once(&e, stream, &err), err, SEWA_E_CHANGED, "modified");
}

static void test_cancelling(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct stream_options o = options_of(r);
    struct stream *stream = NULL;
    struct sewa_error err = { 0 };
    atomic_bool cancel = false;

    o.cancel = &cancel;
    assert_ok(stream_open(&e, &o, &stream, &err), err);
    cancel = true;
    assert_failed(mix_once(&e, stream, &err), err, SEWA_E_CANCELLED, "cancelled");
    stream_close(TAKE(stream));
    assert_failed(stream_open(&e, &o, &stream, &err), err, SEWA_E_CANCELLED, "cancelled");
    assert_null(stream);
}

static void test_failing_calls(void **state)
{
#ifdef SEWA_FAILPOINTS
    static const struct {
        const char *points;
        int wanted;
        const char *word;
    } rows[] = {
        { "stream_read=errno:EIO@7", SEWA_E_IO, "at offset" },
        { "stream_map=errno:ENOMEM", SEWA_E_NO_MEMORY, "cannot get" },
        { "candidate_open=errno:EMFILE@2", SEWA_E_IO, "Too many open files" },
        { "candidate_open=errno:EIO@6", SEWA_E_IO, "Input/output error" }, /* after reading */
    };
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct stream_options o = options_of(r);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        struct stream *stream = NULL;
        failpoint_set(rows[i].points);
        int rc = stream_open(&e, &o, &stream, &err);
        if (rc == 0)
            rc = mix_once(&e, stream, &err);
        assert_failed(rc, err, rows[i].wanted, rows[i].word);
        stream_close(stream);
    }
    failpoint_set(NULL);
#else
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
#endif
}

static void test_no_memory(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0); /* failing is for this thread */
    struct stream_options o = options_of(r);
    struct stream *stream = NULL;
    struct sewa_error err = { 0 };

    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = stream_open(&e, &o, &stream, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 20);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
        assert_null(stream);
    }
    stream_close(stream);
    stream_close(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_contents, run_setup, run_teardown),
        cmocka_unit_test(test_more_candidates_than_fit_the_scratch),
        cmocka_unit_test(test_empty_models),
        cmocka_unit_test_setup_teardown(test_results_are_those_of_resident_candidates, run_setup,
                                        run_teardown),
        cmocka_unit_test(test_results_over_many_partitions),
        cmocka_unit_test(test_dropping_behind),
        cmocka_unit_test_setup_teardown(test_the_budget, run_setup, run_teardown),
        cmocka_unit_test(test_no_candidates),
        cmocka_unit_test_setup_teardown(test_nonfinite, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_only_what_takes_part_is_read, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_changes_while_reading, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_a_change_comes_before_what_it_wrote, run_setup,
                                        run_teardown),
        cmocka_unit_test_setup_teardown(test_cancelling, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_failing_calls, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, run_setup, run_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
