/*
 * toy_worker - quadratics instead of models.
 */
#include "toy_worker.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "methods/method.h"
#include "sewa/protocol.h"

static const char model_digest[] =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

void toy_init(struct toy *t, size_t k)
{
    memset(t, 0, sizeof *t);
    t->k = k;
    t->gradient = t->has_report = t->paired = true;
    t->examples = 400;
    for (size_t j = 0; j < TOY_P; j++) {
        t->selection[j] = 1 + 0.25 * (double)j;
        t->report[j] = t->selection[j] + 0.01 * (double)(j % 3);
        for (size_t i = 0; i < k; i++) {
            double far = 1.5 * (double)(k - i) / (double)k;
            double noise = sin(12.9898 * (double)(i + 1) + 78.233 * (double)(j + 1));
            t->w[i][j] = t->selection[j] + far + 0.8 * noise;
        }
    }
}

double toy_loss(const struct toy *t, const double *alpha, const double *valley, double *c)
{
    double w[TOY_P] = { 0 }, loss = 0.125;

    for (size_t j = 0; j < TOY_P; j++) {
        for (size_t i = 0; i < t->k; i++)
            w[j] += alpha[i] * t->w[i][j];
        loss += 0.5 * (w[j] - valley[j]) * (w[j] - valley[j]);
    }
    for (size_t i = 0; c && i < t->k; i++) {
        c[i] = 0;
        for (size_t j = 0; j < TOY_P; j++)
            c[i] += (w[j] - valley[j]) * (t->w[i][j] - w[j]);
    }
    return loss;
}

/* ---- plan ---- */

static void fill_candidate(struct job_candidate *c, size_t i)
{
    char file[40];

    snprintf(file, sizeof file, "step-%zu.safetensors", 10 * (i + 1));
    snprintf(c->uid, sizeof c->uid, "ckpt_01ARZ3NDEKTSV4RRFFQ69G%04u", (unsigned)i % 10000);
    c->id = (int64_t)i + 1;
    c->run = strdup("digits");
    c->root = strdup("/data/digits");
    c->file = strdup(file);
    c->has_step = true;
    c->step = 10 * ((int64_t)i + 1);
    c->size = 1000;
    c->mtime_ns = 5;
    c->header_digest[0] = (uint8_t)i;
}

struct job_plan *toy_plan(const struct job_request *q, size_t k)
{
    struct job_plan *p = calloc(1, sizeof *p);
    struct sewa_error err = { 0 };

    p->candidates = calloc(k, sizeof *p->candidates);
    p->k = k;
    p->run_id = 1;
    p->run_name = strdup("digits");
    p->warnings = json_array();
    p->data_bytes = 1000;
    for (size_t i = 0; i < k; i++)
        fill_candidate(&p->candidates[i], i);
    if (strcmp(q->method, "check") != 0)
        assert_ok(method_check(q->method, k, q->select, q->params, &p->select, &err), err);
    return p;
}

/* ---- answers ---- */

json_t *toy_traits(const struct toy *t)
{
    json_t *splits =
        json_pack("[{s:s, s:I}]", "name", "selection", "examples", (json_int_t)t->examples);

    if (t->has_report)
        json_array_append_new(splits, json_pack("{s:s, s:i}", "name", "report", "examples", 997));
    return json_pack("{s:b, s:b, s:o, s:[{s:s, s:s}, {s:s, s:s}], s:i}", "gradient", t->gradient,
                     "recalibrates", t->recalibrates, "splits", splits, "metrics", "name",
                     "accuracy", "direction", "max", "name", "error", "direction", "min", "banks",
                     2);
}

static json_t *paired_result(double loss, double first_loss, double standard_error)
{
    return json_pack("{s:o, s:f, s:i}", "difference", json_number_or_null(loss - first_loss),
                     "standard_error", standard_error, "examples", 997);
}

/* added: what recalibration adds to the loss of the first point. */
static json_t *split_result(const struct toy *t, double loss, const double *first_loss,
                            double added)
{
    double error = isfinite(loss) ? loss / (1 + loss) : 1;
    json_t *o = json_pack("{s:o, s:{s:f, s:f}, s:i, s:f}", "loss", json_number_or_null(loss),
                          "metrics", "accuracy", isfinite(loss) ? 1 / (1 + loss) : 0.0, "error",
                          error, "examples", 997, "seconds", 0.25);

    if (first_loss && t->paired)
        json_object_set_new(o, "paired", paired_result(loss, *first_loss, 0.001));
    if (first_loss && t->paired && t->recalibrates)
        json_object_set_new(o, "paired_recalibrated",
                            paired_result(loss, *first_loss + added, TOY_FRESH_ERROR));
    return o;
}

static json_t *products(const double *c, size_t k)
{
    json_t *list = json_array();

    for (size_t i = 0; i < k; i++)
        json_array_append_new(list, json_real(c[i]));
    return list;
}

static json_t *recalibrated(const struct toy *t, double loss, double report, const double *first)
{
    json_t *splits = json_pack("{s:o}", "selection", split_result(t, loss, &first[0], 0));

    assert_true(t->recalibrates);
    if (t->has_report)
        json_object_set_new(splits, "report", split_result(t, report, &first[1], 0));
    return json_pack("{s:i, s:f, s:o}", "tensors", (int)t->recalibrated_tensors, "seconds", 4.0,
                     "splits", splits);
}

static json_t *evaluate(const struct toy *t, const json_t *task)
{
    const json_t *points = json_object_get(task, "points");
    bool paired = json_is_true(json_object_get(task, "paired"));
    json_t *list = json_array();
    double first[2] = { 0, 0 }, adds = t->recalibrated_adds, adds_r = t->recalibrated_adds_report;

    for (size_t i = 0; i < json_array_size(points); i++) {
        const json_t *point = json_array_get(points, i), *numbers = json_object_get(point, "alpha");
        double alpha[TOY_K_MAX], c[TOY_K_MAX];
        assert_int_equal(json_array_size(numbers), t->k);
        for (size_t j = 0; j < t->k; j++)
            alpha[j] = json_number_value(json_array_get(numbers, j));
        double loss = toy_loss(t, alpha, t->selection, c);
        double report = toy_loss(t, alpha, t->report, NULL);
        first[0] = i == 0 ? loss : first[0];
        first[1] = i == 0 ? report : first[1];
        json_t *splits =
            json_pack("{s:o}", "selection", split_result(t, loss, paired ? &first[0] : NULL, adds));
        if (json_array_size(json_object_get(point, "splits")) == 2)
            json_object_set_new(splits, "report",
                                split_result(t, report, paired ? &first[1] : NULL, adds_r));
        bool gradient = json_is_true(json_object_get(point, "gradient"));
        json_t *one = json_pack("{s:o, s:o}", "splits", splits, "c",
                                gradient ? products(c, t->k) : json_null());
        if (json_is_true(json_object_get(point, "recalibrate")))
            json_object_set_new(one, "recalibrated",
                                recalibrated(t, loss + adds, report + adds_r, first));
        json_array_append_new(list, one);
    }
    return json_pack("{s:o, s:i}", "points", list, "bytes_read", 10);
}

static json_t *written_names(const struct toy *t)
{
    json_t *names = json_array();
    char name[32];

    for (size_t i = 0; i < t->written_tensors; i++) {
        snprintf(name, sizeof name, "bn.%zu", i);
        json_array_append_new(names, json_string(name));
    }
    return names;
}

json_t *toy_result(const struct toy *t, const json_t *task)
{
    const char *kind = json_string_value(json_object_get(task, "kind"));

    if (strcmp(kind, "evaluate") == 0)
        return evaluate(t, task);
    assert_string_equal(kind, "average");
    json_t *result = json_pack("{s:[{s:s, s:i, s:s}], s:{}, s:i}", "files", "name", WORKER_ARTIFACT,
                               "size", 1234, "sha256", model_digest, "digests", "bytes_read", 7);
    if (json_is_true(json_object_get(task, "recalibrate")))
        json_object_set_new(result, "recalibrated_tensors", written_names(t));
    return result;
}

/* ---- a whole job ---- */

static struct job_request *parse(const char *body)
{
    struct sewa_error err = { 0 };
    AUTOJSON json_t *o = json_parse(body, strlen(body), &err);
    struct job_request *q = NULL;
    bool check = json_object_get(o, "method") &&
                 strcmp(json_string_value(json_object_get(o, "method")), "check") == 0;

    assert_non_null(o);
    if (check) {
        json_object_del(o, "method");
        assert_ok(job_request_parse_check("digits", o, &q, &err), err);
    } else {
        assert_ok(job_request_parse(o, &q, &err), err);
    }
    return q;
}

void toy_job_open(struct toy_job *j, const char *body, size_t k)
{
    struct sewa_error err = { 0 };

    memset(j, 0, sizeof *j);
    toy_init(&j->toy, k);
    j->request = parse(body);
    j->plan = toy_plan(j->request, k);
    assert_ok(runner_new(j->request, j->plan, &j->runner, &err), err);
}

void toy_job_close(struct toy_job *j)
{
    runner_free(j->runner);
    job_plan_free(j->plan);
    job_request_free(j->request);
    buf_clear(&j->story);
}

void toy_job_restart(struct toy_job *j)
{
    struct sewa_error err = { 0 };
    AUTOJSON json_t *state = runner_save(j->runner);
    AUTOFREE char *text = json_text(state);

    runner_free(j->runner);
    assert_ok(runner_new(j->request, j->plan, &j->runner, &err), err);
    AUTOJSON json_t *read = json_parse(text, strlen(text), &err);
    assert_ok(runner_load(j->runner, read, &err), err);
}

static size_t place(enum toy_order order, size_t i, size_t n)
{
    if (order == TOY_BACKWARDS)
        return n - 1 - i;
    if (order == TOY_IN_ORDER || n < 3)
        return i;
    return (i * (n % 7 == 0 ? 5 : 7) + 2) % n; /* a step that shares no factor with n visits all */
}

static void tell_task(struct toy_job *j, size_t i, const json_t *task)
{
    AUTOFREE char *text = json_canonical(task);

    buf_printf(&j->story, "task %lld %s\n", (long long)runner_task_base(j->runner) + (long long)i,
               text);
}

static void tell_trace(struct toy_job *j)
{
    struct trace_row row;

    if (!runner_trace(j->runner, &row))
        return;
    buf_printf(&j->story, "trace %lld %a %a %a %lld", (long long)row.iteration, row.loss,
               row.temperature, row.learning_rate, (long long)row.dropped);
    for (size_t i = 0; i < row.probability_count; i++)
        buf_printf(&j->story, " %a", (double)((const float *)row.probabilities)[i]);
    buf_char(&j->story, '\n');
}

int toy_job_step(struct toy_job *j, enum toy_order order, struct sewa_error *err)
{
    size_t n = runner_task_count(j->runner);
    bool done[64] = { false };

    assert_true(n > 0 && n <= COUNT_OF(done));
    for (size_t i = 0; i < n; i++) {
        AUTOJSON json_t *task = runner_task(j->runner, i);
        tell_task(j, i, task);
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = place(order, i, n);
        while (done[at])
            at = (at + 1) % n;
        done[at] = true;
        AUTOJSON json_t *task = runner_task(j->runner, at);
        AUTOJSON json_t *result = toy_result(&j->toy, task);
        int rc = runner_accept(j->runner, at, result, err);
        if (rc < 0)
            return rc;
    }
    int rc = runner_advance(j->runner, err);
    tell_trace(j);
    return rc;
}

void toy_job_run(struct toy_job *j, enum toy_order order, bool save)
{
    AUTOJSON json_t *traits = j->request->evaluator ? toy_traits(&j->toy) : NULL;
    struct sewa_error err = { 0 };
    int rc = runner_prepared(j->runner, traits, &err);

    assert_ok(rc, err);
    rc = 1;
    while (rc > 0) {
        if (save)
            toy_job_restart(j);
        rc = toy_job_step(j, order, &err);
    }
    assert_ok(rc, err);
    assert_int_equal(runner_stage(j->runner), RUNNER_FINISHED);
}
