/*
 * test_plan - which checkpoints a request comes to, on a real index, and everything that it can be
 * refused for.
 */
#include "index.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "engine/arrangement.h"
#include "engine/footprint.h"
#include "jobs/needs.h"
#include "support/alloc.h"

#define MODEL "w:F32:100x10 b:F32:10 n:I64:" /* 4048 bytes, 1010 floats */

struct fixture {
    struct index ix;
    int64_t run, layout;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    index_open(&f->ix);
    f->run = index_run(f->ix.db, "digits");
    f->layout = index_layout(f->ix.db, MODEL);
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

static int64_t add(struct fixture *f, int64_t step, char uid[ID_TEXT_SIZE])
{
    return index_checkpoint(f->ix.db, f->run, f->layout, step, CHECKPOINT_COMPLETE, uid);
}

static int make(struct fixture *f, const char *body, struct job_plan **ret, struct sewa_error *err)
{
    AUTOPTR(job_request_free) struct job_request *q = index_request(body);

    return job_plan_make(f->ix.db, q, &f->ix.limits, ret, err);
}

/* The steps of a plan, oldest first: "10 20 30". */
static void assert_steps(struct fixture *f, const char *body, const char *steps)
{
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(make(f, body, &p, &err), err);
    for (size_t i = 0; i < p->k; i++)
        buf_printf(&b, "%s%lld", i ? " " : "", (long long)p->candidates[i].step);
    assert_string_equal(buf_cstr(&b), steps);
}

static void refuse(struct fixture *f, const char *body, int code, const char *pointer,
                   const char *word)
{
    struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    assert_failed(make(f, body, &p, &err), err, code, word);
    assert_string_equal(err.pointer, pointer);
    assert_null(p);
}

#define LAST "{\"run\":\"digits\",\"method\":\"last\""

static void test_filters(void **state)
{
    struct fixture *f = *state;

    for (int64_t step = 10; step <= 60; step += 10)
        add(f, step, NULL);
    index_checkpoint(f->ix.db, f->run, f->layout, 70, CHECKPOINT_GONE, NULL);
    index_checkpoint(f->ix.db, f->run, f->layout, 80, CHECKPOINT_CHANGED, NULL);
    index_checkpoint(f->ix.db, f->run, f->layout, 90, CHECKPOINT_INCOMPLETE, NULL);
    add(f, -1, NULL); /* complete, without a step */

    assert_steps(f, LAST "}", "10 20 30 40 50 60");
    assert_steps(f, LAST ",\"window\":2}", "50 60");
    assert_steps(f, LAST ",\"window\":200}", "10 20 30 40 50 60");
    assert_steps(f, LAST ",\"min_step\":30}", "30 40 50 60");
    assert_steps(f, LAST ",\"max_step\":30}", "10 20 30");
    assert_steps(f, LAST ",\"min_step\":31,\"max_step\":49}", "40");
    assert_steps(f, LAST ",\"exclude_steps\":[20,60,7]}", "10 30 40 50");
    /* filters first, then the newest of what is left */
    assert_steps(f, LAST ",\"exclude_steps\":[50,60],\"window\":2}", "30 40");
    assert_steps(f, LAST ",\"max_step\":40,\"window\":2}", "30 40");
    assert_steps(f, LAST ",\"exclude_steps\":[40],\"max_step\":50,\"min_step\":20,\"window\":2}",
                 "30 50");

    refuse(f, LAST ",\"min_step\":61}", SEWA_E_NO_CANDIDATES, "/run", "passes the filters");
    refuse(f, LAST ",\"exclude_steps\":[10,20,30,40,50,60]}", SEWA_E_NO_CANDIDATES, "/run",
           "digits");
    refuse(f, "{\"run\":\"other\",\"method\":\"last\"}", SEWA_E_UNKNOWN_NAME, "/run",
           "there is no run 'other'");
}

static void test_window_is_bounded(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    for (int64_t step = 0; step < JOB_WINDOW_DEFAULT; step++)
        add(f, step, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    assert_int_equal(p->k, JOB_WINDOW_DEFAULT);
    assert_int_equal(json_array_size(p->warnings), 0);
    job_plan_free(TAKE(p));
    for (int64_t step = JOB_WINDOW_DEFAULT; step < JOB_WINDOW_DEFAULT + 5; step++)
        add(f, step, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    assert_int_equal(p->k, JOB_WINDOW_DEFAULT);
    assert_int_equal(p->candidates[0].step, 5);
    assert_int_equal(p->candidates[p->k - 1].step, JOB_WINDOW_DEFAULT + 4);
    /* it was not asked for, so it is said */
    assert_int_equal(json_array_size(p->warnings), 1);
    assert_non_null(strstr(json_string_value(json_array_get(p->warnings, 0)),
                           "only the newest 200 checkpoints are candidates"));
    job_plan_free(TAKE(p));
    assert_ok(make(f, LAST ",\"window\":3}", &p, &err), err);
    assert_int_equal(p->k, 3);
    assert_int_equal(json_array_size(p->warnings), 0);
    job_plan_free(TAKE(p));
    assert_ok(make(f, LAST ",\"window\":4096}", &p, &err), err);
    assert_int_equal(p->k, JOB_WINDOW_DEFAULT + 5);
    assert_int_equal(json_array_size(p->warnings), 0);
}

/* More workers than there are slots: the job is taken, and it is said. */
static void test_more_workers_than_slots(void **state)
{
    struct fixture *f = *state;
    struct sewa_error err = { 0 };

    add(f, 10, NULL);
    add(f, 20, NULL);
    for (int64_t slots = 0; slots <= 5; slots++) {
        AUTOPTR(job_plan_free) struct job_plan *p = NULL;
        f->ix.limits.worker_slots = slots;
        assert_ok(make(f, LAST ",\"workers\":4}", &p, &err), err);
        assert_int_equal(json_array_size(p->warnings), slots > 0 && slots < 4);
        if (slots == 3)
            assert_string_equal(json_string_value(json_array_get(p->warnings, 0)),
                                "4 workers are asked for, and this service has slots for 3: it "
                                "gets no more");
    }
}

static void test_duplicate_steps(void **state)
{
    struct fixture *f = *state;
    char first[ID_TEXT_SIZE], second[ID_TEXT_SIZE], body[300];

    add(f, 10, NULL);
    add(f, 20, first);
    add(f, 20, second);
    add(f, 30, NULL);
    refuse(f, LAST "}", SEWA_E_DUPLICATE_STEP, "/exclude_steps", first);
    refuse(f, LAST "}", SEWA_E_DUPLICATE_STEP, "/exclude_steps", second);
    refuse(f, LAST "}", SEWA_E_DUPLICATE_STEP, "/exclude_steps", "both have step 20");
    refuse(f, LAST "}", SEWA_E_DUPLICATE_STEP, "/exclude_steps", "a pattern");
    assert_steps(f, LAST ",\"exclude_steps\":[20]}", "10 30");
    assert_steps(f, LAST ",\"window\":1}", "30");
    /* only one of the two would fit into the window: that is a duplicate too */
    refuse(f, LAST ",\"window\":2}", SEWA_E_DUPLICATE_STEP, "/exclude_steps", "20");
    /* one gone: the other is the only one */
    snprintf(body, sizeof body, "{\"method\":\"uniform\",\"checkpoints\":[\"%s\",\"%s\"]}", second,
             first);
    assert_steps(f, body, "20 20");
}

static void test_by_name(void **state)
{
    struct fixture *f = *state;
    char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE], none[ID_TEXT_SIZE], half[ID_TEXT_SIZE],
        other[ID_TEXT_SIZE], body[300];
    int64_t run = index_run(f->ix.db, "other");

    add(f, 20, b);
    add(f, 10, a);
    add(f, -1, none);
    index_checkpoint(f->ix.db, f->run, f->layout, 30, CHECKPOINT_INCOMPLETE, half);
    index_checkpoint(f->ix.db, run, f->layout, 15, CHECKPOINT_COMPLETE, other);

    /* oldest first, whatever order they are named in; without a step comes first */
    snprintf(body, sizeof body, "{\"method\":\"uniform\",\"checkpoints\":[\"%s\",\"%s\",\"%s\"]}",
             b, none, a);
    assert_steps(f, body, "0 10 20");
    snprintf(body, sizeof body, "{\"method\":\"uniform\",\"checkpoints\":[\"%s\"]}", half);
    refuse(f, body, SEWA_E_INVALID, "/checkpoints", "is incomplete");
    refuse(f, "{\"method\":\"uniform\",\"checkpoints\":[\"ckpt_01ARZ3NDEKTSV4RRFFQ69G5FAV\"]}",
           SEWA_E_UNKNOWN_NAME, "/checkpoints",
           "there is no checkpoint 'ckpt_01ARZ3NDEKTSV4RRFFQ69G5FAV'");
    snprintf(body, sizeof body, "{\"method\":\"uniform\",\"checkpoints\":[\"%s\",\"%s\"]}", a,
             other);
    refuse(f, body, SEWA_E_INVALID, "/checkpoints", "different runs ('digits' and 'other')");
    snprintf(body, sizeof body,
             "{\"method\":\"uniform\",\"force\":true,\"checkpoints\":[\"%s\",\"%s\"]}", a, other);
    assert_steps(f, body, "10 15");
}

static void test_mismatch(void **state)
{
    struct fixture *f = *state;
    int64_t wider = index_layout(f->ix.db, "w:F32:100x11 b:F32:11 n:I64:");
    int64_t renamed = index_layout(f->ix.db, "weight:F32:100x10 b:F32:10 n:I64:");
    int64_t half = index_layout(f->ix.db, "w:F16:100x10 b:F32:10 n:I64:");
    int64_t turned = index_layout(f->ix.db, "b:F32:10 n:I64: w:F32:100x10");

    add(f, 10, NULL);
    index_checkpoint(f->ix.db, f->run, turned, 20, CHECKPOINT_COMPLETE, NULL);
    assert_steps(f, LAST "}", "10 20"); /* the same tensors in another order */
    index_checkpoint(f->ix.db, f->run, wider, 30, CHECKPOINT_COMPLETE, NULL);
    refuse(f, LAST "}", SEWA_E_MISMATCH, "", "[100, 11]");
    refuse(f, LAST "}", SEWA_E_MISMATCH, "", "step-30");
    assert_steps(f, LAST ",\"max_step\":20}", "10 20");
    assert_steps(f, LAST ",\"min_step\":30}", "30");
    index_checkpoint(f->ix.db, f->run, renamed, 40, CHECKPOINT_COMPLETE, NULL);
    refuse(f, LAST ",\"exclude_steps\":[30]}", SEWA_E_MISMATCH, "", "'weight'");
    index_checkpoint(f->ix.db, f->run, half, 50, CHECKPOINT_COMPLETE, NULL);
    refuse(f, LAST ",\"exclude_steps\":[30,40]}", SEWA_E_MISMATCH, "", "F16");
}

/* Row 5 of what must be right, before a worker starts: the tensors are the same to the last shape,
 * and they are weights in one file and averages of weights in the other. */
static void test_raw_and_averaged_weights(void **state)
{
    static const struct {
        const char *keys[3]; /* oldest first; NULL: no state in the file */
        int unlike;          /* the first, from the newest back, that is of another kind than it */
        const char *said[2];
    } rows[] = {
        { { "state_dict", "state_dict", "state_dict" }, -1, { NULL } },
        { { "ema", "ema", "model_ema" }, -1, { NULL } },
        { { NULL, "model", "state_dict" }, -1, { NULL } },
        { { "ema", "state_dict", "state_dict" }, 0, { "its 'state_dict'", "its 'ema'" } },
        { { "state_dict", "model", "ema" }, 1, { "its 'ema'", "its 'model'" } },
        { { "model", "a.ema", "b.model" }, 1, { "its 'b.model'", "its 'a.ema'" } },
        { { NULL, NULL, "state_dict_ema" }, 1, { "its 'state_dict_ema'", "all of it" } },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char name[20], body[200], uids[3][ID_TEXT_SIZE];
        AUTOPTR(job_plan_free) struct job_plan *p = NULL;
        struct sewa_error err = { 0 };
        snprintf(name, sizeof name, "twins-%zu", i);
        int64_t run = index_run(f->ix.db, name);
        for (int j = 0; j < 3; j++) {
            const char *key = rows[i].keys[j];
            snprintf(body, sizeof body, MODEL "%s%s", key ? " @" : "", key ? key : "");
            index_checkpoint(f->ix.db, run, index_layout(f->ix.db, body), 10 + j,
                             CHECKPOINT_COMPLETE, uids[j]);
        }
        snprintf(body, sizeof body, "{\"run\":\"%s\",\"method\":\"uniform\"}", name);
        if (rows[i].unlike < 0) {
            assert_ok(make(f, body, &p, &err), err);
            continue;
        }
        refuse(f, body, SEWA_E_MISMATCH, "", "averaged (EMA) and raw weights are not mixed");
        refuse(f, body, SEWA_E_MISMATCH, "", rows[i].said[0]);
        refuse(f, body, SEWA_E_MISMATCH, "", rows[i].said[1]);
        refuse(f, body, SEWA_E_MISMATCH, "", uids[2]);
        refuse(f, body, SEWA_E_MISMATCH, "", uids[rows[i].unlike]);
    }
}

/* Two runs of one directory, each with a state key of its own: nothing forces these together. */
static void test_twins_of_two_runs(void **state)
{
    struct fixture *f = *state;
    char raw[ID_TEXT_SIZE], averaged[ID_TEXT_SIZE], body[300];
    int64_t run = index_run(f->ix.db, "averages");

    index_checkpoint(f->ix.db, f->run, index_layout(f->ix.db, MODEL " @model"), 10,
                     CHECKPOINT_COMPLETE, raw);
    index_checkpoint(f->ix.db, run, index_layout(f->ix.db, MODEL " @ema"), 10, CHECKPOINT_COMPLETE,
                     averaged);
    snprintf(body, sizeof body,
             "{\"method\":\"uniform\",\"force\":true,\"checkpoints\":[\"%s\",\"%s\"]}", raw,
             averaged);
    refuse(f, body, SEWA_E_MISMATCH, "", raw);
    refuse(f, body, SEWA_E_MISMATCH, "", averaged);
    refuse(f, body, SEWA_E_MISMATCH, "", "the tensors of 'digits/step-10-");
    refuse(f, body, SEWA_E_MISMATCH, "", "those of 'averages/step-10-");
}

static void test_numbers(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    for (int64_t step = 1; step <= 20; step++)
        add(f, step, NULL);
    assert_ok(make(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":5}", &p, &err), err);
    assert_int_equal(p->k, 20);
    assert_int_equal(p->select, 5);
    assert_int_equal(p->tensor_count, 3);
    assert_int_equal(p->data_bytes, 4048);
    assert_int_equal(p->float_elements, 1010);
    assert_int_equal(p->bytes_to_read, 20 * 4048);
    struct footprint whole = { 20, 3, 4048, 1 };
    assert_false(p->streams);
    assert_int_equal(p->banks, 8);
    int64_t held = footprint_resident(&whole) + footprint_materialize() + NEEDS_PROCESS_BYTES;
    int64_t banks = p->peak_memory_bytes - held; /* an average and a gradient in float32, aligned */
    assert_in_range(banks, 8 * (4048 + 4040), 8 * (4048 + 4040 + 2 * 8192));
    assert_int_equal(p->output_bytes, 4048);
    assert_true(p->free_disk_bytes > 0);
    assert_true(p->evaluations > 300);
    assert_string_equal(json_string_value(json_object_get(p->evaluator, "name")), "digits");
    assert_int_equal(p->newest_id, p->candidates[19].id);
    job_plan_free(TAKE(p));

    /* a method that evaluates nothing reads what it averages, not what it chose from */
    assert_ok(make(f, LAST "}", &p, &err), err);
    assert_int_equal(p->bytes_to_read, 4048);
    struct footprint one = { 1, 3, 4048, 1 };
    assert_true(p->streams);
    assert_int_equal(p->banks, 0);
    assert_int_equal(p->peak_memory_bytes,
                     footprint_stream(&one) + footprint_materialize() + NEEDS_PROCESS_BYTES);
    assert_int_equal(p->evaluations, 0);
    job_plan_free(TAKE(p));
    assert_ok(make(f, "{\"run\":\"digits\",\"method\":\"lawa\",\"select\":7}", &p, &err), err);
    assert_int_equal(p->bytes_to_read, 7 * 4048);
    job_plan_free(TAKE(p));
    assert_ok(make(f, "{\"run\":\"digits\",\"method\":\"uniform\"}", &p, &err), err);
    assert_int_equal(p->bytes_to_read, 20 * 4048);
    job_plan_free(TAKE(p));
    assert_ok(
        make(
            f,
            "{\"run\":\"digits\",\"method\":\"best\",\"evaluator\":\"digits\",\"baselines\":[\"last\"]}",
            &p, &err),
        err);
    assert_int_equal(p->evaluations, 20 + 2 * 2);
    assert_int_equal(json_array_size(p->warnings), 0);
}

static void test_output_type(void **state)
{
    struct fixture *f = *state;
    int64_t half = index_layout(f->ix.db, "w:BF16:1000");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    index_checkpoint(f->ix.db, f->run, half, 10, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    assert_int_equal(p->output_bytes, 2000);
    assert_int_equal(json_array_size(p->warnings), 1); /* one candidate only */
    job_plan_free(TAKE(p));
    assert_ok(make(f, LAST ",\"output\":{\"dtype\":\"F32\"}}", &p, &err), err);
    assert_int_equal(p->output_bytes, 4000);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;

    for (int64_t step = 1; step <= 20; step++)
        add(f, step, NULL);
    struct footprint all = { 20, 3, 4048, 1 };
    int64_t least = footprint_stream(&all) + footprint_materialize() + NEEDS_PROCESS_BYTES;
    f->ix.limits.worker_memory_bytes = least - 1;
    refuse(f, "{\"run\":\"digits\",\"method\":\"uniform\"}", SEWA_E_INVALID, "/window",
           "20 checkpoints of 0 MiB need at least");
    f->ix.limits.worker_memory_bytes = least;
    assert_steps(f, "{\"run\":\"digits\",\"method\":\"uniform\",\"min_step\":20}", "20");
    f->ix.limits.artifact_directory = "/nowhere/at/all";
    refuse(f, LAST "}", SEWA_E_IO, "", "/nowhere/at/all");
}

/* Files of an average are counted before any work is done. */
static void test_too_many_files(void **state)
{
    static const struct {
        const char *output;
        bool is_refused;
    } rows[] = {
        { "{}", false },
        { "{\"max_shard_bytes\":0}", false },
        { "{\"max_shard_bytes\":1}", true },
        { "{\"max_shard_bytes\":65536}", true },
        { "{\"max_shard_bytes\":66300}", false }, /* two tensors in a file */
        { "{\"max_shard_bytes\":66300,\"dtype\":\"F32\"}", true },
        { "{\"max_shard_bytes\":9223372036854775807}", false },
    };
    struct fixture *f = *state;
    AUTO(buf_clear) struct buf text = { 0 };
    char body[200];

    for (int i = 0; i <= ARRANGEMENT_FILES_MAX; i++)
        buf_printf(&text, "%st%d:BF16:60", i ? " " : "", i);
    buf_char(&text, '\0');
    index_checkpoint(f->ix.db, f->run, index_layout(f->ix.db, buf_cstr(&text)), 10,
                     CHECKPOINT_COMPLETE, NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        snprintf(body, sizeof body, "%s,\"output\":%s}", LAST, rows[i].output);
        if (rows[i].is_refused)
            refuse(f, body, SEWA_E_INVALID, "/output/max_shard_bytes",
                   "about 4097 files, at most 4096 are allowed");
        else
            assert_steps(f, body, "10");
    }
}

static struct job_plan *plan_with(struct fixture *f, const char *body, int64_t memory_bytes)
{
    struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    f->ix.limits.worker_memory_bytes = memory_bytes;
    assert_ok(make(f, body, &p, &err), err);
    assert_true(p->peak_memory_bytes <= memory_bytes);
    return p;
}

/* Candidates stay in memory as long as they fit beside one average and its gradient. */
static void test_streams(void **state)
{
    static const char sewa[] = "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":5}";
    static const char losses[] = "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":5,"
                                 "\"params\":{\"estimator\":\"score_function\"}}";
    struct fixture *f = *state;
    int64_t layout = index_layout(f->ix.db, "w:BF16:20000000");
    struct footprint shape = { 20, 1, 40000000, 1 };

    for (int64_t step = 1; step <= 20; step++)
        index_checkpoint(f->ix.db, f->run, layout, step, CHECKPOINT_COMPLETE, NULL);
    AUTOPTR(job_plan_free) struct job_plan *ample = plan_with(f, sewa, INT64_MAX / 4);
    int64_t base = footprint_resident(&shape) + footprint_materialize() + NEEDS_PROCESS_BYTES;
    int64_t bank = (ample->peak_memory_bytes - base) / 8;
    assert_in_range(bank, 160000000, 160020000); /* BF16 arrives as F32 */

    AUTOPTR(job_plan_free) struct job_plan *one = plan_with(f, sewa, base + bank);
    assert_false(one->streams);
    assert_int_equal(one->banks, 1);
    assert_int_equal(one->bytes_to_read, 20 * INT64_C(40000000));
    assert_int_equal(json_array_size(one->warnings), 0);

    AUTOPTR(job_plan_free) struct job_plan *streamed = plan_with(f, sewa, base + bank - 1);
    assert_true(streamed->streams);
    assert_true(streamed->banks > 1); /* the memory is there for averages now */
    assert_true(streamed->bytes_to_read > 100 * 20 * INT64_C(40000000));
    AUTOFREE char *warnings = json_canonical(streamed->warnings);
    assert_non_null(strstr(warnings, "every pass reads them again"));

    /* without gradients half of it is enough */
    f->ix.limits.worker_memory_bytes = footprint_stream(&shape) + footprint_materialize() +
                                       NEEDS_PROCESS_BYTES + bank - 1;
    refuse(f, sewa, SEWA_E_INVALID, "/window", "score_function");
    AUTOPTR(job_plan_free)
    struct job_plan *half = plan_with(f, losses, f->ix.limits.worker_memory_bytes);
    assert_int_equal(half->banks, 1);
}

/* Views are gathered and kept, also by a stream: that is memory of every candidate. */
static void test_views_are_memory(void **state)
{
    struct fixture *f = *state;
    int64_t plain = index_layout(f->ix.db, "w:F32:4000x1000");
    int64_t view = index_layout(f->ix.db, "w:F32:4000x1000'");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    AUTOPTR(job_plan_free) struct job_plan *q = NULL;
    int64_t other = index_run(f->ix.db, "views");
    struct sewa_error err = { 0 };

    for (int64_t step = 1; step <= 10; step++) {
        index_checkpoint(f->ix.db, f->run, plain, step, CHECKPOINT_COMPLETE, NULL);
        index_checkpoint(f->ix.db, other, view, step, CHECKPOINT_COMPLETE, NULL);
    }
    assert_ok(make(f, "{\"run\":\"digits\",\"method\":\"uniform\"}", &p, &err), err);
    assert_ok(make(f, "{\"run\":\"views\",\"method\":\"uniform\"}", &q, &err), err);
    enum { PAGE = 2 << 20 }; /* both may be rounded to the largest pages */
    assert_in_range(q->peak_memory_bytes - p->peak_memory_bytes, 10 * 16000000 - PAGE,
                    10 * 16001000 + PAGE);
    f->ix.limits.worker_memory_bytes = q->peak_memory_bytes - 1;
    refuse(f, "{\"run\":\"views\",\"method\":\"uniform\"}", SEWA_E_INVALID, "/window",
           "10 checkpoints of 15 MiB need at least");
}

static void test_notes_of_the_files_are_warnings(void **state)
{
    struct fixture *f = *state;
    int64_t layout = index_layout(f->ix.db, "w:F32:5 !state_is_used !optimizer_left_aside");
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    for (int64_t step = 1; step <= 2; step++)
        index_checkpoint(f->ix.db, f->run, layout, step, CHECKPOINT_COMPLETE, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    AUTOFREE char *text = json_canonical(p->warnings);
    assert_string_equal(text, "[\"in the files: state_is_used\","
                              "\"in the files: optimizer_left_aside\"]");
}

static void test_disk(void **state)
{
    struct fixture *f = *state;
    int64_t huge = index_layout(f->ix.db, "w:F32:1000000000000000");

    index_checkpoint(f->ix.db, f->run, huge, 10, CHECKPOINT_COMPLETE, NULL);
    f->ix.limits.worker_memory_bytes = INT64_MAX;
    refuse(f, LAST "}", SEWA_E_NO_SPACE, "", "needs 4000000000000000 bytes");
}

static void test_method_and_evaluator(void **state)
{
    struct fixture *f = *state;

    for (int64_t step = 1; step <= 5; step++)
        add(f, step, NULL);
    refuse(f, "{\"run\":\"digits\",\"evaluator\":\"none\"}", SEWA_E_UNKNOWN_NAME, "/evaluator",
           "no evaluator 'none'");
    refuse(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":6}", SEWA_E_INVALID,
           "/select", "5");
    refuse(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":[1,2]}", SEWA_E_INVALID,
           "/select", "");
    refuse(f, "{\"run\":\"digits\",\"method\":\"uniform\",\"select\":2}", SEWA_E_INVALID, "/select",
           "");
    refuse(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"params\":{\"iteration\":5}}",
           SEWA_E_UNKNOWN_FIELD, "/params/iteration", "iteration");
    refuse(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"params\":{\"iterations\":0}}",
           SEWA_E_INVALID, "/params/iterations", "0");
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_request_free) struct job_request *q = NULL;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    AUTOJSON json_t *body = json_pack("{s:s}", "run", "digits");
    struct sewa_error err = { 0 };

    for (int64_t step = 1; step <= 5; step++)
        add(f, step, NULL);
    assert_ok(job_request_parse_check("digits", body, &q, &err), err);
    assert_ok(job_plan_make(f->ix.db, q, &f->ix.limits, &p, &err), err);
    assert_int_equal(p->k, 2);
    assert_int_equal(p->candidates[0].step, 4);
    assert_int_equal(p->evaluations, 3);
}

/* A plan is stored with its job and read back; bytes that are no UTF-8 survive. */
static void test_stored(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    AUTOPTR(job_plan_free) struct job_plan *again = NULL;
    struct sewa_error err = { 0 };

    add(f, 10, NULL);
    add(f, 20, NULL);
    assert_ok(make(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":1}", &p, &err), err);
    free(p->candidates[0].file);
    p->candidates[0].file = strdup("st\xc3p/50%.safetensors");
    p->candidates[1].has_step = false;
    p->candidates[1].has_sha256 = true;
    AUTOJSON json_t *stored = job_plan_json(p);
    AUTOFREE char *text = json_canonical(stored);
    AUTOJSON json_t *read = json_parse(text, strlen(text), &err);
    assert_ok(job_plan_parse(read, &again, &err), err);
    AUTOJSON json_t *shown = job_plan_json(again);
    assert_true(json_equal(stored, shown));
    assert_string_equal(again->candidates[0].file, "st\xc3p/50%.safetensors");
    assert_false(again->candidates[1].has_step);
    assert_int_equal(again->newest_id, p->newest_id);
    assert_int_equal(again->select, 1);

    /* what a client sees has no numbers of rows */
    AUTOJSON json_t *dry = job_plan_show(p);
    assert_null(json_object_get(json_array_get(json_object_get(dry, "checkpoints"), 0), "row"));
    assert_int_equal(json_integer_value(json_object_get(dry, "candidates")), 2);
}

/* Whatever is missing or of another type in a stored plan is an error, and nothing else. */
static void test_stored_rubbish(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };
    const char *key;
    json_t *value;

    add(f, 10, NULL);
    assert_ok(make(f, LAST "}", &p, &err), err);
    AUTOJSON json_t *stored = job_plan_json(p);
    json_object_foreach(stored, key, value)
    {
        AUTOJSON json_t *bent = json_deep_copy(stored);
        struct job_plan *q = NULL;
        json_object_set_new(bent, key, json_is_boolean(value) ? json_real(0.5) : json_false());
        assert_true(job_plan_parse(bent, &q, &err) < 0);
        assert_non_null(strstr(err.text, "the stored plan of a job"));
        assert_null(q);
    }
    const json_t *candidate = json_array_get(json_object_get(stored, "candidates"), 0);
    json_object_foreach((json_t *)candidate, key, value)
    {
        AUTOJSON json_t *bent = json_deep_copy(stored);
        struct job_plan *q = NULL;
        json_t *c = json_array_get(json_object_get(bent, "candidates"), 0);
        json_object_set_new(c, key, json_false());
        assert_true(job_plan_parse(bent, &q, &err) < 0);
    }
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    add(f, 10, NULL);
    add(f, 20, NULL);
    json_set_alloc_funcs(malloc, free);
    assert_ok(make(f, "{\"run\":\"digits\",\"evaluator\":\"digits\",\"select\":1}", &p, &err), err);
    for (int64_t n = 0;; n++) {
        int64_t held = alloc_held();
        alloc_fail_at(n);
        json_t *stored = job_plan_json(p);
        json_t *shown = stored ? job_plan_show(p) : NULL;
        bool fired = alloc_fired();
        assert_true((stored && shown) == !fired);
        json_decref(stored);
        json_decref(shown);
        assert_int_equal(alloc_held(), held);
        if (!fired)
            break;
    }
    AUTOJSON json_t *stored = job_plan_json(p);
    for (int64_t n = 0;; n++) {
        AUTOPTR(job_plan_free) struct job_plan *q = NULL;
        alloc_fail_at(n);
        int rc = job_plan_parse(stored, &q, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            break;
        }
        assert_true(rc == SEWA_E_NO_MEMORY ||
                    rc == SEWA_E_CORRUPT); /* a path that is not decoded */
        assert_null(q);
    }
}

static void written_at(struct fixture *f, int64_t step, int64_t mtime_ns)
{
    char uid[ID_TEXT_SIZE];
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    struct sewa_error err = { 0 };

    add(f, step, uid);
    assert_int_equal(checkpoint_find(f->ix.db, uid, &row, &err), 1);
    row.mtime_ns = mtime_ns;
    assert_ok(checkpoint_update(f->ix.db, &row, &err), err);
}

/* Steps 100 and 200 of a first training, then 10 and 20 of another one in its directory. */
static void test_numbering_that_restarts_is_said(void **state)
{
    static const struct {
        const char *filters;
        const char *said; /* NULL: nothing is */
    } rows[] = {
        { "", "step 100 was written 60 seconds before step 20: the numbering of run 'digits'" },
        { ",\"max_step\":20", NULL },
        { ",\"min_step\":100", NULL },
        { ",\"exclude_steps\":[20]", NULL }, /* 10 is half a second less apart */
    };
    struct fixture *f = *state;
    const int64_t second = 1000000000;

    written_at(f, 100, INT64_C(5) * second);
    written_at(f, 200, INT64_C(6) * second);
    written_at(f, 10, INT64_C(65) * second - second / 2);
    written_at(f, 20, INT64_C(65) * second + second / 2);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTOPTR(job_plan_free) struct job_plan *p = NULL;
        struct sewa_error err = { 0 };
        char body[200];
        snprintf(body, sizeof body, "{\"run\":\"digits\",\"method\":\"uniform\"%s}",
                 rows[i].filters);
        assert_ok(make(f, body, &p, &err), err);
        AUTOFREE char *warnings = json_canonical(p->warnings);
        if (rows[i].said)
            assert_non_null(strstr(warnings, rows[i].said));
        else
            assert_null(strstr(warnings, "numbering"));
    }
}

/* Clocks are other people's: the difference of any two times is a number. */
static void test_times_at_the_ends_of_their_type(void **state)
{
    struct fixture *f = *state;
    AUTOPTR(job_plan_free) struct job_plan *p = NULL;
    struct sewa_error err = { 0 };

    written_at(f, 1, INT64_MAX);
    written_at(f, 2, INT64_MIN);
    assert_ok(make(f, "{\"run\":\"digits\",\"method\":\"uniform\"}", &p, &err), err);
    AUTOFREE char *warnings = json_canonical(p->warnings);
    assert_non_null(strstr(warnings, "18446744073 seconds before"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The run may get another key while a plan is made. */
static void test_a_candidate_is_read_with_the_key_of_its_layout(void **state)
{
    static const struct {
        const char *change, *key;
    } cases[] = {
        { "UPDATE checkpoints SET state_key = 'ema'", "ema" },
        { "UPDATE checkpoints SET state_key = NULL", "model" }, /* indexed by an older version */
    };
    struct fixture *f = *state;
    char uid[ID_TEXT_SIZE];
    struct sewa_error err = { 0 };

    add(f, 10, uid);
    assert_ok(db_exec(f->ix.db, "UPDATE runs SET state_key = 'model'", &err), err);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTOPTR(job_plan_free) struct job_plan *p = NULL;
        assert_ok(db_exec(f->ix.db, cases[i].change, &err), err);
        assert_ok(make(f, LAST "}", &p, &err), err);
        assert_string_equal(p->candidates[0].state_key, cases[i].key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_filters),
        TEST(test_numbering_that_restarts_is_said),
        TEST(test_times_at_the_ends_of_their_type),
        TEST(test_window_is_bounded),
        TEST(test_more_workers_than_slots),
        TEST(test_duplicate_steps),
        TEST(test_by_name),
        TEST(test_mismatch),
        TEST(test_raw_and_averaged_weights),
        TEST(test_twins_of_two_runs),
        TEST(test_numbers),
        TEST(test_output_type),
        TEST(test_too_many_files),
        TEST(test_limits),
        TEST(test_disk),
        TEST(test_method_and_evaluator),
        TEST(test_check),
        TEST(test_stored),
        TEST(test_stored_rubbish),
        TEST(test_no_memory),
        TEST(test_streams),
        TEST(test_views_are_memory),
        TEST(test_notes_of_the_files_are_warnings),
        cmocka_unit_test_setup_teardown(test_a_candidate_is_read_with_the_key_of_its_layout, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
