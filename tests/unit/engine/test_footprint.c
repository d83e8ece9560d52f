/*
 * test_footprint - what is said before is at least what is taken afterwards, and not much more;
 * numbers beyond 2^63 are too large, never small.
 */
#include "run.h"

#include "engine/footprint.h"
#include "engine/materialize.h"
#include "engine/pages.h"
#include "engine/stream.h"

static struct footprint footprint_of(const struct run *r, const struct model *m, int64_t threads)
{
    struct footprint f = { .candidates = (int64_t)r->k,
                           .tensors = (int64_t)m->count,
                           .threads = threads };

    for (size_t t = 0; t < r->count; t++)
        f.data_bytes += spec_elements(&r->specs[t]) * (int64_t)spec_size(&r->specs[t]);
    return f;
}

static const struct spec wide[] = { { "a", DTYPE_F64, 1, { 3 * (int64_t)MODEL_PIECE } } };

static const struct {
    const struct spec *specs;
    size_t count, k;
    unsigned threads;
} rows[] = {
    { mixed_model, MIXED_COUNT, 1, 1 },
    { mixed_model, MIXED_COUNT, 5, 3 },
    { wide, 1, 3, 2 },
    { wide, 1, 70, 2 },
    { wide, 0, 2, 2 },
};

static void test_it_is_enough(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(run_clear) struct run r;
        AUTO(engine_clear) struct engine e = engine_with(rows[i].threads, 0);
        struct sewa_error err = { 0 };
        struct stream *stream = NULL;

        run_init(&r, rows[i].specs, rows[i].count, rows[i].k, 1);
        struct stream_options o = { .candidates = r.candidates, .count = r.k };
        AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &r);
        assert_ok(stream_open(&e, &o, &stream, &err), err);
        struct footprint f = footprint_of(&r, stream_model(stream), rows[i].threads);
        int64_t held = resident_memory_bytes(resident), scratch = stream_memory_bytes(stream);
        int64_t tables = f.candidates * (10000 + 300 * f.tensors);
        stream_close(stream);
        assert_in_range(held, 1, footprint_resident(&f));
        assert_true(footprint_resident(&f) <= held + tables + PAGES_HUGE);
        assert_in_range(scratch, 1, footprint_stream(&f));
        assert_true(footprint_stream(&f) <= f.threads * (STREAM_SCRATCH + f.candidates * 40000) +
                                                f.data_bytes + tables + PAGES_HUGE);

        /* what fits is accepted, and the budget that is refused does not fit */
        assert_true(footprint_fits_resident(&f, 0));
        assert_true(footprint_fits_resident(&f, footprint_resident(&f)));
        assert_false(footprint_fits_resident(&f, held - 1));
    }
}

/* A stream needs no more for a larger model, and no more for more candidates until very many. */
static void test_a_stream_does_not_grow(void **state)
{
    struct footprint small = { 10, 100, 1 << 20, 4 }, large = { 10, 100, INT64_C(1) << 40, 4 };
    struct footprint many = { 30, 100, 1 << 20, 4 };

    (void)state;
    assert_true(footprint_stream(&large) <=
                footprint_stream(&small) + large.candidates * large.data_bytes / 32000);
    assert_true(footprint_stream(&many) < footprint_stream(&small) * 3 / 2);
    assert_true(footprint_resident(&large) >= large.candidates * large.data_bytes);
    assert_int_equal(footprint_materialize(), MATERIALIZE_BYTES);
}

static void test_pieces(void **state)
{
    (void)state;
    assert_int_equal(footprint_piece_bytes(0), STREAM_SCRATCH);
    assert_int_equal(footprint_piece_bytes(8), STREAM_SCRATCH / 8);
    assert_int_equal(footprint_piece_bytes(1000000), DOTS_CHUNK);
}

static void test_overflow(void **state)
{
    struct footprint f = { 200, 1000, INT64_MAX / 2, 2 };
    struct footprint threads = { INT64_MAX / 2, 1, 1, 64 };

    (void)state;
    assert_int_equal(footprint_resident(&f), INT64_MAX);
    assert_false(footprint_fits_resident(&f, INT64_MAX - 1));
    assert_int_equal(footprint_stream(&threads), INT64_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_enough),
        cmocka_unit_test(test_a_stream_does_not_grow),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
