/*
 * command_pull - sewactl job pull: the files that a job has made, here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../cleanup.h"
#include "commands.h"
#include "format.h"
#include "interrupt.h"
#include "progress.h"

struct pull {
    struct context *context;
    struct sewa_sink sink;
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

static int on_bytes(struct sewa_sink *self, const void *data, size_t n, struct sewa_error *err)
{
    struct pull *p = container_of(self, struct pull, sink);

    if (fwrite(data, 1, n, p->context->out.file) == n)
        return 0;
    return sewa_fail_errno(err, SEWA_E_IO, "cannot write to standard output");
}

/* Without a path to standard output. */
static int fetch(struct pull *p, const struct sewa_artifact *f, const char *path,
                 struct sewa_downloaded *ret)
{
    struct context *c = p->context;
    struct sewa_download what = { .job = c->arguments->operands[0],
                                  .artifact = f->name,
                                  .path = path,
                                  .sink = path ? NULL : &p->sink,
                                  .progress = on_progress,
                                  .arg = p };
    struct sewa_error err;

    p->artifact = f->name;
    p->began_ms = 0;
    p->sink.write = on_bytes;
    int rc = sewa_artifact_download(c->client, &what, ret, &err);
    progress_end(&p->progress);
    if (rc == 0)
        return EXIT_OK;
    int status = explain(c, &err);
    if (path && (status == EXIT_INTERRUPTED || status == EXIT_UNREACHABLE))
        say(c, "what has come is kept: the same command goes on with it");
    return status;
}

static int pull_one(struct pull *p, const struct sewa_artifact *f, const char *path)
{
    struct context *c = p->context;
    struct sewa_downloaded done;
    char size[FORMAT_SIZE], resumed[FORMAT_SIZE];
    int status = fetch(p, f, path, &done);

    if (status != EXIT_OK)
        return status;
    if (done.was_there)
        say(c, "'%s' is there already", path);
    else if (done.resumed_from > 0)
        say(c, "'%s': %s, %s of it were there", path, format_bytes(done.size, size),
            format_bytes(done.resumed_from, resumed));
    else
        say(c, "'%s': %s", path, format_bytes(done.size, size));
    if (c->format != FORMAT_JSON)
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

/* One file under a name of its own: the average, unless another one was asked for. NULL: there is
 * none, or there are several. */
static const struct sewa_artifact *only_file(const struct context *c,
                                             const struct sewa_artifact_list *l, size_t *ret_count)
{
    const struct sewa_artifact *found = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct sewa_artifact *f = &l->items[i];
        bool named = arguments_has(c->arguments, "artifact");
        if (!is_wanted(c, f) || (!named && strcmp(f->name, "manifest.json") == 0))
            continue;
        found = f;
        ++*ret_count;
    }
    return *ret_count == 1 ? found : NULL;
}

static int pull_file(struct pull *p, const struct sewa_artifact_list *l, const char *path)
{
    size_t count;
    const struct sewa_artifact *f = only_file(p->context, l, &count);

    if (count > 1)
        return explain_usage(p->context,
                             "the average has %zu files: '%s' must be a folder; '%s/' is made",
                             count, path, path);
    return f ? pull_one(p, f, path) : EXIT_NOT_FOUND;
}

static int pull_to_stdout(struct pull *p, const struct sewa_artifact_list *l)
{
    struct context *c = p->context;
    struct sewa_downloaded done;
    size_t count;
    const struct sewa_artifact *f = only_file(c, l, &count);

    if (count > 1)
        return explain_usage(c, "the average has %zu files: name one with --artifact", count);
    if (!f)
        return EXIT_NOT_FOUND;
    if (c->out.is_terminal && (!f->media_type || strcmp(f->media_type, "application/json") != 0))
        return explain_usage(c, "'%s' is nothing for a terminal", f->name);
    return fetch(p, f, NULL, &done);
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

/* --to, or --output as it was once. NULL: a folder named after the job. */
static int read_place(struct context *c, const char **ret)
{
    const char *output = arguments_text(c->arguments, "output");

    *ret = arguments_text(c->arguments, "to");
    if (arguments_number(c->arguments, "output", 0) < 0) {
        if (*ret)
            return explain_usage(c, "--output is '%.60s', wanted is one of table, json, name",
                                 output);
        say(c,
            "'%s' is no format, so it is where the files go; write -O (--to) for that: a later "
            "version will take it for a mistake",
            output);
        *ret = output;
    }
    if (*ret && strcmp(*ret, "-") == 0 && c->format != FORMAT_TABLE)
        return explain_usage(c, "--output and --to - exclude each other");
    return EXIT_OK;
}

static int pull(struct pull *p, const struct sewa_artifact_list *l, const char *to)
{
    int status = check_list(p->context, l);

    if (status != EXIT_OK)
        return status;
    if (to && strcmp(to, "-") == 0)
        return pull_to_stdout(p, l);
    return !to || is_folder(to) ? pull_folder(p, l, to ? to : p->context->arguments->operands[0])
                                : pull_file(p, l, to);
}

int command_job_pull(struct context *c, const struct arguments *a)
{
    struct sewa_artifact_list list = { 0 };
    struct pull p = { .context = c };
    struct sewa_error err;
    const char *to;
    int status = read_place(c, &to);

    if (status != EXIT_OK)
        return status;
    interrupt_catch();
    progress_init(&p.progress, c);
    if (sewa_artifact_list(c->client, a->operands[0], &list, &err) < 0)
        return explain(c, &err);
    status = pull(&p, &list, to);
    if (status == EXIT_OK && c->format == FORMAT_JSON)
        print_json(c, list.json);
    sewa_artifact_list_clear(&list);
    return status;
}
