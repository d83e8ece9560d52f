/*
 * plan - resolve the candidates of a request; needs.c says what the job will need.
 */
#include "jobs/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "formats/layout.h"
#include "jobs/left_out.h"
#include "jobs/measured.h"
#include "jobs/needs.h"
#include "methods/method.h"
#include "sewa/nearest.h"
#include "store/checkpoints.h"
#include "store/runs.h"

struct making {
    struct db *db;
    const struct job_request *q;
    const struct plan_limits *limits;
    struct job_plan *plan;
    int64_t wanted;              /* candidates at most */
    struct layout_row first_row; /* of the first candidate: all others are compared with it */
    struct layout *first;
    int64_t alike_id; /* the last layout that goes with that one */
};

void job_plan_free(struct job_plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->k; i++) {
        free(p->candidates[i].run);
        free(p->candidates[i].root);
        free(p->candidates[i].file);
        free(p->candidates[i].state_key);
    }
    free(p->candidates);
    free(p->run_name);
    json_decref(p->state);
    json_decref(p->tensors);
    json_decref(p->warnings);
    json_decref(p->evaluator);
    free(p);
}

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the plan of a job");
}

static bool is_excluded(const struct job_request *q, int64_t step)
{
    for (size_t i = 0; i < json_array_size(q->exclude_steps); i++)
        if (json_integer_value(json_array_get(q->exclude_steps, i)) == step)
            return true;
    return false;
}

static int load_layout(struct making *m, int64_t id, struct layout_row *row, struct layout **ret,
                       struct sewa_error *err)
{
    int rc = layout_by_id(m->db, id, true, row, err);

    if (rc <= 0)
        return rc < 0 ? rc : sewa_fail(err, SEWA_E_INTERNAL, "layout %lld is gone", (long long)id);
    return layout_decode(row->tensors, row->tensors_bytes, ret, err);
}

/* Runs may have files of one name, or be two views of the same files. */
static char *shown_file(const char *file, const char *run)
{
    AUTOFREE char *shown = path_to_text(file);

    return shown && run ? path_join(run, shown) : TAKE(shown);
}

/*
 * What is taken of the files and what is left: of the first candidate, and what others have beside.
 * "." is the file itself, as in state_key.
 */
static int note_state(struct making *m, const struct layout *l, struct sewa_error *err)
{
    struct job_plan *p = m->plan;

    if (!p->state)
        p->state = json_pack("{s:s, s:[]}", "taken", *l->state_key ? l->state_key : ".", "left");
    json_t *left = json_object_get(p->state, "left");
    for (size_t i = 0; left && i < l->left_count; i++) {
        size_t k = 0;
        while (k < json_array_size(left) &&
               strcmp(json_string_value(json_array_get(left, k)), l->left[i]) != 0)
            k++;
        if (k == json_array_size(left) && json_array_append_new(left, json_string(l->left[i])) < 0)
            return no_memory(err);
    }
    return left ? 0 : no_memory(err);
}

/*
 * All candidates must have the same tensors, of one kind: a signature says nothing of the state
 * that they are in their file, so tables are compared wherever they are not the same.
 */
static int compare_layout(struct making *m, const struct checkpoint_row *row,
                          const struct run_row *run, struct sewa_error *err)
{
    const struct job_candidate *first = &m->plan->candidates[0];
    bool is_other_run = strcmp(first->run, run->name) != 0;
    AUTO(layout_row_clear) struct layout_row other = { 0 };
    AUTOPTR(layout_free) struct layout *layout = NULL;
    AUTOFREE char *name_a = shown_file(first->file, is_other_run ? first->run : NULL);
    AUTOFREE char *name_b = shown_file(row->file, is_other_run ? run->name : NULL);

    if (!name_a || !name_b)
        return no_memory(err);
    int rc = load_layout(m, row->layout_id, &other, &layout, err);
    if (rc < 0)
        return rc;
    rc = layout_compare(m->first, name_a, layout, name_b, err);
    if (rc == 0)
        rc = note_state(m, layout, err);
    if (rc == 0)
        m->alike_id = row->layout_id;
    else if (memcmp(other.signature, m->first_row.signature, 32) == 0)
        sewa_context(err, rc, "checkpoints '%s' and '%s'", first->uid, row->uid);
    return rc;
}

static int check_layout(struct making *m, const struct checkpoint_row *row,
                        const struct run_row *run, struct sewa_error *err)
{
    if (m->first)
        return m->alike_id == row->layout_id || m->first_row.id == row->layout_id
                   ? 0
                   : compare_layout(m, row, run, err);
    int rc = load_layout(m, row->layout_id, &m->first_row, &m->first, err);
    return rc == 0 ? note_state(m, m->first, err) : rc;
}

/* Workers read it as it was indexed, also where the run has been changed since this moment. */
static const char *state_key_of(const struct checkpoint_row *row, const struct run_row *run)
{
    const char *key = row->state_key ? row->state_key : run->state_key;

    return key ? key : "";
}

static int add_candidate(struct making *m, const struct checkpoint_row *row,
                         const struct run_row *run, struct sewa_error *err)
{
    int rc = check_layout(m, row, run, err);

    if (rc < 0)
        return rc;
    struct job_candidate *c = &m->plan->candidates[m->plan->k];
    *c = (struct job_candidate){ .id = row->id,
                                 .has_step = row->has_step,
                                 .step = row->step,
                                 .step_unit = row->step_unit,
                                 .size = row->size,
                                 .mtime_ns = row->mtime_ns,
                                 .has_sha256 = row->has_sha256 };
    memcpy(c->uid, row->uid, sizeof c->uid);
    memcpy(c->header_digest, row->header_digest, 32);
    memcpy(c->sha256, row->sha256, 32);
    m->plan->k++; /* from here on it is freed with the plan */
    c->run = strdup(run->name);
    c->root = strdup(run->path);
    c->file = strdup(row->file);
    c->state_key = strdup(state_key_of(row, run));
    if (!c->run || !c->root || !c->file || !c->state_key)
        return no_memory(err);
    if (row->id > m->plan->newest_id)
        m->plan->newest_id = row->id;
    return 0;
}

/* ---- candidates of a run: the newest that pass the filters ---- */

enum { DUPLICATE_SHOWN = 100 };

struct of_run {
    struct making *m;
    struct run_row run;
    bool has_more; /* than are taken */
    bool has_last;
    int64_t last_step;
    char last_uid[ID_TEXT_SIZE];
    char last_file[DUPLICATE_SHOWN + 1];
};

/* Both files, because their names say why: two networks, or two folds, of one step. */
static int refuse_duplicate(const struct of_run *o, const struct checkpoint_row *row,
                            struct sewa_error *err)
{
    AUTOFREE char *last = path_to_text(o->last_file), *other = path_to_text(row->file);

    if (!last || !other)
        return no_memory(err);
    return sewa_fail_at(err, SEWA_E_DUPLICATE_STEP, "/exclude_steps",
                        "checkpoints '%s' ('%.*s') and '%s' ('%.*s') of run '%s' both have step "
                        "%lld: exclude the step, name the checkpoints one by one, or give the run "
                        "a pattern that only one of the two matches",
                        o->last_uid, DUPLICATE_SHOWN, last, row->uid, DUPLICATE_SHOWN, other,
                        o->run.name, (long long)row->step);
}

static int take_newest(const struct checkpoint_row *row, void *arg, struct sewa_error *err)
{
    struct of_run *o = arg;

    if (is_excluded(o->m->q, row->step))
        return 0;
    if (o->has_last && o->last_step == row->step)
        return refuse_duplicate(o, row, err);
    o->has_last = true;
    o->last_step = row->step;
    memcpy(o->last_uid, row->uid, sizeof o->last_uid);
    snprintf(o->last_file, sizeof o->last_file, "%s", row->file);
    if ((int64_t)o->m->plan->k == o->m->wanted) {
        o->has_more = true;
        return 0;
    }
    return add_candidate(o->m, row, &o->run, err);
}

static void reverse(struct job_plan *p)
{
    for (size_t i = 0; i < p->k / 2; i++) {
        struct job_candidate c = p->candidates[i];
        p->candidates[i] = p->candidates[p->k - 1 - i];
        p->candidates[p->k - 1 - i] = c;
    }
}

enum { RUNS_CONSIDERED = 1000 };

struct nearest_run {
    struct nearest nearest;
    char name[64]; /* a row lives as long as its call */
};

static int consider_run(const struct run_row *row, void *arg, struct sewa_error *err)
{
    struct nearest_run *n = arg;
    const char *before = n->nearest.name;

    (void)err;
    nearest_consider(&n->nearest, row->name);
    if (n->nearest.name != before) {
        snprintf(n->name, sizeof n->name, "%s", row->name);
        n->nearest.name = n->name;
    }
    return 0;
}

/* There may be any number of runs: the nearest one is named alone. */
int run_unknown(struct db *db, const char *run, int code, const char *pointer,
                struct sewa_error *err)
{
    struct nearest_run n;

    nearest_begin(&n.nearest, run, strlen(run));
    int rc = run_list(db, NULL, RUNS_CONSIDERED, consider_run, &n, err);
    if (rc < 0)
        return rc;
    return sewa_fail_at(err, code, pointer, "there is no run '%.80s'%s%s%s", run,
                        n.nearest.name ? "; is it '" : "", n.nearest.name ? n.name : "",
                        n.nearest.name ? "'?" : "");
}

/* Steps of several units have no common order, and nobody but a pattern can say which are meant. */
static int choose_axis(const struct of_run *o, const struct checkpoint_counts *counts,
                       enum step_unit *ret, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf axes = { 0 };

    left_out_axes(counts, &axes);
    if (axes.len > 0)
        return sewa_fail_at(err, SEWA_E_INVALID, "/run", "run '%s': %s", o->run.name,
                            buf_cstr(&axes));
    *ret = UNIT_STEP;
    for (int u = 0; u < STEP_UNIT_COUNT; u++)
        if (counts->units[u] > 0)
            *ret = (enum step_unit)u;
    return 0;
}

static int refuse_empty(const struct of_run *o, const struct checkpoint_counts *counts,
                        struct sewa_error *err)
{
    AUTO(buf_clear) struct buf why = { 0 };
    int rc = left_out_reasons(o->m->db, &o->run, counts, clock_now_ms(), &why, err);

    if (rc < 0)
        return rc;
    return sewa_fail_at(err, SEWA_E_NO_CANDIDATES, "/run",
                        "run '%s' has no complete checkpoint with a step that passes the filters%s",
                        o->run.name, buf_cstr(&why));
}

static int add_warning(struct job_plan *p, const char *sentence, struct sewa_error *err)
{
    return json_array_append_new(p->warnings, json_string(sentence)) < 0 ? no_memory(err) : 0;
}

static int add_note(struct job_plan *p, const struct buf *note, struct sewa_error *err)
{
    if (buf_failed(note))
        return no_memory(err);
    return note->len > 0 ? add_warning(p, buf_cstr(note), err) : 0;
}

/* What is left out is said with every job. */
static int note_left_out(const struct of_run *o, const struct checkpoint_counts *counts,
                         struct sewa_error *err)
{
    AUTO(buf_clear) struct buf nameless = { 0 }, parts = { 0 };
    int rc = left_out_note(o->m->db, &o->run, counts, &nameless, err);

    if (rc == 0)
        rc = add_note(o->m->plan, &nameless, err);
    if (rc == 0)
        rc = left_out_parts(o->m->db, &o->run, &parts, err);
    return rc < 0 ? rc : add_note(o->m->plan, &parts, err);
}

/* Who asked for no window is told that there is one. */
static int note_window(const struct of_run *o, struct sewa_error *err)
{
    char note[200];

    if (!o->has_more || o->m->q->window)
        return 0;
    snprintf(note, sizeof note,
             "only the newest %d checkpoints are candidates, there are more: 'window' takes up "
             "to %d",
             JOB_WINDOW_DEFAULT, JOB_CANDIDATES_MAX);
    return add_warning(o->m->plan, note, err);
}

static int find_on_axis(struct of_run *o, struct sewa_error *err)
{
    struct making *m = o->m;
    const struct job_request *q = m->q;
    struct checkpoint_counts counts;
    enum step_unit unit = UNIT_STEP;
    int rc = checkpoint_count(m->db, o->run.id, &counts, err);

    if (rc == 0)
        rc = choose_axis(o, &counts, &unit, err);
    if (rc < 0)
        return rc;
    m->wanted = q->window ? q->window : JOB_WINDOW_DEFAULT;
    /* one more than wanted, so that a step that is there twice is seen at the edge too */
    int64_t limit = m->wanted + 1 + (int64_t)json_array_size(q->exclude_steps);
    rc = checkpoint_candidates(m->db, o->run.id, unit, q->has_min_step ? q->min_step : 0,
                               q->max_step, limit, take_newest, o, err);
    if (rc < 0)
        return rc;
    if (m->plan->k == 0)
        return refuse_empty(o, &counts, err);
    rc = note_window(o, err);
    return rc < 0 ? rc : note_left_out(o, &counts, err);
}

static int find_of_run(struct making *m, struct sewa_error *err)
{
    struct of_run o = { .m = m };
    const struct job_request *q = m->q;
    int rc = run_find(m->db, q->run, &o.run, err);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return run_unknown(m->db, q->run, SEWA_E_UNKNOWN_NAME, "/run", err);
    m->plan->run_id = o.run.id;
    m->plan->run_name = strdup(o.run.name);
    rc = m->plan->run_name ? find_on_axis(&o, err) : no_memory(err);
    run_row_clear(&o.run);
    reverse(m->plan);
    return rc;
}

/* ---- candidates by name ---- */

static int add_named(struct making *m, const char *uid, struct sewa_error *err)
{
    AUTO(checkpoint_row_clear) struct checkpoint_row row = { 0 };
    AUTO(run_row_clear) struct run_row run = { 0 };
    int rc = checkpoint_find(m->db, uid, &row, err);

    if (rc == 0)
        return sewa_fail_at(err, SEWA_E_UNKNOWN_NAME, "/checkpoints", "there is no checkpoint '%s'",
                            uid);
    if (rc > 0 && row.state != CHECKPOINT_COMPLETE)
        return sewa_fail_at(err, SEWA_E_INVALID, "/checkpoints", "checkpoint '%s' is %s%s%s", uid,
                            checkpoint_state_name(row.state), *row.reason ? ": " : "", row.reason);
    if (rc > 0)
        rc = run_by_id(m->db, row.run_id, &run, err);
    if (rc <= 0)
        return rc < 0 ? rc : sewa_fail(err, SEWA_E_INTERNAL, "checkpoint '%s' has no run", uid);
    if (m->plan->k == 0) {
        m->plan->run_id = run.id;
        m->plan->run_name = strdup(run.name);
        if (!m->plan->run_name)
            return no_memory(err);
    } else if (m->plan->run_id != run.id && !m->q->force) {
        return sewa_fail_at(err, SEWA_E_INVALID, "/checkpoints",
                            "checkpoints of different runs ('%s' and '%s') rarely have an average "
                            "that works; \"force\": true says that these do",
                            m->plan->run_name, run.name);
    }
    return add_candidate(m, &row, &run, err);
}

static int refuse_axes(const struct job_plan *p, struct sewa_error *err)
{
    const struct job_candidate *first = NULL;

    for (size_t i = 0; i < p->k; i++) {
        const struct job_candidate *c = &p->candidates[i];
        if (first && c->has_step && c->step_unit != first->step_unit)
            return sewa_fail_at(
                err, SEWA_E_INVALID, "/checkpoints",
                "checkpoint '%s' is %s %lld and '%s' is %s %lld: nothing says which "
                "is the newer one",
                first->uid, step_unit_name(first->step_unit), (long long)first->step, c->uid,
                step_unit_name(c->step_unit), (long long)c->step);
        if (!first && c->has_step)
            first = c;
    }
    return 0;
}

static int by_step(const void *a, const void *b)
{
    const struct job_candidate *x = a, *y = b;
    int64_t sx = x->has_step ? x->step : -1, sy = y->has_step ? y->step : -1;

    if (x->step_unit != y->step_unit)
        return x->step_unit < y->step_unit ? -1 : 1;
    if (sx != sy)
        return sx < sy ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int find_named(struct making *m, struct sewa_error *err)
{
    const json_t *ids = m->q->checkpoints;

    m->wanted = JOB_CANDIDATES_MAX;
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int rc = add_named(m, json_string_value(json_array_get(ids, i)), err);
        if (rc < 0)
            return rc;
    }
    int rc = m->q->force ? 0 : refuse_axes(m->plan, err);
    qsort(m->plan->candidates, m->plan->k, sizeof m->plan->candidates[0], by_step);
    return rc;
}

/* The names and ranges of a method's own parameters, which depend on k. */
static int check_method(struct making *m, struct sewa_error *err)
{
    const struct job_request *q = m->q;

    if (strcmp(q->method, "check") == 0)
        return 0;
    return method_check(q->method, m->plan->k, q->select, q->params, &m->plan->select, err);
}

static int find_candidates(struct making *m, struct sewa_error *err)
{
    return m->q->run ? find_of_run(m, err) : find_named(m, err);
}

/* The baseline that averages, or NULL. */
static const char *averaging_baseline(const struct job_request *q)
{
    for (int i = 0; i < q->baseline_count; i++) {
        const struct method_info *info = method_find(q->baselines[i]);
        if (info && info->choice != METHOD_CHOOSES_ONE)
            return q->baselines[i];
    }
    return NULL;
}

/* To choose one is well: of adapters and quantised weights it is the average that means nothing. */
static int check_unfit(const struct making *m, struct sewa_error *err)
{
    const struct method_info *info = method_find(m->q->method);
    const char *baseline = averaging_baseline(m->q);

    if (!m->first_row.unfit[0] || m->plan->k == 1)
        return 0;
    if (!info || info->choice != METHOD_CHOOSES_ONE)
        return sewa_fail_at(err, SEWA_E_UNSUPPORTED, m->q->run ? "/run" : "/checkpoints",
                            "these checkpoints cannot be averaged: %s", m->first_row.unfit);
    if (baseline)
        return sewa_fail_at(err, SEWA_E_UNSUPPORTED, "/baselines",
                            "these checkpoints cannot be averaged, which baseline '%s' does (name "
                            "others in 'baselines', such as 'last'): %s",
                            baseline, m->first_row.unfit);
    return 0;
}

static int check_types(const struct making *m, struct sewa_error *err)
{
    if (!m->first_row.carried[0])
        return 0;
    return sewa_fail_at(err, SEWA_E_UNSUPPORTED, m->q->run ? "/run" : "/checkpoints",
                        "%s cannot be averaged by this version", m->first_row.carried);
}

static int note_workers(struct making *m, struct sewa_error *err)
{
    int64_t slots = m->limits->worker_slots;
    char note[200];

    if (slots == 0 || m->q->workers <= slots)
        return 0;
    snprintf(note, sizeof note,
             "%lld workers are asked for, and this service has slots for %lld: it gets no more",
             (long long)m->q->workers, (long long)slots);
    return add_warning(m->plan, note, err);
}

static int make_plan(struct making *m, struct sewa_error *err)
{
    int rc = find_candidates(m, err);

    if (rc == 0)
        rc = check_method(m, err);
    if (rc == 0)
        rc = check_unfit(m, err);
    if (rc == 0)
        rc = check_types(m, err);
    if (rc == 0)
        rc = measured_traits(m->db, m->q, m->plan, err);
    if (rc == 0)
        rc = note_workers(m, err);
    if (rc == 0)
        rc = plan_measure(m->plan, m->q, m->limits, m->first, err);
    return rc < 0 ? rc : measured_expect(m->db, m->q, m->plan, err);
}

int job_plan_make(struct db *db, const struct job_request *q, const struct plan_limits *limits,
                  struct job_plan **ret, struct sewa_error *err)
{
    AUTOPTR(job_plan_free) struct job_plan *p = calloc(1, sizeof *p);
    struct making m = { .db = db, .q = q, .limits = limits, .plan = p };

    if (!p || !(p->warnings = json_array()) ||
        !(p->candidates = calloc(JOB_CANDIDATES_MAX, sizeof *p->candidates)))
        return no_memory(err);
    if (q->evaluator && !(p->evaluator = limits->evaluator(q->evaluator, limits->arg)))
        return sewa_fail_at(err, SEWA_E_UNKNOWN_NAME, "/evaluator",
                            "there is no evaluator '%s' in the configuration", q->evaluator);
    int rc = make_plan(&m, err);
    layout_row_clear(&m.first_row);
    layout_free(m.first);
    if (rc < 0)
        return rc;
    *ret = TAKE(p);
    return 0;
}
