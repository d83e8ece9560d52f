/*
 * lexer - the tokens of a configuration file, as libconfuse will see them, with their lines.
 *
 * Comments become blanks in the text itself. What libconfuse would read in a surprising way is a
 * mistake: a string or comment that is never closed, an escape or a character that it does not
 * know, a variable that is not set. Thread: any.
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include <stddef.h>

#include "sewa/error.h"

enum token {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_EQUALS,
    TOKEN_APPEND,
    TOKEN_COMMA
};

struct lexer {
    const char *path; /* for messages */
    char *text;       /* NUL-terminated; comments are blanked in it */
    size_t n;
    struct sewa_error *err;
    size_t at;      /* the next byte */
    int line;       /* its line */
    size_t start;   /* of the token that lexer_next() has found; it ends at `at` */
    int start_line; /* its line */
};

/* The next token (enum token), or SEWA_E_CONFIG. */
int lexer_next(struct lexer *x);

/* "FILE:LINE: what is wrong"; returns SEWA_E_CONFIG. */
int lexer_mistake(struct lexer *x, int line, const char *format, ...) SEWA_PRINTF(3, 4);

#endif
