/*
 * words - a command line as one text, for tables of tests: words are parted by '|'.
 */
#ifndef TESTS_CLIENT_WORDS_H
#define TESTS_CLIENT_WORDS_H

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

enum { WORDS_MOST = 32 };

struct words {
    char text[1024];
    char *argv[WORDS_MOST];
    int argc;
    struct arguments a;
};

/* Parse it with the table of sewactl. */
static inline int words_parse(struct words *w, const char *line, struct sewa_error *err)
{
    char *rest = w->text;

    snprintf(w->text, sizeof w->text, "%s", line);
    for (w->argc = 0; *line && rest && w->argc < WORDS_MOST; w->argc++)
        w->argv[w->argc] = strsep(&rest, "|");
    return arguments_parse(&sewactl, w->argc, w->argv, &w->a, err);
}

static inline void words_clear(struct words *w)
{
    arguments_clear(&w->a);
}

#endif
