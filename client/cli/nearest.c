/*
 * nearest - by the number of letters that differ.
 */
#include "nearest.h"

#include <string.h>

enum { LONGEST = 32 };

struct best {
    const char *name;
    size_t distance;
};

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Letters to insert, take away or change (Levenshtein). */
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

static void consider(struct best *best, const char *candidate, const char *word, size_t n)
{
    size_t d = distance(word, n, candidate);

    if (d < best->distance)
        *best = (struct best){ candidate, d };
}

/* One letter may differ, two in a word of three or more, three in a long one. */
static struct best nobody(size_t n)
{
    return (struct best){ NULL, 2 + (n >= 3) + (n >= 8) };
}

const char *nearest_option(const struct option *own, const struct option *globals, const char *name,
                           size_t n)
{
    struct best best = nobody(n);

    for (const struct option *o = own; o && o->name; o++)
        consider(&best, o->name, name, n);
    for (const struct option *o = globals; o && o->name; o++)
        if (o->kind != OPTION_REFUSED)
            consider(&best, o->name, name, n);
    return best.name;
}

const char *nearest_word(const struct cli *cli, const char *noun, const char *word)
{
    size_t n = strlen(word);
    struct best best = nobody(n);

    for (size_t i = 0; noun && i < cli->command_count; i++)
        if (strcmp(cli->commands[i].noun, noun) == 0 && cli->commands[i].verb)
            consider(&best, cli->commands[i].verb, word, n);
    for (const struct noun *o = cli->nouns; !noun && o->name; o++)
        consider(&best, o->name, word, n);
    return best.name;
}
