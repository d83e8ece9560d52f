/*
 * tour - a program that uses libsewa as others do: every function of client.h that sewactl has no
 * use for, and two clients in two threads. Prints what it finds, a line for each; test_tour.py
 * compares it with what the service says.
 *
 *     tour URL RUN EVALUATOR GATE
 *
 * Evaluations wait until the file GATE exists, which is made in the middle.
 */
#include "sewa/client.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sewa_error err;

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %d: %s\n", what, rc, err.text);
    exit(1);
}

static struct sewa_client *connect_to(const char *url)
{
    const struct sewa_client_options o = { .url = url };
    struct sewa_client *c = NULL;

    must(sewa_client_open(&o, &c, &err), "open");
    return c;
}

static void runs(struct sewa_client *c, const char *run)
{
    struct sewa_run r = { 0 };

    must(sewa_run_patch(c, run, "{\"labels\": {\"a\": \"b\", \"c\": \"d\"}}", &r, &err), "patch");
    printf("labels %zu\n", r.label_count);
    sewa_run_clear(&r);
    must(sewa_run_patch(c, run, "{\"labels\": {\"a\": null}}", &r, &err), "patch");
    printf("label %s=%s\n", r.labels[0].key, r.labels[0].value);
    printf("created %" PRId64 "\n", r.created_ms);
    sewa_run_clear(&r);
    int rc = sewa_run_patch(c, run, "{\"nonsense\": 1}", &r, &err);
    printf("refused %s at '%s'\n", sewa_code_info(rc)->slug, err.pointer);
    rc = sewa_run_show(c, "nope", &r, NULL);
    printf("refused %s\n", sewa_code_info(rc)->slug);
}

static void evaluators(struct sewa_client *c, const char *name)
{
    struct sewa_evaluator e = { 0 };

    must(sewa_evaluator_show(c, name, &e, &err), "evaluator");
    printf("evaluator %s %zu words, %" PRId64 " s\n", e.name, e.argument_count, e.timeout_seconds);
    sewa_evaluator_clear(&e);
}

static void methods(struct sewa_client *c)
{
    struct sewa_method m = { 0 };

    must(sewa_method_show(c, "sewa", &m, &err), "method");
    printf("method %s needs %s, select %" PRId64 "\n", m.name, m.needs, m.select);
    for (size_t i = 0; i < m.param_count; i++)
        printf("%s %s %s %g %g %zu\n", m.params[i].name, m.params[i].type, m.params[i].fallback,
               m.params[i].minimum, m.params[i].maximum, m.params[i].word_count);
    sewa_method_clear(&m);
    printf("refused %s\n", sewa_code_info(sewa_method_show(c, "swa", &m, &err))->slug);
    sewa_method_clear(&m);
}

static void open_gate(const char *path)
{
    FILE *file = fopen(path, "w");

    if (!file || fclose(file) != 0)
        exit(1);
}

/* The first call of this client is the one that waits; then each change as it comes. */
static void follow(const char *url, const char *id, const char *gate)
{
    struct sewa_client *c = connect_to(url);
    struct sewa_job job = { 0 };
    int changes = 0, rc = sewa_job_wait(c, id, 0, &job, &err);

    printf("at once %s\n", rc == 0 ? job.state_name : sewa_code_info(rc)->slug);
    sewa_job_clear(&job);
    must(sewa_job_show(c, id, &job, &err), "show");
    open_gate(gate);
    while (!sewa_job_state_is_final(job.state)) {
        rc = sewa_job_refresh(c, &job, 60000, &err);
        must(rc, "refresh");
        changes += rc;
    }
    printf("changes %s\n", changes > 0 ? "seen" : "none");
    rc = sewa_job_refresh(c, &job, 0, &err);
    printf("after the end %d\n", rc);
    sewa_job_clear(&job);
    must(sewa_job_wait(c, id, 60000, &job, &err), "wait");
    printf("finally %s, %zu selected\n", job.state_name, job.selected_count);
    sewa_job_clear(&job);
    sewa_client_close(c);
}

static void trace(struct sewa_client *c, const char *id)
{
    struct sewa_trace t = { 0 };
    struct sewa_artifact_list l = { 0 };

    must(sewa_job_trace(c, id, 0, &t, &err), "trace");
    printf("trace %zu rows of %zu candidates, the last one %" PRId64 " with %zu probabilities\n",
           t.count, t.candidate_count, t.rows[t.count - 1].iteration,
           t.rows[t.count - 1].probability_count);
    sewa_trace_clear(&t);
    must(sewa_artifact_list(c, id, &l, &err), "artifacts");
    for (size_t i = 0; i < l.count; i++)
        printf("artifact %s %" PRId64 " %s\n", l.items[i].name, l.items[i].size, l.items[i].sha256);
    sewa_artifact_list_clear(&l);
}

struct worker {
    pthread_t thread;
    const char *url;
    int answers;
};

/* A client of its own: the first one may be the one that starts curl. */
static void *ask_often(void *arg)
{
    const struct sewa_client_options o = { .url = ((struct worker *)arg)->url };
    struct worker *w = arg;
    struct sewa_client *c = NULL;

    if (sewa_client_open(&o, &c, NULL) < 0)
        return NULL;
    for (int i = 0; i < 20; i++)
        w->answers += sewa_service_ready(c, NULL) == 0;
    sewa_client_close(c);
    return NULL;
}

static void threads(const char *url)
{
    struct worker workers[2] = { { .url = url }, { .url = url } };

    for (int i = 0; i < 2; i++)
        if (pthread_create(&workers[i].thread, NULL, ask_often, &workers[i]) != 0)
            exit(1);
    for (int i = 0; i < 2; i++)
        pthread_join(workers[i].thread, NULL);
    printf("answers %d %d\n", workers[0].answers, workers[1].answers);
}

int main(int argc, char **argv)
{
    struct sewa_submission s = { 0 };
    char request[512];

    if (argc != 5)
        return 2;
    threads(argv[1]);
    struct sewa_client *c = connect_to(argv[1]);
    runs(c, argv[2]);
    evaluators(c, argv[3]);
    methods(c);
    snprintf(request, sizeof request,
             "{\"run\": \"%s\", \"evaluator\": \"%s\", \"select\": 3, "
             "\"params\": {\"iterations\": 5}}",
             argv[2], argv[3]);
    must(sewa_job_submit(c, request, NULL, &s, &err), "submit");
    printf("job %s\n", s.job.id);
    follow(argv[1], s.job.id, argv[4]);
    trace(c, s.job.id);
    must(sewa_job_refresh(c, &s.job, 60000, &err), "refresh a submission");
    printf("refreshed %s\n", s.job.state_name);
    sewa_submission_clear(&s);
    sewa_client_close(c);
    return 0;
}
