/*
 * api_trace - what a job has learned, iteration by iteration, as JSON or as a table. Read on the
 * pool: a long job has many rows.
 */
#include <string.h>

#include "http/api_body.h"
#include "http/fields.h"
#include "http/trace_text.h"

static const char as_json[] = "application/json";
static const char as_csv[] = "text/csv";

enum { NUMBERS_MAX = 1000000 }; /* probabilities of one answer; rows are left out to stay below */

struct trace {
    struct api_read base;
    int64_t job_id;
    char uid[ID_TEXT_SIZE];
    char *plan;    /* JSON */
    int64_t most;  /* rows */
    bool as_table; /* or JSON */
    bool is_first; /* of the rows */
    struct buf text;
};

static int add_row(const struct trace_row *row, void *arg, struct sewa_error *err)
{
    struct trace *t = arg;

    (void)err;
    if (t->as_table) {
        trace_put_line(&t->text, row);
        return 0;
    }
    if (!t->is_first)
        buf_char(&t->text, ',');
    t->is_first = false;
    trace_put_object(&t->text, row);
    return 0;
}

/* Which checkpoint each probability belongs to. */
static int put_candidates(struct trace *t, const json_t *candidates)
{
    AUTOJSON json_t *list = json_array();

    for (size_t i = 0; list && i < json_array_size(candidates); i++) {
        const json_t *c = json_array_get(candidates, i);
        if (json_array_append_new(list, json_pack("{s:O, s:O}", "checkpoint",
                                                  json_object_get(c, "checkpoint"), "step",
                                                  json_object_get(c, "step"))) < 0)
            return -1;
    }
    AUTOFREE char *text = list ? json_text_short(list) : NULL;
    buf_printf(&t->text, "{\"job\":\"%s\",\"candidates\":%s,\"items\":[", t->uid,
               text ? text : "[]");
    return text ? 0 : -1;
}

/* Every n-th row and the last one: a place is kept for that. */
static int64_t stride_of(int64_t rows, int64_t most)
{
    if (rows <= most)
        return 1;
    return most == 1 ? 0 : (rows + most - 2) / (most - 1);
}

static int read_trace(struct api_read *base, struct db *db, struct sewa_error *err)
{
    struct trace *t = container_of(base, struct trace, base);
    AUTOJSON json_t *plan = json_parse(t->plan, strlen(t->plan), err);
    const json_t *candidates = json_object_get(plan, "candidates");
    int64_t k = (int64_t)json_array_size(candidates), fit = NUMBERS_MAX / (k ? k : 1), rows;

    if (!plan)
        return err->code;
    int rc = trace_count(db, t->job_id, &rows, err);
    if (rc < 0)
        return rc;
    if (t->as_table)
        trace_put_heading(&t->text, candidates);
    else if (put_candidates(t, candidates) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the trace");
    t->is_first = true;
    rc = trace_list(db, t->job_id, stride_of(rows, t->most < fit ? t->most : fit), add_row, t, err);
    if (!t->as_table)
        buf_text(&t->text, "]}");
    if (rc >= 0 && buf_failed(&t->text))
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the trace");
    return rc < 0 ? rc : 0;
}

static void answer(struct api_read *base)
{
    struct trace *t = container_of(base, struct trace, base);
    size_t n = t->text.len;
    char *text = buf_take(&t->text);

    reply_header(base->rq, "Vary", "Accept");
    if (!text)
        reply_fail(base->rq, SEWA_E_NO_MEMORY, "no memory for the trace");
    else
        reply_bytes(base->rq, 200, t->as_table ? "text/csv; charset=utf-8" : as_json, text, n);
}

static void release(struct api_read *base)
{
    struct trace *t = container_of(base, struct trace, base);

    buf_clear(&t->text);
    free(t->plan);
    free(t);
}

static int choose_form(const struct request *rq, bool *ret_as_table, struct sewa_error *err)
{
    const char *accept = request_header(rq, "accept");
    int json = fields_quality(accept, as_json), table = fields_quality(accept, as_csv);

    *ret_as_table = table > json;
    if (json > 0 || table > 0)
        return 0;
    return sewa_fail(err, SEWA_E_NOT_ACCEPTABLE, "a trace is there as '%s' and as '%s'", as_json,
                     as_csv);
}

static int begin(struct api *a, struct request *rq, struct api_read *base, struct sewa_error *err)
{
    struct trace *t = container_of(base, struct trace, base);
    AUTO(job_row_clear) struct job_row job = { 0 };
    int rc = request_query_int(rq, "max_points", 1, NUMBERS_MAX, NUMBERS_MAX, &t->most, err);

    if (rc == 0)
        rc = choose_form(rq, &t->as_table, err);
    if (rc == 0)
        rc = find_job(a, rq, &job, err);
    if (rc < 0)
        return rc;
    t->job_id = job.id;
    memcpy(t->uid, job.uid, sizeof t->uid);
    t->plan = TAKE(job.plan);
    return 0;
}

void api_jobs_trace(struct api *a, struct request *rq)
{
    struct trace *t = calloc(1, sizeof *t);

    if (!t) {
        reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for the request");
        return;
    }
    t->base.begin = begin;
    t->base.read = read_trace;
    t->base.answer = answer;
    t->base.release = release;
    api_read_submit(a, rq, &t->base);
}
