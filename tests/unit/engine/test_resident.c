/*
 * test_resident - reading candidates into memory: every byte where the model says, whatever the
 * order of the files; refusals of what does not belong together, does not fit or is not finite.
 */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "support/alloc.h"

static struct resident_options options_of(const struct run *r)
{
    return (struct resident_options){ .candidates = r->candidates, .count = r->k };
}

static void test_contents(void **state)
{
    static const unsigned threads[] = { 1, 2, 7 };
    const struct run *r = *state;

    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        AUTO(engine_clear) struct engine e = engine_with(threads[i], 0);
        AUTOPTR(resident_close) struct resident *resident = resident_of(&e, r);
        size_t count = 1;
        run_check(r, resident_source(resident));
        assert_null(resident_nonfinite(resident, &count));
        assert_int_equal(count, 0);
    }
}

/* Larger than a segment and a step, with a first tensor that makes every cut an odd one. */
static void test_large_tensors_are_cut(void **state)
{
    static const struct spec large[] = {
        { "odd", DTYPE_U8, 1, { 7 } },
        { "a", DTYPE_F32, 1, { 10 * 1000 * 1000 + 1 } },
        { "b", DTYPE_F64, 1, { 1001 } },
    };
    AUTO(run_clear) struct run r;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);

    (void)state;
    run_init(&r, large, COUNT_OF(large), 1, 5);
    AUTOPTR(resident_close) struct resident *one = resident_of(&e, &r);
    run_check(&r, resident_source(one));
    assert_int_equal(resident_bytes_read(one), 7 + 4 * (10 * 1000 * 1000 + 1) + 8 * 1001);
    assert_true(resident_memory_bytes(one) >= resident_bytes_read(one));
}

static void test_empty_models(void **state)
{
    static const struct spec none[] = { { "e", DTYPE_F32, 1, { 0 } } };

    (void)state;
    for (size_t count = 0; count < 2; count++) {
        AUTO(run_clear) struct run r;
        AUTO(engine_clear) struct engine e = engine_with(2, 0);
        run_init(&r, none, count, 2, 5);
        AUTOPTR(resident_close) struct resident *resident = resident_of(&e, &r);
        assert_int_equal(resident_model(resident)->count, count);
        assert_int_equal(resident_bytes_read(resident), 0);
    }
}

struct watching {
    struct progress progress;
    int64_t done, total;
    atomic_bool *cancel;
};

static void on_progress(struct progress *p, int64_t done, int64_t total)
{
    struct watching *w = container_of(p, struct watching, progress);

    assert_true(done > 0 && done <= total);
    w->done = done;
    w->total = total;
    if (w->cancel)
        atomic_store(w->cancel, true);
}

static void test_progress_and_cancelling(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct watching w = { .progress.on_progress = on_progress };
    struct resident_options o = options_of(r);
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };
    atomic_bool cancel = false;

    o.progress = &w.progress;
    o.cancel = &cancel;
    assert_ok(resident_open(&e, &o, &resident, &err), err);
    assert_int_equal(w.done, resident_bytes_read(resident));
    assert_int_equal(w.total, w.done);
    resident_close(TAKE(resident));
    w.cancel = &cancel;
    assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_CANCELLED, "cancelled");
    assert_true(w.done < w.total);
    assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_CANCELLED, "cancelled");
    assert_null(resident);
}

static void test_no_candidates(void **state)
{
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct resident_options o = { 0 };
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_NO_CANDIDATES,
                  "no checkpoint");
}

static void test_the_budget(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);
    struct resident_options o = options_of(r);
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };
    char number[32];

    assert_ok(resident_open(&e, &o, &resident, &err), err);
    int64_t need = resident_memory_bytes(resident);
    resident_close(TAKE(resident));
    o.memory_budget_bytes = need;
    assert_ok(resident_open(&e, &o, &resident, &err), err);
    resident_close(TAKE(resident));
    o.memory_budget_bytes = need - 1;
    assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_NO_MEMORY, "5 checkpoints");
    snprintf(number, sizeof number, "%" PRId64, need);
    assert_non_null(strstr(err.text, number));
    snprintf(number, sizeof number, "%" PRId64, need - 1);
    assert_non_null(strstr(err.text, number));
}

/* ---- values that are not finite ---- */

static void test_nonfinite_is_refused(void **state)
{
    static const char *const tensors[] = { "z.embedding", "layers.10.weight", "layers.9.weight",
                                           "double", "scalar" };
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct resident_options o = options_of(r);
    struct resident *resident = NULL;

    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        struct sewa_error err = { 0 };
        char word[128];
        size_t t = spec_of(r, tensors[i]);
        size_t last = (size_t)spec_elements(&r->specs[t]) - 1;
        double was = number_at(r->specs[t].dtype, run_values(r, 3, t), last);

        run_spoil(r, 3, tensors[i], last, i % 2 ? NAN : -INFINITY);
        assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_NONFINITE,
                      "checkpoint 'ckpt_3' (step 300)");
        snprintf(word, sizeof word, "tensor '%s' has 1 of %zu values", tensors[i], last + 1);
        assert_non_null(strstr(err.text, word));
        run_spoil(r, 3, tensors[i], last, was);
    }
    struct sewa_error err = { 0 };
    assert_ok(resident_open(&e, &o, &resident, &err), err);
    resident_close(resident);
}

static void test_nonfinite_is_listed(void **state)
{
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(3, 0);
    struct resident_options o = options_of(r);
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };
    size_t count = 0;

    for (size_t n = 0; n < 70001; n += 10000) /* in several steps of reading */
        run_spoil(r, 4, "layers.9.weight", n, NAN);
    run_spoil(r, 1, "scalar", 0, INFINITY);
    run_spoil(r, 1, "double", 7, INFINITY);
    assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_NONFINITE,
                  "'ckpt_1' (step 100): tensor 'double'");
    assert_non_null(strstr(err.text, "and 2 more tensors have such values"));
    o.allow_nonfinite = true;
    assert_ok(resident_open(&e, &o, &resident, &err), err);
    const struct nonfinite *list = resident_nonfinite(resident, &count);
    const struct model *m = resident_model(resident);
    assert_int_equal(count, 3);
    assert_int_equal(list[0].candidate, 1);
    assert_string_equal(m->tensors[list[0].tensor].name, "double");
    assert_int_equal(list[1].candidate, 1);
    assert_string_equal(m->tensors[list[1].tensor].name, "scalar");
    assert_int_equal(list[2].candidate, 4);
    assert_string_equal(m->tensors[list[2].tensor].name, "layers.9.weight");
    assert_int_equal(list[2].count, 8);
    run_check(r, resident_source(resident));
    resident_close(resident);
}

/* ---- files that do not belong ---- */

static void test_other_tensors(void **state)
{
    static const struct spec a[] = { { "w", DTYPE_F32, 1, { 4 } } };
    static const struct spec b[] = { { "w", DTYPE_F32, 1, { 5 } } };
    AUTO(run_clear) struct run r;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct resident_options o;
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    run_init(&r, b, 1, 3, 1);
    r.specs = a;
    run_save(&r, 0);
    r.specs = b;
    o = options_of(&r);
    assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_MISMATCH, "ckpt_1");
    assert_non_null(strstr(err.text, "ckpt_0"));
}

static void test_types_without_an_average(void **state)
{
    static const struct spec a[] = { { "w", DTYPE_F8_E8M0, 1, { 4 } } };
    AUTO(run_clear) struct run r;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct resident_options o;
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };

    (void)state;
    run_init(&r, a, 1, 2, 1);
    o = options_of(&r);
    assert_failed(resident_open(&e, &o, &resident, &err), err, SEWA_E_UNSUPPORTED, "F8_E8M0");
    assert_non_null(strstr(err.text, "ckpt_0"));
}

/* The first progress call is in the middle of reading: what happens to the file then is seen. */
struct meddling {
    struct progress progress;
    const char *path;
    bool is_done;
    void (*meddle)(const char *path);
};

static void on_progress_meddle(struct progress *p, int64_t done, int64_t total)
{
    struct meddling *m = container_of(p, struct meddling, progress);

    (void)done;
    (void)total;
    if (!m->is_done)
        m->meddle(m->path);
    m->is_done = true;
}

static void test_changes_while_reading(void **state)
{
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0);

    for (size_t i = 0; i < COUNT_OF(meddlers); i++) {
        AUTOFREE char *path = run_path(r, 4); /* the last one: still to be read */
        struct meddling m = { .progress.on_progress = on_progress_meddle,
                              .path = path,
                              .meddle = meddlers[i].meddle };
        struct resident_options o = options_of(r);
        struct resident *resident = NULL;
        struct sewa_error err = { 0 };

        run_save(r, 4);
        o.progress = &m.progress;
        assert_failed(resident_open(&e, &o, &resident, &err), err, meddlers[i].wanted,
                      meddlers[i].word);
        assert_non_null(strstr(err.text, "ckpt_4"));
        assert_null(resident);
    }
}

static void test_failing_calls(void **state)
{
#ifdef SEWA_FAILPOINTS
    static const struct {
        const char *points;
        int wanted;
        const char *word;
    } rows[] = {
        { "resident_read=errno:EIO@3", SEWA_E_IO, "at offset" },
        { "resident_map=errno:ENOMEM", SEWA_E_NO_MEMORY, "cannot get" },
        { "candidate_open=errno:EMFILE@2", SEWA_E_IO, "Too many open files" },
        { "candidate_open=errno:EIO@6", SEWA_E_IO, "Input/output error" }, /* after reading */
    };
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct resident_options o = options_of(r);
    struct resident *resident = NULL;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sewa_error err = { 0 };
        failpoint_set(rows[i].points);
        assert_failed(resident_open(&e, &o, &resident, &err), err, rows[i].wanted, rows[i].word);
        assert_null(resident);
    }
    failpoint_set(NULL);
#else
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
#endif
}

static void test_no_memory(void **state)
{
    struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(1, 0); /* failing is for this thread */
    struct resident_options o = options_of(r);
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };

    run_spoil(r, 1, "scalar", 0, NAN); /* the list is memory, too */
    o.allow_nonfinite = true;
    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = resident_open(&e, &o, &resident, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 30);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
        assert_null(resident);
    }
    resident_close(resident);
    resident_close(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_contents, run_setup, run_teardown),
        cmocka_unit_test(test_large_tensors_are_cut),
        cmocka_unit_test(test_empty_models),
        cmocka_unit_test_setup_teardown(test_progress_and_cancelling, run_setup, run_teardown),
        cmocka_unit_test(test_no_candidates),
        cmocka_unit_test_setup_teardown(test_the_budget, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_nonfinite_is_refused, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_nonfinite_is_listed, run_setup, run_teardown),
        cmocka_unit_test(test_other_tensors),
        cmocka_unit_test(test_types_without_an_average),
        cmocka_unit_test_setup_teardown(test_changes_while_reading, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_failing_calls, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, run_setup, run_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
