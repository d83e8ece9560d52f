/*
 * progress - the line on stderr that moves.
 */
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "../cleanup.h"
#include "format.h"
#include "visible.h"

enum { BAR_MOST = 40, BAR_LEAST = 8, DRAW_MS = 100, PLAIN_MS = 5000 };

const char *const progress_words[] = { "auto", "bar", "plain", "none", NULL };

void progress_init(struct progress *p, struct context *c)
{
    static const enum progress_mode modes[] = { PROGRESS_BAR, PROGRESS_BAR, PROGRESS_PLAIN,
                                                PROGRESS_NONE };
    int64_t word = arguments_number(c->arguments, "progress", 0);

    *p = (struct progress){ .context = c, .mode = modes[word] };
    if (c->quiet || (p->mode == PROGRESS_BAR && !c->err.is_terminal))
        p->mode = PROGRESS_NONE;
}

bool progress_is_due(const struct progress *p, int64_t now_ms)
{
    return p->mode != PROGRESS_NONE && now_ms >= p->next_ms;
}

/* ---- lines ---- */

static double clamp(double x)
{
    return x >= 0 ? fmin(x, 1) : 0; /* NaN is 0 */
}

/* The words to both sides, and between them a bar of what room is left. */
static void compose(struct text *to, const char *left, double fraction, const char *right,
                    size_t width)
{
    size_t words = visible_width(left) + visible_width(right) + 4, used;
    size_t room = width > words ? width - words : 0;
    size_t bar = room > BAR_MOST ? BAR_MOST : room;
    size_t full = (size_t)(clamp(fraction) * (double)bar);
    AUTO(sewa_text_clear) struct text line = { 0 };

    sewa_text_put(&line, left);
    if (bar >= BAR_LEAST) {
        sewa_text_put(&line, " [");
        for (size_t i = 0; i < bar; i++)
            sewa_text_put(&line, i < full ? "#" : ".");
        sewa_text_put(&line, "]");
    }
    sewa_text_printf(&line, " %s", right);
    const char *text = sewa_text_get(&line);
    sewa_text_append(to, text, visible_fit(text, width, &used));
}

static double fraction_of(const struct sewa_progress *p)
{
    if (p->evaluations_total > 0)
        return (double)p->evaluations / (double)p->evaluations_total;
    return p->iterations > 0 ? (double)p->iteration / (double)p->iterations : 0;
}

/* "34/60", of iterations where the method has some. */
static void put_count(struct text *to, const struct sewa_progress *p, const char *separator)
{
    bool iterates = p->iterations > 0;

    sewa_text_printf(to, "%" PRId64 "%s%" PRId64, iterates ? p->iteration : p->evaluations,
                     separator, iterates ? p->iterations : p->evaluations_total);
}

static void put_eta(struct text *to, const struct sewa_job *job, const char *before)
{
    char buffer[FORMAT_SIZE];

    if (job->progress.eta_seconds > 0)
        sewa_text_printf(to, "%s%s left", before,
                         format_duration(job->progress.eta_seconds, buffer));
}

void progress_job_bar(struct text *to, const struct sewa_job *job, double loss, size_t width)
{
    AUTO(sewa_text_clear) struct text left = { 0 }, right = { 0 };
    char buffer[FORMAT_SIZE];

    visible_append(&left, job->state_name, strlen(job->state_name), VISIBLE_WORD);
    put_count(&right, &job->progress, "/");
    if (!isnan(loss))
        sewa_text_printf(&right, "  loss %s", format_number(loss, buffer));
    put_eta(&right, job, "  ");
    compose(to, sewa_text_get(&left), fraction_of(&job->progress), sewa_text_get(&right), width);
}

void progress_job_line(struct text *to, const struct sewa_job *job, double loss)
{
    char buffer[FORMAT_SIZE];

    visible_append(to, job->id, strlen(job->id), VISIBLE_WORD);
    sewa_text_put(to, " ");
    visible_append(to, job->state_name, strlen(job->state_name), VISIBLE_WORD);
    sewa_text_put(to, job->progress.iterations > 0 ? ": iteration " : ": evaluation ");
    put_count(to, &job->progress, " of ");
    if (!isnan(loss))
        sewa_text_printf(to, ", loss %s", format_number(loss, buffer));
    put_eta(to, job, ", ");
}

void progress_bytes_bar(struct text *to, const char *name, int64_t done, int64_t size, double rate,
                        size_t width)
{
    AUTO(sewa_text_clear) struct text left = { 0 }, right = { 0 };
    char a[FORMAT_SIZE], b[FORMAT_SIZE];

    visible_append(&left, name, strlen(name), VISIBLE_WORD);
    sewa_text_printf(&right, "%s of %s", format_bytes(done, a), format_bytes(size, b));
    if (rate > 0)
        sewa_text_printf(&right, "  %s/s", format_bytes((int64_t)fmin(rate, 1e18), a));
    compose(to, sewa_text_get(&left), size > 0 ? (double)done / (double)size : 1,
            sewa_text_get(&right), width);
}

/* ---- showing them ---- */

/* The cursor is left in the first column of the bar. Where a terminal that became narrower has
 * broken the bar into several lines, it stands in the first of these, and all of them are below. */
#define CLEAR "\r\033[J"

/* One write each: a terminal is not shown half a line. */
static void draw(struct progress *p, const struct text *line, int64_t now_ms)
{
    AUTO(sewa_text_clear) struct text whole = { 0 };
    bool bar = p->mode == PROGRESS_BAR;

    sewa_text_printf(&whole, "%s%s%s", bar ? CLEAR : "", sewa_text_get(line), bar ? "\r" : "\n");
    fputs(sewa_text_get(&whole), p->context->err.file);
    fflush(p->context->err.file);
    p->is_drawn = bar;
    p->next_ms = now_ms + (bar ? DRAW_MS : PLAIN_MS);
}

/* The last column stays free: a terminal may go to the next line there. */
static size_t width_of(struct progress *p)
{
    screen_measure(&p->context->err);
    return p->context->err.width > 1 ? p->context->err.width - 1 : 79;
}

void progress_job(struct progress *p, const struct sewa_job *job, double loss, int64_t now_ms)
{
    AUTO(sewa_text_clear) struct text line = { 0 };

    if (!progress_is_due(p, now_ms))
        return;
    if (p->mode == PROGRESS_BAR)
        progress_job_bar(&line, job, loss, width_of(p));
    else
        progress_job_line(&line, job, loss);
    draw(p, &line, now_ms);
}

void progress_bytes(struct progress *p, const char *name, int64_t done, int64_t size, double rate,
                    int64_t now_ms)
{
    AUTO(sewa_text_clear) struct text line = { 0 };
    char a[FORMAT_SIZE], b[FORMAT_SIZE];

    if (!progress_is_due(p, now_ms))
        return;
    if (p->mode == PROGRESS_BAR)
        progress_bytes_bar(&line, name, done, size, rate, width_of(p));
    else
        sewa_text_printf(&line, "%s: %s of %s", name, format_bytes(done, a), format_bytes(size, b));
    draw(p, &line, now_ms);
}

void progress_end(struct progress *p)
{
    if (!p->is_drawn)
        return;
    fputs(CLEAR, p->context->err.file);
    fflush(p->context->err.file);
    p->is_drawn = false;
}
