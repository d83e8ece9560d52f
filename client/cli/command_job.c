/*
 * command_job - sewactl job list, show, wait, watch, cancel, delete. Submitting is
 * command_submit.c's, files are command_pull.c's.
 */
#include "../cleanup.h"
#include "commands.h"
#include "follow.h"
#include "job_table.h"
#include "list_view.h"

/* ---- list ---- */

struct jobs {
    struct list_view view;
    struct sewa_job_list page;
    struct sewa_job_filter filter;
};

static struct jobs *jobs_of(const struct list_view *v)
{
    return container_of(v, struct jobs, view);
}

static int fetch(struct list_view *v, struct context *c, int limit, const char *page_token,
                 struct sewa_error *err)
{
    struct jobs *j = jobs_of(v);

    j->filter.limit = limit;
    j->filter.page_token = page_token;
    int rc = sewa_job_list(c->client, &j->filter, &j->page, err);
    v->json = j->page.json;
    v->count = j->page.count;
    v->next_page_token = j->page.next_page_token;
    return rc;
}

static void clear(struct list_view *v)
{
    sewa_job_list_clear(&jobs_of(v)->page);
}

static const char *item_json(const struct list_view *v, size_t i)
{
    return jobs_of(v)->page.items[i].json;
}

static const char *item_name(const struct list_view *v, size_t i)
{
    return jobs_of(v)->page.items[i].id;
}

static void row(const struct list_view *v, size_t i, struct table *t)
{
    job_table_row(t, &jobs_of(v)->page.items[i], wall_clock_ms());
}

int command_job_list(struct context *c, const struct arguments *a)
{
    struct jobs j = { .view = { .what = "jobs like that",
                                .columns = job_table_columns,
                                .column_count = JOB_TABLE_COLUMNS,
                                .fetch = fetch,
                                .clear = clear,
                                .item_json = item_json,
                                .item_name = item_name,
                                .row = row },
                      .filter = { .state = arguments_text(a, "state"),
                                  .run = arguments_text(a, "run"),
                                  .label = arguments_text(a, "label"),
                                  .created_after = arguments_text(a, "created-after") } };

    return list_show(&j.view, c);
}

/* ---- show, watch, wait ---- */

int command_job_show(struct context *c, const struct arguments *a)
{
    struct sewa_job job = { 0 };
    struct sewa_error err;
    int rc = sewa_job_show(c->client, a->operands[0], &job, &err);
    int status = rc < 0 ? explain(c, &err) : show_job(c, &job);

    sewa_job_clear(&job);
    return status;
}

int command_job_watch(struct context *c, const struct arguments *a)
{
    struct sewa_job job = { 0 };
    struct sewa_error err;
    int rc = sewa_job_show(c->client, a->operands[0], &job, &err);
    int status = rc < 0 ? explain(c, &err) : follow_and_show(c, &job);

    sewa_job_clear(&job);
    return status;
}

/* Of several jobs the exit status tells the worst. */
static int worse_of(int a, int b)
{
    return a == EXIT_JOB_FAILED || b == EXIT_JOB_FAILED ? EXIT_JOB_FAILED : a ? a : b;
}

static int wait_for_one(struct follow *f, const char *id, struct table *t)
{
    struct context *c = f->context;
    struct sewa_job job = { 0 };
    struct sewa_error err;
    int rc = sewa_job_show(c->client, id, &job, &err);
    int status = rc < 0 ? explain(c, &err) : follow_job(f, &job);

    if (rc < 0 && status == EXIT_INTERRUPTED)
        follow_say(c, id);
    if (status == EXIT_OK) {
        if (c->format == FORMAT_TABLE)
            job_table_row(t, &job, wall_clock_ms());
        else
            status = show_job(c, &job);
    }
    if (status == EXIT_OK)
        status = (int)exit_of_job(job.state);
    sewa_job_clear(&job);
    return status;
}

static bool is_about_job(int status)
{
    return status == EXIT_OK || status == EXIT_JOB_FAILED || status == EXIT_JOB_CANCELLED;
}

int command_job_wait(struct context *c, const struct arguments *a)
{
    struct table *t = NULL;
    struct follow f;
    int status = EXIT_OK;
    size_t finished = 0;

    if (c->format == FORMAT_TABLE)
        t = table_new(job_table_columns, JOB_TABLE_COLUMNS);
    follow_init(&f, c);
    for (size_t i = 0; i < a->operand_count && is_about_job(status); i++) {
        int one = wait_for_one(&f, a->operands[i], t);
        finished += is_about_job(one);
        status = is_about_job(one) ? worse_of(status, one) : one;
    }
    if (c->format != FORMAT_TABLE || finished == 0) {
        table_free(t);
        return status;
    }
    int printed = print_table(c, t);
    return printed == EXIT_OK ? status : printed;
}

/* ---- cancel, delete ---- */

static int for_each(struct context *c, const struct arguments *a,
                    int (*act)(struct sewa_client *, const char *, struct sewa_error *),
                    const char *done)
{
    struct sewa_error err;
    int status = EXIT_OK;

    for (size_t i = 0; i < a->operand_count; i++) {
        if (act(c->client, a->operands[i], &err) == 0)
            say(c, "job '%s' is %s", a->operands[i], done);
        else
            status = explain(c, &err);
    }
    return status;
}

int command_job_cancel(struct context *c, const struct arguments *a)
{
    return for_each(c, a, sewa_job_cancel, "told to end");
}

int command_job_delete(struct context *c, const struct arguments *a)
{
    return for_each(c, a, sewa_job_delete, "removed");
}
