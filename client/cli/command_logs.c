/*
 * command_logs - sewactl job logs: what the evaluator of a job has printed.
 */
#include <stdio.h>
#include <string.h>

#include "../cleanup.h"
#include "commands.h"
#include "interrupt.h"
#include "visible.h"

/* A terminal gets no control characters; a file gets the bytes. */
struct log_sink {
    struct sewa_sink sink;
    FILE *file;
    bool is_terminal;
    char rest[4]; /* the beginning of a character whose end is still to come */
    size_t rest_length;
};

static int write_out(struct log_sink *l, const void *data, size_t n, struct sewa_error *err)
{
    if (fwrite(data, 1, n, l->file) == n && fflush(l->file) == 0)
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

    if (!l->is_terminal)
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

static int show_log(struct log_sink *l, struct context *c)
{
    struct sewa_error err;

    interrupt_catch();
    int rc = sewa_job_logs(c->client, c->arguments->operands[0],
                           arguments_has(c->arguments, "follow"), &l->sink, &err);
    if (l->rest_length > 0 && rc == 0)
        rc = show_bytes(l, l->rest, l->rest_length, &err);
    return rc < 0 ? explain(c, &err) : EXIT_OK;
}

static int cannot_write(struct context *c, const char *path)
{
    struct sewa_error err;

    sewa_fail_errno(&err, SEWA_E_IO, "cannot write '%s'", path);
    return explain(c, &err);
}

int command_job_logs(struct context *c, const struct arguments *a)
{
    struct log_sink l = { .sink.write = on_log,
                          .file = c->out.file,
                          .is_terminal = c->out.is_terminal };
    const char *to = arguments_text(a, "to");

    if (!to || strcmp(to, "-") == 0)
        return show_log(&l, c);
    l.file = fopen(to, "we");
    l.is_terminal = false;
    if (!l.file)
        return cannot_write(c, to);
    int status = show_log(&l, c);
    return fclose(l.file) == 0 || status != EXIT_OK ? status : cannot_write(c, to);
}
