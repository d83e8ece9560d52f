/*
 * token - the name of a file as words and numbers, as people read it: "epoch3step100_0.25.pt" is
 * the words epoch, step and pt, the numbers 3 and 100, and 0.25, which is no whole number. Names
 * are bytes and need not be UTF-8. Pure. Thread: any.
 */
#ifndef INGEST_TOKEN_H
#define INGEST_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum token_kind {
    TOKEN_WORD,   /* letters; bytes of UTF-8 sequences are letters, "stepSize" is two words */
    TOKEN_NUMBER, /* decimal digits that are a whole number */
    TOKEN_OTHER,  /* digits that are none: 0.25, 1e-05, 1.2.3, a date with its time, a hash */
};

/* What stands between a token and the one before it. */
enum token_gap {
    GAP_NONE, /* nothing */
    GAP_NEAR, /* some of "-_=.:#" and blanks: they may belong together */
    GAP_FAR,  /* anything else, or it is the first */
};

struct token {
    enum token_kind kind;
    enum token_gap gap;
    const char *text; /* in the name */
    size_t n;
};

enum { TOKENS_MAX = 256 }; /* a name has at most 255 bytes; what comes behind is not seen */

/* The tokens of n bytes; returns how many. */
size_t token_split(const char *text, size_t n, struct token ret[TOKENS_MAX]);

/* Whether it is this word, whatever the case. */
bool token_is(const struct token *t, const char *word);

#endif
