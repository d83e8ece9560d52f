/*
 * nearest - by the number of letters that differ (Levenshtein).
 */
#include "sewa/nearest.h"

#include <string.h>

enum { LONGEST = 64 };

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Letters to insert, take away or change. */
static size_t distance(const char *a, size_t n, const char *b)
{
    size_t m = strlen(b), row[LONGEST + 1];

    if (n > LONGEST || m > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j];
            row[j] = least_of(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

/* One letter may differ, two in a word of three or more, three in a long one. */
void nearest_begin(struct nearest *n, const char *word, size_t length)
{
    *n = (struct nearest){ word, length, NULL, 2 + (length >= 3) + (length >= 8) };
}

void nearest_consider(struct nearest *n, const char *name)
{
    size_t d = distance(n->word, n->length, name);

    if (d < n->distance) {
        n->name = name;
        n->distance = d;
    }
}
