/*
 * command_files - sewactl job logs and job pull: bytes that a job has left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../cleanup.h"
#include "commands.h"
#include "follow.h"
#include "format.h"
#include "interrupt.h"
#include "progress.h"
#include "visible.h"

/* ---- logs ---- */

/* A terminal gets no control characters; a file gets the bytes. */
struct log_sink {
    struct sewa_sink sink;
    struct context *context;
    char rest[4]; /* the beginning of a character whose end is still to come */
    size_t rest_length;
};

static int write_out(struct log_sink *l, const void *data, size_t n, struct sewa_error *err)
{
    if (fwrite(data, 1, n, l->context->out.file) == n && fflush(l->context->out.file) == 0)
        return 0;
    return sewa_fail_errno(err, SEWA_E_IO, "cannot write the log");
}

static int show_bytes(struct log_sink *l, const char *data, size_t n, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text shown = { 0 };

    visible_append(&shown, data, n, VISIBLE_LINES);
    if (shown.failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a piece of the log");
    return write_out(l, sewa_text_get(&shown), shown.length, err);
}

static int on_log(struct sewa_sink *self, const void *data, size_t n, struct sewa_error *err)
{
    struct log_sink *l = container_of(self, struct log_sink, sink);
    AUTO(sewa_text_clear) struct text whole = { 0 };

    if (!l->context->out.is_terminal)
        return write_out(l, data, n, err);
    sewa_text_append(&whole, l->rest, l->rest_length);
    sewa_text_append(&whole, data, n);
    if (whole.failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a piece of the log");
    size_t ready = visible_whole(whole.data, whole.length);
    l->rest_length = whole.length - ready;
    memcpy(l->rest, whole.data + ready, l->rest_length);
    return show_bytes(l, whole.data, ready, err);
}

int command_job_logs(struct context *c, const struct arguments *a)
{
    struct log_sink l = { .sink.write = on_log, .context = c };
    struct sewa_error err;

    interrupt_catch();
    int rc = sewa_job_logs(c->client, a->operands[0], arguments_has(a, "follow"), &l.sink, &err);
    if (l.rest_length > 0 && rc == 0)
        rc = show_bytes(&l, l.rest, l.rest_length, &err);
    return rc < 0 ? explain(c, &err) : EXIT_OK;
}

/* ---- pull ---- */

struct pull {
    struct context *context;
    struct progress progress;
    const char *artifact;
    int64_t began_ms, began_at; /* for the rate */
};

static void on_progress(void *arg, int64_t done, int64_t size)
{
    struct pull *p = arg;
    int64_t now_ms = monotonic_ms();

    if (p->began_ms == 0) {
        p->began_ms = now_ms;
        p->began_at = done;
    }
    double seconds = (double)(now_ms - p->began_ms) / 1000;
    double rate = seconds > 0.2 ? (double)(done - p->began_at) / seconds : 0;
    progress_bytes(&p->progress, p->artifact, done, size, rate, now_ms);
}

/* A name that becomes a file here must not lead anywhere else. */
static bool is_file_name(const char *name)
{
    for (const char *s = name; *s; s++)
        if (*s == '/' || (unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return *name && *name != '.';
}

static int pull_one(struct pull *p, const struct sewa_artifact *f, const char *path)
{
    struct context *c = p->context;
    struct sewa_download what = { .job = c->arguments->operands[0],
                                  .artifact = f->name,
                                  .path = path,
                                  .progress = on_progress,
                                  .arg = p };
    struct sewa_downloaded done;
    struct sewa_error err;
    char size[FORMAT_SIZE], resumed[FORMAT_SIZE];

    p->artifact = f->name;
    p->began_ms = 0;
    int rc = sewa_artifact_download(c->client, &what, &done, &err);
    progress_end(&p->progress);
    if (rc < 0) {
        int status = explain(c, &err);
        if (status == EXIT_INTERRUPTED || status == EXIT_UNREACHABLE)
            say(c, "what has come is kept: the same command goes on with it");
        return status;
    }
    if (done.was_there)
        say(c, "'%s' is there already", path);
    else if (done.resumed_from > 0)
        say(c, "'%s': %s, %s of it were there", path, format_bytes(done.size, size),
            format_bytes(done.resumed_from, resumed));
    else
        say(c, "'%s': %s", path, format_bytes(done.size, size));
    print_name(c, path);
    return EXIT_OK;
}

static int pull_into(struct pull *p, const struct sewa_artifact *f, const char *folder)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    size_t n = strlen(folder);
    struct sewa_error err;

    if (is_file_name(f->name)) {
        sewa_text_printf(&path, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", f->name);
        if (!path.failed)
            return pull_one(p, f, sewa_text_get(&path));
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for a path");
    } else {
        sewa_fail(&err, SEWA_E_PROTOCOL, "'%.80s' is no name for a file", f->name);
    }
    return explain(p->context, &err);
}

static bool is_folder(const char *path)
{
    struct stat st;
    size_t n = strlen(path);

    return (n && path[n - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* The files that are wanted: the one that was named, or all of them. */
static bool is_wanted(const struct context *c, const struct sewa_artifact *f)
{
    const char *name = arguments_text(c->arguments, "artifact");

    return !name || strcmp(name, f->name) == 0;
}

static int pull_folder(struct pull *p, const struct sewa_artifact_list *l, const char *folder)
{
    struct context *c = p->context;
    struct sewa_error err;
    int status = EXIT_OK;

    if (mkdir(folder, 0777) < 0 && errno != EEXIST) {
        sewa_fail_errno(&err, SEWA_E_IO, "cannot make the folder '%s'", folder);
        return explain(c, &err);
    }
    for (size_t i = 0; status == EXIT_OK && i < l->count; i++)
        if (is_wanted(c, &l->items[i]))
            status = pull_into(p, &l->items[i], folder);
    return status;
}

/* One file under a name of its own: the average, unless another one was asked for. */
static int pull_file(struct pull *p, const struct sewa_artifact_list *l, const char *path)
{
    struct context *c = p->context;
    const struct sewa_artifact *found = NULL;
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct sewa_artifact *f = &l->items[i];
        bool named = arguments_has(c->arguments, "artifact");
        if (!is_wanted(c, f) || (!named && strcmp(f->name, "manifest.json") == 0))
            continue;
        found = f;
        count++;
    }
    if (count > 1)
        return explain_usage(c, "the average has %zu files: '%s' must be a folder", count, path);
    return found ? pull_one(p, found, path) : EXIT_NOT_FOUND;
}

static int check_list(struct context *c, const struct sewa_artifact_list *l)
{
    const char *name = arguments_text(c->arguments, "artifact"), *job = c->arguments->operands[0];
    struct sewa_error err;

    for (size_t i = 0; i < l->count; i++)
        if (is_wanted(c, &l->items[i]))
            return EXIT_OK;
    if (l->count == 0)
        sewa_fail(&err, SEWA_E_NOT_FOUND, "job '%s' has no files: it has not succeeded", job);
    else
        sewa_fail(&err, SEWA_E_NOT_FOUND, "job '%s' has no file '%.80s'", job, name);
    return explain(c, &err);
}

int command_job_pull(struct context *c, const struct arguments *a)
{
    const char *to = arguments_text(a, "output");
    struct sewa_artifact_list list = { 0 };
    struct pull p = { .context = c };
    struct sewa_error err;

    interrupt_catch();
    progress_init(&p.progress, c);
    if (sewa_artifact_list(c->client, a->operands[0], &list, &err) < 0)
        return explain(c, &err);
    int status = check_list(c, &list);
    if (status == EXIT_OK && (!to || is_folder(to)))
        status = pull_folder(&p, &list, to ? to : a->operands[0]);
    else if (status == EXIT_OK)
        status = pull_file(&p, &list, to);
    sewa_artifact_list_clear(&list);
    return status;
}
