/*
 * visible - text from elsewhere, made fit for a terminal. Pure but for the character table of libc
 * (main() has set a UTF-8 locale).
 *
 * A name of a file or a line of a log may hold control characters that move the cursor, change the
 * title of the window or turn the direction of writing, so that a terminal shows what is not there.
 * They are shown as \u001b, which inside a JSON text is also the same text.
 */
#ifndef CLI_VISIBLE_H
#define CLI_VISIBLE_H

#include "../text.h"

enum visible {
    VISIBLE_WORD,  /* line ends and tabs are shown as escapes too */
    VISIBLE_LINES, /* they stay; a lone carriage return becomes a line end */
};

void visible_append(struct text *to, const char *s, size_t n, enum visible how);

/* Columns that a visible text takes. */
size_t visible_width(const char *s);

/* Bytes of a visible text that fit into so many columns; their width in *ret_width. */
size_t visible_fit(const char *s, size_t columns, size_t *ret_width);

/* How many of n bytes to look at now: the last ones may be the beginning of a character. */
size_t visible_whole(const char *s, size_t n);

#endif
