/*
 * main - sewactl, the command line of sewad.
 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "commands.h"
#include "help.h"
#include "visible.h"

static int say_usage(const struct arguments *a, const struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text t = { 0 };

    help_name(a, &t);
    sewa_text_put(&t, ": ");
    visible_append(&t, err->text, strlen(err->text), VISIBLE_WORD);
    sewa_text_put(&t, "\n`");
    help_name(a, &t);
    sewa_text_put(&t, " --help` shows what there is.\n");
    fputs(sewa_text_get(&t), stderr);
    return err->code == SEWA_E_INVALID ? EXIT_USAGE : EXIT_ERROR;
}

static int say_help(const struct arguments *a)
{
    AUTO(sewa_text_clear) struct text t = { 0 };

    help_write(a, &t);
    fputs(sewa_text_get(&t), stdout);
    return !t.failed && fflush(stdout) == 0 ? EXIT_OK : EXIT_ERROR;
}

static int run(const struct arguments *a)
{
    struct context c;
    int status = context_open(&c, a);

    if (status == EXIT_OK)
        status = a->command->run(&c, a);
    return context_close(&c, status);
}

/* Only characters: numbers are written in one way, whatever the language. */
static void set_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct sewa_error err;
    int status;

    set_locale();
    signal(SIGPIPE, SIG_IGN); /* a reader that has left is an error of writing */
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("sewactl " SEWA_VERSION) >= 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_ERROR;
    int rc = arguments_parse(&sewactl, argc ? argc - 1 : 0, argc ? argv + 1 : argv, &a, &err);
    if (rc < 0)
        status = say_usage(&a, &err);
    else
        status = a.wants_help ? say_help(&a) : run(&a);
    arguments_clear(&a);
    return status;
}
