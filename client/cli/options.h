/*
 * options - the words of a command line, read by one table: which commands there are, and which
 * options each takes. Help and the request of a job are made from the same table. Pure.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,    /* no value; true in a request */
    OPTION_TEXT,    /* not empty */
    OPTION_WORD,    /* one of words */
    OPTION_FORMAT,  /* one of words, or a path, as it was once: the number -1 */
    OPTION_NUMBER,  /* whole, from least to most */
    OPTION_TEXTS,   /* a,b,c; may be given again */
    OPTION_NUMBERS, /* 1,2,3, each from least to most; may be given again */
    OPTION_LABEL,   /* key=value, texts; may be given again */
    OPTION_PARAM,   /* name=value, the value is JSON or else a text; may be given again */
    OPTION_SELECT,  /* a number, numbers with commas, or "auto" */
    OPTION_NOTHING, /* a flag; an empty list in a request */
    OPTION_REFUSED, /* is never taken: help says why not */
};

struct option {
    char letter;       /* 'q', or 0 */
    const char *name;  /* "quiet"; NULL ends a table */
    const char *value; /* how help calls it: "N" */
    const char *help;
    enum option_kind kind;
    const char *field; /* of the request that it fills: "/min_step", "/output/dtype"; or NULL */
    int64_t least, most;
    const char *const *words; /* NULL-terminated */
};

struct noun {
    const char *name, *help; /* name NULL ends the table */
};

struct arguments;
struct context;

struct command {
    const char *noun, *verb; /* verb NULL: the noun is the whole command */
    const char *operands;    /* how help calls them: "RUN", "JOB..." */
    int least, most;         /* of them; most -1: any number */
    const char *summary;     /* one line */
    const char *details;     /* more, or NULL */
    const struct option *options;
    unsigned formats; /* 1 << enum format, what --output may say */
    int (*run)(struct context *c, const struct arguments *a); /* the exit status */
};

struct cli {
    const char *program;
    const char *summary;
    const char *details;          /* what holds for all commands */
    const struct option *globals; /* taken by every command; its own go first */
    const struct noun *nouns;
    const struct command *commands;
    size_t command_count;
};

/* One option that was given. */
struct given {
    const struct option *option;
    const char *value; /* NULL for a flag */
    int64_t number;    /* of OPTION_NUMBER; the index of an OPTION_WORD or _FORMAT */
};

struct arguments {
    const struct cli *cli;
    const char *noun;              /* as far as it was named */
    const struct command *command; /* NULL: help of a noun or of the program is wanted */
    bool wants_help;
    size_t given_count, operand_count;
    struct given *given; /* in the order of the command line */
    const char **operands;
};

/*
 * Read the words behind the program's name. They stay the caller's, and so does the table.
 * SEWA_E_INVALID: the text says what is wrong. ret->noun and ret->command are filled then too, as
 * far as they were understood, for the hint at --help. SEWA_E_NO_MEMORY.
 */
int arguments_parse(const struct cli *cli, int argc, char *const *argv, struct arguments *ret,
                    struct sewa_error *err);
void arguments_clear(struct arguments *a);

/* ---- what was given; the name must stand in one of the tables of the command ---- */

bool arguments_has(const struct arguments *a, const char *name);
const char *arguments_text(const struct arguments *a, const char *name); /* NULL: not given */
int64_t arguments_number(const struct arguments *a, const char *name, int64_t fallback);

/* A whole number and nothing else: 0, or -1. */
int parse_number(const char *text, int64_t least, int64_t most, int64_t *ret);

#endif
