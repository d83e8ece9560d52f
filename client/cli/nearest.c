/*
 * nearest - the tables of the command line, gone through for the nearest name.
 */
#include "nearest.h"

#include <string.h>

#include "sewa/nearest.h"

const char *nearest_option(const struct option *own, const struct option *globals, const char *name,
                           size_t n)
{
    struct nearest best;

    nearest_begin(&best, name, n);
    for (const struct option *o = own; o && o->name; o++)
        nearest_consider(&best, o->name);
    for (const struct option *o = globals; o && o->name; o++)
        if (o->kind != OPTION_REFUSED)
            nearest_consider(&best, o->name);
    return best.name;
}

const char *nearest_word(const struct cli *cli, const char *noun, const char *word)
{
    struct nearest best;

    nearest_begin(&best, word, strlen(word));
    for (size_t i = 0; noun && i < cli->command_count; i++)
        if (strcmp(cli->commands[i].noun, noun) == 0 && cli->commands[i].verb)
            nearest_consider(&best, cli->commands[i].verb);
    for (const struct noun *o = cli->nouns; !noun && o->name; o++)
        nearest_consider(&best, o->name);
    return best.name;
}
