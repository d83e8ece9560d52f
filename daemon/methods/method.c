/*
 * method - what all methods share: points between ask and tell, counting, the wrapper of the saved
 * state, and the outcome. What a method does is in its own file behind struct method_class.
 */
#include "methods/method.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "methods/class.h"

/* Raised when a saved state changes its meaning; older ones are refused, never misread. */
enum { STATE_VERSION = 1 };

static int steps_check(const struct method_setup *setup, struct sewa_error *err)
{
    for (size_t i = 1; i < setup->k; i++)
        if (setup->steps[i] < setup->steps[i - 1])
            return sewa_fail(err, SEWA_E_INTERNAL,
                             "candidates are not ordered by age: step %" PRId64
                             " stands before step %" PRId64,
                             setup->steps[i - 1], setup->steps[i]);
    return 0;
}

static int evaluator_check(const struct method_class *class, const struct method_setup *setup,
                           struct sewa_error *err)
{
    if (class->info.needs == METHOD_NEEDS_NOTHING)
        return 0;
    if (!setup->evaluator)
        return sewa_fail_at(err, SEWA_E_INVALID, "/evaluator", "method '%s' needs an evaluator",
                            class->info.name);
    if (class->info.needs == METHOD_NEEDS_GRADIENTS && !setup->evaluator->gradient)
        return sewa_fail_at(err, SEWA_E_UNSUPPORTED, "/evaluator",
                            "method '%s' needs gradients, and the evaluator gives none",
                            class->info.name);
    return 0;
}

static int base_open(struct method *m, const struct method_class *class,
                     const struct method_setup *setup, struct sewa_error *err)
{
    m->class = class;
    m->k = setup->k;
    m->select = method_class_select(class, setup);
    m->seed = setup->seed;
    m->alpha = calloc(m->k, sizeof *m->alpha);
    m->selected = calloc(m->k, sizeof *m->selected);
    if (!m->alpha || !m->selected)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for method '%s' with %zu candidates",
                         class->info.name, m->k);
    m->outcome = (struct method_outcome){ .k = m->k, .loss = NAN, .metric = NAN };
    m->outcome.alpha = m->alpha;
    m->outcome.selected = m->selected;
    m->outcome.notes = m->notes;
    return class->open ? class->open(m, setup, err) : 0;
}

int method_new(const char *name, const struct method_setup *setup, struct method **ret,
               struct sewa_error *err)
{
    const struct method_class *class = method_class_find(name, err);

    if (!class)
        return SEWA_E_UNKNOWN_NAME;
    int rc = method_class_check(class, setup, err);
    if (rc == 0)
        rc = steps_check(setup, err);
    if (rc == 0)
        rc = evaluator_check(class, setup, err);
    if (rc < 0)
        return rc;
    AUTOPTR(method_free) struct method *m = calloc(1, class->size);
    if (!m)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for method '%s'", name);
    rc = base_open(m, class, setup, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(m);
    return 0;
}

void method_free(struct method *m)
{
    if (!m)
        return;
    if (m->class->close)
        m->class->close(m);
    free(m->points);
    free(m->alphas);
    free(m->alpha);
    free(m->selected);
    free(m);
}

json_t *method_params(const struct method *m)
{
    AUTOJSON json_t *object = json_object();

    if (!object || (m->class->params && m->class->params(m, object) < 0))
        return NULL;
    return TAKE(object);
}

int method_points_begin(struct method *m, size_t count, struct sewa_error *err)
{
    m->point_count = 0;
    if (count <= m->point_capacity)
        return 0;
    /* k and count are bounded (METHOD_CANDIDATES_MAX, the ranges of the parameters) */
    AUTOFREE struct method_point *points = calloc(count, sizeof *points);
    AUTOFREE double *alphas = calloc(count * m->k, sizeof *alphas);
    if (!points || !alphas)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu points of %zu candidates", count,
                         m->k);
    free(m->points);
    free(m->alphas);
    m->points = TAKE(points);
    m->alphas = TAKE(alphas);
    m->point_capacity = count;
    return 0;
}

double *method_points_add(struct method *m, bool gradient, int64_t batch)
{
    assert(m->point_count < m->point_capacity);
    double *alpha = m->alphas + m->point_count * m->k;

    memset(alpha, 0, m->k * sizeof *alpha);
    m->points[m->point_count++] = (struct method_point){
        .kind = METHOD_POINT_EVALUATE,
        .alpha = alpha,
        .gradient = gradient,
        .batch = batch,
    };
    return alpha;
}

int method_ask(struct method *m, const struct method_point **ret, size_t *count,
               struct sewa_error *err)
{
    *ret = NULL;
    *count = 0;
    if (m->finished)
        return 0;
    if (m->point_count == 0) {
        int rc = m->class->ask(m, err);
        if (rc <= 0) {
            m->point_count = 0;
            m->finished = rc == 0;
            return rc;
        }
        assert(m->point_count > 0);
    }
    *ret = m->points;
    *count = m->point_count;
    return 1;
}

static int answers_check(const struct method *m, const struct method_answer *answers, size_t count,
                         struct sewa_error *err)
{
    if (count != m->point_count || count == 0)
        return sewa_fail(err, SEWA_E_INTERNAL, "%zu answers to %zu points", count, m->point_count);
    for (size_t j = 0; j < count; j++)
        if (m->points[j].gradient && !answers[j].c && isfinite(answers[j].loss))
            return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL,
                             "the answer to point %zu of %zu has loss %g but no gradient", j + 1,
                             count, answers[j].loss);
    return 0;
}

int method_tell(struct method *m, const struct method_answer *answers, size_t count,
                struct sewa_error *err)
{
    bool had_trace = m->has_trace;
    int rc = answers_check(m, answers, count, err);

    if (rc < 0)
        return rc;
    m->has_trace = false;
    rc = m->class->tell(m, answers, err);
    if (rc < 0) {
        m->has_trace = had_trace;
        return rc;
    }
    for (size_t j = 0; j < count; j++)
        m->progress.gradients += m->points[j].gradient;
    m->progress.evaluations += (int64_t)count;
    m->point_count = 0;
    return 0;
}

int method_trace(const struct method *m, struct method_trace *ret)
{
    if (!m->has_trace)
        return 0;
    *ret = m->trace;
    return 1;
}

void method_progress(const struct method *m, struct method_progress *ret)
{
    *ret = m->progress;
    ret->expected = ret->evaluations;
    if (!m->finished && m->class->remaining)
        ret->expected += m->class->remaining(m);
}

const char *method_metric(const struct method *m)
{
    return m->metric;
}

const struct method_outcome *method_outcome(const struct method *m)
{
    return m->finished ? &m->outcome : NULL;
}

void method_choose(struct method *m, const size_t *selected, size_t count, double loss)
{
    memset(m->alpha, 0, m->k * sizeof *m->alpha);
    for (size_t i = 0; i < count; i++) {
        m->selected[i] = selected[i];
        m->alpha[selected[i]] = 1.0 / (double)count;
    }
    m->outcome.count = count;
    m->outcome.loss = loss;
}

void method_choose_range(struct method *m, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        m->selected[i] = first + i;
    method_choose(m, m->selected, count, NAN);
}

void method_note(struct method *m, const char *format, ...)
{
    size_t n = m->outcome.note_count;
    va_list ap;

    assert(n < METHOD_NOTES_MAX);
    va_start(ap, format);
    vsnprintf(m->note_text[n], sizeof m->note_text[n], format, ap);
    va_end(ap);
    m->notes[n] = m->note_text[n];
    m->outcome.note_count = n + 1;
}

static int save_all(const struct method *m, json_t *object)
{
    json_t *own = json_object();

    if (!own || json_put(object, "version", json_integer(STATE_VERSION)) < 0 ||
        json_put(object, "method", json_string(m->class->info.name)) < 0 ||
        json_put(object, "candidates", json_integer((json_int_t)m->k)) < 0 ||
        json_put(object, "select", json_integer((json_int_t)m->select)) < 0 ||
        json_put(object, "evaluations", json_integer(m->progress.evaluations)) < 0 ||
        json_put(object, "gradients", json_integer(m->progress.gradients)) < 0 ||
        json_put(object, "dropped", json_integer(m->progress.dropped)) < 0 ||
        (m->class->save && m->class->save(m, own) < 0)) {
        json_decref(own);
        return -1;
    }
    return json_put(object, "own", own);
}

json_t *method_save(const struct method *m)
{
    AUTOJSON json_t *object = json_object();

    if (!object || save_all(m, object) < 0)
        return NULL;
    return TAKE(object);
}

/* Whether the state was written for this job; a mistake here would continue with nonsense. */
static void match(struct json_reader *r, const char *name, int64_t wanted)
{
    int64_t n = json_need_int(r, name, 0, INT64_MAX);

    if (r->rc == 0 && n != wanted)
        json_reader_fail(r, SEWA_E_CORRUPT, name, "'%s' is %" PRId64 ", this job has %" PRId64,
                         name, n, wanted);
}

static int load_all(struct method *m, struct json_reader *r, struct sewa_error *err)
{
    struct json_reader own;
    const char *name = json_need_string(r, "method");

    if (r->rc == 0 && strcmp(name, m->class->info.name) != 0)
        json_reader_fail(r, SEWA_E_CORRUPT, "method", "it is of method '%.60s', this job has '%s'",
                         name, m->class->info.name);
    match(r, "version", STATE_VERSION);
    match(r, "candidates", (int64_t)m->k);
    match(r, "select", (int64_t)m->select);
    m->progress.evaluations = json_need_int(r, "evaluations", 0, INT64_MAX);
    m->progress.gradients = json_need_int(r, "gradients", 0, m->progress.evaluations);
    m->progress.dropped = json_need_int(r, "dropped", 0, m->progress.evaluations);
    const json_t *state = json_get_object(r, "own");
    int rc = json_reader_end(r);
    if (rc < 0)
        return rc;
    json_reader_init(&own, state, "/own", err);
    rc = m->class->load ? m->class->load(m, &own, err) : 0;
    return rc < 0 ? rc : json_reader_end(&own);
}

int method_load(struct method *m, const json_t *state, struct sewa_error *err)
{
    struct sewa_error scratch = { 0 };
    struct json_reader r;

    json_reader_init(&r, state, "", &scratch);
    int rc = r.rc < 0 ? r.rc : load_all(m, &r, &scratch);
    if (rc == 0 || rc == SEWA_E_NO_MEMORY) {
        if (rc < 0 && err)
            *err = scratch;
        return rc;
    }
    return sewa_fail(err, SEWA_E_CORRUPT, "the saved state cannot be used: %s (%s)", scratch.text,
                     scratch.pointer);
}
