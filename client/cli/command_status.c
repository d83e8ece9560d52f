/*
 * command_status - sewactl status and version.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "commands.h"
#include "job_table.h"
#include "record.h"
#include "visible.h"

enum { RECENT = 10, PAGE = 500 };

static const char *const unfinished[] = { "queued", "starting", "running", "publishing",
                                          "cancelling" };

struct status {
    bool is_ready;
    char reason[SEWA_ERROR_TEXT_MAX]; /* why it is not */
    struct sewa_service service;
    int64_t runs, complete, incomplete, scan_errors;
    char *scan_error; /* of the first of them, with its run */
    int64_t jobs[COUNT_OF(unfinished)];
    bool more_jobs[COUNT_OF(unfinished)]; /* than were counted */
    struct sewa_job_list recent;
};

static void status_clear(struct status *s)
{
    sewa_service_clear(&s->service);
    sewa_job_list_clear(&s->recent);
    free(s->scan_error);
}

static void count_run(struct status *s, const struct sewa_run *r)
{
    s->complete += r->complete;
    s->incomplete += r->incomplete;
    if (!r->scan_error)
        return;
    if (s->scan_errors++ == 0 &&
        asprintf(&s->scan_error, "run '%s': %s", r->name, r->scan_error) < 0)
        s->scan_error = NULL;
}

/* ---- asking ---- */

/* The service answers, but is not ready: that is an answer too. */
static int ask_ready(struct context *c, struct status *s, struct sewa_error *err)
{
    int rc = sewa_service_ready(c->client, err);

    s->is_ready = rc == 0;
    if (rc != SEWA_E_UNAVAILABLE)
        return rc;
    snprintf(s->reason, sizeof s->reason, "%s", err->text);
    return 0;
}

static int count_runs(struct context *c, struct status *s, struct sewa_error *err)
{
    struct sewa_run_list page = { 0 };
    AUTOFREE char *token = NULL;
    int rc;

    do {
        rc = sewa_run_list(c->client, PAGE, token, &page, err);
        for (size_t i = 0; i < page.count; i++)
            count_run(s, &page.items[i]);
        s->runs += (int64_t)page.count;
        free(token);
        token = page.next_page_token ? strdup(page.next_page_token) : NULL;
        if (page.next_page_token && !token)
            rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a list");
        sewa_run_list_clear(&page);
    } while (rc == 0 && token);
    return rc;
}

static int count_jobs(struct context *c, struct status *s, struct sewa_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(unfinished); i++) {
        struct sewa_job_filter filter = { .state = unfinished[i], .limit = PAGE };
        struct sewa_job_list page = { 0 };
        rc = sewa_job_list(c->client, &filter, &page, err);
        s->jobs[i] = (int64_t)page.count;
        s->more_jobs[i] = page.next_page_token != NULL;
        sewa_job_list_clear(&page);
    }
    return rc;
}

static int ask_all(struct context *c, struct status *s, struct sewa_error *err)
{
    const struct sewa_job_filter recent = { .limit = RECENT };
    int rc = ask_ready(c, s, err);

    if (rc == 0)
        rc = sewa_service_version(c->client, &s->service, err);
    if (rc == 0)
        rc = count_runs(c, s, err);
    if (rc == 0)
        rc = count_jobs(c, s, err);
    if (rc == 0)
        rc = sewa_job_list(c->client, &recent, &s->recent, err);
    return rc;
}

/* ---- showing ---- */

static void put_jobs(struct text *to, const struct status *s)
{
    AUTO(sewa_text_clear) struct text line = { 0 };

    for (size_t i = 0; i < COUNT_OF(unfinished); i++)
        if (s->jobs[i] > 0)
            sewa_text_printf(&line, "%s%" PRId64 "%s %s", line.length ? ", " : "", s->jobs[i],
                             s->more_jobs[i] ? " or more" : "", unfinished[i]);
    record_text(to, "jobs", line.length ? sewa_text_get(&line) : "none at work");
}

static int show_table(struct context *c, const struct status *s)
{
    AUTO(sewa_text_clear) struct text t = { 0 };

    record_textf(&t, "service", "%s %s at %s", s->service.name, s->service.version,
                 sewa_client_address(c->client));
    record_textf(&t, "ready", "%s%s", s->is_ready ? "yes" : "no: ", s->reason);
    record_textf(&t, "runs",
                 "%" PRId64 ", with %" PRId64 " complete and %" PRId64 " incomplete checkpoints",
                 s->runs, s->complete, s->incomplete);
    if (s->scan_errors)
        record_textf(&t, "scan errors", "%" PRId64 ", %s", s->scan_errors,
                     s->scan_error ? s->scan_error : "");
    put_jobs(&t, s);
    int status = record_print(c, &t);
    if (status != EXIT_OK || s->recent.count == 0)
        return status;
    struct table *table = table_new(job_table_columns, JOB_TABLE_COLUMNS);
    for (size_t i = 0; i < s->recent.count; i++)
        job_table_row(table, &s->recent.items[i], wall_clock_ms());
    putc('\n', c->out.file);
    return print_table(c, table);
}

/* A text as JSON: null for none. */
static void put_json_text(struct text *to, const char *text)
{
    json_t *value = *text ? json_string(text) : json_null();
    char *json = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    sewa_text_put(to, json ? json : "null");
    free(json);
    json_decref(value);
}

/* The one object that the API does not have; what it holds comes from it unchanged. */
static int show_json(struct context *c, const struct status *s)
{
    AUTO(sewa_text_clear) struct text t = { 0 };

    sewa_text_printf(&t, "{\"ready\":%s,\"reason\":", s->is_ready ? "true" : "false");
    put_json_text(&t, s->reason);
    sewa_text_printf(&t,
                     ",\"service\":%s,\"runs\":{\"count\":%" PRId64 ",\"complete\":%" PRId64
                     ",\"incomplete\":%" PRId64 ",\"scan_errors\":%" PRId64 "},\"jobs\":{",
                     s->service.json, s->runs, s->complete, s->incomplete, s->scan_errors);
    for (size_t i = 0; i < COUNT_OF(unfinished); i++)
        sewa_text_printf(&t, "%s\"%s\":%" PRId64, i ? "," : "", unfinished[i], s->jobs[i]);
    sewa_text_put(&t, "},\"recent_jobs\":[");
    for (size_t i = 0; i < s->recent.count; i++)
        sewa_text_printf(&t, "%s%s", i ? "," : "", s->recent.items[i].json);
    sewa_text_put(&t, "]}");
    if (t.failed)
        return record_print(c, &t);
    print_json(c, sewa_text_get(&t));
    return EXIT_OK;
}

int command_status(struct context *c, const struct arguments *a)
{
    AUTO(status_clear) struct status s = { 0 };
    struct sewa_error err;

    (void)a;
    if (ask_all(c, &s, &err) < 0)
        return explain(c, &err);
    int status = c->format == FORMAT_TABLE ? show_table(c, &s) : show_json(c, &s);
    return status == EXIT_OK && !s.is_ready ? EXIT_UNREACHABLE : status;
}

/* ---- version ---- */

int command_version(struct context *c, const struct arguments *a)
{
    AUTO(sewa_text_clear) struct text t = { 0 };
    struct sewa_service s = { 0 };
    struct sewa_error err = { 0 };
    bool json = c->format != FORMAT_TABLE;

    int rc = arguments_has(a, "client") ? 0 : sewa_service_version(c->client, &s, &err);
    if (json)
        sewa_text_printf(&t,
                         "{\"client\":{\"name\":\"sewactl\",\"version\":\"%s\"},\"service\":%s}",
                         SEWA_VERSION, s.json ? s.json : "null");
    else
        sewa_text_put(&t, "sewactl " SEWA_VERSION "\n");
    if (!json && s.json) {
        AUTO(sewa_text_clear) struct text line = { 0 };
        sewa_text_printf(&line, "%s %s", s.name, s.version);
        visible_append(&t, sewa_text_get(&line), line.length, VISIBLE_WORD);
        sewa_text_printf(&t, " (API %s) at %s\n", s.api, sewa_client_address(c->client));
    }
    if (json)
        print_json(c, sewa_text_get(&t));
    int status = json ? EXIT_OK : record_print(c, &t);
    sewa_service_clear(&s);
    return rc < 0 ? explain(c, &err) : status;
}
