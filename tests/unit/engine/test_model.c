/*
 * test_model - the table of tensors, its offsets, and the walk over its pieces.
 */
#include "run.h"

#include <string.h>

#include "engine/model.h"
#include "support/alloc.h"

static struct layout *layout_of(const struct spec *specs, size_t count)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int64_t offset = 0;

    assert_non_null(b);
    for (size_t i = 0; i < count; i++) {
        struct tensor t = { .name = specs[i].name,
                            .dtype = specs[i].dtype,
                            .rank = specs[i].rank,
                            .shape = specs[i].shape,
                            .offset = offset,
                            .bytes = dtype_bytes(specs[i].dtype, spec_elements(&specs[i])) };
        assert_ok(layout_builder_tensor(b, &t, &err), err);
        offset += t.bytes;
    }
    assert_ok(layout_builder_finish(b, &l, &err), err);
    return l;
}

static struct model *model_of(const struct spec *specs, size_t count)
{
    AUTOPTR(layout_free) struct layout *l = layout_of(specs, count);
    struct model *m = NULL;
    struct sewa_error err = { 0 };

    assert_ok(model_new(l, &m, &err), err);
    return m; /* outlives the layout */
}

static void test_table(void **state)
{
    AUTOPTR(model_free) struct model *m = model_of(mixed_model, MIXED_COUNT);
    int64_t row = 0, bank = 0, gradient = 0;

    (void)state;
    assert_int_equal(m->count, MIXED_COUNT);
    for (size_t i = 0; i < m->count; i++) {
        const struct model_tensor *t = &m->tensors[i];
        if (i > 0)
            assert_true(strcmp(m->tensors[i - 1].name, t->name) < 0);
        assert_int_equal(model_find(m, t->name), (int64_t)i);
        assert_int_equal(t->row_offset % MODEL_ALIGNMENT, 0);
        assert_int_equal(t->bank_offset % MODEL_ALIGNMENT, 0);
        assert_true(t->row_offset >= row && t->bank_offset >= bank);
        row = t->row_offset + t->elements * (int64_t)model_element_bytes(t);
        bank = t->bank_offset + t->elements * (int64_t)model_bank_element_bytes(t);
        if (t->is_float) {
            assert_int_equal(t->gradient_offset % MODEL_ALIGNMENT, 0);
            assert_true(t->gradient_offset >= gradient);
            gradient = t->gradient_offset + t->elements * 4;
        } else {
            assert_int_equal(t->gradient_offset, -1);
        }
    }
    assert_true(m->row_bytes >= row && m->bank_bytes >= bank);
    assert_true(m->gradient_bank_bytes >= gradient);
    assert_int_equal(model_find(m, "missing"), -1);
    assert_int_equal(model_find(m, ""), -1);
    assert_int_equal(model_find(m, "zzz"), -1);
}

static void test_types_in_a_bank(void **state)
{
    static const struct {
        const char *name;
        enum dtype bank;
        bool is_float;
        int rank;
    } rows[] = {
        { "z.embedding", DTYPE_F32, true, 2 },
        { "layers.10.weight", DTYPE_F32, true, 2 },
        { "layers.9.weight", DTYPE_F32, true, 1 },
        { "layers.11.e4m3", DTYPE_F32, true, 2 },
        { "layers.11.e5m2", DTYPE_F32, true, 1 },
        { "double", DTYPE_F64, true, 1 },
        { "num_batches_tracked", DTYPE_I64, false, 0 },
        { "flags", DTYPE_BOOL, false, 1 },
        { "counts", DTYPE_I32, false, 1 },
    };
    AUTOPTR(model_free) struct model *m = model_of(mixed_model, MIXED_COUNT);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct model_tensor *t = &m->tensors[model_find(m, rows[i].name)];
        assert_int_equal(t->bank_dtype, rows[i].bank);
        assert_int_equal(t->is_float, rows[i].is_float);
        assert_int_equal(t->rank, rows[i].rank);
    }
    const struct model_tensor *t = &m->tensors[model_find(m, "z.embedding")];
    assert_int_equal(t->shape[0], 37);
    assert_int_equal(t->shape[1], 211);
}

static void test_rows_do_not_share_cache_sets(void **state)
{
    static const int64_t sizes[] = { 0, 1, 64, 3520, 4095, 4096, 4097, 1 << 20, 204000000 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        int64_t n = model_stagger(sizes[i]);
        assert_true(n >= sizes[i] && n < sizes[i] + 4096 + 64);
        assert_int_equal(n % MODEL_ALIGNMENT, 0);
        for (int64_t rows = 1; rows < 8; rows++) /* eight rows, eight different lines of a page */
            assert_int_not_equal(rows * n % 4096, 0);
    }
}

/* Every element of every tensor exactly once, in order, in pieces that begin at chunks. */
static void test_pieces_cover_the_model(void **state)
{
    static const struct spec large[] = {
        { "a", DTYPE_F32, 1, { 300 * (int64_t)MODEL_PIECE + 1 } },
        { "b", DTYPE_F32, 1, { 0 } },
        { "c", DTYPE_F32, 1, { DOTS_CHUNK } },
        { "d", DTYPE_F32, 1, { 1 } },
    };
    static const struct spec empty[] = { { "only", DTYPE_F32, 1, { 0 } } };
    static const struct {
        const struct spec *specs;
        size_t count;
        size_t partitions;
    } rows[] = {
        /* chunks: 2 + 1 + 1 + 4 + 18 + 0 + 1 + 2 + 1 + 1 + 2 + 1 + 0 + 2 + 2 */
        { mixed_model, MIXED_COUNT, 38 },
        { large, COUNT_OF(large), MODEL_PARTITIONS },
        { empty, 1, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTOPTR(model_free) struct model *m = model_of(rows[i].specs, rows[i].count);
        struct piece piece;
        size_t tensor = 0;
        int64_t element = 0;

        assert_int_equal(model_partitions(m), rows[i].partitions);
        for (size_t p = 0; p < model_partitions(m); p++) {
            struct piece_walk walk = model_walk(m, p, 0);
            int64_t chunks = 0;
            while (piece_next(&walk, &piece)) {
                while (element == m->tensors[tensor].elements) {
                    tensor++;
                    element = 0;
                }
                assert_int_equal(piece.tensor, tensor);
                assert_int_equal(piece.first, element);
                assert_int_equal(piece.first % DOTS_CHUNK, 0);
                assert_true(piece.count > 0 && piece.count <= MODEL_PIECE);
                element += (int64_t)piece.count;
                chunks += (int64_t)(piece.count + DOTS_CHUNK - 1) / DOTS_CHUNK;
            }
            assert_true(chunks >= m->chunks / (int64_t)model_partitions(m));
            assert_true(chunks <= m->chunks / (int64_t)model_partitions(m) + 1);
        }
        while (tensor < m->count && element == m->tensors[tensor].elements) {
            tensor++;
            element = 0;
        }
        assert_int_equal(tensor, m->count);
    }
}

/* A limit in bytes changes where pieces end, not where partitions and chunks do. */
static void test_smaller_pieces(void **state)
{
    static const size_t limits[] = { 1, DOTS_CHUNK * 4, DOTS_CHUNK * 13, MODEL_PIECE * 100 };
    AUTOPTR(model_free) struct model *m = model_of(mixed_model, MIXED_COUNT);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        for (size_t p = 0; p < model_partitions(m); p++) {
            struct piece_walk whole = model_walk(m, p, 0), cut = model_walk(m, p, limits[i]);
            struct piece piece, part;
            while (piece_next(&whole, &piece)) {
                const struct model_tensor *t = &m->tensors[piece.tensor];
                for (size_t done = 0; done < piece.count; done += part.count) {
                    assert_true(piece_next(&cut, &part));
                    assert_int_equal(part.tensor, piece.tensor);
                    assert_int_equal(part.first, piece.first + (int64_t)done);
                    assert_true(part.count <= piece_elements(t, limits[i]));
                    assert_true(part.count * model_element_bytes(t) <= limits[i] ||
                                part.count <= DOTS_CHUNK);
                }
            }
            assert_false(piece_next(&cut, &part));
        }
    }
}

static void test_refusals(void **state)
{
    static const struct spec carried[] = { { "good", DTYPE_F32, 0, { 0 } },
                                           { "scales", DTYPE_F8_E8M0, 1, { 4 } } };
    static const struct spec huge[] = { { "huge.a", DTYPE_F16, 2, { INT64_C(1) << 58, 3 } },
                                        { "huge.b", DTYPE_F16, 2, { INT64_C(1) << 58, 3 } } };
    AUTOPTR(layout_free) struct layout *l = layout_of(carried, 2);
    AUTOPTR(layout_free) struct layout *h = layout_of(huge, 2);
    struct model *m = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    assert_failed(model_new(l, &m, &err), err, SEWA_E_UNSUPPORTED, "'scales' has type F8_E8M0");
    assert_failed(model_new(h, &m, &err), err, SEWA_E_TOO_LARGE, "'huge.b'");
    assert_null(m);
}

static void test_no_memory(void **state)
{
    AUTOPTR(layout_free) struct layout *l = layout_of(mixed_model, MIXED_COUNT);
    struct model *m = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    int64_t held = alloc_held();
    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = model_new(l, &m, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_int_equal(n, 4);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(alloc_held(), held);
    }
    model_free(m);
    model_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_types_in_a_bank),
        cmocka_unit_test(test_rows_do_not_share_cache_sets),
        cmocka_unit_test(test_pieces_cover_the_model),
        cmocka_unit_test(test_smaller_pieces),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
