/*
 * test_rows - what goes into a table comes out of it: runs, checkpoints, layouts, jobs and their
 * parts.
 */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "store/checkpoints.h"
#include "store/jobs.h"
#include "store/migrate.h"
#include "store/runs.h"
#include "store/service.h"

struct fixture {
    char *dir;
    struct db *db;
    struct run_row run;
    struct layout_row layout;
    struct sewa_error err;
};

static char text_name[] = "digits", text_path[] = "/data/\xff", text_labels[] = "{\"a\":\"b\"}";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[4096];

    f->dir = scratch_new();
    snprintf(path, sizeof path, "%s/x.db", f->dir);
    assert_ok(db_open(path, DB_WRITE, &f->db, &f->err), f->err);
    assert_ok(migrate(f->db, path, sql_migrations, &f->err), f->err);
    f->run = (struct run_row){ .name = text_name,
                               .path = text_path,
                               .labels = text_labels,
                               .origin = RUN_FROM_CONFIGURATION,
                               .watched = true,
                               .settle_ms = 5000,
                               .updated_ms = 77 };
    assert_ok(run_put(f->db, &f->run, false, &f->err), f->err);
    char tensors[] = "table";
    f->layout = (struct layout_row){ .signature = { 1 },
                                     .tensors = tensors,
                                     .tensors_bytes = 5,
                                     .tensor_count = 3,
                                     .data_bytes = 9 };
    assert_ok(layout_put(f->db, &f->layout, &f->err), f->err);
    f->layout.tensors = NULL;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    db_close(f->db);
    scratch_free(f->dir);
    free(f);
    return 0;
}

static void test_runs(void **state)
{
    struct fixture *f = *state;
    AUTO(run_row_clear) struct run_row r = { 0 };

    assert_int_equal(run_find(f->db, "digits", &r, &f->err), 1);
    assert_string_equal(r.uid, f->run.uid);
    assert_string_equal(r.path, "/data/\xff");
    assert_string_equal(r.labels, "{\"a\":\"b\"}");
    assert_int_equal(r.settle_ms, 5000);
    assert_int_equal(r.created_ms, 77);
    assert_true(r.watched);
    run_row_clear(&r);
    assert_int_equal(run_find(f->db, f->run.uid, &r, &f->err), 1);
    run_row_clear(&r);
    assert_int_equal(run_find(f->db, "none", &r, &f->err), 0);

    struct run_row again = f->run; /* the same name: taken over, identity kept */
    again.updated_ms = 99;
    again.settle_ms = 1;
    assert_ok(run_put(f->db, &again, false, &f->err), f->err);
    assert_int_equal(again.id, f->run.id);
    assert_int_equal(again.created_ms, 77);
    assert_failed(run_put(f->db, &again, true, &f->err), f->err, SEWA_E_CONFLICT, "digits");
    assert_string_equal(f->err.pointer, "/name");
    assert_ok(run_set_labels(f->db, f->run.id, "{}", 100, &f->err), f->err);
    assert_ok(run_set_watched(f->db, f->run.id, false, 100, &f->err), f->err);
    assert_int_equal(run_by_id(f->db, f->run.id, &r, &f->err), 1);
    assert_string_equal(r.labels, "{}");
    assert_false(r.watched);
    assert_int_equal(r.settle_ms, 1);
    assert_ok(run_delete(f->db, f->run.id, &f->err), f->err);
    run_row_clear(&r);
    assert_int_equal(run_by_id(f->db, f->run.id, &r, &f->err), 0);
}

static void add_checkpoint(struct fixture *f, int64_t step, enum checkpoint_state s, int64_t at_ms,
                           struct checkpoint_row *ret)
{
    char file[64];
    static char evidence[] = "{\"rule\":\"settled\"}";

    snprintf(file, sizeof file, "step-%lld-%lld", (long long)step, (long long)at_ms);
    *ret = (struct checkpoint_row){ .run_id = f->run.id,
                                    .file = file,
                                    .has_step = step >= 0,
                                    .step = step,
                                    .state = s,
                                    .evidence = evidence,
                                    .size = 100,
                                    .mtime_ns = 5,
                                    .has_header_digest = true,
                                    .header_digest = { (uint8_t)step },
                                    .layout_id = f->layout.id,
                                    .discovered_ms = at_ms,
                                    .completed_ms = at_ms,
                                    .updated_ms = at_ms };
    assert_ok(checkpoint_insert(f->db, ret, &f->err), f->err);
    ret->file = NULL;
    ret->evidence = NULL;
}

static void test_checkpoint_life(void **state)
{
    struct fixture *f = *state;
    struct checkpoint_row a, b = { 0 };
    AUTO(checkpoint_row_clear) struct checkpoint_row r = { 0 };

    add_checkpoint(f, 10, CHECKPOINT_COMPLETE, 1, &a);
    assert_int_equal(checkpoint_live(f->db, f->run.id, "step-10-1", &r, &f->err), 1);
    assert_int_equal(r.id, a.id);
    assert_int_equal(r.step, 10);
    assert_true(r.has_header_digest && r.header_digest[0] == 10);
    assert_string_equal(r.evidence, "{\"rule\":\"settled\"}");

    /* one live row per file */
    struct checkpoint_row twin = { .run_id = f->run.id, .file = r.file, .size = 1 };
    assert_failed(checkpoint_insert(f->db, &twin, &f->err), f->err, SEWA_E_CONFLICT, "UNIQUE");

    /* gone, and back as it was */
    assert_ok(checkpoint_set_state(f->db, a.id, CHECKPOINT_GONE, 50, &f->err), f->err);
    assert_int_equal(checkpoint_live(f->db, f->run.id, "step-10-1", &b, &f->err), 0);
    struct checkpoint_row former = { 0 };
    assert_int_equal(checkpoint_former(f->db, &r, &former, &f->err), 1);
    assert_int_equal(former.id, a.id);
    checkpoint_row_clear(&former);
    r.mtime_ns++;
    assert_int_equal(checkpoint_former(f->db, &r, &former, &f->err), 0);
    r.mtime_ns--;

    assert_ok(checkpoint_set_pinned(f->db, a.id, true, 60, &f->err), f->err);
    assert_ok(checkpoint_set_labels(f->db, a.id, "{\"k\":\"v\"}", 61, &f->err), f->err);
    uint8_t sha[32] = { 9 };
    assert_ok(checkpoint_set_sha256(f->db, a.id, sha, &f->err), f->err);
    assert_ok(checkpoint_set_sha256(f->db, a.id, sha, &f->err), f->err);
    uint8_t other[32] = { 8 };
    assert_int_equal(checkpoint_set_sha256(f->db, a.id, other, &f->err), SEWA_E_CHANGED);
    assert_non_null(strstr(f->err.text, a.uid));
    assert_non_null(strstr(f->err.text, "SHA-256 0800"));
    assert_non_null(strstr(f->err.text, "had 0900"));
    assert_ok(checkpoint_set_sha256(f->db, 12345, other, &f->err),
              f->err); /* gone: nothing to say */
    free(r.reason);
    r.reason = strdup("half of it is missing");
    r.state = CHECKPOINT_INCOMPLETE;
    r.updated_ms = 70;
    assert_ok(checkpoint_update(f->db, &r, &f->err), f->err);
    checkpoint_row_clear(&r);
    assert_int_equal(checkpoint_find(f->db, a.uid, &r, &f->err), 1);
    assert_string_equal(r.reason, "half of it is missing");
    assert_true(r.pinned && r.has_sha256 && r.sha256[0] == 9);
    assert_string_equal(r.labels, "{\"k\":\"v\"}");
    assert_int_equal(r.updated_ms, 70);

    /* complete without a layout is our own mistake and the schema says so */
    r.state = CHECKPOINT_COMPLETE;
    r.layout_id = 0;
    assert_failed(checkpoint_update(f->db, &r, &f->err), f->err, SEWA_E_CONFLICT, "CHECK");
}

struct collected {
    int64_t ids[64];
    int64_t steps[64];
    size_t n;
};

static int collect(const struct checkpoint_row *row, void *arg, struct sewa_error *err)
{
    struct collected *c = arg;

    (void)err;
    c->ids[c->n] = row->id;
    c->steps[c->n++] = row->has_step ? row->step : -1;
    return 0;
}

/* Page through with two rows a page and compare with one big page. */
static size_t page_through(struct fixture *f, struct checkpoint_filter filter,
                           struct collected *all)
{
    struct collected whole = { .n = 0 };
    size_t pages = 0;

    filter.limit = 50;
    assert_ok(checkpoint_list(f->db, &filter, collect, &whole, &f->err), f->err);
    all->n = 0;
    filter.limit = 2;
    for (;;) {
        size_t before = all->n;
        assert_ok(checkpoint_list(f->db, &filter, collect, all, &f->err), f->err);
        if (all->n == before)
            break;
        AUTO(checkpoint_row_clear) struct checkpoint_row last = { 0 };
        assert_int_equal(checkpoint_by_id(f->db, all->ids[all->n - 1], &last, &f->err), 1);
        filter.has_after = true;
        filter.after_id = last.id;
        filter.after_number = filter.order == CHECKPOINT_BY_STEP ? (last.has_step ? last.step : -1)
                                                                 : last.discovered_ms;
        if (filter.order == CHECKPOINT_BY_METRIC)
            assert_int_equal(
                checkpoint_metric(f->db, last.id, filter.metric, &filter.after_value, &f->err), 1);
        pages++;
    }
    assert_int_equal(all->n, whole.n);
    assert_memory_equal(all->ids, whole.ids, whole.n * sizeof whole.ids[0]);
    return pages;
}

static void test_checkpoint_pages(void **state)
{
    struct fixture *f = *state;
    struct checkpoint_row rows[9];
    struct collected got;
    struct checkpoint_filter by_step = { .run_id = f->run.id, .state = -1 };

    for (int i = 0; i < 9; i++) {
        /* steps 0 100 .. 700 and one without a step, two of them with the same step */
        add_checkpoint(f,
                       i == 8   ? -1
                       : i == 7 ? 300
                                : i * 100,
                       i % 2 ? CHECKPOINT_GONE : CHECKPOINT_COMPLETE, 1000 - i, &rows[i]);
        char metrics[64];
        snprintf(metrics, sizeof metrics, "{\"accuracy\":%g,\"loss\":%d}", i < 3 ? 0.5 : i / 10.0,
                 i);
        if (i != 4)
            assert_ok(checkpoint_set_metrics(f->db, rows[i].id, metrics, 5, &f->err), f->err);
    }
    assert_int_equal(page_through(f, by_step, &got), 5);
    assert_int_equal(got.n, 9);
    for (size_t i = 1; i < got.n; i++)
        assert_true(got.steps[i] >= got.steps[i - 1]);
    by_step.descending = true;
    page_through(f, by_step, &got);
    assert_int_equal(got.steps[0], 600);
    by_step.state = CHECKPOINT_COMPLETE;
    by_step.has_min_step = by_step.has_max_step = true;
    by_step.min_step = 200;
    by_step.max_step = 400;
    page_through(f, by_step, &got);
    assert_int_equal(got.n, 2);

    struct checkpoint_filter by_time = { .run_id = f->run.id,
                                         .state = -1,
                                         .order = CHECKPOINT_BY_DISCOVERED };
    page_through(f, by_time, &got);
    assert_int_equal(got.n, 9);
    assert_int_equal(got.ids[0], rows[8].id);

    struct checkpoint_filter by_metric = { .run_id = f->run.id,
                                           .state = -1,
                                           .order = CHECKPOINT_BY_METRIC,
                                           .metric = "accuracy",
                                           .descending = true };
    page_through(f, by_metric, &got);
    assert_int_equal(got.n, 8); /* row 4 has no such metric */
    assert_int_equal(got.ids[0], rows[8].id);
}

static void test_checkpoint_filters_by_label(void **state)
{
    struct fixture *f = *state;
    struct checkpoint_row a, b;
    struct collected got = { .n = 0 };
    struct checkpoint_filter filter = {
        .run_id = f->run.id, .state = -1, .label_key = "team", .label_value = "x", .limit = 10
    };

    add_checkpoint(f, 1, CHECKPOINT_COMPLETE, 1, &a);
    add_checkpoint(f, 2, CHECKPOINT_COMPLETE, 2, &b);
    assert_ok(checkpoint_set_labels(f->db, a.id, "{\"team\":\"x\"}", 1, &f->err), f->err);
    assert_ok(checkpoint_set_labels(f->db, b.id, "{\"team\":\"y\"}", 1, &f->err), f->err);
    assert_ok(checkpoint_list(f->db, &filter, collect, &got, &f->err), f->err);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.ids[0], a.id);
    filter.label_value = NULL;
    assert_ok(checkpoint_list(f->db, &filter, collect, &got, &f->err), f->err);
    assert_int_equal(got.n, 3);
    assert_ok(checkpoint_set_labels(f->db, a.id, "{}", 1, &f->err), f->err);
    got.n = 0;
    assert_ok(checkpoint_list(f->db, &filter, collect, &got, &f->err), f->err);
    assert_int_equal(got.n, 1);
}

static void test_parts(void **state)
{
    struct fixture *f = *state;
    static char reasons[][64] = { CHECKPOINT_PART_BEGINNING "rank 1 of several",
                                  CHECKPOINT_PART_BEGINNING "rank 2 of several",
                                  "by its name this is", "no part" };
    static char code[] = "unsupported";
    AUTOFREE char *file = NULL;
    int64_t count = 9;

    assert_ok(checkpoint_parts(f->db, f->run.id, &count, &file, &f->err), f->err);
    assert_int_equal(count, 0);
    assert_null(file);
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        char name[32];
        struct checkpoint_row row = { .run_id = f->run.id,
                                      .file = name,
                                      .state = CHECKPOINT_INCOMPLETE,
                                      .reason_code = code,
                                      .reason = reasons[i],
                                      .size = 1 };
        snprintf(name, sizeof name, "part-%zu", i);
        assert_ok(checkpoint_insert(f->db, &row, &f->err), f->err);
        if (i == 1)
            assert_ok(checkpoint_set_state(f->db, row.id, CHECKPOINT_GONE, 1, &f->err), f->err);
    }
    assert_ok(checkpoint_parts(f->db, f->run.id, &count, &file, &f->err), f->err);
    assert_int_equal(count, 1);
    assert_string_equal(file, "part-0");
}

static void test_candidates_and_counts(void **state)
{
    struct fixture *f = *state;
    struct checkpoint_row rows[6];
    struct collected got = { .n = 0 };
    struct checkpoint_counts counts;
    int64_t all[CHECKPOINT_STATE_COUNT], newer = 0;

    for (int i = 0; i < 5; i++)
        add_checkpoint(f, i * 10, i == 3 ? CHECKPOINT_CHANGED : CHECKPOINT_COMPLETE, i + 1,
                       &rows[i]);
    add_checkpoint(f, -1, CHECKPOINT_COMPLETE, 99, &rows[5]);
    assert_ok(
        checkpoint_candidates(f->db, f->run.id, UNIT_STEP, 0, INT64_MAX, 3, collect, &got, &f->err),
        f->err);
    assert_int_equal(got.n, 3);
    assert_int_equal(got.steps[0], 40);
    assert_int_equal(got.steps[2], 10);
    assert_ok(checkpoint_count(f->db, f->run.id, &counts, &f->err), f->err);
    assert_int_equal(counts.states[CHECKPOINT_COMPLETE], 5);
    assert_int_equal(counts.states[CHECKPOINT_CHANGED], 1);
    assert_int_equal(counts.units[UNIT_STEP], 4); /* one of five is changed */
    assert_int_equal(counts.without_step, 1);
    assert_int_equal(checkpoint_axes(&counts), 1);
    assert_ok(checkpoint_count_newer(f->db, f->run.id, rows[1].id, &newer, &f->err), f->err);
    assert_int_equal(newer, 2);
    assert_ok(checkpoint_count_all(f->db, all, &f->err), f->err);
    assert_int_equal(all[CHECKPOINT_COMPLETE], 5);
    got.n = 0;
    assert_ok(checkpoint_known(f->db, f->run.id, collect, &got, &f->err), f->err);
    assert_int_equal(got.n, 5);
}

static void test_layouts_are_shared(void **state)
{
    struct fixture *f = *state;
    char same[] = "table", other[] = "tabla";
    struct layout_row a = { .tensors = same, .tensors_bytes = 5 };
    struct layout_row b = { .tensors = other, .tensors_bytes = 5 };
    AUTO(layout_row_clear) struct layout_row r = { 0 };

    assert_ok(layout_put(f->db, &a, &f->err), f->err);
    assert_ok(layout_put(f->db, &b, &f->err), f->err);
    assert_int_equal(a.id, f->layout.id);
    assert_int_not_equal(b.id, a.id);
    assert_int_equal(layout_by_id(f->db, f->layout.id, true, &r, &f->err), 1);
    assert_int_equal(r.tensors_bytes, 5);
    assert_memory_equal(r.tensors, "table", 5);
    assert_int_equal(r.signature[0], 1);
    layout_row_clear(&r);
    assert_int_equal(layout_by_id(f->db, f->layout.id, false, &r, &f->err), 1);
    assert_null(r.tensors);
    assert_int_equal(layout_by_id(f->db, 12345, true, &r, &f->err), 0);
    /* an older version has judged the same table otherwise */
    snprintf(a.unfit, sizeof a.unfit, "an adapter");
    assert_ok(layout_put(f->db, &a, &f->err), f->err);
    assert_int_equal(a.id, f->layout.id);
    assert_int_equal(layout_by_id(f->db, a.id, true, &r, &f->err), 1);
    assert_string_equal(r.unfit, "an adapter");
    assert_memory_equal(r.tensors, "table", 5);
    layout_row_clear(&r);
    assert_int_equal(layout_by_id(f->db, b.id, false, &r, &f->err), 1);
    assert_string_equal(r.unfit, "");
}

static void add_job(struct fixture *f, const char *labels, int64_t at_ms, struct job_row *ret)
{
    int64_t candidates[] = { 1, 2, 3 };
    char method[] = "sewa", request[] = "{}", plan[] = "{\"k\":3}", label_text[64];

    snprintf(label_text, sizeof label_text, "%s", labels);
    *ret = (struct job_row){ .run_id = f->run.id,
                             .run_name = text_name,
                             .method = method,
                             .request = request,
                             .plan = plan,
                             .labels = label_text,
                             .iterations = 60,
                             .candidate_newest = 3,
                             .created_ms = at_ms };
    id_new("job", at_ms, ret->uid);
    assert_ok(job_insert(f->db, ret, candidates, 3, &f->err), f->err);
}

static int collect_job(const struct job_row *row, void *arg, struct sewa_error *err)
{
    struct collected *c = arg;

    (void)err;
    c->ids[c->n++] = row->id;
    return 0;
}

static int collect_first(const struct job_row *row, void *arg, struct sewa_error *err)
{
    collect_job(row, arg, err);
    return 1;
}

static int count_states(const char *state, int64_t count, void *arg)
{
    if (strcmp(state, "queued") == 0)
        *(int64_t *)arg = count;
    return 0;
}

static void test_jobs(void **state)
{
    struct fixture *f = *state;
    struct job_row a, b;
    AUTO(job_row_clear) struct job_row r = { 0 };
    int64_t newest = -1, queued = 0;
    struct collected got = { .n = 0 };

    add_job(f, "{\"team\":\"x\"}", 100, &a);
    add_job(f, "{}", 200, &b);
    assert_int_equal(job_by_id(f->db, a.id, &r, &f->err), 1);
    assert_string_equal(r.uid, a.uid);
    assert_string_equal(r.state, "queued");
    assert_null(r.result);
    assert_int_equal(r.version, 1);
    assert_failed(run_delete(f->db, f->run.id, &f->err), f->err, SEWA_E_CONFLICT, a.uid);

    struct job_progress p = { 7, 60, 35, 300 };
    AUTOFREE char *runner = NULL;
    assert_ok(job_save_runner(f->db, a.id, "{\"s\":1}", &p, &f->err), f->err);
    assert_int_equal(job_load_runner(f->db, a.id, &runner, &f->err), 1);
    assert_string_equal(runner, "{\"s\":1}");
    assert_ok(job_set_result(f->db, a.id, "{\"verdict\":\"improved\"}", &f->err), f->err);
    assert_ok(job_set_state(f->db, a.id, "running", NULL, NULL, 150, 0, &f->err), f->err);
    assert_ok(job_set_state(f->db, a.id, "succeeded", NULL, NULL, 0, 180, &f->err), f->err);
    job_row_clear(&r);
    assert_int_equal(job_find(f->db, a.uid, &r, &f->err), 1);
    assert_int_equal(r.iteration, 7);
    assert_int_equal(r.started_ms, 150);
    assert_int_equal(r.finished_ms, 180);
    assert_int_equal(r.version, 5);
    assert_string_equal(r.result, "{\"verdict\":\"improved\"}");
    assert_ok(job_last_success(f->db, f->run.id, "sewa", &newest, &f->err), f->err);
    assert_int_equal(newest, 3);
    assert_ok(job_last_success(f->db, f->run.id, "lawa", &newest, &f->err), f->err);
    assert_int_equal(newest, 0);

    assert_ok(job_unfinished(f->db, collect_job, &got, &f->err), f->err);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.ids[0], b.id);
    assert_ok(job_count(f->db, count_states, &queued, &f->err), f->err);
    assert_int_equal(queued, 1);

    struct collected first = { 0 };
    struct job_filter all = { .limit = 10 };
    assert_ok(job_list(f->db, &all, collect_first, &first, &f->err), f->err);
    assert_int_equal(first.n, 1); /* of two: who has seen enough ends the walk */

    struct job_filter filters[] = {
        { .limit = 10 },
        { .limit = 10, .state = "succeeded" },
        { .limit = 10, .run_id = f->run.id },
        { .limit = 10, .label_key = "team", .label_value = "x" },
        { .limit = 10, .created_after_ms = 100 },
        { .limit = 10, .before_id = b.id },
        { .limit = 10, .run_id = f->run.id, .state = "queued" },
        { .limit = 10, .run_id = f->run.id + 1 },
    };
    static const size_t wanted[] = { 2, 1, 2, 1, 1, 1, 1, 0 };
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        got.n = 0;
        assert_ok(job_list(f->db, &filters[i], collect_job, &got, &f->err), f->err);
        assert_int_equal(got.n, wanted[i]);
    }
    assert_ok(job_delete(f->db, a.id, &f->err), f->err);
    job_row_clear(&r);
    assert_int_equal(job_find(f->db, a.uid, &r, &f->err), 0);
}

struct trace_check {
    int n;
    int64_t last;
};

static int check_trace(const struct trace_row *row, void *arg, struct sewa_error *err)
{
    struct trace_check *c = arg;
    float s[3];

    (void)err;
    assert_int_equal(row->probability_count, 3);
    memcpy(s, row->probabilities, sizeof s);
    assert_true(s[1] == 0.25f + (float)row->iteration);
    assert_true(row->iteration == 2 ? isnan(row->loss) : row->loss == 0.1);
    c->n++;
    c->last = row->iteration;
    return 0;
}

static int count_lease(const struct lease_row *row, void *arg, struct sewa_error *err)
{
    (void)err;
    *(int64_t *)arg = *(int64_t *)arg * 100 + row->task * 10 + row->attempt + row->failures;
    return 0;
}

static int count_worker(const struct worker_row *row, void *arg, struct sewa_error *err)
{
    (void)err;
    *(int64_t *)arg += row->pid + row->token_hash[31];
    return 0;
}

static int sum_artifact(const struct artifact_row *row, void *arg, struct sewa_error *err)
{
    (void)err;
    *(int64_t *)arg += row->size;
    return 0;
}

static void test_job_parts(void **state)
{
    struct fixture *f = *state;
    struct job_row job;

    add_job(f, "{}", 100, &job);
    for (int64_t t = 0; t < 5; t++) {
        float s[3] = { 0, 0.25f + (float)t, 1 };
        struct trace_row row = { .iteration = t,
                                 .loss = t == 2 ? (double)NAN : 0.1,
                                 .probabilities = s,
                                 .probability_count = 3 };
        assert_ok(trace_put(f->db, job.id, &row, &f->err), f->err);
    }
    struct trace_check check = { 0 };
    int64_t n = 0;
    assert_ok(trace_list(f->db, job.id, 3, check_trace, &check, &f->err), f->err);
    assert_int_equal(check.n, 3); /* 0, 3 and the last */
    assert_int_equal(check.last, 4);
    assert_ok(trace_count(f->db, job.id, &n, &f->err), f->err);
    assert_int_equal(n, 5);
    struct trace_row twice = { .iteration = 3 };
    assert_failed(trace_put(f->db, job.id, &twice, &f->err), f->err, SEWA_E_CONFLICT, "trace");

    struct lease_row lease = { .task = 3, .attempt = 1, .failures = 3, .worker = "wrk_a" };
    assert_ok(lease_put(f->db, job.id, &lease, &f->err), f->err);
    lease.attempt = 2;
    assert_ok(lease_put(f->db, job.id, &lease, &f->err), f->err);
    lease.task = 4;
    assert_ok(lease_put(f->db, job.id, &lease, &f->err), f->err);
    n = 0;
    assert_ok(lease_list(f->db, job.id, count_lease, &n, &f->err), f->err);
    assert_int_equal(n, 3545);
    assert_ok(lease_delete_below(f->db, job.id, 4, &f->err), f->err);
    n = 0;
    assert_ok(lease_list(f->db, job.id, count_lease, &n, &f->err), f->err);
    assert_int_equal(n, 45);

    struct worker_row worker = {
        .uid = "wrk_a", .job_id = job.id, .pid = 11, .start_ticks = 5, .token_hash = { [31] = 2 }
    };
    assert_ok(worker_put(f->db, &worker, &f->err), f->err);
    n = 0;
    assert_ok(worker_list(f->db, job.id, count_worker, &n, &f->err), f->err);
    assert_int_equal(n, 13);
    assert_failed(worker_put(f->db, &worker, &f->err), f->err, SEWA_E_CONFLICT, "worker");
    assert_ok(worker_delete(f->db, "wrk_a", &f->err), f->err);
    assert_ok(worker_list(f->db, job.id, count_worker, &n, &f->err), f->err);
    assert_int_equal(n, 13);

    struct artifact_row art = { .name = "model.safetensors", .size = 10, .sha256 = { 3 } };
    assert_ok(artifact_put(f->db, job.id, &art, &f->err), f->err);
    art.size = 20;
    assert_ok(artifact_put(f->db, job.id, &art, &f->err), f->err);
    n = 0;
    assert_ok(artifact_list(f->db, job.id, sum_artifact, &n, &f->err), f->err);
    assert_int_equal(n, 20);
    struct artifact_row found;
    assert_int_equal(artifact_find(f->db, job.id, "model.safetensors", &found, &f->err), 1);
    assert_int_equal(found.sha256[0], 3);
    assert_int_equal(artifact_find(f->db, job.id, "other", &found, &f->err), 0);
    assert_ok(job_delete(f->db, job.id, &f->err), f->err);
    assert_ok(trace_count(f->db, job.id, &n, &f->err), f->err);
    assert_int_equal(n, 0);
}

static void test_service(void **state)
{
    struct fixture *f = *state;
    char location[] = "/api/v1/jobs/x", body[] = "{\"a\":1}";
    struct idempotency_row row = {
        .request = { 4 }, .status = 201, .location = location, .body = body
    };
    struct idempotency_row other = {
        .request = { 5 }, .status = 202, .location = body, .body = location
    };
    AUTO(idempotency_row_clear) struct idempotency_row got = { 0 };
    int64_t n = 0;

    assert_int_equal(idempotency_get(f->db, "POST /jobs", "k", &got, &f->err), 0);
    assert_ok(idempotency_put(f->db, "POST /jobs", "k", &other, 999, &f->err), f->err);
    /* whoever may use a key again has looked at it before; the last word counts */
    assert_ok(idempotency_put(f->db, "POST /jobs", "k", &row, 1000, &f->err), f->err);
    assert_int_equal(idempotency_get(f->db, "POST /runs", "k", &got, &f->err), 0);
    assert_int_equal(idempotency_get(f->db, "POST /jobs", "k", &got, &f->err), 1);
    assert_int_equal(got.status, 201);
    assert_int_equal(got.request[0], 4);
    assert_string_equal(got.location, location);
    assert_string_equal(got.body, body);
    assert_ok(idempotency_prune(f->db, 1000, &f->err), f->err);
    idempotency_row_clear(&got);
    assert_int_equal(idempotency_get(f->db, "POST /jobs", "k", &got, &f->err), 1);
    assert_ok(idempotency_prune(f->db, 1001, &f->err), f->err);
    idempotency_row_clear(&got);
    assert_int_equal(idempotency_get(f->db, "POST /jobs", "k", &got, &f->err), 0);

    for (int i = 0; i < 10; i++)
        assert_ok(event_put(f->db, i, "job.created", "job_x", NULL, &f->err), f->err);
    assert_ok(event_prune(f->db, 3, &f->err), f->err);
    assert_ok(db_number(f->db, "SELECT min(seq) FROM events", &n, &f->err), f->err);
    assert_int_equal(n, 8);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoint_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoint_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoint_filters_by_label, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_candidates_and_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layouts_are_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_job_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
