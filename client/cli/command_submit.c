/*
 * command_submit - sewactl job submit, plan and retry; and the check of an evaluator, which is a
 * job too.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cleanup.h"
#include "commands.h"
#include "follow.h"
#include "job_view.h"
#include "record.h"
#include "request.h"

enum { REQUEST_MAX = 1 << 20 }; /* the service takes no more */

/* ---- the request ---- */

static int read_all(int fd, const char *name, char **ret, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text t = { 0 };
    char piece[16384];

    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", name);
        if (n == 0)
            break;
        sewa_text_append(&t, piece, (size_t)n);
        if (t.length > REQUEST_MAX)
            return sewa_fail(err, SEWA_E_INVALID, "'%s' has more than %d bytes", name, REQUEST_MAX);
    }
    *ret = sewa_text_take(&t);
    return *ret ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for '%s'", name);
}

static int read_base(const char *path, char **ret, struct sewa_error *err)
{
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", ret, err);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", path);
    return read_all(fd, path, ret, err);
}

static int make_request(const struct arguments *a, char **ret, struct sewa_error *err)
{
    const char *path = arguments_text(a, "request");
    AUTOFREE char *base = NULL;
    int rc = path ? read_base(path, &base, err) : 0;

    return rc < 0 ? rc : request_build(a, base, ret, err);
}

/* What the table cannot say: options that exclude each other. */
static int check_options(struct context *c, const struct arguments *a)
{
    if (arguments_has(a, "baseline") && arguments_has(a, "no-baselines"))
        return explain_usage(c, "--baseline and --no-baselines exclude each other");
    if (arguments_has(a, "run") && arguments_has(a, "checkpoint"))
        return explain_usage(c, "--run and --checkpoint exclude each other");
    if (!arguments_has(a, "run") && !arguments_has(a, "checkpoint") && !arguments_has(a, "request"))
        return explain_usage(c, "--run is missing (or --checkpoint, or --request)");
    return EXIT_OK;
}

/* What would be ignored without a word. */
static int check_wait(struct context *c, const struct arguments *a)
{
    static const char *const names[] = { "timeout", "progress" };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (arguments_has(a, names[i]) && !arguments_has(a, "wait"))
            return explain_usage(c, "--%s has no meaning without --wait", names[i]);
    return EXIT_OK;
}

/* ---- plan ---- */

static int plan(struct context *c, const char *json)
{
    AUTO(sewa_text_clear) struct text t = { 0 };
    struct sewa_plan p = { 0 };
    struct sewa_error err;
    int status = EXIT_OK;

    if (sewa_job_plan(c->client, json, &p, &err) < 0)
        return explain(c, &err);
    if (c->format == FORMAT_TABLE) {
        plan_view(&t, &p);
        status = record_print(c, &t);
    } else {
        print_json(c, p.json);
    }
    sewa_plan_clear(&p);
    return status;
}

int command_job_plan(struct context *c, const struct arguments *a)
{
    AUTOFREE char *json = NULL;
    struct sewa_error err;
    int status = check_options(c, a);

    if (status != EXIT_OK)
        return status;
    return make_request(a, &json, &err) < 0 ? explain(c, &err) : plan(c, json);
}

/* ---- submit ---- */

static int show_accepted(struct context *c, const struct sewa_job *job)
{
    if (c->format != FORMAT_TABLE)
        return show_job(c, job);
    print_name(c, job->id);
    if (sewa_job_state_is_final(job->state))
        say(c, "the job is %s", job->state_name);
    else
        say(c, "the job is %s; follow it with: sewactl job watch %s", job->state_name, job->id);
    return EXIT_OK;
}

/* A job that was accepted, now or earlier: wait for it, or say how to. */
static int accepted(struct context *c, struct sewa_job *job)
{
    if (arguments_has(c->arguments, "wait"))
        return follow_and_show(c, job);
    int status = show_accepted(c, job);
    return status == EXIT_OK ? (int)exit_of_job(job->state) : status;
}

/* An answer that is given again is that of its time: what has become of the job since? */
static int look_again(struct context *c, struct sewa_job *job, struct sewa_error *err)
{
    struct sewa_job now = { 0 };
    int rc = sewa_job_show(c->client, job->id, &now, err);

    if (rc < 0)
        return rc;
    sewa_job_clear(job);
    *job = now;
    return 0;
}

static int answered(struct context *c, struct sewa_submission *s)
{
    if (!s->submitted) {
        if (c->format == FORMAT_JSON || c->format == FORMAT_JSONL)
            print_json(c, s->json);
        say(c, "nothing to do: %s", s->reason);
        return EXIT_OK;
    }
    if (s->replayed) {
        struct sewa_error err;
        say(c, "this key was used before: here is the job of that time");
        if (look_again(c, &s->job, &err) < 0)
            return explain(c, &err);
    }
    return accepted(c, &s->job);
}

static int submit(struct context *c, const char *json, const char *key)
{
    struct sewa_submission s = { 0 };
    struct sewa_error err;
    char own[65];
    int rc = 0;

    if (key && strcmp(key, "auto") == 0) {
        rc = sewa_job_key(c->client, json, own, &err);
        key = own;
    }
    if (rc == 0)
        rc = sewa_job_submit(c->client, json, key, &s, &err);
    int status = rc < 0 ? explain(c, &err) : answered(c, &s);
    sewa_submission_clear(&s);
    return status;
}

int command_job_submit(struct context *c, const struct arguments *a)
{
    AUTOFREE char *json = NULL;
    struct sewa_error err;
    int status = check_options(c, a);

    if (status == EXIT_OK)
        status = check_wait(c, a);
    if (status != EXIT_OK)
        return status;
    if (make_request(a, &json, &err) < 0)
        return explain(c, &err);
    if (!arguments_has(a, "dry-run"))
        return submit(c, json, arguments_text(a, "idempotency-key"));
    if (c->format == FORMAT_NAME)
        return explain_usage(c, "a plan has no name: --output name has no meaning with --dry-run");
    return plan(c, json);
}

/* Only of a job's request can a key be made; as a word it would be the same key for everything. */
static int check_key(struct context *c, const struct arguments *a)
{
    const char *key = arguments_text(a, "idempotency-key");

    return key && strcmp(key, "auto") == 0
               ? explain_usage(c, "--idempotency-key auto is for job submit: name a key")
               : EXIT_OK;
}

int command_job_retry(struct context *c, const struct arguments *a)
{
    struct sewa_job job = { 0 };
    struct sewa_error err;
    int status = check_wait(c, a);

    if (status == EXIT_OK)
        status = check_key(c, a);
    if (status != EXIT_OK)
        return status;
    int rc =
        sewa_job_retry(c->client, a->operands[0], arguments_text(a, "idempotency-key"), &job, &err);
    if (rc == 0 && arguments_has(a, "idempotency-key"))
        rc = look_again(c, &job, &err);
    status = rc < 0 ? explain(c, &err) : accepted(c, &job);
    sewa_job_clear(&job);
    return status;
}

/* ---- the check of an evaluator ---- */

static int judge_check(struct context *c, const struct sewa_job *job)
{
    struct sewa_error err;

    if (!job->check || !job->check->has_gradient || job->check->is_gradient_right)
        return EXIT_OK;
    sewa_fail(&err, SEWA_E_EVALUATOR_ERROR, "the gradient of evaluator '%s' is wrong",
              job->evaluator ? job->evaluator : "");
    return explain(c, &err);
}

int command_evaluator_check(struct context *c, const struct arguments *a)
{
    AUTOFREE char *json = NULL;
    struct sewa_job job = { 0 };
    struct sewa_error err;

    if (arguments_has(a, "run") == arguments_has(a, "checkpoint"))
        return explain_usage(c, "either --run or --checkpoint is needed");
    int status = check_wait(c, a);
    if (status == EXIT_OK)
        status = check_key(c, a);
    if (status != EXIT_OK)
        return status;
    int rc = request_build(a, NULL, &json, &err);
    if (rc == 0)
        rc = sewa_evaluator_check(c->client, a->operands[0], json,
                                  arguments_text(a, "idempotency-key"), &job, &err);
    if (rc == 0 && arguments_has(a, "idempotency-key"))
        rc = look_again(c, &job, &err);
    status = rc < 0 ? explain(c, &err) : accepted(c, &job);
    if (status == EXIT_OK)
        status = judge_check(c, &job);
    sewa_job_clear(&job);
    return status;
}
