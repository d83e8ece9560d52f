/*
 * table - columns that line up.
 */
#include "table.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "visible.h"

enum { GAP = 2, LEAST_WIDTH = 8 };

struct cell {
    char *text;
    size_t width;
    enum tint tint;
};

struct table {
    const struct column *columns;
    size_t column_count;
    struct cell *cells;
    size_t count, room;
    bool failed;
};

static const char ellipsis[] = "\xe2\x80\xa6";

struct table *table_new(const struct column *columns, size_t count)
{
    struct table *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->columns = columns;
    t->column_count = count;
    return t;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}

void table_cleanup(struct table **t)
{
    table_free(*t);
}

static bool make_room(struct table *t)
{
    if (t->count < t->room)
        return true;
    size_t room = t->room ? t->room * 2 : 64;
    struct cell *cells = reallocarray(t->cells, room, sizeof *cells);
    if (!cells)
        return false;
    t->cells = cells;
    t->room = room;
    return true;
}

void table_cell(struct table *t, const char *text)
{
    struct text shown = { 0 };

    if (!t || t->failed)
        return;
    if (!text || !*text)
        text = "-";
    visible_append(&shown, text, strlen(text), VISIBLE_WORD);
    char *own = sewa_text_take(&shown);
    if (!own || !make_room(t)) {
        free(own);
        t->failed = true;
        return;
    }
    t->cells[t->count++] = (struct cell){ own, visible_width(own), TINT_NONE };
}

void table_cellf(struct table *t, const char *format, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n >= 0)
        table_cell(t, text);
    else if (t)
        t->failed = true;
    if (n >= 0)
        free(text);
}

void table_tint(struct table *t, enum tint tint)
{
    if (t && !t->failed && t->count > 0)
        t->cells[t->count - 1].tint = tint;
}

/* ---- colours ---- */

void tint_append(struct text *to, enum tint tint, bool color, const char *text, size_t n)
{
    static const char *const codes[] = {
        [TINT_GOOD] = "32",
        [TINT_BAD] = "31",
        [TINT_BUSY] = "33",
        [TINT_DIM] = "2",
    };
    bool use = color && tint != TINT_NONE;

    if (use)
        sewa_text_printf(to, "\033[%sm", codes[tint]);
    sewa_text_append(to, text, n);
    if (use)
        sewa_text_put(to, "\033[0m");
}

enum tint tint_of(const char *word)
{
    static const struct {
        const char *word;
        enum tint tint;
    } rows[] = {
        { "succeeded", TINT_GOOD },  { "improved", TINT_GOOD },   { "complete", TINT_GOOD },
        { "failed", TINT_BAD },      { "worse", TINT_BAD },       { "changed", TINT_BAD },
        { "running", TINT_BUSY },    { "starting", TINT_BUSY },   { "publishing", TINT_BUSY },
        { "incomplete", TINT_BUSY }, { "cancelling", TINT_BUSY }, { "queued", TINT_BUSY },
        { "cancelled", TINT_DIM },   { "gone", TINT_DIM },
    };

    for (size_t i = 0; word && i < COUNT_OF(rows); i++)
        if (strcmp(rows[i].word, word) == 0)
            return rows[i].tint;
    return TINT_NONE;
}

/* ---- layout ---- */

static size_t rows_of(const struct table *t)
{
    return t->count / t->column_count;
}

static const struct cell *cell_at(const struct table *t, size_t row, size_t column)
{
    return &t->cells[row * t->column_count + column];
}

static size_t measure(const struct table *t, size_t *widths)
{
    size_t total = 0;

    for (size_t c = 0; c < t->column_count; c++) {
        widths[c] = visible_width(t->columns[c].title);
        for (size_t r = 0; r < rows_of(t); r++)
            if (cell_at(t, r, c)->width > widths[c])
                widths[c] = cell_at(t, r, c)->width;
        total += widths[c] + (c ? GAP : 0);
    }
    return total;
}

static size_t least_width(const struct table *t, size_t column)
{
    size_t title = visible_width(t->columns[column].title);

    return title > LEAST_WIDTH ? title : LEAST_WIDTH;
}

/* Take from the widest of those that may be cut, column by column, until all fits. */
static void shrink(const struct table *t, size_t *widths, size_t total, size_t wanted)
{
    while (total > wanted) {
        size_t widest = SIZE_MAX;
        for (size_t c = 0; c < t->column_count; c++)
            if ((t->columns[c].flags & COLUMN_SHRINK) && widths[c] > least_width(t, c) &&
                (widest == SIZE_MAX || widths[c] > widths[widest]))
                widest = c;
        if (widest == SIZE_MAX)
            return;
        widths[widest]--;
        total--;
    }
}

static void put_cell(const struct table *t, size_t column, size_t width, const char *text,
                     enum tint tint, bool color, struct text *to)
{
    bool last = column + 1 == t->column_count, right = t->columns[column].flags & COLUMN_RIGHT;
    AUTO(sewa_text_clear) struct text cut = { 0 };
    size_t used, whole = visible_width(text);

    size_t n = visible_fit(text, whole > width ? width - 1 : width, &used);
    sewa_text_append(&cut, text, n);
    if (whole > width) {
        sewa_text_put(&cut, ellipsis);
        used++;
    }
    if (column)
        sewa_text_printf(to, "%*s", GAP, "");
    if (right)
        sewa_text_printf(to, "%*s", (int)(width - used), "");
    tint_append(to, tint, color, sewa_text_get(&cut), cut.length);
    if (!right && !last)
        sewa_text_printf(to, "%*s", (int)(width - used), "");
    to->failed = to->failed || cut.failed;
}

bool table_write(const struct table *t, size_t width, bool color, struct text *to)
{
    if (!t || t->failed)
        return false;
    AUTOFREE size_t *widths = calloc(t->column_count, sizeof *widths);
    if (!widths)
        return false;
    size_t total = measure(t, widths);
    if (width)
        shrink(t, widths, total, width);
    for (size_t c = 0; c < t->column_count; c++)
        put_cell(t, c, widths[c], t->columns[c].title, TINT_DIM, color, to);
    sewa_text_put(to, "\n");
    for (size_t r = 0; r < rows_of(t); r++) {
        for (size_t c = 0; c < t->column_count; c++)
            put_cell(t, c, widths[c], cell_at(t, r, c)->text, cell_at(t, r, c)->tint, color, to);
        sewa_text_put(to, "\n");
    }
    return !to->failed;
}
