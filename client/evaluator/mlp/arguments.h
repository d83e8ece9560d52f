/*
 * arguments - the arguments of a command: one table feeds parsing and help.
 *
 * `--name value` and `--name=value`; a flag has no value; `--` ends the names; anything else is
 * positional. Pure. Thread: any.
 */
#ifndef MLP_ARGUMENTS_H
#define MLP_ARGUMENTS_H

#include "sewa/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct argument {
    const char *name;  /* "batch"; NULL ends the table */
    const char *value; /* how help calls it: "N"; NULL: a flag */
    const char *help;  /* what it is, with its default */

    /* exactly one of these is set */
    const char **text;
    int64_t *integer; /* from least to most */
    double *real;     /* from low to high */
    int *word;        /* index into words */
    bool *flag;

    int64_t least, most;
    double low, high;
    const char *const *words; /* NULL-terminated */
};

/*
 * Fill what the table points to. Positional ones are collected (at most positional_max) and
 * counted. SEWA_E_INVALID: the text says which argument is wrong and what is allowed. Wants
 * `--help` to have been dealt with.
 */
int arguments_parse(const struct argument *table, int argc, char *const *argv,
                    const char **positional, int positional_max, int *ret_count,
                    struct sewa_error *err);

/* One line per argument. */
void arguments_show(const struct argument *table, FILE *to);

#endif
