/*
 * trace - what a job has learned, iteration by iteration.
 */
#include <stdio.h>

#include "ask.h"
#include "cleanup.h"

static int read_probabilities(struct sewa_document *d, const json_t *array,
                              struct sewa_trace_row *row, struct sewa_error *err)
{
    size_t n = json_array_size(array);
    double *p = sewa_document_alloc(d, n, sizeof *p);

    if (!p)
        return sewa_no_memory(err);
    for (size_t i = 0; i < n; i++)
        p[i] = json_number_value(json_array_get(array, i));
    row->probabilities = p;
    row->probability_count = n;
    return 0;
}

static int read_rows(struct sewa_document *d, const json_t *array, struct sewa_trace *t,
                     struct sewa_error *err)
{
    size_t n = json_array_size(array);
    struct sewa_trace_row *rows = sewa_document_alloc(d, n, sizeof *rows);
    int rc = rows ? 0 : sewa_no_memory(err);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const json_t *o = json_array_get(array, i);
        rows[i].iteration = sewa_get_integer(o, "iteration", 0);
        rows[i].loss = sewa_get_number(o, "loss");
        rows[i].temperature = sewa_get_number(o, "temperature");
        rows[i].learning_rate = sewa_get_number(o, "learning_rate");
        rows[i].dropped = sewa_get_integer(o, "dropped", 0);
        rows[i].entropy = sewa_get_number(o, "entropy");
        rows[i].spread = sewa_get_number(o, "spread");
        rc = read_probabilities(d, json_object_get(o, "probabilities"), &rows[i], err);
    }
    t->rows = rows;
    t->count = n;
    return rc;
}

static int read_candidates(struct sewa_document *d, const json_t *array, struct sewa_trace *t,
                           struct sewa_error *err)
{
    size_t n = json_array_size(array);
    struct sewa_candidate *list = sewa_document_alloc(d, n, sizeof *list);

    if (!list)
        return sewa_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(array, i);
        list[i].checkpoint = sewa_get_text(o, "checkpoint");
        list[i].step = sewa_get_integer(o, "step", -1);
    }
    t->candidates = list;
    t->candidate_count = n;
    return 0;
}

int sewa_job_trace(struct sewa_client *c, const char *id, int max_points, struct sewa_trace *ret,
                   struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { 0 };
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct sewa_trace t = { 0 };
    char number[16];

    *ret = t;
    snprintf(number, sizeof number, "%d", max_points);
    sewa_path(&path, "jobs", id, "trace");
    sewa_text_query(&path, "max_points", max_points ? number : NULL);
    int rc = sewa_ask(c, &call, &path, &d, err);
    if (rc == 0 && !json_is_array(json_object_get(d->root, "items")))
        rc = sewa_fail(err, SEWA_E_PROTOCOL, "the trace has no 'items': is this a sewad?");
    if (rc == 0)
        rc = read_candidates(d, json_object_get(d->root, "candidates"), &t, err);
    if (rc == 0)
        rc = read_rows(d, json_object_get(d->root, "items"), &t, err);
    if (rc < 0)
        return rc;
    t.json = d->text;
    t.document = TAKE(d);
    *ret = t;
    return 0;
}

void sewa_trace_clear(struct sewa_trace *t)
{
    sewa_document_free(t->document);
    *t = (struct sewa_trace){ 0 };
}
