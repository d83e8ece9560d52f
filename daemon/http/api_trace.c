/*
 * api_trace - what a job has learned, iteration by iteration, as JSON or as a table.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/api_body.h"

struct statistics {
    double min, mean, max, entropy, spread;
};

static double term(double p)
{
    return p > 0 ? -p * log(p) : 0;
}

static float probability(const struct trace_row *row, size_t i)
{
    float s;

    memcpy(&s, (const char *)row->probabilities + i * sizeof s, sizeof s);
    return s;
}

static struct statistics summarise(const struct trace_row *row)
{
    struct statistics st = { .min = INFINITY, .max = -INFINITY };

    for (size_t i = 0; i < row->probability_count; i++) {
        double s = (double)probability(row, i);
        st.min = fmin(st.min, s);
        st.max = fmax(st.max, s);
        st.mean += s / (double)row->probability_count;
        st.entropy += term(s) + term(1 - s);
        st.spread += s * (1 - s);
    }
    return st;
}

/* ---- JSON ---- */

static json_t *row_json(const struct trace_row *row)
{
    struct statistics st = summarise(row);
    AUTOJSON json_t *s = json_array();

    for (size_t i = 0; s && i < row->probability_count; i++)
        if (json_array_append_new(s, json_real((double)probability(row, i))) < 0)
            return NULL;
    return json_pack("{s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:O?}", "iteration",
                     (json_int_t)row->iteration, "loss", json_number_or_null(row->loss),
                     "temperature", json_number_or_null(row->temperature), "learning_rate",
                     json_number_or_null(row->learning_rate), "dropped", (json_int_t)row->dropped,
                     "min", json_number_or_null(st.min), "mean", json_number_or_null(st.mean),
                     "max", json_number_or_null(st.max), "entropy", json_number_or_null(st.entropy),
                     "spread", json_number_or_null(st.spread), "probabilities", s);
}

static int add_row(const struct trace_row *row, void *arg, struct sewa_error *err)
{
    if (json_array_append_new(arg, row_json(row)) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the trace");
    return 0;
}

/* Which checkpoint each probability belongs to. */
static json_t *candidates_of(const struct job_row *job)
{
    AUTOJSON json_t *plan = view_parsed(job->plan);
    AUTOJSON json_t *list = json_array();
    const json_t *all = json_object_get(plan, "candidates");

    for (size_t i = 0; list && i < json_array_size(all); i++) {
        const json_t *c = json_array_get(all, i);
        if (json_array_append_new(list, json_pack("{s:O, s:O}", "checkpoint",
                                                  json_object_get(c, "checkpoint"), "step",
                                                  json_object_get(c, "step"))) < 0)
            return NULL;
    }
    return TAKE(list);
}

static void reply_as_json(struct api *a, struct request *rq, const struct job_row *job,
                          int64_t stride)
{
    AUTOJSON json_t *items = json_array();
    struct sewa_error err;

    if (!items || trace_list(store_reader(a->o.store), job->id, stride, add_row, items, &err) < 0) {
        if (!items)
            sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for the trace");
        reply_error(rq, &err);
        return;
    }
    reply_json(rq, 200,
               json_pack("{s:s, s:o?, s:O}", "job", job->uid, "candidates", candidates_of(job),
                         "items", items));
}

/* ---- CSV ---- */

static void put_number(struct buf *b, double value, const char *separator)
{
    if (isfinite(value))
        buf_printf(b, "%s%.9g", separator, value);
    else
        buf_text(b, separator);
}

static int add_line(const struct trace_row *row, void *arg, struct sewa_error *err)
{
    struct buf *b = arg;
    struct statistics st = summarise(row);

    (void)err;
    buf_printf(b, "%lld", (long long)row->iteration);
    put_number(b, row->loss, ",");
    put_number(b, row->temperature, ",");
    put_number(b, row->learning_rate, ",");
    buf_printf(b, ",%lld", (long long)row->dropped);
    put_number(b, st.min, ",");
    put_number(b, st.mean, ",");
    put_number(b, st.max, ",");
    put_number(b, st.entropy, ",");
    put_number(b, st.spread, ",");
    for (size_t i = 0; i < row->probability_count; i++)
        put_number(b, (double)probability(row, i), ",");
    buf_text(b, "\r\n");
    return 0;
}

static void put_heading(struct buf *b, const struct job_row *job)
{
    AUTOJSON json_t *list = candidates_of(job);

    buf_text(b, "iteration,loss,temperature,learning_rate,dropped,min,mean,max,entropy,spread");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *step = json_object_get(json_array_get(list, i), "step");
        if (json_is_integer(step))
            buf_printf(b, ",step_%lld", (long long)json_integer_value(step));
        else
            buf_printf(b, ",candidate_%zu", i);
    }
    buf_text(b, "\r\n");
}

static void reply_as_csv(struct api *a, struct request *rq, const struct job_row *job,
                         int64_t stride)
{
    struct buf b = { 0 };
    struct sewa_error err;

    put_heading(&b, job);
    if (trace_list(store_reader(a->o.store), job->id, stride, add_line, &b, &err) < 0) {
        buf_clear(&b);
        reply_error(rq, &err);
        return;
    }
    size_t n = b.len;
    char *text = buf_take(&b);
    if (text)
        reply_bytes(rq, 200, "text/csv; charset=utf-8", text, n);
    else
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the trace");
}

void api_jobs_trace(struct api *a, struct request *rq)
{
    static const char *const known[] = { "max_points", NULL };
    AUTO(job_row_clear) struct job_row job = { 0 };
    struct db *db = store_reader(a->o.store);
    const char *accept = request_header(rq, "accept");
    struct sewa_error err;
    int64_t most = 0, count = 0;

    int rc = request_query_known(rq, known, &err);
    if (rc == 0)
        rc = request_query_int(rq, "max_points", 1, 1000000, 1000000, &most, &err);
    if (rc == 0)
        rc = job_find(db, rq->parameters[0], &job, &err);
    if (rc == 0)
        rc = sewa_fail(&err, SEWA_E_NOT_FOUND, "there is no job '%s'", rq->parameters[0]);
    if (rc > 0)
        rc = trace_count(db, job.id, &count, &err);
    if (rc < 0) {
        reply_error(rq, &err);
        return;
    }
    /* the last row is always there, so one place is kept for it */
    int64_t stride = count <= most ? 1 : most == 1 ? count + 1 : (count + most - 2) / (most - 1);
    if (accept && strncasecmp(accept, "text/csv", 8) == 0)
        reply_as_csv(a, rq, &job, stride);
    else
        reply_as_json(a, rq, &job, stride);
}
