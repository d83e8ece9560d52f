/*
 * needs - what a job will read, hold and write.
 */
#include "jobs/needs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "engine/arrangement.h"
#include "engine/footprint.h"
#include "engine/model.h"
#include "formats/unfit.h"
#include "jobs/check.h"
#include "methods/method.h"

enum { BANKS_MAX = 8 }; /* averages in one pass: more gain little and cost memory */

struct measuring {
    struct job_plan *plan;
    const struct job_request *q;
    const struct plan_limits *limits;
    const struct layout *layout;
    const struct model *model;
    int64_t read_count; /* candidates that a worker reads */
    bool gradient;      /* products are asked for, so gradients are held */
};

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the plan of a job");
}

/* ---- what the method asks for ---- */

static int make_method(const struct measuring *m, const struct method_evaluator *evaluator,
                       struct method **ret, struct sewa_error *err)
{
    const struct job_plan *p = m->plan;
    AUTOFREE int64_t *steps = calloc(p->k, sizeof *steps);

    if (!steps)
        return no_memory(err);
    for (size_t i = 0; i < p->k; i++)
        steps[i] = p->candidates[i].step;
    struct method_setup setup = { .k = p->k,
                                  .steps = steps,
                                  .select = p->select,
                                  .seed = m->q->seed,
                                  .params = m->q->params,
                                  .evaluator = evaluator };
    return method_new(m->q->method, &setup, ret, err);
}

/* Without an evaluator: a worker reads what the method has chosen. */
static int measure_choice(struct measuring *m, struct sewa_error *err)
{
    AUTOPTR(method_free) struct method *method = NULL;
    const struct method_point *points;
    size_t count;
    int rc = make_method(m, NULL, &method, err);

    if (rc == 0)
        rc = method_ask(method, &points, &count, err);
    if (rc == 0)
        m->read_count = (int64_t)method_outcome(method)->count;
    return rc < 0 ? rc : 0;
}

enum { SPLITS = 2 }; /* "selection" and "report" */

/* One checkpoint keeps its own buffers. With "auto" the method may find that one is enough. */
static bool averages_several(const struct measuring *m)
{
    const struct method_info *info = method_find(m->q->method);

    return info && info->choice != METHOD_CHOOSES_ONE && m->plan->k > 1 && m->plan->select != 1;
}

/* Ours is evaluated once more for the verdict, where its buffers can be recalibrated. */
static void count_recalibrated(struct measuring *m)
{
    struct job_plan *p = m->plan;

    if (!averages_several(m))
        p->recalibrations = 0;
    if (p->recalibrations > 0)
        p->evaluations += SPLITS;
}

/* With one: a worker reads all. What depends on its traits (a metric, say) is judged when they are
 * known. */
static int measure_evaluations(struct measuring *m, struct sewa_error *err)
{
    static const struct method_evaluator any = { .gradient = true };
    struct job_plan *p = m->plan;
    AUTOPTR(method_free) struct method *method = NULL;
    struct method_progress progress;
    const struct method_point *points;
    size_t count;

    if (strcmp(m->q->method, "check") == 0) {
        p->evaluations = CHECK_EVALUATIONS;
        p->recalibrations = 0;
        m->gradient = true;
        return 0;
    }
    int rc = make_method(m, &any, &method, err);
    if (rc == 0) {
        method_progress(method, &progress);
        p->evaluations = progress.expected;
        rc = method_ask(method, &points, &count, err);
    }
    if (rc == SEWA_E_NO_MEMORY)
        return rc;
    m->gradient = rc > 0 && points[0].gradient;
    for (int i = 0; i < m->q->baseline_count; i++)
        if (strcmp(m->q->baselines[i], "best") == 0 && strcmp(m->q->method, "best") != 0)
            p->evaluations += (int64_t)p->k;
    p->evaluations += /* for the verdict */
        (int64_t)SPLITS * (1 + job_baseline_count(m->q, p->k, p->select));
    count_recalibrated(m);
    return 0;
}

/* ---- memory ---- */

static int64_t bank_bytes(const struct measuring *m)
{
    return m->model->bank_bytes + (m->gradient ? m->model->gradient_bank_bytes : 0);
}

/*
 * New buffers come where gradients would, in the first bank. Whoever is asked for no gradients
 * touches that memory for this alone; an evaluator may clear all of it first. The worker's copy of
 * the new values is not counted: they are statistics, not weights.
 */
static int64_t recalibration_bytes(const struct measuring *m)
{
    return m->plan->recalibrations > 0 && !m->gradient ? m->model->gradient_bank_bytes : 0;
}

static int refuse_memory(const struct measuring *m, int64_t least, struct sewa_error *err)
{
    int64_t recalibration = recalibration_bytes(m);
    char advice[100] = "";

    if (m->gradient)
        snprintf(advice, sizeof advice,
                 " (or have the estimator score_function, which needs no gradients)");
    else if (recalibration > 0)
        snprintf(advice, sizeof advice, " (%lld MiB are for buffers that are recalibrated)",
                 (long long)(recalibration >> 20) + 1);
    return sewa_fail_at(
        err, SEWA_E_INVALID, m->q->checkpoints ? "/checkpoints" : "/window",
        "%lld checkpoints of %lld MiB need at least %lld MiB in a worker that has %lld MiB: raise "
        "worker_memory_mib%s",
        (long long)m->read_count, (long long)(m->plan->data_bytes >> 20),
        (long long)(least >> 20) + 1, /* up: more than it has */
        (long long)(m->limits->worker_memory_bytes >> 20), advice);
}

/* The average is written while its source is open, by a process that takes something itself. */
static int64_t beside_writing(int64_t held)
{
    int64_t writing = footprint_materialize() + NEEDS_PROCESS_BYTES;

    return held > INT64_MAX - writing ? INT64_MAX : held + writing;
}

/* What a stream gathers of all candidates and keeps: tensors that do not lie in C order. */
static int64_t view_bytes(const struct measuring *m)
{
    const struct layout *l = m->layout;
    int64_t each = 0, all;

    for (size_t i = 0; i < l->count; i++)
        if (l->tensors[i].stride) /* with padding; the sum of all is far below 2^63 */
            each += l->tensors[i].bytes + MODEL_ALIGNMENT;
    return __builtin_mul_overflow(each, m->read_count, &all) ? INT64_MAX : all;
}

/*
 * Candidates stay in memory where they fit beside one average at least. What evaluates nothing
 * reads everything once: there a stream is the faster way, too.
 */
static int measure_memory(struct measuring *m, struct sewa_error *err)
{
    struct job_plan *p = m->plan;
    int64_t budget = m->limits->worker_memory_bytes;
    int64_t bank = m->q->evaluator ? bank_bytes(m) : 0;
    int64_t least = bank + recalibration_bytes(m);
    struct footprint f = { .candidates = m->read_count,
                           .tensors = p->tensor_count,
                           .data_bytes = p->data_bytes,
                           .threads = m->limits->worker_threads,
                           .view_bytes = view_bytes(m) };
    int64_t held = beside_writing(footprint_resident(&f));

    p->streams = !m->q->evaluator || held > budget - least;
    if (p->streams)
        held = beside_writing(footprint_stream(&f));
    if (held > budget - least)
        return refuse_memory(m, held > INT64_MAX - least ? held : held + least, err);
    if (m->q->evaluator) {
        int64_t more = (budget - held - least) / (bank > 0 ? bank : 1);
        p->banks = (unsigned)(more < BANKS_MAX ? 1 + more : BANKS_MAX);
    }
    p->peak_memory_bytes = held + least + (p->banks > 1 ? (p->banks - 1) * bank : 0);
    return 0;
}

/* Every pass of a stream reads all of it: averages, and products where there are gradients. What is
 * recalibrated is averaged once more by itself, each time. */
static void measure_reading(struct measuring *m)
{
    struct job_plan *p = m->plan;
    int64_t passes = 1, once;

    if (p->streams && p->banks > 0) {
        int64_t again = p->recalibrations > 0 ? p->recalibrations : 0;
        int64_t evaluations = p->evaluations - (again > 0 ? SPLITS : 0);
        passes += (evaluations / p->banks + 1) * (m->gradient ? 2 : 1) + again;
    }
    if (__builtin_mul_overflow(m->read_count, p->data_bytes, &once) ||
        __builtin_mul_overflow(once, passes, &p->bytes_to_read))
        p->bytes_to_read = INT64_MAX;
}

/* ---- disk ---- */

static int measure_output(struct measuring *m, struct sewa_error *err)
{
    struct job_plan *p = m->plan;

    p->output_bytes = p->data_bytes;
    /* an upper bound when types are mixed: a float element becomes at most four bytes */
    if (m->q->output_dtype == DTYPE_F32 && p->output_bytes < p->float_elements * 4)
        p->output_bytes = p->float_elements * 4;
    int rc = disk_free(m->limits->artifact_directory, &p->free_disk_bytes, err);
    if (rc < 0)
        return rc;
    if (p->output_bytes > p->free_disk_bytes)
        return sewa_fail(err, SEWA_E_NO_SPACE,
                         "the average needs %lld bytes in '%s', %lld are free",
                         (long long)p->output_bytes, m->limits->artifact_directory,
                         (long long)p->free_disk_bytes);
    return 0;
}

/* Of headers, more than they mostly take. */
enum { FILE_SHARE = 64 << 10, TENSOR_SHARE = 256 };

/* About how many files the average has, at most. */
static int64_t count_files(const struct measuring *m)
{
    const struct layout *l = m->layout;
    int64_t limit = m->q->max_shard_bytes, count = 1, used = 0;

    if (limit < 0)
        return l->file_count > 1 ? (int64_t)l->file_count : 1;
    for (size_t i = 0; limit > 0 && i < l->count; i++) {
        const struct tensor *t = &l->tensors[i];
        bool grows = m->q->output_dtype == DTYPE_F32 && t->bytes < t->elements * 4;
        int64_t bytes = (grows ? t->elements * 4 : t->bytes) + TENSOR_SHARE;
        if (i > 0 && bytes > limit - FILE_SHARE - used) {
            count++;
            used = 0;
        }
        used += bytes;
    }
    return count;
}

/* Better now than when the average is written, after all the work. */
static int check_files(const struct measuring *m, struct sewa_error *err)
{
    int64_t count = count_files(m);

    if (count <= ARRANGEMENT_FILES_MAX)
        return 0;
    return sewa_fail_at(err, SEWA_E_INVALID, "/output/max_shard_bytes",
                        "the average would have about %lld files, at most %d are allowed: let "
                        "'max_shard_bytes' be larger, or 0 for one file",
                        (long long)count, ARRANGEMENT_FILES_MAX);
}

/* ---- tensors that are not simply averaged ---- */

/* Of what training steers all are named, as far as anybody reads. */
enum { NAMES_SHOWN = 5, STEERED_SHOWN = 1000 };

struct kind_of_tensor {
    json_t *names; /* the first few */
    int64_t count;
    int64_t shown; /* so many; 0: NAMES_SHOWN */
};

static int note(struct kind_of_tensor *k, const char *name, struct sewa_error *err)
{
    if (!k->names && !(k->names = json_array()))
        return no_memory(err);
    if (k->count++ < (k->shown ? k->shown : NAMES_SHOWN) &&
        json_array_append_new(k->names, json_string(name)) < 0)
        return no_memory(err);
    return 0;
}

static bool is_statistic(const char *name)
{
    static const char *const endings[] = { "running_mean", "running_var" };
    size_t n = strlen(name);

    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        size_t length = strlen(endings[i]);
        if (n >= length && strcmp(name + n - length, endings[i]) == 0)
            return true;
    }
    return false;
}

static json_t *kind_json(struct kind_of_tensor *k)
{
    json_t *names = k->names ? TAKE(k->names) : json_array();

    return json_pack("{s:I, s:o}", "count", (json_int_t)k->count, "names", names);
}

/* What dry_run says of integers (and how they are decided), tied tensors, batch norm, and buffers
 * that are averaged as they are but that no gradient has made. */
static int measure_tensors(struct measuring *m, struct sewa_error *err)
{
    struct kind_of_tensor integers = { 0 }, tied = { 0 }, statistics = { 0 };
    struct kind_of_tensor steered = { .shown = STEERED_SHOWN };
    const struct layout *l = m->layout;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        const struct tensor *t = &l->tensors[l->by_name[i]];
        if (dtype_kind(t->dtype) != DTYPE_FLOAT)
            rc = note(&integers, t->name, err);
        else if (is_statistic(t->name))
            rc = note(&statistics, t->name, err);
        else if (tensor_is_steered(t->name))
            rc = note(&steered, t->name, err);
        if (rc == 0 && t->alias_of != LAYOUT_NO_ALIAS)
            rc = note(&tied, t->name, err);
    }
    m->plan->tensors = json_pack("{s:s, s:o, s:o, s:o, s:o}", "integer_policy",
                                 job_integers_name(m->q->integers), "integers",
                                 kind_json(&integers), "tied", kind_json(&tied), "batch_norm",
                                 kind_json(&statistics), "steered", kind_json(&steered));
    if (rc == 0 && !m->plan->tensors)
        rc = no_memory(err);
    return rc;
}

static int warn(struct job_plan *p, struct sewa_error *err, const char *format, ...)
    SEWA_PRINTF(3, 4);

static int warn(struct job_plan *p, struct sewa_error *err, const char *format, ...)
{
    char sentence[400];
    va_list ap;

    va_start(ap, format);
    vsnprintf(sentence, sizeof sentence, format, ap);
    va_end(ap);
    return json_array_append_new(p->warnings, json_string(sentence)) < 0 ? no_memory(err) : 0;
}

/* Writers and clocks of several machines may differ by less than this without a reason. */
#define RESTART_NS UINT64_C(60000000000)

/*
 * "Newest" is by step, which is right within one training. Where a directory was used again and its
 * numbers began anew, later steps were written earlier: nobody can tell it from files that were
 * copied, so it is said and not refused.
 */
static int warn_restart(struct job_plan *p, struct sewa_error *err)
{
    const struct job_candidate *latest = NULL;

    for (size_t i = 0; i < p->k; i++) {
        const struct job_candidate *c = &p->candidates[i];
        if (!c->has_step || strcmp(c->run, p->run_name) != 0)
            continue;
        if (!latest || c->mtime_ns >= latest->mtime_ns) {
            latest = c;
            continue;
        }
        uint64_t earlier = (uint64_t)latest->mtime_ns - (uint64_t)c->mtime_ns;
        if (earlier > RESTART_NS)
            return warn(p, err,
                        "step %lld was written %llu seconds before step %lld: the numbering of run "
                        "'%s' may have started again (or its files were copied); where two "
                        "trainings share a directory, min_step, max_step or exclude_steps keep one",
                        (long long)c->step, (unsigned long long)(earlier / 1000000000),
                        (long long)latest->step, p->run_name);
    }
    return 0;
}

/* Which of several states in a file is used, what is left aside, and names that were changed. */
static int warn_layout(const struct measuring *m, struct sewa_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->layout->note_count; i++)
        rc = warn(m->plan, err, "in the files: %s", m->layout->notes[i]);
    return rc;
}

static int warn_of(const struct measuring *m, struct sewa_error *err)
{
    struct job_plan *p = m->plan;
    int rc = 0;

    if (p->k == 1)
        rc = warn(p, err, "there is one candidate only: every method gives that checkpoint");
    if (rc == 0 && p->streams && p->banks > 0)
        rc = warn(p, err,
                  "the candidates (%lld MiB) do not fit the memory of a worker (%lld MiB): every "
                  "pass reads them again, about %lld MiB in all",
                  (long long)(m->read_count * p->data_bytes >> 20),
                  (long long)(m->limits->worker_memory_bytes >> 20),
                  (long long)(p->bytes_to_read >> 20));
    if (rc == 0)
        rc = warn_restart(p, err);
    return rc < 0 ? rc : warn_layout(m, err);
}

int plan_measure(struct job_plan *p, const struct job_request *q, const struct plan_limits *limits,
                 const struct layout *layout, struct sewa_error *err)
{
    AUTOPTR(model_free) struct model *model = NULL;
    int rc = model_new(layout, &model, err);

    if (rc < 0)
        return rc;
    struct measuring m = { .plan = p,
                           .q = q,
                           .limits = limits,
                           .layout = layout,
                           .model = model,
                           .read_count = (int64_t)p->k };
    p->tensor_count = (int64_t)layout->count;
    p->data_bytes = layout_data_bytes(layout);
    p->float_elements = layout_float_elements(layout);
    rc = q->evaluator ? measure_evaluations(&m, err) : measure_choice(&m, err);
    if (rc == 0)
        rc = measure_memory(&m, err);
    if (rc < 0)
        return rc;
    measure_reading(&m);
    rc = check_files(&m, err);
    if (rc == 0)
        rc = measure_output(&m, err);
    if (rc == 0)
        rc = measure_tensors(&m, err);
    return rc < 0 ? rc : warn_of(&m, err);
}
