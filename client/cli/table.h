/*
 * table - rows of cells under titles, in columns that line up and fit the terminal. Pure.
 *
 *     static const struct column columns[] = { { "NAME" }, { "SIZE", COLUMN_RIGHT } };
 *     struct table *t = table_new(columns, 2);
 *     table_cell(t, run->name);
 *     table_cellf(t, "%s", format_bytes(n, buffer));
 *     table_write(t, width, &text);
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "../text.h"

enum column_flags {
    COLUMN_RIGHT = 1 << 0,  /* numbers */
    COLUMN_SHRINK = 1 << 1, /* may be cut when the terminal is too narrow */
};

struct column {
    const char *title;
    unsigned flags;
};

enum tint { TINT_NONE, TINT_GOOD, TINT_BAD, TINT_BUSY, TINT_DIM };

struct table;

/* The columns are borrowed. NULL when there is no memory; the other functions take that. */
struct table *table_new(const struct column *columns, size_t count);
void table_free(struct table *t);
void table_cleanup(struct table **t); /* for AUTO() */

/* The next cell, row by row. Made visible here; NULL and "" become "-". */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *format, ...) SEWA_PRINTF(2, 3);

/* The colour of the cell that was added last. */
void table_tint(struct table *t, enum tint tint);

/* @width: columns of the terminal, 0: as wide as it gets. @color: use it. False: no memory. */
bool table_write(const struct table *t, size_t width, bool color, struct text *to);

/* A text in a colour, or as it is. */
void tint_append(struct text *to, enum tint tint, bool color, const char *text, size_t n);

/* What colour a state of a job or of a checkpoint, or a verdict, has. */
enum tint tint_of(const char *word);

#endif
