/*
 * test_materialize - the file equals the definition to the bit, whatever threads and kernels made
 * it; it is read back by the reader of formats/ and compared with plain loops over the inputs. Edge
 * cases "bf16 and f16", "identical bytes", "K = 1", "the manifest lists exactly what was averaged",
 * "empty tensors, rank 0, unicode".
 */
#include "place.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "engine/mix.h"
#include "formats/safetensors.h"

enum { K = 6 };

static const double equal[K] = { 0.25, 0.25, 0, 0.25, 0.25, 0 };
static const double uneven[K] = { 0.1, 0, 0.2, 0.3, 0.15, 0.25 };
static const double single[K] = { 0, 0, 1, 0, 0, 0 };

static int setup(void **state)
{
    return place_setup(state, K, 31);
}

static struct materialize_options options_of(const struct place *p, const double *alpha)
{
    return (struct materialize_options){ .alpha = alpha, .directory = p->directory };
}

/* ---- reading back ---- */

static void open_output(const struct place *p, struct opened *ret)
{
    opened_init(ret, p, "model.safetensors");
}

static const char *metadata_of(const struct opened *o, const char *key)
{
    for (size_t i = 0; i < o->layout->metadata_count; i++)
        if (strcmp(o->layout->metadata[i].key, key) == 0)
            return o->layout->metadata[i].value;
    return NULL;
}

/* ---- the definition ---- */

static double define_value(const struct place *p, const double *alpha, size_t t, size_t e)
{
    const struct spec *s = &p->run.specs[t];
    double sum = -0.0, weighted = -0.0, first = 0;
    size_t count = 0;
    bool is_equal = true;

    for (size_t i = 0; i < K; i++) {
        double x = number_at(s->dtype, run_values(&p->run, i, t), e);
        volatile double product = alpha[i] * x;
        if (alpha[i] == 0)
            continue;
        if (count++ == 0)
            first = alpha[i];
        is_equal = is_equal && alpha[i] == first;
        sum += x;
        weighted += product;
    }
    return is_equal ? sum / (double)count : weighted;
}

static size_t newest_of(const double *alpha)
{
    size_t i = K - 1;

    while (alpha[i] == 0)
        i--;
    return i;
}

static void check_tensor(const struct place *p, const double *alpha, size_t t, enum dtype type,
                         const char *got)
{
    const struct spec *s = &p->run.specs[t];
    size_t n = (size_t)spec_elements(s), size = dtype_bits(type) / 8;

    if (dtype_kind(s->dtype) != DTYPE_FLOAT) {
        assert_memory_equal(got, run_values(&p->run, newest_of(alpha), t), n * size);
        return;
    }
    for (size_t e = 0; e < n; e++) {
        double want;
        store_number(type, &want, 0, define_value(p, alpha, t, e));
        if (memcmp(&want, got + e * size, size) != 0)
            fail_msg("'%s' as %s, element %zu", s->name, dtype_name(type), e);
    }
}

static enum dtype published_type(const struct spec *s, enum output_dtype output)
{
    static const enum dtype types[] = { 0, DTYPE_F32, DTYPE_BF16, DTYPE_F16 };

    return dtype_kind(s->dtype) != DTYPE_FLOAT || output == OUTPUT_INPUT ? s->dtype : types[output];
}

static void check_output(const struct place *p, const double *alpha, enum output_dtype output)
{
    AUTO(opened_clear) struct opened o;

    open_output(p, &o);
    assert_int_equal(o.layout->count, p->run.count);
    for (size_t i = 0; i < o.layout->count; i++) {
        const struct tensor *t = &o.layout->tensors[i];
        size_t spec = spec_of(&p->run, t->name);
        const struct spec *s = &p->run.specs[spec];
        assert_int_equal(t->dtype, published_type(s, output));
        assert_int_equal(t->rank, s->rank);
        if (t->rank > 0)
            assert_memory_equal(t->shape, s->shape, t->rank * sizeof t->shape[0]);
        check_tensor(p, alpha, spec, t->dtype, o.bytes.data + t->offset);
    }
}

static void test_files_equal_the_definition(void **state)
{
    static const double *const alphas[] = { equal, uneven, single };
    struct place *p = *state;

    for (size_t a = 0; a < COUNT_OF(alphas); a++) {
        for (int output = 0; output_dtype_names[output]; output++) {
            AUTO(materialized_clear) struct materialized result = { 0 };
            struct materialize_options o = options_of(p, alphas[a]);
            struct sewa_error err = { 0 };
            o.exact.output = (enum output_dtype)output;
            assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &result, &err),
                      err);
            check_output(p, alphas[a], o.exact.output);
        }
    }
}

static void test_bytes_depend_on_nothing_else(void **state)
{
    static const unsigned team_sizes[] = { 1, 2, 3, 7 };
    struct place *p = *state;
    struct materialize_options o = options_of(p, uneven);
    uint8_t first[SHA256_SIZE];
    int64_t bytes = 0;

    for (size_t n = 0; kernels_at(n / 4); n++) {
        AUTO(engine_clear) struct engine e = engine_with(team_sizes[n % 4], n / 4);
        AUTO(materialized_clear) struct materialized result = { 0 };
        struct sewa_error err = { 0 };
        assert_ok(materialize(&e, resident_source(p->resident), &o, &result, &err), err);
        if (n == 0)
            memcpy(first, result.files[0].sha256, sizeof first);
        assert_memory_equal(result.files[0].sha256, first, sizeof first);
        assert_true(n == 0 || result.files[0].bytes == bytes);
        bytes = result.files[0].bytes;
    }
}

/* A bank that an evaluator saw and the file that is published hold the same numbers. */
static void test_the_bank_shows_the_file(void **state)
{
    struct place *p = *state;
    const struct model *m = resident_model(p->resident);
    AUTO(materialized_clear) struct materialized result = { 0 };
    struct materialize_options o = options_of(p, uneven);
    struct sewa_error err = { 0 };
    AUTOFREE void *bank = aligned_alloc(64, (size_t)m->bank_bytes);
    struct mix_request request = { .count = 1, .alpha = uneven, .banks = &bank };
    AUTO(opened_clear) struct opened file;

    o.exact.output = OUTPUT_BF16;
    assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &result, &err), err);
    assert_ok(mix_exact(&p->engine, resident_source(p->resident), &request, &o.exact, &err), err);
    open_output(p, &file);
    for (size_t n = 0; n < m->count; n++) {
        const struct model_tensor *t = &m->tensors[n];
        const struct tensor *in_file = layout_find(file.layout, t->name);
        const char *values = file.bytes.data + in_file->offset;
        for (size_t e = 0; t->is_float && e < (size_t)t->elements; e++) {
            uint16_t code;
            memcpy(&code, values + 2 * e, 2);
            assert_true(number_at(DTYPE_BF16, &code, 0) ==
                        number_at(t->bank_dtype, (char *)bank + t->bank_offset, e));
        }
    }
}

static void test_the_result_says_what_was_done(void **state)
{
    static const struct layout_metadata metadata[] = { { "method", "uniform" },
                                                       { "seed", "\xce\xba" } };
    struct place *p = *state;
    AUTO(materialized_clear) struct materialized result = { 0 };
    struct materialize_options o = options_of(p, equal);
    struct sewa_error err = { 0 };
    AUTO(opened_clear) struct opened file;
    uint8_t want[SHA256_SIZE];
    struct stat st;

    o.metadata = metadata;
    o.metadata_count = 2;
    o.want_digests = true;
    o.mode = 0600;
    assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &result, &err), err);
    open_output(p, &file);
    sha256_of(file.bytes.data, file.bytes.len, want);
    assert_memory_equal(result.files[0].sha256, want, sizeof want);
    assert_int_equal(result.files[0].bytes, file.bytes.len);
    assert_string_equal(metadata_of(&file, "method"), "uniform");
    assert_string_equal(metadata_of(&file, "seed"), "\xce\xba");
    assert_string_equal(metadata_of(&file, "format"), "pt");
    assert_null(metadata_of(&file, "step")); /* of the ingredients' own, "format" alone */
    assert_int_equal(result.count, 4);
    for (size_t i = 0; i < 4; i++) {
        static const uint32_t which[] = { 0, 1, 3, 4 };
        AUTOFREE char *path = run_path(&p->run, which[i]);
        AUTO(buf_clear) struct buf ingredient = { 0 };
        assert_int_equal(result.ingredients[i].candidate, which[i]);
        assert_true(result.ingredients[i].weight == 0.25 && result.ingredients[i].has_sha256);
        assert_ok(file_read(path, 1 << 26, &ingredient, &err), err);
        sha256_of(ingredient.data, ingredient.len, want);
        assert_memory_equal(result.ingredients[i].sha256, want, sizeof want);
    }
    AUTOFREE char *path = path_join(p->directory, "model.safetensors");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* The newest ingredient's order; every second file of the run has the other one. */
static void test_the_order_of_the_newest(void **state)
{
    static const double *const alphas[] = { equal, uneven }; /* newest: 4 and 5 */
    struct place *p = *state;

    for (size_t a = 0; a < 2; a++) {
        AUTO(materialized_clear) struct materialized result = { 0 };
        AUTO(opened_clear) struct opened file;
        struct materialize_options o = options_of(p, alphas[a]);
        struct sewa_error err = { 0 };
        assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &result, &err), err);
        open_output(p, &file);
        const struct tensor *first = layout_find(file.layout, "z.embedding");
        const struct tensor *last = layout_find(file.layout, "\xce\xba.weight");
        assert_true(a == 0 ? first->offset < last->offset : first->offset > last->offset);
    }
}

static void test_own_format_key_wins(void **state)
{
    static const struct layout_metadata metadata[] = { { "format", "np" } };
    struct place *p = *state;
    AUTO(materialized_clear) struct materialized result = { 0 };
    AUTO(opened_clear) struct opened file;
    struct materialize_options o = options_of(p, equal);
    struct sewa_error err = { 0 };

    o.metadata = metadata;
    o.metadata_count = 1;
    assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &result, &err), err);
    open_output(p, &file);
    assert_string_equal(metadata_of(&file, "format"), "np");
}

struct watching {
    struct progress progress;
    int64_t done, total;
};

static void on_progress(struct progress *p, int64_t done, int64_t total)
{
    struct watching *w = container_of(p, struct watching, progress);

    assert_true(done > w->done && done <= total);
    w->done = done;
    w->total = total;
}

/* More than two windows, in pieces and parts; and more parts than a window may have. */
static void test_many_windows(void **state)
{
    static const struct spec large[] = { { "a", DTYPE_F32, 1, { 3 * 1000 * 1000 + 1 } },
                                         { "b", DTYPE_U8, 1, { 5 } },
                                         { "c", DTYPE_F64, 1, { 3 * 1000 * 1000 } } };
    static const double alpha[] = { 0.5, 0.5 };
    AUTO(place_clear) struct place p = { .engine = engine_with(3, 0), .directory = scratch_new() };
    AUTO(materialized_clear) struct materialized result = { 0 };
    AUTO(opened_clear) struct opened file;
    struct watching w = { .progress.on_progress = on_progress };
    struct sewa_error err = { 0 };

    (void)state;
    run_init(&p.run, large, 3, 2, 1);
    p.resident = resident_of(&p.engine, &p.run);
    struct materialize_options o = options_of(&p, alpha);
    o.progress = &w.progress;
    assert_ok(materialize(&p.engine, resident_source(p.resident), &o, &result, &err), err);
    assert_int_equal(w.done, result.files[0].bytes);
    assert_int_equal(w.total, result.files[0].bytes);
    open_output(&p, &file);
    for (size_t t = 0; t < 3; t++) {
        const struct tensor *in_file = layout_find(file.layout, large[t].name);
        const char *got = file.bytes.data + in_file->offset;
        for (size_t e = 0; t != 1 && e < (size_t)in_file->elements; e++) {
            double mean = (number_at(large[t].dtype, run_values(&p.run, 0, t), e) +
                           number_at(large[t].dtype, run_values(&p.run, 1, t), e)) /
                          2;
            double want;
            store_number(large[t].dtype, &want, 0, mean);
            if (memcmp(&want, got + e * spec_size(&large[t]), spec_size(&large[t])) != 0)
                fail_msg("'%s', element %zu", large[t].name, e);
        }
    }
#ifdef SEWA_FAILPOINTS
    AUTOFREE char *output = path_join(p.directory, "model.safetensors");
    assert_int_equal(unlink(output), 0);
    w.done = 0;
    failpoint_set("fdio_write=errno:ENOSPC@3"); /* in the middle: seen before the next window */
    check_refused(&p, &o, SEWA_E_NO_SPACE, "No space");
    w.done = 0;
    failpoint_set("fdio_write=errno:EIO@5"); /* what is left behind the last whole block */
    check_refused(&p, &o, SEWA_E_IO, "Input/output error");
    failpoint_set(NULL);
#endif
}

/* More than a window, and then not a whole block of it. */
static void test_a_large_header(void **state)
{
    enum { BYTES = MATERIALIZE_WINDOW + 12345 };
    struct place *p = *state;
    struct materialize_options o = options_of(p, equal);
    AUTO(materialized_clear) struct materialized result = { 0 };
    AUTO(opened_clear) struct opened file;
    AUTOFREE char *text = malloc(BYTES + 1);
    uint8_t sha256[SHA256_SIZE];
    struct sewa_error err = { 0 };

    assert_non_null(text);
    memset(text, 'x', BYTES);
    text[BYTES] = 0;
    struct layout_metadata metadata = { "long", text };
    o.metadata = &metadata;
    o.metadata_count = 1;
    assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &result, &err), err);
    open_output(p, &file);
    assert_string_equal(metadata_of(&file, "long"), text);
    sha256_of(file.bytes.data, file.bytes.len, sha256);
    assert_memory_equal(result.files[0].sha256, sha256, SHA256_SIZE);
    check_output(p, equal, OUTPUT_INPUT);
}

static void test_thousands_of_tensors(void **state)
{
    enum { COUNT = 5000 };
    AUTO(buf_clear) struct buf header = { 0 };
    AUTOFREE struct safetensors_item *items = calloc(COUNT, sizeof *items);
    AUTOFREE char(*names)[16] = calloc(COUNT, sizeof *names);
    AUTO(place_clear) struct place p = { .engine = engine_with(2, 0), .directory = scratch_new() };
    AUTO(materialized_clear) struct materialized result = { 0 };
    AUTO(opened_clear) struct opened file;
    static const double alpha[] = { 1 };
    struct sewa_error err = { 0 };
    float x;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        items[i] = (struct safetensors_item){ .name = names[i], .dtype = DTYPE_F32 };
    }
    assert_ok(safetensors_header(items, COUNT, NULL, 0, &header, &err), err);
    for (int i = 0; i < COUNT; i++) {
        x = (float)i;
        buf_append(&header, &x, sizeof x);
    }
    run_init(&p.run, mixed_model, 1, 1, 1);
    scratch_write(p.run.directory, p.run.candidates[0].file, header.data, header.len);
    run_learn(&p.run, 0);
    p.resident = resident_of(&p.engine, &p.run);
    struct materialize_options o = options_of(&p, alpha);
    assert_ok(materialize(&p.engine, resident_source(p.resident), &o, &result, &err), err);
    open_output(&p, &file);
    for (int i = 0; i < COUNT; i++) {
        const struct tensor *t = layout_find(file.layout, names[i]);
        memcpy(&x, file.bytes.data + t->offset, sizeof x);
        assert_true(x == (float)i);
    }
}

/* ---- refusals ---- */

static const struct spec overflowing[] = { { "fits", DTYPE_F32, 1, { 10 } },
                                           { "large", DTYPE_F32, 1, { 70000 } } };

static void test_results_that_are_not_finite(void **state)
{
    static const double alpha[] = { 0.5, 0.5 };
    AUTO(place_clear) struct place p = { .engine = engine_with(2, 0), .directory = scratch_new() };
    AUTO(materialized_clear) struct materialized result = { 0 };
    struct sewa_error err = { 0 };

    (void)state;
    run_init(&p.run, overflowing, 2, 2, 1);
    for (size_t i = 0; i < 2; i++) {
        ((float *)run_values(&p.run, i, 1))[69999] = 1e6f;
        ((float *)run_values(&p.run, i, 1))[68000] = -65520; /* the least that is too large */
        run_save(&p.run, i);
    }
    p.resident = resident_of(&p.engine, &p.run);
    struct materialize_options o = options_of(&p, alpha);
    o.exact.output = OUTPUT_F16;
    assert_failed(materialize(&p.engine, resident_source(p.resident), &o, &result, &err), err,
                  SEWA_E_NONFINITE, "tensor 'large' is not finite as F16");
    assert_non_null(strstr(err.text, "element 68000 of 70000"));
    assert_int_equal(scratch_entries(p.directory), 0);
    assert_null(result.ingredients);
    o.allow_nonfinite = true;
    assert_ok(materialize(&p.engine, resident_source(p.resident), &o, &result, &err), err);
    materialized_clear(&result);
    o.allow_nonfinite = false;
    o.exact.output = OUTPUT_BF16;
    assert_ok(materialize(&p.engine, resident_source(p.resident), &o, &result, &err), err);
}

/* A NaN that was let in is written as one pattern of bits, by every kernel. */
static void test_nans_have_one_pattern(void **state)
{
    static const double alpha[] = { 0.5, 0.5 };
    static const uint32_t odd_nan = 0xff812345, nan = 0x7fc00000;

    (void)state;
    for (size_t table = 0; kernels_at(table); table++) {
        AUTO(place_clear) struct place p = { .directory = scratch_new() };
        AUTO(materialized_clear) struct materialized result = { 0 };
        AUTO(opened_clear) struct opened file;
        struct resident_options in = { .count = 2, .allow_nonfinite = true };
        struct sewa_error err = { 0 };
        p.engine = engine_with(1, table);
        run_init(&p.run, overflowing, 2, 2, 1);
        memcpy(run_values(&p.run, 0, 0), &odd_nan, 4);
        run_save(&p.run, 0);
        in.candidates = p.run.candidates;
        assert_ok(resident_open(&p.engine, &in, &p.resident, &err), err);
        struct materialize_options o = options_of(&p, alpha);
        o.allow_nonfinite = true;
        assert_ok(materialize(&p.engine, resident_source(p.resident), &o, &result, &err), err);
        open_output(&p, &file);
        assert_memory_equal(file.bytes.data + layout_find(file.layout, "fits")->offset, &nan, 4);
    }
}

static void test_refusals(void **state)
{
    static const struct layout_metadata twice[] = { { "a", "1" }, { "a", "2" } };
    struct place *p = *state;
    double alpha[K] = { 0.5 };
    atomic_bool cancel = true;

    struct materialize_options o = options_of(p, alpha);
    check_refused(p, &o, SEWA_E_INVALID, "sum to 0.5");
    o = options_of(p, equal);
    o.metadata = twice;
    o.metadata_count = 2;
    check_refused(p, &o, SEWA_E_INVALID, "");
    o = options_of(p, equal);
    o.integers = INTEGER_EQUAL;
    check_refused(p, &o, SEWA_E_MISMATCH, "must be equal");
    o = options_of(p, equal);
    o.cancel = &cancel;
    check_refused(p, &o, SEWA_E_CANCELLED, "");
    o = options_of(p, equal);
    o.keep_free_bytes = INT64_C(1) << 60;
    check_refused(p, &o, SEWA_E_NO_SPACE, "model.safetensors");
    o = options_of(p, equal);
    o.directory = "/nonexistent";
    check_refused(p, &o, SEWA_E_IO, "/nonexistent");
}

/* What was read is still in memory, but the manifest would name a file that is not that one. */
static void test_ingredients_that_changed_since(void **state)
{
    struct place *p = *state;
    AUTOFREE char *spared = run_path(&p->run, 2);
    AUTOFREE char *ingredient = run_path(&p->run, 3);
    struct materialize_options o = options_of(p, equal);
    struct materialized result = { 0 };
    struct sewa_error err = { 0 };

    assert_int_equal(unlink(spared), 0); /* no ingredient: nobody asks */
    assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &result, &err), err);
    materialized_clear(&result);
    AUTOFREE char *output = path_join(p->directory, "model.safetensors");
    assert_int_equal(unlink(output), 0);
    assert_int_equal(utimensat(AT_FDCWD, ingredient, NULL, 0), 0);
    check_refused(p, &o, SEWA_E_CHANGED, "ckpt_3");
    o.want_digests = true;
    check_refused(p, &o, SEWA_E_CHANGED, "ckpt_3");
    assert_int_equal(unlink(ingredient), 0);
    check_refused(p, &o, SEWA_E_GONE, "ckpt_3");
}

static void test_failing_calls(void **state)
{
#ifdef SEWA_FAILPOINTS
    static const struct {
        const char *points;
        int wanted;
        const char *word;
    } rows[] = {
        { "fdio_write=errno:ENOSPC", SEWA_E_NO_SPACE, "offset 0" },
        { "fdio_write=errno:EIO", SEWA_E_IO, "Input/output error" },
        { "materialize_map=errno:ENOMEM@2", SEWA_E_NO_MEMORY, "two windows" },
        { "outfile_thread=errno:ENOMEM", SEWA_E_NO_MEMORY, "cannot start" },
        { "outfile_sync=errno:EIO", SEWA_E_IO, "cannot sync" },
        { "outfile_rename=errno:EIO", SEWA_E_IO, "cannot rename" },
        { "outfile_sync_directory=errno:EIO", SEWA_E_IO, "directory" },
        { "candidate_digest=errno:EIO@3", SEWA_E_IO, "cannot read" },
    };
    struct place *p = *state;
    struct materialize_options o = options_of(p, equal);

    o.want_digests = true;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        failpoint_set(rows[i].points);
        check_refused(p, &o, rows[i].wanted, rows[i].word);
    }
    failpoint_set(NULL);
#else
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
#endif
}

static void test_no_memory(void **state)
{
    struct place *p = *state;
    struct materialize_options o = options_of(p, equal);

    o.want_digests = true;
    check_no_memory(p, &o, 20);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_equal_the_definition, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_bytes_depend_on_nothing_else, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_the_bank_shows_the_file, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_the_result_says_what_was_done, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_the_order_of_the_newest, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_own_format_key_wins, setup, place_teardown),
        cmocka_unit_test(test_many_windows),
        cmocka_unit_test_setup_teardown(test_a_large_header, setup, place_teardown),
        cmocka_unit_test(test_thousands_of_tensors),
        cmocka_unit_test(test_results_that_are_not_finite),
        cmocka_unit_test(test_nans_have_one_pattern),
        cmocka_unit_test_setup_teardown(test_refusals, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_ingredients_that_changed_since, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_failing_calls, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
