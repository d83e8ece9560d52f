/*
 * job_view - a job, a plan and a check as people read them.
 */
#include "job_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../cleanup.h"
#include "format.h"
#include "progress.h"
#include "record.h"
#include "visible.h"

enum { METRICS_MAX = 12, STEPS_WIDTH = 56 };

/* ---- what every job has ---- */

static void put_word(struct text *to, const char *name, const char *word, const char *rest,
                     bool color)
{
    AUTO(sewa_text_clear) struct text shown = { 0 };

    visible_append(&shown, word, strlen(word), VISIBLE_WORD);
    sewa_text_printf(to, "%-15s ", name);
    tint_append(to, tint_of(word), color, sewa_text_get(&shown), shown.length);
    if (rest) {
        sewa_text_put(to, ": ");
        visible_append(to, rest, strlen(rest), VISIBLE_WORD);
    }
    sewa_text_put(to, "\n");
}

static void put_times(struct text *to, const struct sewa_job *job)
{
    char a[FORMAT_SIZE], b[FORMAT_SIZE];

    record_text(to, "created", format_time(job->created_ms, a));
    if (job->finished_ms && job->started_ms)
        record_textf(to, "finished", "%s, after %s", format_time(job->finished_ms, a),
                     format_duration((double)(job->finished_ms - job->started_ms) / 1000, b));
    else if (job->finished_ms)
        record_text(to, "finished", format_time(job->finished_ms, a));
    else if (job->started_ms)
        record_text(to, "started", format_time(job->started_ms, a));
}

static void put_progress(struct text *to, const struct sewa_job *job)
{
    const struct sewa_progress *p = &job->progress;
    AUTO(sewa_text_clear) struct text line = { 0 };
    char buffer[FORMAT_SIZE];

    if (p->iterations > 0)
        sewa_text_printf(&line, "iteration %" PRId64 " of %" PRId64 ", ", p->iteration,
                         p->iterations);
    sewa_text_printf(&line, "%" PRId64 " of about %" PRId64 " evaluations", p->evaluations,
                     p->evaluations_total);
    if (p->eta_seconds > 0)
        sewa_text_printf(&line, ", %s left", format_duration(p->eta_seconds, buffer));
    record_text(to, "progress", sewa_text_get(&line));
}

static void put_head(struct text *to, const struct sewa_job *job, bool color)
{
    record_text(to, "id", job->id);
    put_word(to, "state", job->state_name, job->reason, color);
    if (job->reason_code)
        record_text(to, "reason", job->reason_code);
    record_text(to, "run", job->run);
    record_text(to, "method", job->method);
    record_text(to, "evaluator", job->evaluator);
    if (job->retry_of)
        record_text(to, "retry of", job->retry_of);
    if (job->label_count)
        record_labels(to, job->labels, job->label_count);
    put_times(to, job);
    if (!sewa_job_state_is_final(job->state))
        put_progress(to, job);
}

/* ---- losses ---- */

/* The average and its baselines are rows of one table. */
struct contender {
    const char *name;
    int64_t checkpoints;
    struct sewa_split loss;
    size_t metric_count;
    const struct sewa_split_metric *metrics;
};

static double metric_of(const struct contender *w, const char *name, bool report)
{
    for (size_t i = 0; i < w->metric_count; i++)
        if (strcmp(w->metrics[i].name, name) == 0)
            return report ? w->metrics[i].value.report : w->metrics[i].value.selection;
    return (double)NAN;
}

static void put_row(struct table *t, const struct sewa_job *job, const struct contender *w,
                    size_t metrics)
{
    char buffer[FORMAT_SIZE];

    table_cell(t, w->name);
    table_cell(t, format_count(w->checkpoints, buffer));
    table_cell(t, format_number(w->loss.selection, buffer));
    table_cell(t, format_number(w->loss.report, buffer));
    for (size_t i = 0; i < metrics; i++) {
        table_cell(t, format_number(metric_of(w, job->metrics[i].name, false), buffer));
        table_cell(t, format_number(metric_of(w, job->metrics[i].name, true), buffer));
    }
}

static void put_losses(struct text *to, const struct sewa_job *job, size_t width, bool color)
{
    struct column columns[4 + 2 * METRICS_MAX] = { { "METHOD", 0 },
                                                   { "CHECKPOINTS", COLUMN_RIGHT },
                                                   { "SELECTION LOSS", COLUMN_RIGHT },
                                                   { "REPORT LOSS", COLUMN_RIGHT } };
    char titles[2 * METRICS_MAX][48];
    size_t metrics = job->metric_count < METRICS_MAX ? job->metric_count : METRICS_MAX;
    struct contender ours = { job->method, (int64_t)job->selected_count, job->loss,
                              job->metric_count, job->metrics };

    for (size_t i = 0; i < 2 * metrics; i++) {
        AUTO(sewa_text_clear) struct text name = { 0 };
        visible_append(&name, job->metrics[i / 2].name, strlen(job->metrics[i / 2].name),
                       VISIBLE_WORD);
        snprintf(titles[i], sizeof titles[i], "%s %.36s", i % 2 ? "REPORT" : "SELECTION",
                 sewa_text_get(&name));
        columns[4 + i] = (struct column){ titles[i], COLUMN_RIGHT };
    }
    AUTO(table_cleanup) struct table *t = table_new(columns, 4 + 2 * metrics);
    put_row(t, job, &ours, metrics);
    for (size_t i = 0; i < job->baseline_count; i++) {
        const struct sewa_baseline *b = &job->baselines[i];
        struct contender w = { b->method, b->checkpoints, b->loss, b->metric_count, b->metrics };
        put_row(t, job, &w, metrics);
    }
    sewa_text_put(to, "\n");
    to->failed = !table_write(t, width, color, to) || to->failed;
}

/* ---- the rest of a result ---- */

static void put_steps(struct text *to, const struct sewa_job *job)
{
    AUTO(sewa_text_clear) struct text line = { 0 };
    const char *name = "steps";

    record_textf(to, "selected", "%zu of %" PRId64, job->selected_count, job->candidates);
    for (size_t i = 0; i < job->selected_count; i++) {
        const struct sewa_selected *s = &job->selected[i];
        if (line.length > STEPS_WIDTH) {
            record_text(to, name, sewa_text_get(&line));
            sewa_text_clear(&line);
            name = "";
        }
        if (s->step >= 0)
            sewa_text_printf(&line, "%s%" PRId64, line.length ? " " : "", s->step);
        else
            sewa_text_printf(&line, "%s%s", line.length ? " " : "",
                             s->checkpoint ? s->checkpoint : "-");
    }
    if (job->selected_count)
        record_text(to, name, sewa_text_get(&line));
    to->failed = to->failed || line.failed;
}

static void put_cost(struct text *to, const struct sewa_cost *k)
{
    char a[FORMAT_SIZE], b[FORMAT_SIZE], bytes[FORMAT_SIZE];

    record_textf(to, "cost",
                 "%" PRId64 " evaluations (%" PRId64 " with gradient), %s, %s of it in the "
                 "evaluator, %s read",
                 k->evaluations, k->gradients, format_duration(k->seconds, a),
                 format_duration(k->evaluator_seconds, b), format_bytes(k->bytes_read, bytes));
}

static void put_files(struct text *to, const struct sewa_job *job)
{
    char size[FORMAT_SIZE];

    for (size_t i = 0; i < job->artifact_count; i++)
        record_textf(to, i ? "" : "files", "%s (%s)", job->artifacts[i].name,
                     format_bytes(job->artifacts[i].size, size));
}

static void put_average(struct text *to, const struct sewa_job *job, size_t width, bool color)
{
    if (job->verdict)
        put_word(to, "verdict", job->verdict, job->verdict_detail, color);
    put_steps(to, job);
    put_cost(to, &job->cost);
    put_files(to, job);
    for (size_t i = 0; i < job->note_count; i++)
        record_text(to, "note", job->notes[i]);
    if (!isnan(job->loss.selection) || !isnan(job->loss.report))
        put_losses(to, job, width, color);
}

/* ---- the check of an evaluator ---- */

static void put_traits(struct text *to, const struct sewa_check *k)
{
    AUTO(sewa_text_clear) struct text splits = { 0 }, metrics = { 0 };

    for (size_t i = 0; i < k->split_count; i++) {
        sewa_text_printf(&splits, "%s%s", i ? ", " : "",
                         k->splits[i].name ? k->splits[i].name : "-");
        if (k->splits[i].examples > 0)
            sewa_text_printf(&splits, " (%" PRId64 " examples)", k->splits[i].examples);
    }
    for (size_t i = 0; i < k->metric_count; i++)
        sewa_text_printf(&metrics, "%s%s (%s)", i ? ", " : "",
                         k->metrics[i].name ? k->metrics[i].name : "-",
                         k->metrics[i].direction ? k->metrics[i].direction : "-");
    record_text(to, "splits", sewa_text_get(&splits));
    record_text(to, "metrics", sewa_text_get(&metrics));
    record_textf(to, "tensors", "%" PRId64 " parameters, %" PRId64 " others", k->parameters,
                 k->buffers);
    to->failed = to->failed || splits.failed || metrics.failed;
}

static void put_check(struct text *to, const struct sewa_check *k, bool color)
{
    char a[FORMAT_SIZE], b[FORMAT_SIZE], e[FORMAT_SIZE];

    record_text(to, "loss", format_number(k->loss, a));
    if (isnan(k->seconds_loss_only))
        record_textf(to, "time", "%s for one evaluation", format_duration(k->seconds_first, a));
    else
        record_textf(to, "time", "%s with gradient (the first one), %s without",
                     format_duration(k->seconds_first, a),
                     format_duration(k->seconds_loss_only, b));
    put_traits(to, k);
    if (!k->has_gradient) {
        record_text(to, "gradient",
                    "was not checked: the evaluator gives none, or there is one "
                    "checkpoint only");
        return;
    }
    sewa_text_printf(to, "%-15s ", "gradient");
    tint_append(to, k->is_gradient_right ? TINT_GOOD : TINT_BAD, color,
                k->is_gradient_right ? "right" : "WRONG", 5);
    sewa_text_printf(to, ": slope %s, by finite differences %s: the error is %s",
                     format_number(k->analytic, a), format_number(k->numeric, b),
                     format_percent(k->relative_error, e));
    if (!isnan(k->tolerance))
        sewa_text_printf(to, ", %s is allowed", format_percent(k->tolerance, e));
    sewa_text_put(to, "\n");
}

void job_view(struct text *to, const struct sewa_job *job, size_t width, bool color)
{
    put_head(to, job, color);
    if (job->has_result && job->check)
        put_check(to, job->check, color);
    else if (job->has_result)
        put_average(to, job, width, color);
}

/* ---- a plan ---- */

static void put_candidates(struct text *to, const struct sewa_plan *p)
{
    record_textf(to, "candidates", "%zu", p->candidate_count);
    if (p->candidate_count == 0)
        return;
    const struct sewa_candidate *first = p->candidates, *last = first + p->candidate_count - 1;
    if (first->step >= 0 && last->step >= 0)
        record_textf(to, "steps", "%" PRId64 " to %" PRId64, first->step, last->step);
    record_text(to, "oldest", first->path);
    record_text(to, "newest", last->path);
}

void plan_view(struct text *to, const struct sewa_plan *p)
{
    char a[FORMAT_SIZE], b[FORMAT_SIZE];

    record_text(to, "run", p->run);
    record_text(to, "method", p->method);
    record_text(to, "evaluator", p->evaluator);
    put_candidates(to, p);
    if (p->select > 0)
        record_textf(to, "select", "%" PRId64, p->select);
    record_textf(to, "evaluations", "about %" PRId64, p->evaluations);
    record_textf(to, "model", "%" PRId64 " parameters in %" PRId64 " tensors", p->parameters,
                 p->tensors);
    record_textf(to, "reads", "%s", format_bytes(p->bytes_to_read, a));
    record_textf(to, "memory", "%s in each worker, evaluator not counted%s",
                 format_bytes(p->peak_memory_bytes, a),
                 p->streams ? "; candidates are streamed" : "");
    record_textf(to, "writes", "%s, %s are free", format_bytes(p->output_bytes, a),
                 format_bytes(p->free_disk_bytes, b));
    if (isfinite(p->expected_seconds))
        record_textf(to, "time", "about %s, as the last job like it took",
                     format_duration(p->expected_seconds, a));
    for (size_t i = 0; i < p->warning_count; i++)
        record_text(to, "warning", p->warnings[i]);
}
