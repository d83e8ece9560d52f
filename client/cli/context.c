/*
 * context - what every command has.
 */
#include "context.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../cleanup.h"
#include "help.h"
#include "interrupt.h"
#include "visible.h"

/* ---- open and close ---- */

void screen_measure(struct screen *s)
{
    struct winsize size;

    if (s->is_terminal && ioctl(fileno(s->file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        s->width = size.ws_col;
}

static void screen_open(struct screen *s, FILE *file, bool color)
{
    const char *term = getenv("TERM");

    s->file = file;
    s->is_terminal = isatty(fileno(file)) == 1;
    s->color = s->is_terminal && color && term && *term && strcmp(term, "dumb") != 0;
    s->width = s->is_terminal ? 80 : 0;
    screen_measure(s);
}

static bool is_interrupted(void *arg)
{
    (void)arg;
    return interrupt_came();
}

static int check_format(struct context *c)
{
    const struct command *k = c->arguments->command;

    int64_t word = arguments_number(c->arguments, "output", FORMAT_TABLE);

    c->format = word < 0 ? FORMAT_TABLE : (enum format)word; /* a path: the command says so */
    if (c->format == FORMAT_TABLE || (k->formats & 1u << c->format))
        return EXIT_OK;
    return explain_usage(c, "--output %s has no meaning here",
                         arguments_text(c->arguments, "output"));
}

int context_open(struct context *c, const struct arguments *a)
{
    struct sewa_error err;

    *c = (struct context){ .arguments = a, .quiet = arguments_has(a, "quiet") };
    screen_open(&c->err, stderr, false);
    screen_open(&c->out, stdout, false);
    int rc = settings_load(a, SETTINGS_SYSTEM_FILE, &c->settings, &err);
    if (rc < 0) {
        explain(c, &err);
        return rc == SEWA_E_CONFIG ? EXIT_USAGE : EXIT_ERROR;
    }
    screen_open(&c->err, stderr, c->settings.color);
    screen_open(&c->out, stdout, c->settings.color);
    if (c->settings.warning)
        say(c, "%s", c->settings.warning);
    if ((rc = check_format(c)) != EXIT_OK)
        return rc;
    const struct sewa_client_options o = { .url = c->settings.url,
                                           .unix_socket = c->settings.socket,
                                           .token = c->settings.token,
                                           .timeout_ms = c->settings.timeout_ms,
                                           .user_agent = "sewactl/" SEWA_VERSION,
                                           .interrupted = is_interrupted };
    rc = sewa_client_open(&o, &c->client, &err);
    if (rc < 0)
        explain(c, &err);
    return rc == 0 ? EXIT_OK : rc == SEWA_E_INVALID ? EXIT_USAGE : EXIT_ERROR;
}

int context_close(struct context *c, int status)
{
    sewa_client_close(c->client);
    settings_clear(&c->settings);
    int failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed)
        return status;
    if (errno != EPIPE) /* nobody reads any more: nothing to complain about */
        fprintf(stderr, "%s: cannot write the output: %s\n", c->arguments->cli->program,
                strerror(errno));
    return status == EXIT_OK ? EXIT_ERROR : status;
}

/* ---- clocks ---- */

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t wall_clock_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

/* ---- talk ---- */

/* "sewactl: ", the text, made visible, and a line end; in one write, so that lines stay whole. */
static void speak(struct context *c, const char *text)
{
    AUTO(sewa_text_clear) struct text line = { 0 };

    if (c->err.is_terminal && interrupt_came())
        sewa_text_put(&line, "\r\033[K"); /* over the ^C that the terminal shows */
    sewa_text_printf(&line, "%s: ", c->arguments->cli->program);
    visible_append(&line, text, strlen(text), VISIBLE_WORD);
    sewa_text_put(&line, "\n");
    fflush(c->out.file); /* both may be the same terminal */
    fputs(line.failed ? "sewactl: out of memory\n" : sewa_text_get(&line), stderr);
}

void say(struct context *c, const char *format, ...)
{
    char *text;
    va_list ap;

    if (c->quiet)
        return;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    speak(c, text);
    free(text);
}

/* The option that fills the field to blame; "/output" is answered for by "--output-dtype". */
static const struct option *option_of_field(const struct arguments *a, const char *pointer)
{
    size_t n = strlen(pointer);

    for (size_t i = 0; n > 0 && i < a->given_count; i++) {
        const char *field = a->given[i].option->field;
        size_t m = field ? strlen(field) : 0;
        bool same = field && strncmp(field, pointer, n < m ? n : m) == 0;
        if (same && (m == n || (m > n && field[n] == '/') || (m < n && pointer[m] == '/')))
            return a->given[i].option;
    }
    /* what is missing was not given */
    for (const struct option *o = a->command->options; n > 0 && o && o->name; o++)
        if (o->field && strcmp(o->field, pointer) == 0)
            return o;
    return NULL;
}

/* Nobody was there: what to look at. */
static void say_where(struct context *c)
{
    const char *from = c->settings.address_from;

    say(c, "is sewad running, and is this %s? %s%s",
        c->settings.socket ? "its \"admin_socket\"" : "the address and port that it listens on",
        from ? "The address comes from " : "It is the default address; --url or SEWA_URL name ",
        from ? from : "another");
}

int explain(struct context *c, const struct sewa_error *err)
{
    const struct option *o = option_of_field(c->arguments, err->pointer);
    AUTO(sewa_text_clear) struct text t = { 0 };

    if (interrupt_came() && err->code == SEWA_E_CANCELLED)
        return EXIT_INTERRUPTED;
    if (o)
        sewa_text_printf(&t, "--%s: ", o->name);
    sewa_text_put(&t, err->text);
    speak(c, sewa_text_get(&t));
    if (err->code == SEWA_E_UNREACHABLE && err->system_errno != 0)
        say_where(c);
    return exit_of_code(err->code);
}

int explain_usage(struct context *c, const char *format, ...)
{
    AUTO(sewa_text_clear) struct text name = { 0 };
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    speak(c, text);
    help_name(c->arguments, &name);
    fprintf(stderr, "`%s --help` shows what there is.\n", sewa_text_get(&name));
    return EXIT_USAGE;
}

/* ---- data ---- */

void print_text(struct context *c, const struct text *t)
{
    fwrite(sewa_text_get(t), 1, t->failed ? 0 : t->length, c->out.file);
}

void print_json_part(struct context *c, const char *json)
{
    AUTO(sewa_text_clear) struct text shown = { 0 };

    if (!c->out.is_terminal) {
        fputs(json, c->out.file);
        return;
    }
    visible_append(&shown, json, strlen(json), VISIBLE_LINES);
    print_text(c, &shown);
}

void print_json(struct context *c, const char *json)
{
    print_json_part(c, json);
    putc('\n', c->out.file);
}

void print_name(struct context *c, const char *name)
{
    AUTO(sewa_text_clear) struct text shown = { 0 };

    visible_append(&shown, name, strlen(name), VISIBLE_WORD);
    sewa_text_put(&shown, "\n");
    print_text(c, &shown);
}

int print_table(struct context *c, struct table *t)
{
    AUTO(sewa_text_clear) struct text text = { 0 };
    struct sewa_error err;
    bool whole = table_write(t, c->out.width, c->out.color, &text);

    table_free(t);
    if (!whole) {
        sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for a table");
        return explain(c, &err);
    }
    print_text(c, &text);
    return EXIT_OK;
}
