/*
 * test_needs - what is counted for an evaluator that recalibrates: evaluations, memory and reading.
 */
#include "index.h"

#include <stdio.h>
#include <string.h>

#include "engine/footprint.h"
#include "jobs/needs.h"

enum { K = 20, ELEMENTS = 20000000, BANK = 4 * ELEMENTS, BYTES = 2 * ELEMENTS };

struct fixture {
    struct index ix;
    int64_t run;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char tensors[40];

    index_open(&f->ix);
    f->ix.limits.worker_memory_bytes = INT64_MAX / 4;
    f->run = index_run(f->ix.db, "digits");
    snprintf(tensors, sizeof tensors, "w:BF16:%d", ELEMENTS);
    int64_t layout = index_layout(f->ix.db, tensors);
    for (int64_t step = 1; step <= K; step++)
        index_checkpoint(f->ix.db, f->run, layout, step, CHECKPOINT_COMPLETE, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    index_close(&f->ix);
    free(f);
    return 0;
}

static void tell(struct fixture *f, bool recalibrates)
{
    index_job(f->ix.db, &(struct index_job){
                            .run_id = f->run,
                            .request = "{\"evaluator\":\"digits\"}",
                            .runner = recalibrates ? "{\"traits\":{\"recalibrates\":true}}"
                                                   : "{\"traits\":{\"recalibrates\":false}}" });
}

static int make(struct fixture *f, const char *more, struct job_plan **ret, struct sewa_error *err)
{
    char body[300];

    snprintf(body, sizeof body, "{\"run\":\"digits\",\"evaluator\":\"digits\",%s}", more);
    AUTOPTR(job_request_free) struct job_request *q = index_request(body);
    return job_plan_make(f->ix.db, q, &f->ix.limits, ret, err);
}

static struct job_plan *plan_of(struct fixture *f, const char *more)
{
    struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    assert_ok(make(f, more, &p, &err), err);
    assert_true(p->peak_memory_bytes <= f->ix.limits.worker_memory_bytes);
    return p;
}

#define UNIFORM "\"method\":\"uniform\""

/* Who averages several checkpoints is evaluated once more on both splits; who has no gradients
 * takes one bank of them for the new buffers. */
static void test_what_is_counted(void **state)
{
    static const struct {
        const char *job;
        bool several, gradients;
    } rows[] = {
        { UNIFORM, true, false },
        { UNIFORM ",\"window\":1", false, false },
        { "\"method\":\"last\"", false, false },
        { "\"method\":\"best\"", false, false },
        { "\"method\":\"lawa\"", true, false },
        { "\"method\":\"lawa\",\"select\":1", false, false },
        { "\"select\":5", true, true },
        { "\"select\":1", false, true },
        { "\"select\":\"auto\"", true, true },
        { "\"select\":5,\"params\":{\"estimator\":\"score_function\"}", true, false },
    };
    enum { UNKNOWN, CANNOT, CAN, KNOWLEDGE };
    struct fixture *f = *state;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    int64_t counts[COUNT_OF(rows)][KNOWLEDGE], evaluations[COUNT_OF(rows)][KNOWLEDGE],
        memory[COUNT_OF(rows)][KNOWLEDGE];

    for (int known = UNKNOWN; known < KNOWLEDGE; known++) {
        if (known != UNKNOWN)
            tell(f, known == CAN);
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            p = plan_of(f, rows[i].job);
            counts[i][known] = p->recalibrations;
            evaluations[i][known] = p->evaluations;
            memory[i][known] = p->peak_memory_bytes;
            job_plan_free(TAKE(p));
        }
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool several = rows[i].several;
        assert_int_equal(counts[i][UNKNOWN], several ? -1 : 0);
        assert_int_equal(counts[i][CANNOT], 0);
        assert_int_equal(counts[i][CAN], several ? 2 : 0);
        assert_int_equal(evaluations[i][UNKNOWN], evaluations[i][CANNOT]);
        assert_int_equal(evaluations[i][CAN] - evaluations[i][CANNOT], several ? 2 : 0);
        assert_int_equal(memory[i][UNKNOWN], memory[i][CANNOT]);
        int64_t more = memory[i][CAN] - memory[i][CANNOT];
        if (several && !rows[i].gradients)
            assert_in_range(more, BANK, BANK + 10000);
        else
            assert_int_equal(more, 0);
    }
}

static void test_without_an_evaluator(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_request_free)
    struct job_request *q = index_request("{\"run\":\"digits\",\"method\":\"uniform\"}");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    tell(f, true);
    assert_ok(job_plan_make(f->ix.db, q, &f->ix.limits, &p, &err), err);
    assert_int_equal(p->recalibrations, 0);
    assert_int_equal(p->evaluations, 0);
}

static void test_a_check_recalibrates_nothing(void **state)
{
    struct fixture *f = *state;
    AUTOJSON json_t *body = json_pack("{s:s}", "run", "digits");
    AUTOPTR(job_request_free) struct job_request *q = NULL;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    tell(f, true);
    assert_ok(job_request_parse_check("digits", body, &q, &err), err);
    assert_ok(job_plan_make(f->ix.db, q, &f->ix.limits, &p, &err), err);
    assert_int_equal(p->recalibrations, 0);
    assert_int_equal(p->evaluations, 3);
}

/* The memory for new buffers is there once, however many averages are: fewer of them, then none of
 * the candidates, then no job. */
static void test_a_budget(void **state)
{
    struct fixture *f = *state;
    struct footprint shape = { K, 1, BYTES, 1 };
    int64_t beside = footprint_materialize() + NEEDS_PROCESS_BYTES;
    int64_t resident = footprint_resident(&shape) + beside;
    int64_t stream = footprint_stream(&shape) + beside;
    struct sewa_error err = { 0 };

    tell(f, false);
    AUTOPTR(job_plan_free) struct job_plan *ample = plan_of(f, UNIFORM);
    int64_t bank = (ample->peak_memory_bytes - resident) / 8;
    assert_in_range(bank, BANK, BANK + 10000);
    tell(f, true);
    AUTOPTR(job_plan_free) struct job_plan *more = plan_of(f, UNIFORM);
    int64_t gradient = more->peak_memory_bytes - ample->peak_memory_bytes;

    f->ix.limits.worker_memory_bytes = resident + 3 * bank + gradient;
    AUTOPTR(job_plan_free) struct job_plan *three = plan_of(f, UNIFORM);
    assert_int_equal(three->banks, 3);
    assert_int_equal(three->peak_memory_bytes, f->ix.limits.worker_memory_bytes);
    f->ix.limits.worker_memory_bytes--;
    AUTOPTR(job_plan_free) struct job_plan *two = plan_of(f, UNIFORM);
    assert_int_equal(two->banks, 2);
    f->ix.limits.worker_memory_bytes = resident + bank + gradient;
    AUTOPTR(job_plan_free) struct job_plan *one = plan_of(f, UNIFORM);
    assert_int_equal(one->banks, 1);
    assert_false(one->streams);
    f->ix.limits.worker_memory_bytes--;
    AUTOPTR(job_plan_free) struct job_plan *streamed = plan_of(f, UNIFORM);
    assert_true(streamed->streams);

    AUTOPTR(job_plan_free) struct job_plan *none = NULL;
    f->ix.limits.worker_memory_bytes = stream + bank + gradient - 1;
    assert_failed(make(f, UNIFORM, &none, &err), err, SEWA_E_INVALID,
                  "(77 MiB are for buffers that are recalibrated)");
    assert_string_equal(err.pointer, "/window");
    tell(f, false);
    AUTOPTR(job_plan_free) struct job_plan *fits = plan_of(f, UNIFORM);
    assert_int_equal(fits->banks, 1);
}

/* The average is made again for the new buffers: twice, each time in a pass of its own. */
static void test_a_stream_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct footprint shape = { K, 1, BYTES, 1 };

    f->ix.limits.worker_memory_bytes = footprint_resident(&shape);
    tell(f, false);
    AUTOPTR(job_plan_free) struct job_plan *cannot = plan_of(f, UNIFORM);
    tell(f, true);
    AUTOPTR(job_plan_free) struct job_plan *can = plan_of(f, UNIFORM);
    assert_true(can->streams && cannot->streams);
    assert_int_equal(can->banks, 8);
    assert_int_equal(cannot->banks, 8);
    assert_int_equal(can->bytes_to_read - cannot->bytes_to_read, 2 * (int64_t)K * BYTES);
}

static void test_it_is_stored_and_shown(void **state)
{
    struct fixture *f = *state;

    for (int i = -1; i < 2; i++) {
        AUTOPTR(job_plan_free) struct job_plan *again = NULL;
        struct sewa_error err = { 0 };
        if (i >= 0)
            tell(f, i == 1);
        AUTOPTR(job_plan_free) struct job_plan *p = plan_of(f, UNIFORM);
        AUTOJSON json_t *stored = job_plan_json(p);
        AUTOJSON json_t *shown = job_plan_show(p);
        const json_t *number = json_object_get(shown, "recalibrations");
        assert_true(i < 0 ? json_is_null(number) : json_integer_value(number) == 2 * i);
        assert_ok(job_plan_parse(stored, &again, &err), err);
        assert_int_equal(again->recalibrations, p->recalibrations);
        /* as an older version has stored it */
        json_object_del(stored, "recalibrations");
        job_plan_free(TAKE(again));
        assert_ok(job_plan_parse(stored, &again, &err), err);
        assert_int_equal(again->recalibrations, -1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_counted),
        TEST(test_without_an_evaluator),
        TEST(test_a_check_recalibrates_nothing),
        TEST(test_a_budget),
        TEST(test_a_stream_is_read_again),
        TEST(test_it_is_stored_and_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
