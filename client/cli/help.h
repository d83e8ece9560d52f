/*
 * help - what --help says, made from the table of commands. Pure.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "../text.h"
#include "options.h"

/* Of the command if one was named, else of the noun, else of the whole program. */
void help_write(const struct arguments *a, struct text *to);

/* "sewactl job submit", as far as it was named. */
void help_name(const struct arguments *a, struct text *to);

#endif
